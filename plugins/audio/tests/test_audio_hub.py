"""`audio.hub`: what `datasets` saved, whole or as a stream, with rows as they come."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from genkit import Batch, ConfigError, DataError, Random
from genkit_audio.data import hub
from genkit_audio.data.config import HubConfig


@pytest.fixture
def table(save, tone, tmp_path):
    """Ten recordings with a label, as `datasets` saves them."""
    datasets = pytest.importorskip("datasets")
    files = [save(f"{i}.wav", tone(0.2, 16_000, 300 * (i + 1)), 16_000) for i in range(10)]
    rows = {
        "sound": [{"bytes": file.read_bytes(), "path": file.name} for file in files],
        "kind": [i % 2 for i in range(10)],
    }
    kinds = datasets.ClassLabel(names=["even", "odd"])
    made = datasets.Dataset.from_dict(rows).cast_column("sound", datasets.Audio()).cast_column("kind", kinds)
    datasets.DatasetDict({"train": made, "test": made.select(range(4))}).save_to_disk(str(tmp_path / "saved"))
    return str(tmp_path / "saved")


def _hub(**options):
    return hub.open_hub(HubConfig(**{"rate": 16_000, "length": 1_024, **options}))


def test_a_saved_dataset_gives_recordings_and_labels(table):
    data = _hub(path=table, crop="start", held_out=0.0)
    assert data.facts["labels"] == ["even", "odd"]
    batch = data.prepare(data.resident(), rng=Random(0))
    assert batch.condition.tolist() == [0, 1] * 5
    bins = torch.fft.rfft(batch.sample).abs().argmax(1) * 16_000 / 1_024
    assert (bins - 300 * torch.arange(1, 11)).abs().max() < 16


def test_another_split_is_held_out(table):
    data = _hub(path=table, crop="start", held_out_split="test")
    assert (len(data), len(data.held_out())) == (10, 4)


def test_a_split_or_column_that_is_not_there_is_named(table):
    with pytest.raises(DataError, match="no split 'dev'"):
        _hub(path=table, split="dev")
    with pytest.raises(DataError, match="no column 'voice'"):
        _hub(path=table, audio="voice")
    with pytest.raises(DataError, match="'kind' does not hold recordings"):
        _hub(path=table, audio="kind")


def test_a_stream_gives_each_window_once_and_holds_out_the_same_recordings(table):
    data = _hub(path=table, streaming=True, held_out=0.3, crop="start", buffer=3)
    assert data.facts["labels"] is None
    held = {tuple(row[:64].tolist()) for row in data.held_out().resident()["wave"]}
    epochs = [[tuple(one["wave"][:64].tolist()) for one in data.examples(seed=s, epoch=0, shard=0, shards=1)]
              for s in (1, 1, 2)]  # fmt: skip
    assert len(held) + len(epochs[0]) == 10
    assert held.isdisjoint(epochs[0])
    assert epochs[0] == epochs[1]
    assert epochs[0] != epochs[2]
    assert sorted(epochs[0]) == sorted(epochs[2])
    halves = [list(data.examples(seed=1, epoch=0, shard=shard, shards=2)) for shard in (0, 1)]
    assert sum(map(len, halves)) == len(epochs[0])
    batch = data.prepare(data.collate(halves[0]), rng=Random(0))
    assert isinstance(batch, Batch)
    assert batch.sample.shape[1] == 1_024


def test_options_that_do_not_go_with_streaming_are_refused(table):
    for option, value in (("cache", "x"), ("speeds", (0.9, 1.0)), ("sampling", "clips"), ("held_out_split", "test")):
        with pytest.raises(ConfigError, match=f"`{option}`"):
            _hub(path=table, streaming=True, **{option: value})


def test_a_broken_row_is_named(table, tmp_path):
    datasets = pytest.importorskip("datasets")
    rows = {"sound": [{"bytes": b"nothing", "path": "a.wav"}]}
    made = datasets.Dataset.from_dict(rows).cast_column("sound", datasets.Audio())
    made.save_to_disk(str(tmp_path / "broken"))
    with pytest.raises(DataError, match=r"broken \(train\), row 0"):
        _hub(path=str(tmp_path / "broken"))
    assert np.isfinite(_hub(path=table).seconds)


# --- odd rows --------------------------------------------------------------------------------------------------------


@pytest.fixture
def keep(tmp_path):
    """Writes rows as `datasets` saves them; a `kind` is a label of two."""
    datasets = pytest.importorskip("datasets")

    def keep(**rows):
        made = datasets.Dataset.from_dict(rows).cast_column("sound", datasets.Audio(decode=False))
        if "kind" in rows and not any(isinstance(one, str) for one in rows["kind"]):
            made = made.cast_column("kind", datasets.ClassLabel(names=["even", "odd"]))
        made.save_to_disk(str(tmp_path / "kept"))
        return str(tmp_path / "kept")

    return keep


@pytest.fixture
def sounds(save, tone):
    """Ten recordings, each in a folder of its own, and all of one name."""
    return [save(f"in/{i}/sound.wav", tone(0.2, 16_000, 300 * (i + 1)), 16_000) for i in range(10)]


@pytest.mark.parametrize("kinds", [[0, -1, 1, 0], [0, None, 1, 0], ["even", None, "odd", "odd"]])
def test_a_row_without_a_label_is_named(keep, sounds, kinds):
    path = keep(sound=[{"path": str(file), "bytes": None} for file in sounds[:4]], kind=kinds)
    options = {"path": path, "held_out": 0.0, "label": "kind"}
    with pytest.raises(DataError, match=r"kept \(train\), row 1: has no label") as caught:
        _hub(**options)
    assert "--set data.label=none" in str(caught.value)
    assert len(_hub(**{**options, "label": "none"})) > 0
    assert _hub(**options, limit=2).facts["labels"] == ["even", "odd"]  # of the first and the third row


@pytest.mark.parametrize("content", [True, False])
def test_recordings_of_one_name_are_several_recordings(keep, sounds, content):
    rows = [{"path": "sound.wav" if content else str(file), "bytes": file.read_bytes() if content else None}
            for file in sounds]  # fmt: skip
    path = keep(sound=rows)
    data = _hub(path=path, held_out=0.3, crop="start")
    assert (len(data), len(data.held_out())) == (7, 3)
    assert len(set(data.recordings.tolist())) == 7
    streamed = _hub(path=path, held_out=0.5, crop="start", streaming=True)
    epoch = list(streamed.examples(seed=1, epoch=0, shard=0, shards=1))
    assert len(epoch) + len(streamed.held_out()) == 10
    assert len(epoch) > 1


def test_a_file_is_known_by_the_end_of_its_path_wherever_it_lies(sounds):
    source = hub._source({"path": str(sounds[3]), "bytes": None}, "a")
    assert source.key == "in/3/sound.wav"
    assert source.name == str(sounds[3])
    for path in ("sound.wav", "/sound.wav", "a/sound.wav", "/b/a/sound.wav"):
        assert hub._source({"path": path, "bytes": None}, "a").key == path.lstrip("/")
        assert Path(hub._source({"path": path, "bytes": None}, "a").name) == Path(path)


def test_an_empty_row_ends_a_stream_only_where_it_may(keep, sounds, capsys):
    rows = [{"path": file.name, "bytes": file.read_bytes()} for file in sounds]
    path = keep(sound=[*rows[:2], None, *rows[2:], None])
    options = {"path": path, "streaming": True, "held_out": 0.0, "crop": "start"}
    with pytest.raises(DataError, match="a row without a recording"):
        _hub(**options)
    late = _hub(**options, sample=2)
    with pytest.raises(DataError, match="a row without a recording"):
        list(late.examples(seed=1, epoch=0, shard=0, shards=1))
    data = _hub(**options, skip_broken=True)
    assert "2 rows without a recording left out" in capsys.readouterr().err
    assert len(list(data.examples(seed=1, epoch=0, shard=0, shards=1))) == 10
    assert capsys.readouterr().err.count("left out") == 2
