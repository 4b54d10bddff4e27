"""One iteration: who moves when, on what, and that it never waits for the device."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from toys import Critic, Generator, Points, experiment

import genkit
from genkit.adversarial.estimators import Pathwise
from genkit.adversarial.objectives import Hinge, NonSaturating, RelativisticPaired, Wasserstein
from genkit.adversarial.penalties import R1, WassersteinGradientPenalty
from genkit.training.phases import critic_turn, generator_turn, iterate
from genkit.training.trainer import Trainer


@pytest.fixture
def float64() -> Iterator[None]:
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(torch.float32)


def trainer(train: dict[str, Any] | None = None, device: str = "cpu", **changes: Any) -> Trainer:
    settings = genkit.Train(**({"batch_size": 16, "steps": 4, "log_every": 10} | (train or {})))
    return Trainer(experiment(**changes), settings, seed=5, device=device)


def gradients(of: Trainer) -> list[torch.Tensor]:
    team = of.team
    return [g.clone() for updater in (team.critic_updater, team.generator_updater) for g in updater.gradients()]


def state(module: torch.nn.Module) -> list[torch.Tensor]:
    return [tensor.clone() for tensor in module.state_dict().values()]


def same(left: list[torch.Tensor], right: list[torch.Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(left, right, strict=True))


class PullToOrigin(genkit.Term):
    """A term that needs no critic."""

    name = "pull"

    def forward(self, turn: genkit.GeneratorTurn) -> torch.Tensor:
        return turn.draw.sample.square().mean()


@pytest.mark.parametrize(
    ("train", "changes"),
    [
        ({}, {}),
        ({"critic_steps": 3}, {"objective": Wasserstein(), "penalties": {"gp": WassersteinGradientPenalty()}}),
        ({"micro_batches": 4}, {"objective": NonSaturating()}),
        ({"reuse_fakes": True}, {"objective": Hinge()}),
        ({"joint_critic_pass": True}, {}),
        ({"samples_per_condition": 4}, {}),
        ({"adversarial_start": 1}, {"terms": [PullToOrigin()]}),
        ({"clip_critic": 1.0, "clip_generator": 1.0}, {}),
    ],
)
def test_an_iteration_runs_on_the_meta_device(train: dict[str, Any], changes: dict[str, Any]) -> None:
    team = trainer(train, device="meta", **changes).team
    for step in range(2):
        figures = iterate(team, step)
        assert {value.device.type for value in figures.values.values()} == {"meta"}


def test_the_meta_device_catches_a_host_synchronisation() -> None:
    class Waits(Critic):
        def forward(self, sample: Any, condition: Any = None, mask: Any = None) -> genkit.Verdict:
            if sample.mean().item() > 100:
                raise AssertionError
            return super().forward(sample, condition, mask)

    with pytest.raises(RuntimeError, match="meta"):
        iterate(trainer(device="meta", critic=Waits()).team, 0)


def test_the_critic_turn_moves_only_the_critic() -> None:
    team = trainer().team
    generator, critic = state(team.experiment.generator), state(team.experiment.critic)
    critic_turn(team, 0, 0, team.parts(0, 0))
    assert same(generator, state(team.experiment.generator))
    assert not same(critic, state(team.experiment.critic))
    assert all(parameter.grad is None for parameter in team.experiment.generator.parameters())


def test_the_generator_turn_moves_only_the_generator_and_its_average() -> None:
    of = trainer()
    team = of.team
    generator, critic, average = (
        state(team.experiment.generator),
        state(team.experiment.critic),
        state(of.sampling_network),
    )
    generator_turn(team, 0, team.parts(0, 1))
    assert same(critic, state(team.experiment.critic))
    assert all(parameter.grad is None for parameter in team.experiment.critic.parameters())
    assert all(parameter.requires_grad for parameter in team.experiment.critic.parameters())
    assert not same(generator, state(team.experiment.generator))
    assert not same(average, state(of.sampling_network))


def test_parameters_a_recipe_froze_stay_frozen() -> None:
    critic = Critic()
    critic.label.requires_grad_(False)
    of = trainer(critic=critic)
    before = state(critic.label)
    iterate(of.team, 0)
    assert same(before, state(critic.label))
    assert not critic.label.weight.requires_grad


def test_each_turn_takes_fresh_reals() -> None:
    team = trainer({"critic_steps": 2}).team
    taken = [team.batches.indices(team.first_batch(step) + turn).tolist() for step in range(3) for turn in range(3)]
    flat = [index for batch in taken for index in batch]
    assert len(set(flat)) == len(flat) == 9 * 16


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("train", [{"micro_batches": 2}, {"micro_batches": 8}, {"joint_critic_pass": True}])
@pytest.mark.parametrize(
    ("objective", "penalties"),
    [
        (RelativisticPaired, lambda: {"r1": R1(0.1)}),
        (Hinge, dict),
        (Wasserstein, lambda: {"gp": WassersteinGradientPenalty()}),
    ],
)
def test_parts_of_a_batch_give_the_gradients_of_the_whole(
    train: dict[str, Any], objective: Any, penalties: Any
) -> None:
    found = []
    for settings in ({}, train):
        of = trainer(settings, objective=objective(), penalties=penalties(), data=Points(jitter=0.1))
        iterate(of.team, 0)
        found.append(gradients(of))
    for whole, parts in zip(*found, strict=True):
        torch.testing.assert_close(parts, whole, rtol=1e-9, atol=1e-12)


@pytest.mark.usefixtures("float64")
def test_a_lazy_penalty_runs_when_due_with_its_weight_times_the_interval() -> None:
    lazy = trainer(penalties={"r1": R1(0.1, every=4)})
    figures = [iterate(lazy.team, step).values for step in range(8)]
    assert ["penalty/r1" in found for found in figures] == [True, False, False, False] * 2
    eager = trainer(penalties={"r1": R1(0.4)})
    iterate(eager.team, 0)
    lazy = trainer(penalties={"r1": R1(0.1, every=4)})
    iterate(lazy.team, 0)
    for one, other in zip(gradients(lazy), gradients(eager), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


@pytest.mark.usefixtures("float64")
def test_a_lazy_term_runs_when_due_with_its_weight_times_the_interval() -> None:
    lazy = trainer(terms=[PullToOrigin(0.1, every=4)])
    figures = [iterate(lazy.team, step).values for step in range(8)]
    assert ["term/pull" in found for found in figures] == [True, False, False, False] * 2
    eager, lazy = trainer(terms=[PullToOrigin(0.4)]), trainer(terms=[PullToOrigin(0.1, every=4)])
    for one in (eager, lazy):
        iterate(one.team, 0)
    for one, other in zip(gradients(lazy), gradients(eager), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-12, atol=1e-14)


class Listens(genkit.Augment):
    """Changes nothing, and notes what it hears."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[list[tuple[genkit.Verdict, genkit.Verdict]]] = []

    def draw(self, sample: Any, *, probability: float, rng: genkit.Random) -> Any:
        return ()

    def forward(self, sample: Any, parameters: Any) -> Any:
        return sample

    def heard(self, pairs: Any, objective: Any, total: Any) -> dict[str, torch.Tensor]:
        assert not torch.is_grad_enabled()
        assert isinstance(objective, Hinge)
        self.calls.append(list(pairs))
        return {"augment/loudness": total(pairs[0][0].logits[0].abs().sum())}


def test_an_augmentation_hears_each_critic_update_and_says_what_it_made_of_it() -> None:
    augment = Listens()
    settings = {"critic_steps": 2, "micro_batches": 4}
    figures = iterate(trainer(settings, augment=augment, objective=Hinge(), penalties={}).team, 0).values
    assert [len(pairs) for pairs in augment.calls] == [4, 4]
    for real, fake in (pair for pairs in augment.calls for pair in pairs):
        assert (real.features, fake.features) == ([], [])
        assert [logit.requires_grad for logit in real.logits + fake.logits] == [False, False]
        assert real.logits[0].shape == (4, 1)
    torch.testing.assert_close(figures["augment/loudness"], augment.calls[1][0][0].logits[0].abs().sum())


def test_reused_fakes_cost_one_generator_forward_an_iteration() -> None:
    class Counts(Generator):
        calls = 0

        def forward(self, latent: torch.Tensor, condition: Any = None) -> genkit.Draw:
            Counts.calls += 1
            return super().forward(latent, condition)

    iterate(trainer({"reuse_fakes": True}, generator=Counts()).team, 0)
    assert Counts.calls == 1
    iterate(trainer(generator=Counts()).team, 0)
    assert Counts.calls == 3


def test_a_group_of_draws_shares_its_condition() -> None:
    seen: list[torch.Tensor] = []

    class Watches(Generator):
        def forward(self, latent: torch.Tensor, condition: Any = None) -> genkit.Draw:
            seen.append(condition)
            return super().forward(latent, condition)

    iterate(trainer({"samples_per_condition": 4}, generator=Watches()).team, 0)
    groups = seen[-1].view(4, 4)
    assert torch.equal(groups, groups[:, :1].expand(4, 4))
    assert not torch.equal(seen[0].view(4, 4), seen[0].view(4, 4)[:, :1].expand(4, 4))


def test_until_the_adversary_starts_the_critic_rests_and_the_terms_teach() -> None:
    of = trainer({"adversarial_start": 2}, terms=[PullToOrigin()])
    before = state(of.experiment.critic)
    for step in range(2):
        figures = iterate(of.team, step).values
        assert "loss/critic" not in figures
        assert "loss/generator" not in figures
        assert figures["term/pull"] > 0
    assert same(before, state(of.experiment.critic))
    assert {"loss/critic", "loss/generator", "term/pull"} <= set(iterate(of.team, 2).values)
    assert not same(before, state(of.experiment.critic))


@pytest.mark.usefixtures("float64")
def test_a_control_changes_what_the_critic_says_and_not_what_the_terms_say() -> None:
    def learnt(signal: Any, **changes: Any) -> list[torch.Tensor]:
        of = trainer(estimator=Pathwise(signal=signal), **changes)
        generator_turn(of.team, 0, of.team.parts(0, 1))
        return [gradient.clone() for gradient in of.team.generator_updater.gradients()]

    terms = {"terms": [PullToOrigin()]}
    pulled = learnt("constant", **terms)
    assert any(gradient.any() for gradient in pulled)
    assert not any(gradient.any() for gradient in learnt("constant"))
    for signal in ("critic", "shuffled"):
        for both, judged, pull in zip(learnt(signal, **terms), learnt(signal), pulled, strict=True):
            torch.testing.assert_close(both, judged + pull)
    assert not same(learnt("shuffled"), learnt("critic"))


def test_the_generator_forward_is_left_out_where_nothing_needs_a_draw() -> None:
    class NoDraw(PullToOrigin):
        needs_draw = False

        def forward(self, turn: genkit.GeneratorTurn) -> torch.Tensor:
            assert turn.draw is None
            return sum(parameter.square().sum() for parameter in turn.generator.parameters())  # type: ignore[return-value]

    figures = iterate(trainer({"adversarial_start": 1}, terms=[NoDraw()]).team, 0).values
    assert figures["term/pull"] > 0


def test_the_critic_sees_the_target_that_the_generator_chose() -> None:
    seen: list[torch.Tensor] = []

    class Segments(Generator):
        def forward(self, latent: torch.Tensor, condition: Any = None) -> genkit.Draw:
            return dataclasses.replace(super().forward(latent, condition), target=torch.full_like(latent, 9.0))

    class Watches(Critic):
        def forward(self, sample: Any, condition: Any = None, mask: Any = None) -> genkit.Verdict:
            seen.append(sample)
            return super().forward(sample, condition, mask)

    iterate(trainer(generator=Segments(), critic=Watches(), penalties={}).team, 0)
    assert [bool((sample == 9.0).all()) for sample in seen] == [True, False, False, True]


@pytest.mark.parametrize(
    ("train", "changes", "words"),
    [
        ({"micro_batches": 3}, {}, "micro-batches"),
        ({"adversarial_start": 2}, {}, "terms"),
        ({"adversarial_start": 2}, {"terms": [PullToOrigin(every=2)]}, "runs at each step"),
        ({}, {"terms": [PullToOrigin(every=0)]}, "pull can not run at each 0th step"),
        ({"reuse_fakes": True, "critic_steps": 2}, {}, "reuse|critic_steps"),
        ({"reuse_fakes": True, "samples_per_condition": 2}, {}, "samples_per_condition=1"),
        ({"micro_batches": 2}, {"objective": "ragan"}, "whole batch"),
        ({"joint_critic_pass": True}, {"critic": "coupled"}, "batch-coupled"),
        ({"batch_size": 1024}, {}, "256 examples"),
    ],
)
def test_settings_that_do_not_fit_are_refused(train: dict[str, Any], changes: dict[str, Any], words: str) -> None:
    from genkit.adversarial.objectives import RelativisticAverage

    class Coupled(Critic):
        batch_coupled = True

    stand_ins = {"ragan": RelativisticAverage(), "coupled": Coupled()}
    changes = {key: stand_ins.get(value, value) if isinstance(value, str) else value for key, value in changes.items()}
    with pytest.raises(genkit.ConfigError, match=words):
        trainer(train, **changes)
