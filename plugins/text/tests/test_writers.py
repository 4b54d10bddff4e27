from __future__ import annotations

import json

import pytest
import torch

from genkit import Batch, Random
from genkit_text.data.config import PairsConfig, TextConfig
from genkit_text.data.corpus import Corpus, build
from genkit_text.writers import WIDTH, build_writer


def made(texts, *, config=None, **columns):
    corpus = Corpus(source="text.test", name="test", licence="none", texts=texts, **columns)
    data = build(corpus, config or TextConfig(held_out=0))
    return build_writer(data.facts), data.prepare(data.resident(), rng=Random(0))


def test_texts_are_objects_a_line(tmp_path):
    writer, batch = made(["Café.", "Two\nlines."])
    (path,) = writer.write(batch, tmp_path / "new")
    assert path.name == "samples.jsonl"
    assert path.read_text(encoding="utf-8").splitlines()[0] == '{"text": "Café."}'
    assert [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] == writer.lines(batch)
    assert writer.lines(batch) == [{"text": "Café."}, {"text": "Two\nlines."}]


def test_labels_and_prompts_stand_beside_their_texts():
    writer, batch = made(["a", "b"], labels=["x", "y"], classes=["y", "x"])
    assert writer.lines(batch) == [{"label": "x", "text": "a"}, {"label": "y", "text": "b"}]
    writer, batch = made(["a", "b"], prompts=["p", "q"], config=PairsConfig(held_out=0))
    assert writer.lines(batch) == [{"prompt": "p", "response": "a"}, {"prompt": "q", "response": "b"}]


def test_bare_tokens_are_numbers(tmp_path):
    writer = build_writer({"modality": "text", "vocabulary": 9, "length": 3, "bos": 0, "pad": 0})
    batch = Batch(torch.tensor([[1, 2, 3], [4, 5, 6]]))
    assert writer.lines(batch) == [{"tokens": [1, 2, 3]}, {"tokens": [4, 5, 6]}]
    cut = Batch(batch.sample, mask=torch.tensor([[True, True, False], [True, False, False]]))
    assert writer.lines(cut) == [{"tokens": [1, 2]}, {"tokens": [4]}]
    assert writer.preview(batch, tmp_path / "s", columns=1).read_text() == "- 1 2 3\n- 4 5 6\n"


def test_a_preview_shows_samples_under_the_prompt_they_share(tmp_path):
    writer, batch = made(["a", "b", "c"], prompts=["p\nq", "p\nq", "r"], config=PairsConfig(held_out=0))
    path = writer.preview(batch, tmp_path / "deep" / "step-00010", columns=2)
    assert path.name == "step-00010.txt"
    assert path.read_text() == "prompt: p\n        q\n    - a\n    - b\n\nprompt: r\n    - c\n"


@pytest.mark.parametrize("pair", [False, True])
def test_long_samples_are_wrapped(pair, tmp_path):
    text = "word " * 60
    config = PairsConfig(length=200, prompt_length=200, held_out=0)
    writer, batch = made([text, "x"], config=config, prompts=[text, "y"] if pair else None)
    shown = writer.preview(batch, tmp_path / "p", columns=1).read_text()
    assert max(map(len, shown.splitlines())) <= WIDTH
    assert shown.split().count("word") == 60 * (1 + pair)
