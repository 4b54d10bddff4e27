"""Drawing tokens, and what they are worth."""

from __future__ import annotations

import math

import pytest
import torch

from genkit import Draw, Random, UsageError
from genkit_text.facts import TextFacts
from genkit_text.models import language
from genkit_text.models.config import LSTMConfig, TransformerConfig
from genkit_text.models.language import LanguageGenerator, RelaxedGenerator, inverse_cdf, relaxed_bytes, shaped
from genkit_text.models.lstm import build_lstm
from genkit_text.models.transformer import build_transformer

PLAIN = {"modality": "text", "vocabulary": 20, "length": 10, "bos": 1, "eos": 2, "pad": 0}
LABELLED = {**PLAIN, "labels": ["a", "b"]}
PROMPTED = {**PLAIN, "prompt_length": 5}
CONDITIONS = {
    "plain": (PLAIN, None),
    "labelled": (LABELLED, torch.tensor([0, 1] * 8)),
    "prompted": (PROMPTED, torch.tensor([[0, 0, 5, 6, 1], [0, 0, 0, 0, 1], [3, 4, 5, 6, 1], [0, 9, 9, 9, 1]] * 4)),
}
BUILDS = {
    "lstm": lambda facts, **more: build_lstm(LSTMConfig(width=16, layers=2, **more), facts),
    "transformer": lambda facts, **more: build_transformer(
        TransformerConfig(width=16, heads=2, layers=2, **more), facts
    ),
}
every_model = pytest.mark.parametrize("model", BUILDS)
every_condition = pytest.mark.parametrize("kind", CONDITIONS)


def built(model: str, facts: dict, **more: object) -> LanguageGenerator:
    """A generator whose distributions are far from uniform."""
    torch.manual_seed(0)
    generator = BUILDS[model](facts, **more)
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.mul_(3)
    return generator


def stepwise(generator: LanguageGenerator, tokens: torch.Tensor, condition: torch.Tensor | None) -> torch.Tensor:
    """Log-probabilities as the sampler computes them, token by token."""
    with torch.no_grad():
        prefix, mask, label = generator.opening(len(tokens), condition, tokens.device)
        logits, state = generator.decoder.begin(prefix, mask, label, room=tokens.shape[1] - 1)
        found = []
        for position in range(tokens.shape[1]):
            found.append(logits.log_softmax(-1).gather(1, tokens[:, position, None]).squeeze(1))
            if position < tokens.shape[1] - 1:
                logits, state = generator.decoder.step(tokens[:, position], state)
    return torch.stack(found, 1)


@every_model
@every_condition
def test_log_probabilities_by_teacher_forcing_are_the_samplers(model, kind):
    facts, condition = CONDITIONS[kind]
    generator = built(model, facts)
    draw = generator(generator.latent(16, rng=Random(0)), condition)
    found = generator.log_prob(draw, condition)
    expected = torch.where(draw.mask, stepwise(generator, draw.sample, condition), 0)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-5)
    assert found.requires_grad


@every_model
@every_condition
def test_a_row_ends_with_its_eos_and_is_padded(model, kind):
    facts, condition = CONDITIONS[kind]
    generator = built(model, facts)
    draw = generator(generator.latent(16, rng=Random(1)), condition)
    assert draw.mask[:, 0].all()
    for row, mask in zip(draw.sample.tolist(), draw.mask.tolist(), strict=True):
        length = row.index(2) + 1 if 2 in row else 10
        assert mask == [position < length for position in range(10)]
        assert row[length:] == [0] * (10 - length)
    assert (draw.sample == 2).any()


@every_model
def test_draws_have_the_frequencies_of_the_model(model):
    """A chi-squared test of the first two tokens, 20,000 draws."""
    generator = built(model, {**PLAIN, "vocabulary": 4, "length": 2, "eos": None})
    draws = generator(generator.latent(20_000, rng=Random(2))).sample
    pairs = torch.cartesian_prod(torch.arange(4), torch.arange(4))
    with torch.no_grad():
        expected = generator.log_prob(Draw(pairs)).sum(1).exp() * 20_000
    counted = torch.bincount(draws[:, 0] * 4 + draws[:, 1], minlength=16)
    assert expected.sum() == pytest.approx(20_000, rel=1e-4)
    chi_squared = ((counted - expected) ** 2 / expected).sum()
    assert chi_squared < 37.7  # the 99.9th percentile with 15 degrees of freedom


@every_model
@every_condition
def test_an_iteration_s_worth_of_calls_runs_on_meta(model, kind):
    facts, condition = CONDITIONS[kind]
    on_meta = None if condition is None else condition.to("meta")
    generator = built(model, facts).to("meta").train()
    draw = generator(generator.latent(16, rng=Random(0, "meta")), on_meta)
    generator.log_prob(draw, on_meta).sum().backward()
    relaxed = built(model, facts, relaxation="straight_through").to("meta").train()
    sample = relaxed(relaxed.latent(16, rng=Random(0, "meta")), on_meta).sample
    assert sample.shape == (16, 10, 20)
    sample.sum().backward()


def test_sampling_stops_early_outside_training_with_the_same_tokens(monkeypatch):
    monkeypatch.setattr(language, "LOOK_EVERY", 2)
    generator = built("lstm", PLAIN)
    with torch.no_grad():
        generator.decoder.head.bias[2] += 4
    latent = generator.latent(8, rng=Random(3))
    steps = []
    step = generator.decoder.step
    monkeypatch.setattr(generator.decoder, "step", lambda *args: steps.append(1) or step(*args))
    whole, taken = generator.train()(latent), len(steps)
    short = generator.eval()(latent)
    assert torch.equal(whole.sample, short.sample)
    assert torch.equal(whole.mask, short.mask)
    assert len(steps) - taken < taken


@every_model
def test_completions_begin_with_what_was_given(model):
    generator = built(model, PLAIN)
    whole = generator(generator.latent(6, rng=Random(4)))
    latent = generator.latent(6, rng=Random(5))
    for given in (1, 4, 9):
        made = generator.complete(whole.sample[:, :given], latent)
        assert torch.equal(made.sample[:, :given], whole.sample[:, :given])
        assert torch.equal(made.mask[:, :given], whole.mask[:, :given])
        ended = ~whole.mask[:, given]
        assert not made.mask[ended, given:].any()
    assert torch.equal(generator.complete(whole.sample[:, :9], generator.latent(6, rng=Random(4))).sample, whole.sample)


def test_a_prompt_s_padding_changes_nothing_for_the_transformer():
    condition = torch.tensor([[7, 8, 1]])
    facts = {**PROMPTED, "prompt_length": 3}
    short, long = built("transformer", facts), built("transformer", {**facts, "prompt_length": 6})
    draw = Draw(torch.tensor([[4, 5, 6, 2, 0, 0, 0, 0, 0, 0]]))
    torch.testing.assert_close(
        short.log_prob(draw, condition), long.log_prob(draw, torch.tensor([[0, 0, 0, 7, 8, 1]])), rtol=1e-4, atol=1e-5
    )


# --- temperature and top-p -------------------------------------------------------------------------------------------


def test_temperature_and_top_p_shape_the_distribution():
    logits = torch.tensor([[0.5, 0.25, 0.15, 0.1]]).log()
    torch.testing.assert_close(
        shaped(logits, 0.5, 1.0).softmax(-1), torch.tensor([[0.25, 0.0625, 0.0225, 0.01]]) / 0.345
    )
    torch.testing.assert_close(shaped(logits, 1.0, 0.7).softmax(-1), torch.tensor([[2 / 3, 1 / 3, 0, 0]]))
    torch.testing.assert_close(shaped(logits, 1.0, 0.4).softmax(-1), torch.tensor([[1.0, 0, 0, 0]]))


def test_cold_draws_and_their_log_probabilities_agree():
    generator = built("lstm", PLAIN)
    draw = generator(generator.latent(64, rng=Random(0)), temperature=0.5, top_p=0.8)
    found = generator.log_prob(draw, temperature=0.5, top_p=0.8)
    assert torch.isfinite(found).all()
    hot = generator(generator.latent(64, rng=Random(0)))
    assert generator.log_prob(draw).sum(1).mean() > generator.log_prob(hot).sum(1).mean()
    assert (generator.log_prob(hot, top_p=0.8) == -math.inf).any()


def test_temperature_zero_takes_the_likeliest_token():
    generator = built("lstm", {**PLAIN, "eos": None})
    draw = generator(generator.latent(3, rng=Random(0)), temperature=0)
    assert torch.equal(draw.sample[0], draw.sample[1])
    with torch.no_grad():
        prefix, mask, label = generator.opening(3, None, torch.device("cpu"))
        first, _ = generator.decoder.begin(prefix, mask, label, room=9)
    assert torch.equal(draw.sample[:, 0], first.argmax(-1))


@pytest.mark.parametrize(
    ("temperature", "top_p"), [(-1.0, 1.0), (math.inf, 1.0), (1.0, 0.0), (1.0, 1.5), (math.nan, 1)]
)
def test_settings_out_of_range_are_refused(temperature, top_p):
    generator = built("lstm", PLAIN)
    with pytest.raises(UsageError, match="must be above 0"):
        generator(generator.latent(2, rng=Random(0)), temperature=temperature, top_p=top_p)


def test_inverse_cdf_takes_the_first_token_whose_edge_exceeds_the_number():
    logits = torch.tensor([[0.5, 0.0, 0.25, 0.25]]).log().expand(5, -1)
    found = inverse_cdf(logits, torch.tensor([0.0, 0.49, 0.5, 0.74, 1 - 2**-24]))
    assert found.tolist() == [0, 0, 2, 2, 3]


# --- relaxed draws ---------------------------------------------------------------------------------------------------


@every_model
@pytest.mark.parametrize("relaxation", ["straight_through", "gumbel"])
def test_relaxed_draws_carry_gradients_to_every_parameter(model, relaxation):
    generator = built(model, {**PLAIN, "eos": None}, relaxation=relaxation, tau=0.7).train()
    sample = generator(generator.latent(4, rng=Random(0))).sample
    torch.testing.assert_close(sample.sum(-1), torch.ones(4, 10), rtol=0, atol=1e-5)
    if relaxation == "straight_through":
        assert set(sample.detach().round(decimals=5).unique().tolist()) == {0.0, 1.0}
    (sample * torch.randn_like(sample)).sum().backward()
    assert all(parameter.grad.abs().sum() > 0 for parameter in generator.parameters())


@every_model
def test_the_relaxed_draw_and_the_tokens_are_of_one_distribution(model):
    """Gumbel-max: the hard tokens of training are those of evaluation, for the same noise."""
    generator = built(model, PLAIN, relaxation="straight_through")
    latent = generator.latent(8, rng=Random(6))
    relaxed, tokens = generator.train()(latent), generator.eval()(latent)
    assert torch.equal(relaxed.sample.argmax(-1), tokens.sample)
    assert torch.equal(relaxed.mask, tokens.mask)
    assert isinstance(generator, RelaxedGenerator)


def test_a_vocabulary_too_large_for_the_device_is_refused_with_numbers(monkeypatch):
    generator = built("lstm", {**PLAIN, "vocabulary": 1000}, relaxation="gumbel")
    monkeypatch.setattr(language, "free_bytes", lambda device: relaxed_bytes(16, 10, 1000))
    generator.latent(16, rng=Random(0))
    with pytest.raises(UsageError, match=r"17 x 10 tokens over a vocabulary of 1000 need about .* GiB, and cpu has"):
        generator.latent(17, rng=Random(0))


@pytest.mark.parametrize(
    ("facts", "condition", "said"),
    [
        (PLAIN, torch.zeros(2, dtype=torch.int64), "takes no condition"),
        (LABELLED, None, "needs a label"),
        (PROMPTED, None, "needs a prompt"),
        (PROMPTED, torch.zeros(2, dtype=torch.int64), "needs a prompt"),
    ],
)
def test_a_condition_that_does_not_fit_is_refused(facts, condition, said):
    generator = built("lstm", facts)
    with pytest.raises(UsageError, match=said):
        generator(generator.latent(2, rng=Random(0)), condition)


def test_facts_of_another_modality_are_refused():
    from genkit import ConfigError

    with pytest.raises(ConfigError, match="the data's modality is 'image'"):
        TextFacts.of({"modality": "image"})
