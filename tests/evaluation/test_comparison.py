"""What is compared with what: conditions row by row, the training set, known densities, and figures without a floor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest
import torch
from click.testing import CliRunner
from torch import Tensor
from words_parts import CausalCritic, ChainData, ChainGenerator, Divergence

import genkit
from genkit.adversarial.objectives import NonSaturating
from genkit.cli.main import main
from genkit.evaluation import GeneratedSamples, RealSamples, evaluate
from genkit.scoring import scores_of


class Prompted(genkit.Dataset):
    """Pairs of numbers, the second ten times the first."""

    facts: Mapping[str, Any] = {}

    def __init__(self, first: int, count: int, held_out: Prompted | None = None) -> None:
        self.prompts = torch.arange(first, first + count)
        self._held_out = held_out

    def __len__(self) -> int:
        return len(self.prompts)

    def read(self, index: int) -> Tensor:
        return self.prompts[index]

    def prepare(self, stored: Tensor, *, rng: genkit.Random) -> genkit.Batch:
        return genkit.Batch(10.0 * stored[:, None], stored)

    def held_out(self) -> Prompted | None:
        return self._held_out


class Answers(genkit.Generator):
    """Ten times what it is asked, and a little noise."""

    def latent(self, count: int, *, rng: genkit.Random) -> Tensor:
        return rng.normal(count, 1)

    def forward(self, latent: Tensor, condition: Tensor) -> genkit.Draw:
        return genkit.Draw(10.0 * condition[:, None] + 0.1 * latent)


class Watch(genkit.Metric):
    """Keeps what it is shown."""

    better: Mapping[str, Any] = {"seen": "lower"}

    def __init__(self, reference: Literal["held-out", "train"] = "held-out") -> None:
        self.reference = reference
        self.calls: list[tuple[list[genkit.Batch], list[genkit.Batch]]] = []

    def __call__(self, real: genkit.Samples, fake: genkit.Samples) -> dict[str, float]:
        self.calls.append((list(real.batches()), list(fake.batches())))
        return {"seen": float(len(self.calls))}

    def protocol(self) -> dict[str, Any]:
        return {}


def scores(data: Prompted, conditions: genkit.Conditions | None, *, count: int, metric: genkit.Metric) -> Any:
    generator = Answers()
    experiment = genkit.Experiment(
        generator, CausalCritic(), data, NonSaturating(), metrics=[metric], conditions=conditions
    )
    sampler = genkit.Sampler(genkit.SamplerParts(generator, conditions, None), facts={})
    return scores_of(sampler, experiment, count=count, seed=4)


# --- conditions that belong to one example ---------------------------------------------------------------------------


@pytest.mark.parametrize("count", [70, 300])
def test_samples_are_drawn_for_the_references_own_conditions_row_by_row(count: int) -> None:
    watch = Watch()
    bank = genkit.Bank(torch.arange(500))
    (score,) = scores(Prompted(0, 500, Prompted(1000, 400)), bank, count=count, metric=watch)
    (real, fake), _ = watch.calls
    assert [len(batch.sample) for batch in real] == [len(batch.sample) for batch in fake]
    assert sum(len(batch.sample) for batch in fake) == count
    for one, other in zip(real, fake, strict=True):
        assert torch.equal(one.condition, other.condition)
        assert (one.condition >= 1000).all(), "of the held-out set, not of the bank"
        assert (one.sample - other.sample).abs().max() < 1
    assert score.protocol["fake"]["count"] == score.protocol["real"]["count"] == count


def test_there_are_as_many_samples_as_the_reference_has_conditions() -> None:
    watch = Watch()
    scores(Prompted(0, 50, Prompted(1000, 30)), genkit.Bank(torch.arange(50)), count=2000, metric=watch)
    (_, fake), _ = watch.calls
    assert sorted(torch.cat([batch.condition for batch in fake]).tolist()) == list(range(1000, 1030))


def test_without_held_out_data_the_conditions_are_those_of_the_reference_half() -> None:
    watch = Watch()
    scores(Prompted(0, 40), genkit.Bank(torch.arange(40)), count=100, metric=watch)
    (_, fake), (_, floor) = watch.calls
    assert torch.cat([batch.condition for batch in fake]).tolist() == list(range(0, 40, 2))
    assert torch.cat([batch.condition for batch in floor]).tolist() == list(range(1, 40, 2))


def test_conditions_that_many_examples_share_are_drawn_as_the_data_has_them() -> None:
    watch = Watch()
    labels = genkit.Labels(["a", "b"], [1, 3])
    assert not labels.paired
    scores(Prompted(0, 500, Prompted(1000, 60)), labels, count=400, metric=watch)
    (_, fake), _ = watch.calls
    drawn = torch.cat([batch.condition for batch in fake])
    assert len(drawn) == 400
    assert set(drawn.tolist()) == {0, 1}
    assert 0.6 < drawn.double().mean() < 0.9


# --- the training set as the reference -------------------------------------------------------------------------------


def conditions_seen(batches: list[genkit.Batch]) -> set[int]:
    return set(torch.cat([batch.condition for batch in batches]).tolist())


def test_a_metric_of_copying_sees_the_whole_training_set_and_its_floor_is_the_held_out_set() -> None:
    watch = Watch("train")
    (score,) = scores(Prompted(0, 500, Prompted(1000, 400)), genkit.Bank(torch.arange(500)), count=50, metric=watch)
    (real, fake), (again, floor) = watch.calls
    assert conditions_seen(real) == conditions_seen(again) == set(range(500))
    assert min(conditions_seen(floor)) >= 1000
    assert sum(len(batch.sample) for batch in fake) == sum(len(batch.sample) for batch in floor) == 50
    assert score.protocol["real"] == {"split": "train", "count": 500, "seed": 0}
    assert score.protocol["floor"]["split"] == "held-out"
    assert score.floor == 2.0


def test_without_held_out_data_copying_has_no_floor() -> None:
    """What is no part of the training set is not known."""
    watch = Watch("train")
    (score,) = scores(Prompted(0, 40), genkit.Bank(torch.arange(40)), count=10, metric=watch)
    ((real, _),) = watch.calls
    assert conditions_seen(real) == set(range(40))
    assert score.floor is None


# --- known densities -------------------------------------------------------------------------------------------------


def test_each_set_knows_the_density_of_what_made_it() -> None:
    data, generator = ChainData(), ChainGenerator()
    sampler = genkit.Sampler(genkit.SamplerParts(generator, genkit.Labels(["calm", "loud"]), None), facts={})
    real = RealSamples(data, split="train")
    fake = GeneratedSamples(sampler.draw, 20, log_prob=sampler.density())
    batch = next(fake.batches())
    draw = genkit.Draw(batch.sample)
    for found, by in ((real.log_prob(batch), data.oracle), (fake.log_prob(batch), generator)):
        assert found is not None
        assert not found.requires_grad
        assert torch.equal(found, by.log_prob(draw, batch.condition).detach())
    assert not torch.equal(real.log_prob(batch), fake.log_prob(batch))


def test_where_no_density_is_known_there_is_none() -> None:
    batch = genkit.Batch(torch.zeros(2, 1))
    assert RealSamples(Prompted(0, 4), split="train").log_prob(batch) is None
    assert GeneratedSamples(lambda start, count: batch, 2).log_prob(batch) is None


def test_the_data_against_itself_and_a_twin_of_its_generator_have_no_divergence() -> None:
    """Exactly, whatever was drawn: both densities are one."""
    data = ChainData()
    sampler = genkit.Sampler(genkit.SamplerParts(data.oracle, genkit.Labels(["calm", "loud"]), None), facts={})
    fake = GeneratedSamples(sampler.draw, 50, log_prob=sampler.density())
    figures = Divergence()(RealSamples(data, split="train"), fake)
    assert figures["forward_kl"] == figures["reverse_kl"] == 0
    stranger = genkit.Sampler(genkit.SamplerParts(ChainGenerator(), sampler.conditions, None), facts={})
    fake = GeneratedSamples(stranger.draw, 500, log_prob=stranger.density())
    figures = Divergence()(RealSamples(data, split="train"), fake)
    assert figures["forward_kl"] > 0.1
    assert figures["reverse_kl"] > 0.1


# --- figures without a floor -----------------------------------------------------------------------------------------


def test_a_figure_that_real_samples_have_not_has_no_floor() -> None:
    data = ChainData()
    sampler = genkit.Sampler(genkit.SamplerParts(ChainGenerator(), genkit.Labels(["calm", "loud"]), None), facts={})
    fake = GeneratedSamples(sampler.draw, 50, log_prob=sampler.density())
    held_out = data.held_out()
    assert held_out is not None
    found = evaluate(
        [Divergence()],
        reference=RealSamples(held_out, split="held-out"),
        fake=fake,
        other_real=RealSamples(data, split="train"),
    )
    floors = {score.name: score.floor for score in found}
    assert floors["forward_kl"] is floors["reverse_kl"] is None
    assert floors["nll"] is not None
    assert 0 < floors["nll"] < next(score.value for score in found if score.name == "nll")


def test_a_run_prints_each_floor_that_there_is(distributions: Any, tmp_path: Path) -> None:
    distributions.add_words()
    arguments = ["run", "words.chain", "--steps", "2", "--device", "cpu", "--out", str(tmp_path / "run")]
    ended = CliRunner().invoke(main, [*arguments, "--json"])
    assert ended.exit_code == 0, ended.output
    result = json.loads(ended.stdout)
    assert {name: score["value"] for name, score in result["scores"].items()} == result["metrics"]
    assert [result["scores"][name]["floor"] for name in ("forward_kl", "reverse_kl")] == [None, None]
    assert result["scores"]["nll"]["floor"] < result["scores"]["nll"]["value"]
    printed = CliRunner().invoke(main, ["eval", str(tmp_path / "run")]).stdout.splitlines()
    for name, floor in (("forward kl", "none"), ("nll", f"{result['scores']['nll']['floor']:.4g}")):
        assert any(line.strip().startswith(name) and floor in line for line in printed)
