from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from torch.utils.data import DataLoader
from torch.utils.data import Dataset as TorchDataset

from genkit import Batch, ConfigError, DataError, Random
from genkit_text.data.austen import open_replies, open_sentences
from genkit_text.data.config import LinesConfig, PairsConfig, RepliesConfig, SentencesConfig, TextConfig
from genkit_text.data.corpus import Corpus, build, is_held_out
from genkit_text.data.files import open_lines
from genkit_text.data.text import Text
from genkit_text.facts import TextFacts


def corpus(texts, **more):
    return Corpus(source="text.test", name="test", licence="none", texts=texts, **more)


def batch(data: Text) -> Batch:
    return data.prepare(data.resident(), rng=Random(0))


def test_a_row_is_a_texts_tokens_its_end_and_padding(lines):
    data = build(corpus(lines), TextConfig(tokenizer="words", length=10, held_out=0))
    made, facts = batch(data), TextFacts.of(data.facts)
    assert made.sample.shape == (36, 10)
    assert made.sample.dtype == torch.int64
    assert made.sample[0].tolist() == [*facts.text.encode(lines[0]), facts.eos, facts.pad, facts.pad]
    assert made.mask[0].tolist() == [True] * 8 + [False] * 2
    assert facts.text.decode_rows(made.sample, made.mask) == lines


def test_a_text_that_fits_without_its_end_has_none(lines, capsys):
    data = build(corpus(lines), TextConfig(tokenizer="words", length=7, held_out=0))
    made, facts = batch(data), TextFacts.of(data.facts)
    assert made.mask.all()
    assert not (made.sample == facts.eos).any()
    assert facts.text.decode_rows(made.sample, made.mask) == lines
    assert data.summary()["texts cut"] == 36
    assert capsys.readouterr().err == "text.test: 36 of 36 texts were longer than 7 tokens and were cut\n"


def test_nothing_is_said_when_everything_fits(lines, capsys):
    build(corpus(lines), TextConfig(tokenizer="words"))
    assert capsys.readouterr().err == ""


def test_what_is_cut_and_left_out_is_said_in_one_line(lines, capsys):
    pairs = corpus(["", *lines], prompts=["What?", *lines[:-1], " "], unit="pairs")
    config = PairsConfig(tokenizer="words", length=5, prompt_length=6, held_out=0, limit=10)
    data = build(pairs, config)
    (said,) = capsys.readouterr().err.splitlines()
    assert said == (
        "text.test: 10 of 10 pairs were longer than 5 tokens and were cut; 10 of 10 prompts were longer than 6 tokens "
        "and lost their end; 2 empty pairs were left out"
    )
    assert data.summary()["empty pairs left out"] == 2
    row, facts = batch(data).condition[0].tolist(), TextFacts.of(data.facts)
    assert row == [*facts.text.encode(lines[0])[:5], facts.bos]


def test_a_prompts_row_is_padded_on_its_left(lines):
    config = PairsConfig(tokenizer="words", prompt_length=12, held_out=0)
    data = build(corpus(lines[::-1], prompts=lines), config)
    made, facts = batch(data), TextFacts.of(data.facts)
    assert made.condition.shape == (36, 12)
    assert made.condition[0].tolist() == [facts.pad] * 4 + [*facts.text.encode(lines[0]), facts.bos]
    assert facts.text.decode_prompts(made.condition) == lines
    assert facts.prompts == tuple(lines)
    assert facts.prompt_length == 12


def test_facts_keep_some_prompts_of_the_training_part():
    prompts = [f"prompt {number}" for number in range(1000)]
    data = build(corpus(prompts, prompts=prompts), PairsConfig(held_out=0.5))
    kept = data.facts["prompts"]
    assert 200 < len(kept) <= 256
    assert not {one for one in kept if is_held_out(one, 0.5)}


def test_equal_texts_are_on_one_side_and_the_rest_is_split_by_share():
    texts = [f"text number {number // 2}" for number in range(2000)]
    data = build(corpus(texts), TextConfig(held_out=0.25, tokenizer="characters"))
    tokens = TextFacts.of(data.facts).text
    here, there = (set(tokens.decode_rows(part.resident()["tokens"])) for part in (data, data.held_out()))
    assert not here & there
    assert len(data) + len(data.held_out()) == 2000
    assert 0.2 < len(data.held_out()) / 2000 < 0.3
    assert data.summary()["held out"] == len(data.held_out())


def test_what_is_held_out_stays_so_when_data_are_added():
    texts = [f"text number {number}" for number in range(100)]
    few, many = (build(corpus(part), TextConfig(held_out=0.3)) for part in (texts[:50], texts))
    few, many = (set(TextFacts.of(d.facts).text.decode_rows(batch(d.held_out()).sample)) for d in (few, many))
    assert few < many


def test_a_prompt_is_never_on_both_sides():
    prompts = [f"prompt {number % 20}" for number in range(200)]
    answers = [f"answer {number}" for number in range(200)]
    data = build(corpus(answers, prompts=prompts), PairsConfig(held_out=0.3))
    here, there = ({tuple(row) for row in part.resident()["prompt"].tolist()} for part in (data, data.held_out()))
    assert here
    assert there
    assert not here & there


def test_a_tokenizer_does_not_see_what_is_held_out():
    texts = [f"word{number}" for number in range(100)]
    data = build(corpus(texts), TextConfig(tokenizer="words", held_out=0.3))
    assert data.facts["vocabulary"] == 4 + len(data)
    assert data.summary()["unknown tokens"] == f"{len(data.held_out()) / 100:.2%}"


def test_packed_rows_are_windows_of_one_stream(lines):
    data = build(corpus(lines), TextConfig(tokenizer="words", length=10, held_out=0), pack=True)
    made, facts = batch(data), TextFacts.of(data.facts)
    ids = [token for line in lines for token in (*facts.text.encode(line), facts.text.eos)]
    assert made.sample.flatten().tolist() == ids[: len(ids) // 10 * 10]
    assert made.mask is None
    assert facts.eos is None
    assert data.summary()["tokens left over"] == len(ids) % 10
    assert facts.text.decode_rows(made.sample)[0] == f"{lines[0]}\nThe big"


def test_packed_windows_that_nothing_fills_are_refused(lines):
    with pytest.raises(DataError, match="do not fill one row of 1000"):
        build(corpus(lines), TextConfig(length=1000), pack=True)


@pytest.mark.parametrize("what", ["labels", "prompts"])
def test_labels_and_pairs_can_not_be_packed(what, lines):
    more = {"labels": lines, "classes": lines} if what == "labels" else {"prompts": lines}
    with pytest.raises(ConfigError, match="can not be packed"):
        build(corpus(lines, **more), PairsConfig(), pack=True)


def test_texts_without_prompts_take_no_template(lines):
    with pytest.raises(ConfigError, match="no prompts for a template"):
        build(corpus(lines), PairsConfig(template="Say {prompt}"))


def test_a_template_that_fills_the_row_of_prompts_is_refused(lines):
    config = PairsConfig(template="a very long template {prompt}", prompt_length=6, tokenizer="characters")
    with pytest.raises(ConfigError, match=r"template alone has 21 tokens, and a row of prompts 6"):
        build(corpus(lines, prompts=lines), config)


def test_nothing_but_empty_texts_is_refused():
    with pytest.raises(DataError, match="has no texts, only 2 empty ones"):
        build(corpus(["", "  "]), TextConfig())


def test_a_corpus_that_is_held_out_as_a_whole_is_refused():
    text = next(f"text {i}" for i in range(100) if is_held_out(f"text {i}", 0.1))
    with pytest.raises(DataError, match="all of its 1 texts are held out"):
        build(corpus([text]), TextConfig(held_out=0.1))


@pytest.mark.parametrize("vocabulary", [10, 30])
def test_a_vocabulary_that_is_not_the_tokenizers_is_refused_with_both_numbers(vocabulary, lines, words, tmp_path):
    words.backend.save(str(tmp_path / "tokenizer.json"))
    config = TextConfig(tokenizer=str(tmp_path / "tokenizer.json"), vocabulary=vocabulary)
    with pytest.raises(
        ConfigError, match=rf"vocabulary of {vocabulary} does not go with .*: it has {words.vocabulary}"
    ):
        build(corpus(lines), config)


def test_a_tokenizer_from_a_path_is_used_as_it_is(lines, words, tmp_path):
    words.backend.save(str(tmp_path / "tokenizer.json"))
    data = build(corpus([*lines, "zebra"]), TextConfig(tokenizer=str(tmp_path / "tokenizer.json"), held_out=0))
    assert data.facts["vocabulary"] == words.vocabulary
    assert data.resident()["tokens"][:36, :7].tolist() == words.encode_all(lines)


def test_batches_are_made_on_the_meta_device(lines):
    data = build(corpus(lines, prompts=lines), PairsConfig())
    stored = {name: leaf.to("meta") for name, leaf in data.resident().items()}
    made = data.prepare(stored, rng=Random(0, "meta"))
    assert made.sample.device.type == made.mask.device.type == made.condition.device.type == "meta"


class _Reader(TorchDataset):
    def __init__(self, data):
        self.data = data

    def __len__(self):
        return len(self.data)

    def __getitem__(self, index):
        return self.data.read(index)


@pytest.mark.parametrize("workers", [0, 2])
def test_rows_are_the_same_whoever_reads_them(workers, lines):
    data = build(corpus(lines, prompts=lines), PairsConfig(held_out=0))
    read = list(DataLoader(_Reader(data), batch_size=9, num_workers=workers, collate_fn=data.collate))
    for name, leaf in data.resident().items():
        assert torch.equal(torch.cat([part[name] for part in read]), leaf)


# --- embedded --------------------------------------------------------------------------------------------------------


def test_sentences_come_with_the_package():
    data = open_sentences(SentencesConfig(tokenizer="words", length=16))
    assert len(data) + len(data.held_out()) == 23_049
    assert data.facts.get("labels") is None
    assert "public domain" in data.summary()["licence"]


def test_sentences_are_labelled_by_their_book():
    data = open_sentences(SentencesConfig(tokenizer="words", labels="book", limit=4000, held_out=0))
    facts = TextFacts.of(data.facts)
    assert facts.labels[0] == "Emma"
    assert len(facts.labels) == 6
    assert sum(data.facts["label_counts"]) == 4000
    made = batch(data)
    dashwood = facts.text.encode("Dashwood")[0]
    books = made.condition[(made.sample == dashwood).any(1)]
    assert {facts.labels[label] for label in books.tolist()} == {"Sense & Sensibility"}


def test_replies_are_pairs():
    data = open_replies(RepliesConfig(held_out=0))
    made, text = batch(data), TextFacts.of(data.facts).text
    assert text.decode_prompts(made.condition[:1]) == [
        "It was my father's last request to me, that I should assist his widow and daughters."
    ]
    assert text.decode_rows(made.sample[2:3], made.mask[2:3]) == ["To be sure it would."]


def test_options_are_read_without_torch_and_tokenizers():
    code = (
        "import sys, genkit_text.data.config\n"
        "assert not {'torch', 'tokenizers', 'transformers', 'datasets'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_dataset_but_the_hubs_asks_the_network(write, lines, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a connection was opened")

    monkeypatch.setattr("socket.socket.connect", refuse)
    assert len(open_lines(LinesConfig(path=write(*lines), held_out=0))) == 36
    with pytest.raises(DataError, match="no such file or folder"):
        open_lines(LinesConfig(path=write(*lines), tokenizer="gpt2"))
