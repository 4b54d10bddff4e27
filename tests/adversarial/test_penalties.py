"""Penalties against values worked out by hand, and against finite differences over the critic's parameters."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from genkit.adversarial.judging import CriticJudge
from genkit.adversarial.penalties import R1, R2, FiniteDifferenceR1, LeCam, WassersteinGradientPenalty
from genkit.errors import UsageError
from genkit.interfaces import Batch, Critic, Judged, Penalty, Tree, Verdict
from genkit.random import Random, Rows

New = Callable[..., Critic]


class Plane(Critic):
    """D(x) = w·x with w = (3, 4)."""

    def forward(self, sample: Tree, condition: Tree | None = None, mask: Tensor | None = None) -> Verdict:
        return Verdict([sample @ sample.new_tensor([3.0, 4.0])])


class Bowl(Critic):
    """D(x) = ½ a ‖x‖²."""

    def __init__(self, steepness: float) -> None:
        super().__init__()
        self.steepness = torch.nn.Parameter(torch.tensor(steepness))

    def forward(self, sample: Tree, condition: Tree | None = None, mask: Tensor | None = None) -> Verdict:
        return Verdict([self.steepness * sample.square().sum(1) / 2])


def penalise(penalty: Penalty, critic: Critic, real: Batch, fake: Batch, rng: Random | None = None) -> Tensor:
    judge = CriticJudge(critic)
    sides = [
        judge(side.sample, side.condition, side.mask, gradient=name in penalty.gradient_at)
        for name, side in (("real", real), ("fake", fake))
    ]
    value: Tensor = penalty(*sides, judge, rng or Random(0))
    return value


REAL = torch.tensor([[1.0, 2.0], [0.0, -2.0]])
FAKE = torch.tensor([[1.0, 0.0], [0.0, 0.5]])


def test_values_for_a_linear_critic() -> None:
    def value(penalty: Penalty) -> float:
        return penalise(penalty, Plane(), Batch(REAL), Batch(FAKE)).item()

    assert value(R1()) == pytest.approx(25 / 2)
    assert value(R2()) == pytest.approx(25 / 2)
    assert value(WassersteinGradientPenalty()) == pytest.approx((5 - 1) ** 2)
    assert value(WassersteinGradientPenalty(target=0.0)) == pytest.approx(25)
    noise = Random(0).normal(2, 2)
    assert value(FiniteDifferenceR1(sigma=0.1)) == pytest.approx(
        sum((0.1 * (3 * x + 4 * y)) ** 2 for x, y in noise.tolist()) / 2, rel=1e-4
    )


def test_values_and_gradients_for_a_quadratic_critic() -> None:
    def value(penalty: Penalty) -> tuple[float, float]:
        critic = Bowl(2.0)
        found = penalise(penalty, critic, Batch(REAL), Batch(FAKE))
        found.backward()
        assert critic.steepness.grad is not None
        return found.item(), critic.steepness.grad.item()

    # ½ E[a²‖x‖²], whose derivative is a E[‖x‖²]: E[‖r‖²] = 4.5, E[‖f‖²] = 0.625
    assert value(R1()) == pytest.approx((9.0, 9.0))
    assert value(R2()) == pytest.approx((1.25, 1.25))
    shares = Random(0).uniform(2, 1).flatten().tolist()
    norms = [math.hypot(1, 2 * shares[0]), abs(-2 * shares[1] + 0.5 * (1 - shares[1]))]
    assert value(WassersteinGradientPenalty(target=0.5)) == pytest.approx(
        (
            sum((2 * n - 0.5) ** 2 for n in norms) / 2,
            sum(2 * (2 * n - 0.5) * n for n in norms) / 2,
        )
    )


@pytest.mark.parametrize("penalty", [R1(), R2(), WassersteinGradientPenalty(), FiniteDifferenceR1(sigma=0.3)])
@pytest.mark.parametrize("kind", ["points", "tokens"])
def test_gradients_are_those_of_finite_differences(penalty: Penalty, kind: str, request: pytest.FixtureRequest) -> None:
    critic: Critic = request.getfixturevalue(kind)(**({"width": 2} if kind == "tokens" else {})).double()
    torch.manual_seed(3)
    if kind == "points":
        real, fake = (Batch(torch.randn(3, 3).double(), torch.randn(3).double()) for _ in range(2))
    else:
        mask = torch.arange(4) < torch.tensor([[4], [2]])
        real = Batch(torch.randint(5, (2, 4)), None, mask)
        fake = Batch(torch.softmax(torch.randn(2, 4, 5).double(), -1), None, mask.flip(0))

    value = penalise(penalty, critic, real, fake)
    value.backward()
    step = 1e-5
    checked = 0
    for parameter in critic.parameters():
        flat = parameter.data.view(-1)
        for i in range(len(flat)):
            at = flat[i].item()
            flat[i] = at + step
            ahead = penalise(penalty, critic, real, fake).item()
            flat[i] = at - step
            behind = penalise(penalty, critic, real, fake).item()
            flat[i] = at
            found = 0.0 if parameter.grad is None else parameter.grad.view(-1)[i].item()
            assert found == pytest.approx((ahead - behind) / (2 * step), rel=1e-5, abs=1e-8)
            checked += 1
    assert checked >= 31


def test_r1_and_r2_of_one_shared_forward_equal_two_passes(points: New) -> None:
    critic = points().double()
    real, fake = Batch(torch.randn(4, 3).double()), Batch(torch.randn(4, 3).double())
    separate = penalise(R1(), critic, real, fake) + penalise(R2(), critic, real, fake)
    judge = CriticJudge(critic)
    sides = judge.joint(real, fake, gradient=True)
    together = R1()(*sides, judge, Random(0)) + R2()(*sides, judge, Random(0))
    torch.testing.assert_close(together, separate, rtol=0, atol=1e-14)
    each = [torch.autograd.grad(one, critic.parameters(), allow_unused=True) for one in (together, separate)]
    for one, other in zip(*each, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-13)


def test_finite_difference_tends_to_r1_for_small_sigma(points: New) -> None:
    critic = points().double()
    sample = torch.randn(1, 3).double().expand(20_000, 3)
    exact = penalise(R1(), critic, Batch(sample[:1]), Batch(sample[:1])).item()

    def distance(sigma: float) -> float:
        rng = Random(1)
        return penalise(FiniteDifferenceR1(sigma=sigma), critic, Batch(sample), Batch(sample), rng).item()

    # (∇D·ε)² has mean ‖∇D‖² and standard deviation √2 ‖∇D‖²
    error = exact * math.sqrt(2 / 20_000)
    assert abs(distance(1e-3) / (2 * 1e-3**2) - exact) < 3 * error
    assert abs(distance(1.0) / 2 - exact) > 3 * error


def test_finite_difference_is_not_taken_of_rounded_logits(points: New) -> None:
    critic, sample = points(), torch.randn(4, 3)
    penalty = FiniteDifferenceR1(sigma=1e-2)
    exact = penalise(penalty, critic, Batch(sample), Batch(sample)).item()
    judge = CriticJudge(critic)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        real = judge(sample)
        found = penalty(real, real, judge, Random(0)).item()
    assert real.verdict.logits[0].dtype == torch.bfloat16
    assert found == pytest.approx(exact, rel=1e-6)


def test_gradient_penalties_are_computed_without_autocast(points: New) -> None:
    critic, real, fake = points(), Batch(torch.randn(4, 3)), Batch(torch.randn(4, 3))
    exact = penalise(WassersteinGradientPenalty(), critic, real, fake).item()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert penalise(WassersteinGradientPenalty(), critic, real, fake).item() == exact


@pytest.mark.parametrize(
    "penalty", [R1(), R2(), WassersteinGradientPenalty(), FiniteDifferenceR1(), LeCam(sub_critics=2)]
)
def test_equal_parts_of_a_batch_average_to_the_batch(penalty: Penalty, points: New) -> None:
    critic = points().double()
    penalty = penalty.double()
    real, fake = torch.randn(8, 3).double(), torch.randn(8, 3).double()

    def value(rows: slice, seed: int) -> Tensor:
        rng = Random(seed, rows=Rows(rows.start, rows.stop, 8))
        return penalise(penalty, critic, Batch(real[rows]), Batch(fake[rows]), rng)

    start = {name: one.clone() for name, one in penalty.state_dict().items()}
    whole = [value(slice(0, 8), seed) for seed in (0, 1, 2)]
    penalty.load_state_dict(start)
    parts = [(value(slice(0, 4), seed) + value(slice(4, 8), seed)) / 2 for seed in (0, 1, 2)]
    torch.testing.assert_close(parts, whole, rtol=0, atol=1e-12)
    assert whole[2] > 0


def logits(real: float, fake: float) -> tuple[Judged, Judged]:
    one, other = (Judged(torch.zeros(2, 1), Verdict([torch.tensor([x - 1, x + 1])])) for x in (real, fake))
    return one, other


def step(penalty: LeCam, real: float, fake: float) -> float:
    return penalty(*logits(real, fake), CriticJudge(Plane()), Random(0)).item()


def test_lecam_pulls_logits_towards_the_other_sides_past_average() -> None:
    penalty = LeCam(decay=0.75)
    assert step(penalty, 2.0, -1.0) == 0  # nothing is known yet
    # averages: 2 and -1; E[(r + 1)²] over 3 ± 1, E[(f - 2)²] over -1 ± 1
    assert step(penalty, 3.0, 1.0) == pytest.approx((9 + 25) / 2 + (4 + 0) / 2)
    # averages: (0.75·0.25·2 + 0.25·3)/(1 - 0.75²) = 18/7 and (0.75·0.25·-1 + 0.25·1)/0.4375 = 1/7
    expected = ((0 - 1 - 1 / 7) ** 2 + (0 + 1 - 1 / 7) ** 2) / 2 + ((-1 - 18 / 7) ** 2 + (1 - 18 / 7) ** 2) / 2
    assert step(penalty, 0.0, 0.0) == pytest.approx(expected)


def test_one_sided_lecam_counts_only_logits_on_the_right_side() -> None:
    penalty = LeCam(one_sided=True)
    step(penalty, 2.0, -1.0)
    # r in {-2, 0} against -1: only 0 counts; f in {1, 3} against 2: only 1 counts
    assert step(penalty, -1.0, 2.0) == pytest.approx(1 / 2 + 1 / 2)


def test_lecam_goes_on_from_its_state() -> None:
    straight, first, second = LeCam(), LeCam(), LeCam()
    for one in (straight, first):
        step(one, 2.0, -1.0)
        step(one, 1.0, 0.0)
    second.load_state_dict(first.state_dict())
    assert step(second, 3.0, 1.0) == step(straight, 3.0, 1.0) > 0


def test_lecam_averages_are_of_the_batch_on_all_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    alone, shared = LeCam(), LeCam()
    step(alone, 4.0, 0.0)
    monkeypatch.setattr("torch.distributed.is_initialized", lambda: True)
    # this rank has half of the rows; the logits of the other half have means 6 and 1
    monkeypatch.setattr("torch.distributed.all_reduce", lambda news: news.add_(torch.tensor([6.0, 1.0, 1.0]) / 2))
    shared(*logits(2.0, -1.0), CriticJudge(Plane()), Random(0, rows=Rows(0, 2, 4)))
    torch.testing.assert_close(shared.gathered / shared.share, alone.gathered / alone.share)


def test_lecam_refuses_another_number_of_sub_critics(points: New) -> None:
    with pytest.raises(UsageError, match="averages for 1 sub-critics and was given 2") as refused:
        penalise(LeCam(), points(), Batch(torch.randn(2, 3)), Batch(torch.randn(2, 3)))
    assert "lecam.sub_critics=2" in str(refused.value)


def test_penalties_refuse_what_they_can_not_use(tokens: New) -> None:
    judge, sample = CriticJudge(Plane()), torch.zeros(2, 2, dtype=torch.int64)
    floating = judge(torch.zeros(2, 2))
    with pytest.raises(UsageError, match="verdict without gradient"):
        R1()(floating, floating, judge, Random(0))
    whole = Judged(sample, floating.verdict)
    with pytest.raises(UsageError, match="floating-point"):
        WassersteinGradientPenalty()(whole, whole, judge, Random(0))
    with pytest.raises(UsageError, match="floating-point"):
        FiniteDifferenceR1()(whole, whole, judge, Random(0))
    with pytest.raises(UsageError, match="shapes differ"):
        WassersteinGradientPenalty()(floating, judge(torch.zeros(3, 2)), judge, Random(0))
