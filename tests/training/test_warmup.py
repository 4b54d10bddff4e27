"""Before the adversary: the generator learns from its terms alone, and the critic rests or warms up."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from words_parts import CausalCritic, ChainData, ChainGenerator

import genkit
from genkit.adversarial.estimators import ScoreFunction
from genkit.adversarial.objectives import NonSaturating
from genkit.adversarial.penalties import R1
from genkit.runs import Run
from genkit.training.phases import iterate
from genkit.training.trainer import Trainer


def trainer(train: dict[str, Any], path: Path | None = None, device: str = "cpu", **changes: Any) -> Trainer:
    """A chain of words that is taught by likelihood and then by its critic."""
    torch.manual_seed(3)
    parts: dict[str, Any] = {
        "generator": ChainGenerator(),
        "critic": CausalCritic(),
        "data": ChainData(),
        "objective": NonSaturating(),
        "terms": [genkit.terms.Likelihood()],
        "estimator": ScoreFunction(kl=0.1, reference=ChainGenerator(seed=5)),
        "conditions": genkit.Labels(["calm", "loud"]),
    }
    run = None
    if path is not None:
        known = (path / "config.yaml").exists()
        made: dict[str, Any] = {"recipe": None, "seed": 5, "config": "recipe: null\nseed: 5\n", "environment": {}}
        run = Run.open(path) if known else Run.create(path, **made)
    settings = genkit.Train(**({"batch_size": 8, "log_every": 1, "preview_every": 0, "precision": "fp32"} | train))
    return Trainer(genkit.Experiment(**(parts | changes)), settings, seed=5, device=device, run=run)


def state(module: torch.nn.Module) -> list[torch.Tensor]:
    return [tensor.clone() for tensor in module.state_dict().values()]


def same(left: list[torch.Tensor], right: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


class Count(genkit.Term):
    """Notes what it is shown."""

    name = "count"
    needs_draw = False

    def __init__(self) -> None:
        super().__init__()
        self.turns: list[genkit.GeneratorTurn] = []

    def forward(self, turn: genkit.GeneratorTurn) -> torch.Tensor:
        self.turns.append(turn)
        return sum(parameter.sum() for parameter in turn.generator.parameters())  # type: ignore[return-value]


# --- the critic's own start ------------------------------------------------------------------------------------------

EARLY = {"adversarial_start": 5, "critic_start": 2, "critic_steps": 2}


def test_the_critic_learns_from_its_start_on_while_only_terms_teach_the_generator() -> None:
    of = trainer(EARLY)
    twin = trainer({**EARLY, "critic_start": None})
    rested, learnt = state(of.experiment.critic), []
    for step in range(6):
        before = state(of.experiment.critic)
        figures = iterate(of.team, step).values
        learnt.append(not same(before, state(of.experiment.critic)))
        assert ("loss/critic" in figures) == (step >= 2)
        assert ("loss/generator" in figures) == ("reward" in figures) == (step >= 5)
        assert "nll" in figures
        if step < 2:
            iterate(twin.team, step)
            assert same(state(of.experiment.generator), state(twin.experiment.generator))
            assert same(rested, state(of.experiment.critic))
    assert learnt == [False, False, True, True, True, True]


def test_what_a_warmed_up_critic_says_does_not_reach_the_generator() -> None:
    """The same steps with another critic: the generator's weights are the same to the bit."""
    found = []
    for width in (4, 7):
        of = trainer(EARLY, critic=CausalCritic(width))
        for step in range(5):
            iterate(of.team, step)
        found.append(state(of.experiment.generator))
        iterate(of.team, 5)
        found.append(state(of.experiment.generator))
    assert same(found[0], found[2])
    assert not same(found[1], found[3])


def test_without_a_start_of_its_own_the_critic_starts_with_the_adversary() -> None:
    of = trainer({"adversarial_start": 3})
    before = state(of.experiment.critic)
    seen = [set(iterate(of.team, step).values) for step in range(4)]
    assert ["loss/critic" in figures for figures in seen] == [False, False, False, True]
    assert ["loss/generator" in figures for figures in seen] == [False, False, False, True]
    assert not same(before, state(of.experiment.critic))
    assert trainer({"adversarial_start": 3, "critic_start": 0}).team.critic_start == 0


def test_batches_are_taken_in_turn_over_all_three_phases() -> None:
    """One a step while the critic rests, three from its start on, and none is left out or taken twice."""
    of = trainer(EARLY)
    taken: list[int] = []
    take = of.team.batches.take
    of.team.batches.take = lambda number: taken.append(number) or take(number)  # type: ignore[assignment, func-returns-value, method-assign]
    for step in range(7):
        assert of.team.first_batch(step) == len(taken)
        iterate(of.team, step)
    assert taken == list(range(2 + 5 * 3))


def test_reused_fakes_take_one_batch_a_step_while_the_critic_warms_up() -> None:
    of = trainer({"adversarial_start": 3, "critic_start": 1, "reuse_fakes": True})
    assert [of.team.first_batch(step) for step in range(6)] == list(range(6))
    seen = [set(iterate(of.team, step).values) for step in range(4)]
    assert ["loss/critic" in figures for figures in seen] == [False, True, True, True]
    assert ["loss/generator" in figures for figures in seen] == [False, False, False, True]


@pytest.mark.parametrize("cut", [1, 3, 4, 5, 6])
def test_a_run_resumed_in_any_phase_is_bit_equal(tmp_path: Path, cut: int) -> None:
    """Cuts before the critic starts, before the adversary starts, at its start (a reference is copied) and after it."""
    found = []
    for name, ends in (("whole", [8]), ("cut", [cut, 8])):
        for end in ends:
            of = trainer({**EARLY, "steps": end, "resident": "off", "workers": 0}, tmp_path / name)
            if of.run is not None and of.run.steps():
                of.restore(of.run.checkpoint())
            of.fit()
        last = Run.open(tmp_path / name).checkpoint()
        found.append({file.name: file.read_bytes() for file in sorted(last.glob("*.safetensors"))})
    assert set(found[0]) >= {"generator.safetensors", "critic.safetensors", "parts.safetensors"}
    assert found[0] == found[1]


@pytest.mark.parametrize("train", [EARLY, EARLY | {"samples_per_condition": 2}, EARLY | {"critic_steps": 1}])
def test_every_phase_runs_on_the_meta_device(train: dict[str, Any]) -> None:
    of = trainer(train, device="meta")
    for step in (0, 2, 5):
        figures = iterate(of.team, step)
        assert {value.device.type for value in figures.values.values()} == {"meta"}


def test_lazy_penalties_keep_their_interval_while_the_critic_warms_up() -> None:
    class Embedded(CausalCritic):
        def penalty_input(self, sample: torch.Tensor) -> torch.Tensor:
            return self.words(sample)

        def forward(self, sample: torch.Tensor, condition: Any = None, mask: Any = None) -> genkit.Verdict:
            embedded = sample if sample.is_floating_point() else self.words(sample)
            return genkit.Verdict([self.head(torch.tanh(embedded.cumsum(1))).squeeze(2)])

    of = trainer({"adversarial_start": 6, "critic_start": 2}, critic=Embedded(), penalties={"r1": R1(0.1, every=2)})
    due = ["penalty/r1" in iterate(of.team, step).values for step in range(8)]
    assert due == [False, False, True, False, True, False, True, False]


# --- groups ----------------------------------------------------------------------------------------------------------


def test_until_the_adversary_starts_the_terms_see_every_real_and_then_groups() -> None:
    count = Count()
    group = {"samples_per_condition": 4, "adversarial_start": 2, "critic_start": 1}
    of = trainer(group, terms=[count], estimator=ScoreFunction(baseline="group"))
    for step in range(3):
        iterate(of.team, step)
    before, between, after = count.turns
    for turn, step in ((before, 0), (between, 1)):
        whole = of.team.parts(step, 0 if step == 0 else 1)[0].batch
        assert turn.group == 1
        assert turn.real is not None
        assert torch.equal(turn.real.sample, whole.sample)
        assert torch.equal(turn.condition, whole.condition)
        assert turn.fake_verdict is None
    assert after.group == 4
    assert after.real is not None
    assert torch.equal(after.real.sample[0:4], after.real.sample[:1].expand(4, -1))
    assert torch.equal(after.real.sample[4:8], after.real.sample[4:5].expand(4, -1))
    assert not torch.equal(after.real.sample[0], after.real.sample[4])
    assert torch.equal(after.real.condition, after.condition)


def test_the_likelihood_of_a_warm_up_does_not_depend_on_the_groups_to_come() -> None:
    found = []
    for group in (1, 4):
        of = trainer({"samples_per_condition": group, "adversarial_start": 3})
        for step in range(3):
            iterate(of.team, step)
        found.append(state(of.experiment.generator))
    assert same(*found)


# --- precision -------------------------------------------------------------------------------------------------------


def test_the_likelihood_runs_the_generator_in_bf16_and_is_fp32_itself() -> None:
    dtypes: dict[str, list[torch.dtype]] = {"log_prob": [], "loss": [], "plain": []}

    class Watched(ChainGenerator):
        def log_prob(self, draw: genkit.Draw, condition: Any = None, temperature: float = 1.0) -> torch.Tensor:
            dtypes["log_prob"].append(self.head(self.words.weight).dtype)
            return super().log_prob(draw, condition, temperature)

    class Likelihood(genkit.terms.Likelihood):
        def forward(self, turn: genkit.GeneratorTurn) -> torch.Tensor:
            loss = super().forward(turn)
            dtypes["loss"].append(loss.dtype)
            return loss

    class Plain(Count):
        def forward(self, turn: genkit.GeneratorTurn) -> torch.Tensor:
            dtypes["plain"].append((turn.generator.words.weight @ turn.generator.words.weight.T).dtype)
            return super().forward(turn)

    losses = {}
    for precision in ("bf16", "fp32"):
        terms = [Likelihood(), Plain()]
        of = trainer({"precision": precision, "adversarial_start": 1}, generator=Watched(), terms=terms)
        losses[precision] = iterate(of.team, 0).values["term/likelihood"]
    assert dtypes["log_prob"] == [torch.bfloat16, torch.float32]
    assert dtypes["loss"] == [torch.float32, torch.float32]
    assert dtypes["plain"] == [torch.float32, torch.float32]
    assert losses["bf16"].dtype == torch.float32
    torch.testing.assert_close(losses["bf16"], losses["fp32"], rtol=2e-2, atol=0)
    assert losses["bf16"] != losses["fp32"]


def test_only_terms_that_run_a_network_are_run_in_low_precision() -> None:
    assert genkit.terms.Likelihood.autocast
    for term in (genkit.terms.FeatureMatching, genkit.terms.Reconstruction, genkit.Term):
        assert not term.autocast
