"""A score function under the trainer: what may be cut into parts, and what must see the whole batch."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import torch
from words_parts import CausalCritic, ChainData, ChainGenerator

import genkit
from genkit.adversarial.estimators import ScoreFunction, Signal
from genkit.adversarial.objectives import NonSaturating
from genkit.training.phases import iterate
from genkit.training.trainer import Trainer


@pytest.fixture
def float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def trainer(estimator: ScoreFunction, device: str = "cpu", **train: Any) -> Trainer:
    torch.manual_seed(3)
    experiment = genkit.Experiment(
        ChainGenerator(ends=0), CausalCritic(), ChainData(ends=0), NonSaturating(), estimator=estimator
    )
    settings = genkit.Train(**({"batch_size": 16, "log_every": 1, "precision": "fp32"} | train))
    return Trainer(experiment, settings, seed=5, device=device)


def gradients(estimator: ScoreFunction, **train: Any) -> list[torch.Tensor]:
    """The generator's, of one iteration."""
    of = trainer(estimator, **train)
    iterate(of.team, 0)
    return [gradient.clone() for gradient in of.team.generator_updater.gradients()]


def close(left: list[torch.Tensor], right: list[torch.Tensor]) -> bool:
    return all(torch.allclose(a, b, rtol=1e-9, atol=1e-13) for a, b in zip(left, right, strict=True))


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("parts", [2, 4])
def test_groups_in_parts_of_a_batch_give_the_gradients_of_the_whole(parts: int) -> None:
    options: dict[str, Any] = {"baseline": "group", "standardise": True, "entropy": 0.05, "gamma": 0.9}
    whole = gradients(ScoreFunction(**options), samples_per_condition=4)
    cut = gradients(ScoreFunction(**options), samples_per_condition=4, micro_batches=parts)
    assert all(gradient.any() for gradient in whole)
    assert close(cut, whole)


@pytest.mark.usefixtures("float64")
def test_without_a_baseline_parts_of_a_batch_give_the_gradients_of_the_whole() -> None:
    assert close(gradients(ScoreFunction(baseline="none"), micro_batches=8), gradients(ScoreFunction(baseline="none")))


def test_a_position_baseline_is_refused_in_parts_of_a_batch() -> None:
    with pytest.raises(genkit.ConfigError, match="ScoreFunction needs the whole batch") as caught:
        trainer(ScoreFunction(), micro_batches=2)
    assert caught.value.where == "train.micro_batches"
    assert "baseline" in str(caught.value.fix)
    for baseline in ("group", "none"):
        trainer(ScoreFunction(baseline=baseline), micro_batches=2, samples_per_condition=2)


def test_groups_that_a_part_can_not_hold_together_are_refused() -> None:
    with pytest.raises(genkit.ConfigError, match="8 micro-batches of whole groups of 4"):
        trainer(ScoreFunction(baseline="group"), micro_batches=8, samples_per_condition=4)


@pytest.mark.parametrize("signal", ["critic", "constant", "shuffled"])
@pytest.mark.parametrize("baseline", ["position", "group"])
def test_controls_run_on_the_meta_device(signal: Signal, baseline: Any) -> None:
    of = trainer(ScoreFunction(signal=signal, baseline=baseline), device="meta", samples_per_condition=4)
    assert {value.device.type for value in iterate(of.team, 0).values.values()} == {"meta"}


@pytest.mark.usefixtures("float64")
def test_a_control_trains_the_same_critic_on_the_same_samples() -> None:
    """In the first step nothing differs but what the generator hears."""
    found = {}
    for signal in ("critic", "constant", "shuffled"):
        of = trainer(ScoreFunction(signal=signal))
        figures = iterate(of.team, 0).values
        found[signal] = figures, [gradient.clone() for gradient in of.team.critic_updater.gradients()]
    heard, critic = found["critic"]
    for signal in ("constant", "shuffled"):
        figures, gradients_there = found[signal]
        assert close(gradients_there, critic)
        assert figures["entropy"] == heard["entropy"]
        assert figures["reward"] != heard["reward"]
