"""What a sampler can be told, and what it knows of densities."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from words_parts import LENGTH, ChainGenerator

import genkit
from genkit.cli.main import main


def entropy(batch: genkit.Batch) -> float:
    """Nats of the distribution of words."""
    share = torch.bincount(batch.sample.flatten()).double() / batch.sample.numel()
    return float(-torch.special.xlogy(share, share).sum())


class Prompts(genkit.Conditions):
    """Conditions that are a mapping: a prompt [B, 2] and how loud [B]."""

    def draw(self, count: int, *, rng: genkit.Random) -> dict[str, torch.Tensor]:
        return {"prompt": rng.integers(0, 4, count, 2), "loud": rng.integers(0, 2, count)}

    def parse(self, given: Mapping[str, Any], count: int) -> dict[str, torch.Tensor]:
        if not all(isinstance(value, str) for value in given.values()):
            raise genkit.UsageError("expected words")
        words = torch.tensor([int(word) for word in given["prompt"].split()])
        return {"prompt": words.expand(count, 2), "loud": torch.full((count,), int(given["loud"]))}

    def describe(self, condition: Any) -> Any:
        return {key: leaf.numpy() for key, leaf in condition.items()}


class Repeats(genkit.Generator):
    """Gives back its condition."""

    def latent(self, count: int, *, rng: genkit.Random) -> torch.Tensor:
        return rng.normal(count, 1)

    def forward(self, latent: torch.Tensor, condition: Any) -> genkit.Draw:
        return genkit.Draw(torch.cat([condition["prompt"], condition["loud"][:, None]], 1))


def test_a_batch_of_conditions_may_be_a_mapping() -> None:
    sampler = genkit.Sampler(genkit.SamplerParts(Repeats(), Prompts(), None), facts={})
    asked = {"loud": torch.tensor([1, 0, 1]), "prompt": torch.tensor([[0, 1], [2, 3], [1, 1]])}
    assert sampler.sample(3, condition=asked).sample.tolist() == [[0, 1, 1], [2, 3, 0], [1, 1, 1]]
    assert sampler.sample(2, condition={"prompt": "3 2", "loud": "1"}).sample.tolist() == [[3, 2, 1]] * 2
    with pytest.raises(genkit.UsageError, match=r"the condition has \[3\] rows for 2 samples"):
        sampler.sample(2, condition=asked)
    with pytest.raises(genkit.UsageError, match="expected words"):
        sampler.sample(3, condition={"prompt": asked["prompt"]})


def test_labels_may_be_given_by_number_under_their_name() -> None:
    sampler = genkit.Sampler(genkit.SamplerParts(ChainGenerator(), genkit.Labels(["a", "b"]), None), facts={})
    assert sampler.sample(3, condition={"label": torch.tensor([1, 0, 1])}).condition.tolist() == [1, 0, 1]


def test_the_command_parses_a_condition_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    sampler = genkit.Sampler(genkit.SamplerParts(Repeats(), Prompts(), None), facts={})
    monkeypatch.setattr("genkit.inference.load", lambda *_, **__: sampler)
    asked = ["--condition", "prompt=3 2", "--condition", "loud=1", "--count", "2", "--array", str(tmp_path / "a.npz")]
    ended = CliRunner().invoke(main, ["sample", "run", *asked])
    assert ended.exit_code == 0, ended.output
    with np.load(tmp_path / "a.npz") as arrays:
        assert arrays["samples"].tolist() == [[3, 2, 1]] * 2
        assert arrays["condition_prompt"].tolist() == [[3, 2]] * 2


@pytest.mark.parametrize("count", [0, 1, -3])
def test_an_evaluation_of_no_samples_is_refused(words_run: Path, count: int) -> None:
    with pytest.raises(genkit.UsageError, match=f"can not evaluate {count} samples"):
        genkit.evaluate(words_run, count=count)


def test_a_setting_reaches_the_generator(words_run: Path) -> None:
    sampler = genkit.load(words_run)
    usual, cold, warm = sampler.sample(200), sampler.sample(200, temperature=0.05), sampler.sample(200, temperature=9.0)
    assert entropy(cold) < entropy(usual) - 0.1 < entropy(warm) - 0.1
    assert torch.equal(usual.sample, sampler.sample(200, temperature=1.0).sample)
    assert torch.equal(cold.sample[:70], sampler.sample(70, temperature=0.05).sample)


def test_a_setting_that_there_is_not_is_refused_with_those_that_there_are(words_run: Path) -> None:
    sampler = genkit.load(words_run)
    for ask in (sampler.sample, lambda count, **told: sampler.density(**told)):
        with pytest.raises(genkit.UsageError, match="no setting top_k, top_p") as caught:
            ask(2, top_p=0.9, top_k=3.0, temperature=1.0)
        assert caught.value.fix == "it can be told: temperature"
    with pytest.raises(genkit.UsageError, match="no setting top_p"):
        genkit.evaluate(words_run, count=8, top_p=0.9)


def test_a_generator_without_settings_says_so(words_run: Path) -> None:
    class Plain(ChainGenerator):
        sampling = genkit.Generator.sampling

    sampler = genkit.Sampler(genkit.SamplerParts(Plain(), genkit.Labels(["a", "b"]), None), facts={})
    with pytest.raises(genkit.UsageError, match="no setting temperature") as caught:
        sampler.sample(2, temperature=0.5)
    assert "nothing beside its condition" in str(caught.value)
    assert sampler.sample(2).sample.shape == (2, LENGTH)


def test_a_samplers_density_is_that_of_what_it_draws(words_run: Path) -> None:
    """The words of 4,000 sentences are as frequent as their probabilities say, at either temperature."""
    sampler = genkit.load(words_run)
    for temperature in (1.0, 0.3):
        density = sampler.density(temperature=temperature)
        assert density is not None
        batch = sampler.sample(4000, seed=1, condition={"label": "calm"}, temperature=temperature)
        with torch.no_grad():
            first = density(batch)[:, 0].exp()
        for word in batch.sample[:, 0].unique():
            held = batch.sample[:, 0] == word
            share = held.double().mean()
            assert abs(share - first[held][0]) < 4 * (share * (1 - share) / 4000).sqrt()


def test_a_generator_of_no_tokens_has_no_density(words_run: Path) -> None:
    class Noise(genkit.Generator):
        def latent(self, count: int, *, rng: genkit.Random) -> torch.Tensor:
            return rng.normal(count, 2)

        def forward(self, latent: torch.Tensor, condition: object = None) -> genkit.Draw:
            return genkit.Draw(latent)

    assert genkit.Sampler(genkit.SamplerParts(Noise(), None, None), facts={}).density() is None


def test_an_evaluation_takes_settings_and_its_protocol_names_them(words_run: Path) -> None:
    usual, cold = (
        {score.name: score for score in genkit.evaluate(words_run, count=200, **told)}
        for told in ({}, {"temperature": 0.2})
    )
    assert usual["forward_kl"].protocol["fake"]["split"] == "generated"
    assert cold["forward_kl"].protocol["fake"]["split"] == "generated, temperature 0.2"
    assert cold["forward_kl"].value > usual["forward_kl"].value + 1, "a cold generator leaves sentences out"


def test_a_generator_whose_latent_holds_nothing_is_not_random(words_run: Path) -> None:
    class Sure(ChainGenerator):
        def latent(self, count: int, *, rng: genkit.Random) -> torch.Tensor:
            return rng.normal(count, 0)

    assert genkit.load(words_run).random
    assert not genkit.Sampler(genkit.SamplerParts(Sure(), None, None), facts={}).random


def test_what_has_no_pieces_can_not_be_streamed(words_run: Path) -> None:
    with pytest.raises(genkit.UsageError, match="samples of the modality words can not be streamed"):
        genkit.load(words_run).stream()
