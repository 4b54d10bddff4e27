"""Objectives against values worked out by hand, and against finite differences."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from genkit.adversarial.objectives import (
    Hinge,
    LeastSquares,
    LogitObjective,
    Minimax,
    NonSaturating,
    RelativisticAverage,
    RelativisticPaired,
    Wasserstein,
)
from genkit.errors import UsageError
from genkit.interfaces import Verdict

ALL = [NonSaturating, Minimax, Hinge, LeastSquares, Wasserstein, RelativisticPaired, RelativisticAverage]


def verdict(*rows: float) -> Verdict:
    return Verdict([torch.tensor(rows, dtype=torch.float64)])


# softplus at the points that the hand values below need
SP = {-3.5: 0.0297504, -3.0: 0.0485874, -2.0: 0.1269280, -1.5: 0.2014133, -1.0: 0.3132617, 0.5: 0.9740770}
SP |= {1.0: 1.3132617, 2.0: 2.1269280, 3.0: 3.0485874, 3.5: 3.5297504, 1.5: 1.7014133, -0.5: 0.4740770}


@pytest.mark.parametrize(
    ("objective", "critic", "generator"),
    [
        # D(r) = 2, -1; D(f) = 0.5, -3
        (NonSaturating(), (SP[-2.0] + SP[1.0] + SP[0.5] + SP[-3.0]) / 2, (SP[-0.5] + SP[3.0]) / 2),
        (
            NonSaturating(smoothing=0.1),
            (0.9 * SP[-2.0] + 0.1 * SP[2.0] + 0.9 * SP[1.0] + 0.1 * SP[-1.0] + SP[0.5] + SP[-3.0]) / 2,
            (SP[-0.5] + SP[3.0]) / 2,
        ),
        (Minimax(), (SP[-2.0] + SP[1.0] + SP[0.5] + SP[-3.0]) / 2, -(SP[0.5] + SP[-3.0]) / 2),
        (Hinge(), (0 + 2 + 1.5 + 0) / 2, (-0.5 + 3) / 2),
        (Hinge(clamp_generator=True), (0 + 2 + 1.5 + 0) / 2, (0.5 + 4) / 2),
        (LeastSquares(), (1 + 4 + 0.25 + 9) / 4, (0.25 + 16) / 4),
        (LeastSquares(scale=1.0), (1 + 4 + 0.25 + 9) / 2, (0.25 + 16) / 2),
        (Wasserstein(), -1.25 - 0.5, 1.25),
        # pairs: 2 with 0.5, -1 with -3
        (RelativisticPaired(), (SP[-1.5] + SP[-2.0]) / 2, (SP[1.5] + SP[2.0]) / 2),
        # means: 0.5 and -1.25
        (
            RelativisticAverage(),
            (0.0380414 + 0.5759394 + 0.6931472 + 0.0297504) / 2,
            (3.2880414 + 0.8259394 + 0.6931472 + 3.5297504) / 2,
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, LogitObjective) else "",
)
def test_losses_have_the_values_worked_out_by_hand(objective: LogitObjective, critic: float, generator: float) -> None:
    real, fake = verdict(2.0, -1.0), verdict(0.5, -3.0)
    assert objective.critic_loss(real, fake).item() == pytest.approx(critic, abs=1e-6)
    assert objective.generator_loss(real, fake).item() == pytest.approx(generator, abs=1e-6)


@pytest.mark.parametrize("kind", ALL)
def test_gradients_are_those_of_finite_differences(kind: type[LogitObjective]) -> None:
    torch.manual_seed(0)
    logits = [torch.randn(4, 5, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    logits += [torch.randn(4, 1, 2, 3, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    mask = torch.arange(5) < torch.tensor([[5], [3], [1], [4]])
    objective = kind()

    def critic(r: Tensor, f: Tensor, r_map: Tensor, f_map: Tensor) -> Tensor:
        return objective.critic_loss(Verdict([r, r_map], mask=mask), Verdict([f, f_map], mask=mask.flip(0)))

    def generator(r: Tensor, f: Tensor, r_map: Tensor, f_map: Tensor) -> Tensor:
        return objective.generator_loss(Verdict([r, r_map], mask=mask), Verdict([f, f_map], mask=mask.flip(0)))

    assert torch.autograd.gradcheck(critic, logits)
    assert torch.autograd.gradcheck(generator, logits)


@pytest.mark.parametrize("kind", [kind for kind in ALL if not kind.batch_coupled])
def test_equal_parts_of_a_batch_average_to_the_batch(kind: type[LogitObjective]) -> None:
    torch.manual_seed(1)
    real, fake = (Verdict([torch.randn(8, 6, dtype=torch.float64)], mask=torch.rand(8, 6) < 0.6) for _ in range(2))
    objective = kind()

    def part(whole: Verdict, rows: slice) -> Verdict:
        assert whole.mask is not None
        return Verdict([one[rows] for one in whole.logits], mask=whole.mask[rows])

    for loss in (objective.critic_loss, objective.generator_loss):
        halves = [loss(part(real, rows), part(fake, rows)) for rows in (slice(0, 4), slice(4, 8))]
        torch.testing.assert_close(sum(halves) / 2, loss(real, fake), rtol=0, atol=1e-12)


def test_only_the_average_objective_says_that_its_rows_are_coupled() -> None:
    assert [kind.__name__ for kind in ALL if kind.batch_coupled] == ["RelativisticAverage"]
    assert [kind.__name__ for kind in ALL if kind.needs_real] == ["RelativisticPaired", "RelativisticAverage"]


def test_sub_critics_are_added_up_or_averaged() -> None:
    real = Verdict([torch.tensor([1.0, 2.0]), torch.tensor([[[3.0, 5.0]], [[0.0, 0.0]]])])
    fake = Verdict([torch.tensor([0.0, 1.0]), torch.tensor([[[1.0, 1.0]], [[0.0, 4.0]]])])
    # first: 0.5 - 1.5 = -1; second: (1 + 2)/2 - (4 + 0)/2 = -0.5
    assert Wasserstein().critic_loss(real, fake).item() == pytest.approx(-1.5)
    assert Wasserstein(reduce="mean").critic_loss(real, fake).item() == pytest.approx(-0.75)


def test_tokens_that_do_not_count_change_nothing() -> None:
    mask = torch.tensor([[True, True, False], [True, False, False]])
    logits = torch.tensor([[1.0, 3.0, 100.0], [4.0, -100.0, torch.inf]])
    loss = Wasserstein().generator_loss(None, Verdict([logits], mask=mask))
    assert loss.item() == pytest.approx(-(2.0 + 4.0) / 2)


def test_a_pair_counts_where_both_sides_do() -> None:
    real = Verdict([torch.tensor([[2.0, 1.0, 9.0]])], mask=torch.tensor([[True, True, False]]))
    fake = Verdict([torch.tensor([[0.5, 9.0, 0.0]])], mask=torch.tensor([[True, False, True]]))
    loss = RelativisticPaired().critic_loss(real, fake)
    assert loss.item() == pytest.approx(SP[-1.5], abs=1e-6)


def test_a_row_of_which_no_token_counts_adds_nothing() -> None:
    logits = torch.tensor([[2.0, 4.0], [7.0, 7.0]], requires_grad=True)
    loss = Hinge().generator_loss(None, Verdict([logits], mask=torch.tensor([[True, True], [False, False]])))
    (gradient,) = torch.autograd.grad(loss, logits)
    assert loss.item() == -1.5
    assert gradient.tolist() == [[-0.25, -0.25], [0.0, 0.0]]


def test_half_precision_logits_are_judged_in_fp32() -> None:
    logits = Verdict([torch.tensor([12.0, -12.0], dtype=torch.bfloat16)])
    loss = NonSaturating().generator_loss(None, logits)
    assert loss.dtype == torch.float32
    assert loss.item() == pytest.approx((6.1442e-6 + 12.0000061442) / 2, rel=1e-7)


def test_relativistic_objectives_refuse_what_they_can_not_compare() -> None:
    one, two = Verdict([torch.zeros(2)]), Verdict([torch.zeros(2), torch.zeros(2)])
    with pytest.raises(UsageError, match="1 on real and 2 on fake"):
        RelativisticPaired().critic_loss(one, two)
    with pytest.raises(UsageError, match=r"not \[2\] for \[3\]"):
        RelativisticPaired().critic_loss(one, Verdict([torch.zeros(3)]))
    with pytest.raises(UsageError, match="0 on real"):
        RelativisticPaired().generator_loss(None, one)
    with pytest.raises(UsageError, match="verdict on reals"):
        RelativisticAverage().generator_loss(None, one)


def test_a_mask_of_another_length_is_refused() -> None:
    with pytest.raises(UsageError, match=r"\[2, 3\] do not fit their mask \[2, 5\]"):
        Hinge().generator_loss(None, Verdict([torch.zeros(2, 3)], mask=torch.ones(2, 5, dtype=torch.bool)))


@pytest.mark.parametrize("objective", [kind(reduce) for kind in ALL for reduce in ("sum", "mean")])
def test_each_sub_critic_counts_by_its_weight(objective: LogitObjective) -> None:
    logits = [torch.tensor(rows, dtype=torch.float64) for rows in ((2.0, -1.0), (0.5, -3.0), (1.0, 0.25), (-0.5, 2.0))]
    one, other = (Verdict([real]) for real in logits[:2]), (Verdict([fake]) for fake in logits[2:])
    apart = [objective.critic_loss(r, f) for r, f in zip(one, other, strict=True)]
    weights = torch.tensor([0.5, 0.25])
    both = objective.critic_loss(Verdict(logits[:2], weights=weights), Verdict(logits[2:], weights=weights))
    whole = 0.5 * apart[0] + 0.25 * apart[1]
    torch.testing.assert_close(both, whole if objective.reduce == "sum" else whole / 2)


def test_weights_of_another_number_of_sub_critics_are_refused() -> None:
    with pytest.raises(UsageError, match="2 sub-critics has weights"):
        Hinge().critic_loss(*[Verdict([torch.zeros(3)] * 2, weights=torch.ones(3))] * 2)
