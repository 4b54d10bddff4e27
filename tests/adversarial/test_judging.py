"""What a judge returns: one forward for verdict and gradient, in one part or two, behind an augmentation."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genkit.adversarial.judging import CriticJudge, input_gradient
from genkit.errors import UsageError
from genkit.interfaces import Augment, Batch, Critic, Tree, Verdict
from genkit.random import Random, Rows

New = Callable[..., Critic]


class Shift(Augment):
    """Adds one random number to each row, then doubles it."""

    def draw(self, sample: Tree, *, probability: float, rng: Random) -> Tree:
        return {"by": rng.normal(len(sample), 1) * probability}

    def forward(self, sample: Tree, parameters: Tree) -> Tree:
        return 2 * (sample + parameters["by"])


class Square(Critic):
    """D(x) = ½ Σ x²."""

    def forward(self, sample: Tree, condition: Tree | None = None, mask: Tensor | None = None) -> Verdict:
        return Verdict([sample.square().sum(1) / 2])


def test_one_forward_gives_verdict_and_gradient(points: New) -> None:
    critic = points()
    sample = torch.randn(5, 3)
    judged = CriticJudge(critic)(sample, gradient=True)
    assert critic.calls == 1
    assert judged.input is sample
    assert not sample.requires_grad
    assert judged.gradient is not None
    plain = CriticJudge(critic)(sample)
    assert plain.gradient is None
    for one, other in zip(judged.verdict.logits, plain.verdict.logits, strict=True):
        torch.testing.assert_close(one, other)
    torch.testing.assert_close(judged.verdict.features[0][0], plain.verdict.features[0][0])


def test_gradient_is_of_the_sum_of_all_logits_and_agrees_with_its_functional_form(points: New) -> None:
    critic = points().double()
    sample, condition = torch.randn(5, 3).double(), torch.randn(5).double()

    def flat(point: Tensor) -> tuple[list[Tensor], list[list[Tensor]], list[Tensor]]:
        said = critic(point, condition)
        return said.logits, said.features, {}

    judged = CriticJudge(critic)(sample, condition, gradient=True)
    (_, features, _), functional = input_gradient(flat, sample)
    assert judged.gradient is not None
    torch.testing.assert_close(judged.gradient, functional, rtol=0, atol=1e-14)
    torch.testing.assert_close(judged.verdict.features[0][0], features[0][0], rtol=0, atol=1e-14)

    step = torch.zeros_like(sample)
    step[2, 1] = 1e-5
    with torch.no_grad():
        ahead, behind = ([one.sum() for one in critic(sample + s, condition).logits] for s in (step, -step))
    assert judged.gradient[2, 1].item() == pytest.approx(float(sum(ahead) - sum(behind)) / 2e-5, rel=1e-6)


def test_gradient_can_be_differentiated_by_the_parameters_in_both_forms(points: New) -> None:
    critic = points().double()
    sample = torch.randn(5, 3).double()
    shared = CriticJudge(critic)(sample, gradient=True).gradient
    _, functional = input_gradient(lambda point: (critic(point).logits, [], {}), sample)
    assert shared is not None
    found = [
        torch.autograd.grad(one.square().sum(), critic.parameters(), allow_unused=True) for one in (shared, functional)
    ]
    assert any(one is not None and one.abs().max() > 0 for one in found[0])
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_attention_critic_has_a_second_derivative(tokens: New) -> None:
    critic = tokens()
    sample = torch.randint(5, (3, 6))
    gradient = CriticJudge(critic)(sample, gradient=True).gradient
    assert gradient is not None
    assert gradient.shape == (3, 6, 4)
    gradient.square().sum().backward()
    assert critic.mixed.weight.grad.abs().max() > 0


def test_recurrent_critic_has_a_second_derivative() -> None:
    class Recurrent(Critic):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.LSTM(2, 3, batch_first=True)

        def forward(self, sample: Tree, condition: Tree | None = None, mask: Tensor | None = None) -> Verdict:
            return Verdict([self.cell(sample)[0].sum(2)])

    critic = Recurrent()
    gradient = CriticJudge(critic)(torch.randn(2, 4, 2), gradient=True).gradient
    assert gradient is not None
    gradient.square().sum().backward()
    assert critic.cell.weight_ih_l0.grad.abs().max() > 0


def test_loss_of_the_shared_forward_reaches_the_embedding(tokens: New) -> None:
    critic = tokens()
    sample = torch.tensor([[0, 1, 2]])
    for gradient in (True, False):
        critic.zero_grad()
        CriticJudge(critic)(sample, gradient=gradient).verdict.logits[0].sum().backward()
        moved = critic.embedding.weight.grad.abs().sum(1) > 0
        assert moved.tolist() == [True, True, True, False, False]


def test_tokens_and_their_one_hots_are_judged_alike(tokens: New) -> None:
    critic = tokens()
    sample = torch.randint(5, (3, 6))
    mask = torch.arange(6) < torch.tensor([[6], [4], [2]])
    hard = CriticJudge(critic)(sample, None, mask, gradient=True)
    soft = CriticJudge(critic)(F.one_hot(sample, 5).float(), None, mask, gradient=True)
    torch.testing.assert_close(hard.gradient, soft.gradient)
    torch.testing.assert_close(hard.verdict.logits, soft.verdict.logits)


def test_tokens_that_do_not_count_have_no_share_in_the_gradient(tokens: New) -> None:
    critic = tokens().double()
    sample = torch.randint(5, (3, 6))
    mask = torch.arange(6) < torch.tensor([[6], [4], [2]])
    judged = CriticJudge(critic)(sample, None, mask, gradient=True)
    point = critic.penalty_input(sample).detach().requires_grad_()
    total = critic(point, None, mask).logits[0][mask].sum()
    torch.testing.assert_close(judged.gradient, torch.autograd.grad(total, point)[0])
    assert judged.gradient is not None
    assert judged.gradient[~mask].abs().max() == 0


def test_gradient_is_with_respect_to_the_sample_before_augmentation() -> None:
    sample = torch.randn(4, 3)
    judge = CriticJudge(Square(), augment=Shift(), probability=0.5, rng=Random(3))
    judged = judge(sample, gradient=True)
    shift = Random(3).normal(4, 1) * 0.5
    torch.testing.assert_close(judged.verdict.logits[0], 2 * (sample + shift).square().sum(1))
    torch.testing.assert_close(judged.gradient, 4 * (sample + shift))
    again = judge.at(sample + 1, judged)
    torch.testing.assert_close(again.verdict.logits[0], 2 * (sample + 1 + shift).square().sum(1))
    fresh = judge(sample)
    assert not torch.allclose(fresh.verdict.logits[0], judged.verdict.logits[0])


def test_augmentation_without_random_numbers_is_refused() -> None:
    with pytest.raises(UsageError, match="random numbers"):
        CriticJudge(Square(), augment=Shift())


def test_joint_pass_equals_two_passes(points: New) -> None:
    critic = points().double()
    real = Batch(torch.randn(4, 3).double(), torch.randn(4).double())
    fake = Batch(torch.randn(2, 3).double(), torch.randn(2).double())
    judge = CriticJudge(critic)
    both = judge.joint(real, fake, gradient=True)
    assert critic.calls == 1
    for one, batch in zip(both, (real, fake), strict=True):
        alone = judge(batch.sample, batch.condition, gradient=True)
        assert one.input is batch.sample
        torch.testing.assert_close(one.verdict.logits, alone.verdict.logits)
        torch.testing.assert_close(one.verdict.features, alone.verdict.features)
        torch.testing.assert_close(one.gradient, alone.gradient)
        assert one.condition is batch.condition
        assert one.verdict.weights is alone.verdict.weights is critic.weights


def test_joint_pass_of_real_tokens_and_relaxed_fakes(tokens: New) -> None:
    critic = tokens().double()
    mask = torch.arange(6) < torch.tensor([[6], [4], [2]])
    real = Batch(torch.randint(5, (3, 6)), None, mask)
    fake = Batch(torch.softmax(torch.randn(3, 6, 5).double(), -1))
    judged = CriticJudge(critic).joint(real, fake, gradient=True)
    for one, batch in zip(judged, (real, fake), strict=True):
        alone = CriticJudge(critic)(batch.sample, None, batch.mask, gradient=True)
        torch.testing.assert_close(one.verdict.logits, alone.verdict.logits)
        torch.testing.assert_close(one.gradient, alone.gradient)
    assert judged[0].verdict.mask is not None
    assert torch.equal(judged[0].verdict.mask, mask)


def test_joint_pass_augments_as_two_passes_do_and_whatever_part_of_the_batch_it_sees() -> None:
    real, fake = torch.randn(4, 3), torch.randn(4, 3)

    def joint(rows: slice) -> list[Tensor]:
        rng = Random(3, rows=Rows(rows.start, rows.stop, 4))
        judge = CriticJudge(Square(), augment=Shift(), rng=rng)
        return [one.verdict.logits[0] for one in judge.joint(Batch(real[rows]), Batch(fake[rows]))]

    whole = joint(slice(0, 4))
    parts = [joint(slice(0, 2)), joint(slice(2, 4))]
    judge = CriticJudge(Square(), augment=Shift(), rng=Random(3))
    for i, sample in enumerate((real, fake)):
        torch.testing.assert_close(torch.cat([parts[0][i], parts[1][i]]), whole[i])
        torch.testing.assert_close(judge(sample).verdict.logits[0], whole[i])


def test_joint_pass_is_refused_where_rows_are_coupled_or_parts_differ() -> None:
    class Coupled(Square):
        batch_coupled = True

    sample = torch.randn(2, 3)
    with pytest.raises(UsageError, match="Coupled couples the rows") as refused:
        CriticJudge(Coupled()).joint(Batch(sample), Batch(sample))
    assert "joint_critic_pass=false" in str(refused.value)
    with pytest.raises(UsageError, match="only the real part of a joint critic pass has a condition"):
        CriticJudge(Square()).joint(Batch(sample, torch.zeros(2)), Batch(sample))


def test_a_tree_of_samples_is_judged_but_has_no_gradient() -> None:
    class Pair(Critic):
        def forward(self, sample: Tree, condition: Tree | None = None, mask: Tensor | None = None) -> Verdict:
            return Verdict([(sample["a"] - sample["b"]).sum(1)])

    judge = CriticJudge(Pair())
    sample = {"a": torch.ones(2, 3), "b": torch.zeros(2, 3)}
    assert judge(sample).verdict.logits[0].tolist() == [3.0, 3.0]
    assert [one.verdict.logits[0].tolist() for one in judge.joint(Batch(sample), Batch(sample))] == [[3.0, 3.0]] * 2
    with pytest.raises(UsageError, match="floating-point tensor, not dict"):
        judge(sample, gradient=True)
    with pytest.raises(UsageError, match=r"not torch\.int64"):
        CriticJudge(Square())(torch.zeros(2, 3, dtype=torch.int64), gradient=True)


def test_a_verdict_under_autocast_says_that_it_is_rounded(points: New) -> None:
    judge = CriticJudge(points())
    sample = torch.randn(2, 3)
    assert not judge(sample).rounded
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert judge(sample).rounded
        assert judge.joint(Batch(sample), Batch(sample))[1].rounded
