from __future__ import annotations

import math

import pytest
import torch

from genkit import Batch, UsageError, evaluation
from genkit_text.metrics.config import DivergenceConfig, LikelihoodConfig
from genkit_text.metrics.divergence import build_divergence
from genkit_text.metrics.likelihood import build_likelihood
from genkit_text.tokenization import train_tokenizer

VOCABULARY, LENGTH = 12, 6
FACTS = {"modality": "text", "vocabulary": VOCABULARY, "length": LENGTH, "bos": 0, "pad": 0}


class Categorical:
    """Rows of independent tokens, as `genkit.Samples` with a density."""

    def __init__(self, logits, count, seed, mask=None):
        self.logits, self.count = logits.double().log_softmax(0), count
        generator = torch.Generator().manual_seed(seed)
        rows = torch.multinomial(self.logits.exp(), count * LENGTH, replacement=True, generator=generator)
        self.rows, self.mask = rows.view(count, LENGTH), mask

    def batches(self):
        for start in range(0, self.count, 512):
            yield Batch(
                self.rows[start : start + 512], None, None if self.mask is None else self.mask[start : start + 512]
            )

    def log_prob(self, batch):
        return self.logits[batch.sample]


class Unknown(Categorical):
    def log_prob(self, batch):
        return None


@pytest.fixture(scope="module")
def logits():
    return torch.randn(VOCABULARY, generator=torch.Generator().manual_seed(0)).double() * 1.5


def measure(real, fake):
    metric = build_divergence(DivergenceConfig(), FACTS)
    figures = metric(real, fake)
    assert set(figures) == set(metric.better)
    return figures


def test_the_divergences_are_those_of_the_two_distributions(logits):
    other = logits.roll(1)
    p, g = logits.log_softmax(0), other.log_softmax(0)
    found = measure(Categorical(logits, 6000, 1), Categorical(other, 6000, 2))
    assert found["nll_oracle"] == pytest.approx(-float((g.exp() * p).sum()), rel=0.02)
    assert found["nll_gen"] == pytest.approx(-float((p.exp() * g).sum()), rel=0.02)
    assert found["reverse_kl"] == pytest.approx(float((g.exp() * (g - p)).sum()), rel=0.05)
    assert found["forward_kl"] == pytest.approx(float((p.exp() * (p - g)).sum()), rel=0.05)
    assert found["j"] == pytest.approx(found["reverse_kl"] + found["forward_kl"])


def test_the_floor_is_zero(logits):
    floor = measure(Categorical(logits, 500, 1), Categorical(logits, 700, 2))
    assert floor["j"] == pytest.approx(0, abs=1e-9)
    assert floor["nll_oracle"] == pytest.approx(floor["entropy_gen"])


def test_cold_sampling_betters_nll_oracle_and_worsens_j(logits):
    real = Categorical(logits, 3000, 1)
    close = logits + 0.3 * torch.randn(VOCABULARY, generator=torch.Generator().manual_seed(5))
    warm, cold = measure(real, Categorical(close, 3000, 2)), measure(real, Categorical(close / 0.4, 3000, 2))
    assert cold["nll_oracle"] < warm["nll_gen"] - warm["forward_kl"] - 0.2  # below the data's own: the gamed figure
    assert cold["j"] > warm["j"] + 0.5
    assert cold["entropy_gen"] < warm["entropy_gen"]


def test_what_the_mask_hides_does_not_count(logits):
    mask = torch.arange(LENGTH).expand(400, LENGTH) < 3
    other = logits.roll(2)
    hidden, shown = Categorical(other, 400, 3, mask), Categorical(other, 400, 3)
    hidden.rows = torch.where(mask, hidden.rows, 0)
    shown.rows = hidden.rows[:, :3]
    real = Categorical(logits, 400, 4)
    assert measure(real, hidden) == pytest.approx(measure(real, shown))


def test_a_missing_density_and_an_impossible_token_are_named(logits):
    known, unknown = Categorical(logits, 20, 0), Unknown(logits, 20, 0)
    with pytest.raises(UsageError, match="the data has no density"):
        measure(unknown, known)
    with pytest.raises(UsageError, match="the generator has no density"):
        measure(known, unknown)
    never = torch.where(torch.arange(VOCABULARY) < 2, logits, -math.inf)
    with pytest.raises(UsageError, match="probability 0"):
        measure(known, Categorical(never, 20, 0))


def test_bits_per_character_are_the_nats_over_the_characters():
    tokenizer = train_tokenizer("characters", ["abcd dcba"], 20)
    facts = {
        **FACTS,
        "vocabulary": tokenizer.vocabulary,
        "tokenizer": tokenizer.to_facts(),
        "bos": tokenizer.bos,
        "eos": tokenizer.eos,
        "pad": tokenizer.pad,
    }
    real = Categorical(torch.zeros(tokenizer.vocabulary), 2, 0)
    rows = [[*tokenizer.encode(text), tokenizer.eos] for text in ("abcd", "dc")]
    real.mask = torch.tensor([[i < len(row) for i in range(LENGTH)] for row in rows])
    real.rows = torch.tensor([row + [tokenizer.pad] * (LENGTH - len(row)) for row in rows])
    metric = build_likelihood(LikelihoodConfig(), facts)
    figures = metric(real, real)
    assert figures["nll"] == pytest.approx(math.log(tokenizer.vocabulary))
    assert figures["bits_per_character"] == pytest.approx(8 * math.log2(tokenizer.vocabulary) / 6)
    assert set(figures) == set(metric.better)


def test_bare_ids_have_no_characters_and_other_reals_no_likelihood(logits):
    metric = build_likelihood(LikelihoodConfig(), FACTS)
    assert set(metric(Categorical(logits, 5, 0), Categorical(logits, 5, 1))) == {"nll"}
    with pytest.raises(UsageError, match="the generator has no density"):
        metric(Categorical(logits, 5, 0), Unknown(logits, 5, 1))

    class Reals(evaluation.RealSamples):
        def __init__(self):
            self.count = 5

    assert metric(Categorical(logits, 5, 0), Reals()) == {}
