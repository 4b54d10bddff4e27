from __future__ import annotations

import sys

import pytest
import torch
from torch.utils.data import DataLoader, IterableDataset

from genkit import ConfigError, DataError, PluginError, Random
from genkit_text.data.config import HubConfig
from genkit_text.data.hub import StreamedText, open_hub
from genkit_text.facts import TextFacts


@pytest.fixture
def saved(tmp_path):
    datasets = pytest.importorskip("datasets", reason="the extra `hub` is not installed")
    datasets.disable_progress_bars()

    def table(numbers):
        features = datasets.Features(
            {
                "text": datasets.Value("string"),
                "question": datasets.Value("string"),
                "kind": datasets.ClassLabel(names=["even", "odd"]),
                "number": datasets.Value("int64"),
                "tens": datasets.Value("string"),
                "withheld": datasets.ClassLabel(names=["even", "odd"]),
                "share": datasets.Value("float64"),
            }
        )
        rows = [
            {
                "text": f"It is {n}.",
                "question": f"What is {n}?",
                "kind": n % 2,
                "number": n,
                "tens": str(n // 10) if n < 190 else None,
                "withheld": n % 2 if n < 195 else None if n < 198 else -1,
                "share": n / 200,
            }
            for n in numbers
        ]
        return datasets.Dataset.from_list(rows, features=features)

    both = datasets.DatasetDict({"train": table(range(200)), "test": table(range(500, 510))})
    both.save_to_disk(str(tmp_path / "both"))
    return str(tmp_path / "both")


def opened(path, **options):
    return open_hub(HubConfig(path=path, **{"vocabulary": 300, "held_out": 0.0, **options}))


def texts(data):
    made = data.prepare(data.resident(), rng=Random(0))
    return TextFacts.of(data.facts).text.decode_rows(made.sample, made.mask)


def test_a_saved_dataset_gives_texts_and_a_held_out_split(saved):
    data = opened(saved, held_out_split="test", limit=50)
    assert texts(data) == [f"It is {n}." for n in range(0, 200, 4)]
    assert texts(data.held_out()) == [f"It is {n}." for n in range(500, 510)]


def test_columns_can_be_prompts_or_labels(saved):
    data = opened(saved, prompt="question")
    made = data.prepare(data.resident(), rng=Random(0))
    assert TextFacts.of(data.facts).text.decode_prompts(made.condition[:1]) == ["What is 0?"]
    data = opened(saved, label="kind", limit=8)
    assert data.facts["labels"] == ["even", "odd"]
    assert data.resident()["label"].tolist() == [0, 1, 0, 1, 0, 1, 0, 1]
    assert opened(saved, label="number", limit=4).facts["labels"] == ["0", "50", "100", "150"]  # not as words


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("tens", "10 of 200 rows have no label"),
        ("withheld", "5 of 200 rows have no label"),
        ("share", "'share' holds neither words nor whole numbers"),
    ],
)
def test_rows_without_a_label_are_counted_and_no_class_is_made_of_them(column, message, saved):
    with pytest.raises(DataError, match=message) as caught:
        opened(saved, label=column)
    assert caught.value.where == "data.label"


@pytest.mark.parametrize("options", [{"text": "answer"}, {"prompt": "query"}, {"label": "sort"}])
def test_a_column_that_is_not_there_is_named(options, saved):
    with pytest.raises(DataError, match=rf"has no column '{next(iter(options.values()))}'; it has text, question"):
        opened(saved, **options)


def test_a_column_that_holds_no_texts_is_refused(saved):
    with pytest.raises(DataError, match="column 'number' does not hold texts"):
        opened(saved, text="number")


def test_a_split_that_is_not_there_is_named(saved):
    with pytest.raises(DataError, match="has no split 'dev'"):
        opened(saved, split="dev")


@pytest.mark.parametrize("options", [{"prompt": "question"}, {"streaming": True}])
def test_labels_go_with_neither_prompts_nor_streaming(options, saved):
    with pytest.raises(ConfigError, match="labels do not go with"):
        opened(saved, label="kind", **options)


def test_a_name_that_can_not_be_loaded_is_named(saved, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise ConnectionError("no network")

    monkeypatch.setattr("datasets.load_dataset", refuse)
    with pytest.raises(DataError, match=r"some/name: can not be loaded \(no network\)"):
        opened("some/name")


def test_a_missing_package_names_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(PluginError) as caught:
        opened("some/name")
    assert caught.value.fix == 'pip install "genkit-gan-text[hub]"'


# --- streamed --------------------------------------------------------------------------------------------------------


def stream(saved, **options) -> StreamedText:
    data = opened(saved, streaming=True, buffer=20, **options)
    assert isinstance(data, StreamedText)
    return data


def epoch(data, number=0, shard=0, shards=1):
    return list(data.examples(seed=7, epoch=number, shard=shard, shards=shards))


def test_a_stream_gives_every_example_once_an_epoch_in_another_order(saved):
    data = stream(saved)
    text = TextFacts.of(data.facts).text
    orders = []
    for number in (0, 0, 1):
        rows = data.collate(epoch(data, number))
        made = data.prepare(rows, rng=Random(0))
        orders.append(text.decode_rows(made.sample, made.mask))
    assert orders[0] == orders[1] != orders[2]
    assert sorted(orders[0]) == sorted(orders[2]) == sorted(f"It is {n}." for n in range(200))
    assert orders[0] != [f"It is {n}." for n in range(200)]


def test_readers_share_a_stream_without_overlap(saved):
    data = stream(saved, prompt="question")
    parts = [{tuple(row["prompt"].tolist()) for row in epoch(data, shard=shard, shards=3)} for shard in range(3)]
    assert sum(map(len, parts)) == len(set.union(*parts)) == 200


class _Stream(IterableDataset):
    def __init__(self, data):
        self.data = data

    def __iter__(self):
        return iter(epoch(self.data, shard=1, shards=2))


def test_a_loaders_process_reads_the_same_order(saved):
    data = stream(saved)
    read = list(DataLoader(_Stream(data), batch_size=None, num_workers=1))
    assert torch.equal(data.collate(read)["tokens"], data.collate(epoch(data, shard=1, shards=2))["tokens"])


def test_a_stream_keeps_what_is_held_out_apart(saved):
    data = stream(saved, held_out=0.3, sample=100)
    text = TextFacts.of(data.facts).text
    here = set(text.decode_rows(data.collate(epoch(data))["tokens"]))
    there = set(texts(data.held_out()))
    assert 10 < len(there) < 50
    assert 110 < len(here) < 170
    assert not here & there
    assert data.summary()["examples"] == "streamed"


def test_a_packed_stream_gives_whole_windows(saved):
    data = stream(saved, pack=True, length=16)
    rows = data.prepare(data.collate(epoch(data)), rng=Random(0))
    assert rows.mask is None
    assert rows.sample.shape[1] == 16
    text = TextFacts.of(data.facts).text
    assert (rows.sample == text.eos).sum() > 150
    assert data.facts["eos"] is None
