"""A compiled look at a critic gives the gradients that an eager one gives, second derivatives included."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from genkit.adversarial.judging import CriticJudge, Look, compiles_with_gradient, look
from genkit.adversarial.objectives import RelativisticPaired
from genkit.adversarial.penalties import R1, R2, WassersteinGradientPenalty
from genkit.interfaces import Augment, Batch, Critic, Tree, Verdict
from genkit.random import Random

New = Callable[..., Critic]


class Scale(Augment):
    def draw(self, sample: Tree, *, probability: float, rng: Random) -> Tree:
        return rng.uniform(len(sample), *[1] * (sample.dim() - 1)).to(sample.dtype)

    def forward(self, sample: Tree, parameters: Tree) -> Tree:
        return sample * parameters


def critic_turn(critic: Critic, real: Batch, fake: Batch, run: Look) -> list[Tensor]:
    """Loss and gradients of a critic turn with three gradient penalties."""
    critic.zero_grad()
    device = next(critic.parameters()).device
    judge = CriticJudge(critic, augment=Scale(), rng=Random(0, device), run=run)
    sides = [judge(side.sample, side.condition, side.mask, gradient=True) for side in (real, fake)]
    loss = RelativisticPaired().critic_loss(*(side.verdict for side in sides))
    for penalty in (R1(), R2(), WassersteinGradientPenalty()):
        loss = loss + penalty(*sides, judge, Random(1, device))
    loss.backward()
    gradients = [parameter.grad for parameter in critic.parameters()]
    assert all(one is not None for one in gradients)
    return [loss.detach(), *(one.clone() for one in gradients if one is not None)]


def batches(kind: str) -> tuple[Batch, Batch]:
    torch.manual_seed(2)
    if kind == "pictures":
        return Batch(torch.randn(3, 1, 8, 8).double()), Batch(torch.randn(3, 1, 8, 8).double())
    mask = torch.arange(6) < torch.tensor([[6], [4], [2]])
    relaxed = torch.softmax(torch.randn(3, 6, 5).double(), -1)
    return Batch(torch.randint(5, (3, 6)), None, mask), Batch(relaxed, None, mask)


@pytest.fixture(autouse=True)
def _forget_compiled_code() -> None:
    torch._dynamo.reset()


@pytest.mark.parametrize("kind", ["pictures", "tokens"])
def test_compiled_critic_turn_equals_the_eager_one(kind: str, request: pytest.FixtureRequest) -> None:
    critic = request.getfixturevalue(kind)().double()
    assert compiles_with_gradient(critic)
    eager = critic_turn(critic, *batches(kind), look)
    compiled = critic_turn(critic, *batches(kind), torch.compile(look, backend="aot_eager", fullgraph=True))
    for one, other in zip(compiled, eager, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an accelerator")
@pytest.mark.parametrize("kind", ["pictures", "tokens"])
def test_inductor_agrees_on_the_accelerator(kind: str, request: pytest.FixtureRequest) -> None:
    critic = request.getfixturevalue(kind)().double().cuda()
    sides = [Batch(side.sample.cuda(), None, None if side.mask is None else side.mask.cuda()) for side in batches(kind)]
    eager = critic_turn(critic, *sides, look)
    compiled = critic_turn(critic, *sides, torch.compile(look, fullgraph=True))
    for one, other in zip(compiled, eager, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-9)


def test_turns_of_critic_and_generator_alternate_without_recompiling(pictures: New) -> None:
    critic = pictures()
    run = torch.compile(look, backend="aot_eager", fullgraph=True)
    sample = torch.randn(2, 1, 8, 8)
    weight = torch.ones(1, requires_grad=True)

    def iteration() -> None:
        critic.requires_grad_(True)
        judge = CriticJudge(critic, run=run)
        for gradient in (True, False):
            judge(sample, gradient=gradient).verdict.logits[0].sum().backward()
        critic.requires_grad_(False)
        judge(weight * sample).verdict.logits[0].sum().backward()
        with torch.no_grad():
            judge(sample)

    iteration()
    with torch._dynamo.config.patch(error_on_recompile=True):
        for _ in range(2):
            iteration()
    assert weight.grad is not None


def test_batch_norm_with_running_statistics_stays_eager(pictures: New) -> None:
    critic = pictures(batch_norm=True)
    assert not compiles_with_gradient(critic)
    assert compiles_with_gradient(pictures())
    sample = torch.randn(3, 1, 8, 8)
    judged = CriticJudge(critic)(sample, gradient=True)
    assert judged.gradient is not None
    judged.gradient.square().sum().backward()
    assert critic.first.weight.grad.abs().max() > 0
    eager = [parameter.grad.clone() for parameter in critic.parameters() if parameter.grad is not None]
    critic.zero_grad()
    judged = CriticJudge(critic, run=torch.compile(look, backend="aot_eager"))(sample, gradient=True)
    assert judged.gradient is not None
    judged.gradient.square().sum().backward()
    again = [parameter.grad for parameter in critic.parameters() if parameter.grad is not None]
    assert all(torch.equal(one, other) for one, other in zip(eager, again, strict=True))


def test_recurrent_critics_stay_eager() -> None:
    class Recurrent(Critic):
        def __init__(self) -> None:
            super().__init__()
            self.cell = nn.GRU(2, 3)

        def forward(self, sample: Tree, condition: Tree | None = None, mask: Tensor | None = None) -> Verdict:
            raise AssertionError("only asked whether it compiles")

    assert not compiles_with_gradient(Recurrent())
