from __future__ import annotations

import numpy as np
import pytest
import torch

from genkit import ConfigError, Labels, Random, UsageError
from genkit_text.conditions import Prompts, conditions


@pytest.fixture
def prompts(words, lines) -> Prompts:
    return Prompts(words, 9, lines[:5])


def test_facts_decide_what_can_be_asked(words):
    facts = {"modality": "text", "vocabulary": 9, "length": 8, "bos": 1, "eos": 2, "pad": 0}
    assert conditions(facts) is None
    labels = conditions({**facts, "labels": ["a", "b"], "label_counts": [0, 3]})
    assert isinstance(labels, Labels)
    assert labels.draw(4, rng=Random(0)).tolist() == [1, 1, 1, 1]
    asked = conditions({**facts, "prompt_length": 6, "prompts": ["The cat."], "tokenizer": words.to_facts()})
    assert isinstance(asked, Prompts)
    assert asked.paired
    assert not labels.paired
    with pytest.raises(ConfigError, match="prompts and no tokenizer"):
        conditions({**facts, "prompt_length": 6})


def test_prompts_are_drawn_from_the_datas(prompts, lines):
    drawn = prompts.draw(50, rng=Random(0))
    assert drawn.shape == (50, 9)
    assert set(prompts.describe(drawn).tolist()) == set(lines[:5])
    assert torch.equal(drawn, prompts.draw(50, rng=Random(0)))
    assert prompts.draw(50, rng=Random(0, "meta")).device.type == "meta"


def test_a_grid_has_a_prompt_in_each_row(prompts, lines):
    rows, columns = prompts.grid(16)
    shown = prompts.describe(rows).reshape(-1, columns)
    assert columns == 4
    assert all(len(set(row)) == 1 for row in shown.tolist())
    assert shown[:, 0].tolist() == lines[:4]
    assert len(prompts.grid(3)[0]) == 3


def test_a_prompt_or_several_are_parsed_in_turn(prompts, words):
    one = prompts.parse({"prompt": "The big cat."}, 2)
    assert one.tolist() == [words.encode_prompt("The big cat.", 9)] * 2
    two = prompts.parse({"prompt": ["The cat.", "The dog."]}, 3)
    assert prompts.describe(two).tolist() == ["The cat.", "The dog.", "The cat."]
    assert isinstance(prompts.describe(two), np.ndarray)


@pytest.mark.parametrize(("given", "message"), [
    ({}, "takes the condition `prompt`, not nothing"),
    ({"label": "a"}, "takes the condition `prompt`, not label"),
    ({"prompt": 3}, "a text or a list of texts"),
    ({"prompt": []}, "a text or a list of texts"),
    ({"prompt": ["a", 1]}, "a text or a list of texts"),
    ({"prompt": ""}, "the prompt is empty"),
    ({"prompt": "The cat sees the dog. The dog sees the cat."}, "has 12 tokens; this model reads at most 8"),
])  # fmt: skip
def test_what_can_not_be_asked_is_refused(given, message, prompts):
    with pytest.raises(UsageError, match=message):
        prompts.parse(given, 2)


def test_without_kept_prompts_one_must_be_given(words):
    empty = Prompts(words, 9, [])
    with pytest.raises(UsageError, match="no prompts were kept"):
        empty.draw(2, rng=Random(0))
    assert len(empty.parse({"prompt": "The cat."}, 2)) == 2


def test_a_long_prompt_of_the_data_is_cut(words):
    assert Prompts(words, 3, ["The big cat sees the dog."]).draw(1, rng=Random(0)).shape == (1, 3)
