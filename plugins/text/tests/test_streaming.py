from __future__ import annotations

from typing import Any

import pytest
import torch

from genkit import Sampler, SamplerParts, UsageError
from genkit_text.conditions import conditions
from genkit_text.models.config import LSTMConfig, TransformerConfig
from genkit_text.models.language import LanguageGenerator
from genkit_text.models.lstm import build_lstm
from genkit_text.models.transformer import build_transformer
from genkit_text.streaming import pieces, stream
from genkit_text.tokenization import Tokenizer, train_tokenizer

TEXTS = ["Dear Ann, the tea was cold.", "Thank you for the tea!", "It is a café; “quite” so…", "ψυχή 😀 no"]
L, P = 24, 12


def sampler(kind: str = "transformer", relaxation: str = "none", **more: Any) -> tuple[Sampler, Tokenizer]:
    text = train_tokenizer("bpe", TEXTS, 300)
    known = {"modality": "text", "vocabulary": text.vocabulary, "length": L, "bos": 1, "eos": 2, "pad": 0}
    known |= {"tokenizer": text.to_facts(), "prompts": TEXTS[:3]} | more
    torch.manual_seed(1)
    if kind == "lstm":
        generator = build_lstm(LSTMConfig(width=16, relaxation=relaxation), known)
    else:
        generator = build_transformer(TransformerConfig(width=16, layers=1, heads=2, relaxation=relaxation), known)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.normal_(std=0.4)
    return Sampler(SamplerParts(generator, conditions(known), None), facts=known), text


def whole(made: Sampler, text: Tokenizer, **asked: Any) -> str:
    batch = made.sample(1, **asked)
    return text.decode_rows(batch.sample, batch.mask)[0]


@pytest.mark.parametrize("kind", ["lstm", "transformer"])
@pytest.mark.parametrize("relaxation", ["none", "straight_through"])
def test_pieces_joined_are_the_sample_of_that_seed(kind, relaxation):
    made, text = sampler(kind, relaxation)
    texts = set()
    for seed in range(8):
        found = list(stream(made, seed=seed))
        assert "".join(found) == whole(made, text, seed=seed)
        assert all(found)
        texts.add("".join(found))
    assert len(texts) > 6


def test_a_sampler_streams_in_one_line():
    made, _ = sampler()
    assert list(made.stream(seed=3, temperature=0.5)) == list(stream(made, seed=3, temperature=0.5))


@pytest.mark.parametrize("settings", [{"temperature": 0.5}, {"top_p": 0.3}, {"temperature": 0.0}])
def test_settings_are_those_of_a_sample(settings):
    made, text = sampler()
    for seed in range(4):
        assert "".join(stream(made, seed=seed, **settings)) == whole(made, text, seed=seed, **settings)


def test_a_condition_is_asked_for_or_drawn():
    made, text = sampler(prompt_length=P)
    asked = "".join(stream(made, prompt="Thank you", seed=3))
    assert asked == whole(made, text, seed=3, condition={"prompt": "Thank you"})
    assert asked != "".join(stream(made, prompt="no", seed=3))
    assert "".join(stream(made, seed=3)) == whole(made, text, seed=3)
    made, text = sampler(labels=["plain", "fancy"])
    found = ["".join(stream(made, label=label, seed=3)) for label in ("plain", "fancy")]
    assert found == [whole(made, text, seed=3, condition={"label": label}) for label in ("plain", "fancy")]
    assert found[0] != found[1]


def test_a_piece_comes_before_the_next_token_is_drawn(monkeypatch):
    made, _ = sampler()
    generator = made.generator
    assert isinstance(generator, LanguageGenerator)
    read = []
    step = type(generator.decoder).step
    monkeypatch.setattr(type(generator.decoder), "step", lambda *given: read.append(1) or step(*given))
    flow = stream(made, seed=1)
    next(flow)
    early = len(read)
    list(flow)
    assert early < 4
    assert len(read) > 10


def test_gradients_are_as_the_caller_has_them_between_pieces():
    made, _ = sampler()
    for _ in stream(made):
        assert torch.is_grad_enabled()


def test_no_piece_holds_part_of_a_character():
    text = train_tokenizer("bpe", ["plain"], 259)  # every byte is a token
    line = "ψ 😀é!"
    ids = text.encode(line)
    assert len(ids) == len(line.encode())
    assert list(pieces(iter(ids), text)) == list(line)
    cut = list(pieces(iter(ids[:-2]), text))  # after the first byte of é
    assert cut == ["ψ", " ", "😀", "\N{REPLACEMENT CHARACTER}"]
    broken = [*text.encode("a"), ids[0], *text.encode("b")]  # the first byte of ψ, and then no other
    assert "".join(pieces(iter(broken), text)) == text.decode(broken) == "a\N{REPLACEMENT CHARACTER}b"


@pytest.mark.parametrize("kind", ["characters", "words", "bpe"])
def test_pieces_are_whole_texts_of_every_tokenizer(kind):
    text = train_tokenizer(kind, TEXTS, 300)
    for line in TEXTS:
        ids = text.encode(line)
        found = list(pieces(iter(ids), text))
        assert "".join(found) == text.decode(ids)
        assert len(found) > 2


def test_bare_tokens_can_not_be_streamed():
    made, _ = sampler(tokenizer=None)
    with pytest.raises(UsageError, match="tokenizer"):
        stream(made)
