"""Everything an iteration calls runs on the meta device, where a host synchronisation or a stray tensor raises."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from genkit.adversarial import objectives, penalties
from genkit.adversarial.estimators import Pathwise, ScoreFunction
from genkit.adversarial.judging import CriticJudge
from genkit.adversarial.terms import FeatureMatching, Likelihood, Reconstruction
from genkit.interfaces import Augment, Batch, Critic, Draw, GeneratorTurn, Penalty, TokenGenerator, Tree
from genkit.random import Random

META = torch.device("meta")
OBJECTIVES = [
    objectives.NonSaturating,
    objectives.Minimax,
    objectives.Hinge,
    objectives.LeastSquares,
    objectives.Wasserstein,
    objectives.RelativisticPaired,
    objectives.RelativisticAverage,
]
PENALTIES = [
    penalties.R1,
    penalties.R2,
    penalties.WassersteinGradientPenalty,
    penalties.FiniteDifferenceR1,
    penalties.LeCam,
]


class Writer(TokenGenerator):
    def __init__(self) -> None:
        super().__init__()
        self.logits = torch.nn.Parameter(torch.zeros(5, 5))

    def latent(self, count: int, *, rng: Random) -> Tensor:
        return rng.uniform(count, 6)

    def forward(self, latent: Tensor, condition: Tree | None = None) -> Draw:
        raise AssertionError("the draw is given")

    def log_prob(self, draw: Draw, condition: Tree | None = None) -> Tensor:
        before = F.pad(draw.sample[:, :-1], (1, 0))
        return self.logits.log_softmax(-1)[before].gather(2, draw.sample[:, :, None]).squeeze(2)


class Jitter(Augment):
    def draw(self, sample: Tree, *, probability: float, rng: Random) -> Tree:
        return rng.normal(len(sample), *[1] * (sample.dim() - 1))

    def forward(self, sample: Tree, parameters: Tree) -> Tree:
        return sample + parameters


def sides(kind: str) -> tuple[Batch, Batch]:
    if kind == "pictures":
        return Batch(torch.empty(4, 1, 8, 8, device=META)), Batch(torch.empty(4, 1, 8, 8, device=META))
    mask = torch.empty(4, 6, dtype=torch.bool, device=META)
    tokens = torch.empty(4, 6, dtype=torch.int64, device=META)
    return Batch(tokens, None, mask), Batch(torch.empty(4, 6, 5, device=META), None, mask)


@pytest.mark.parametrize("kind", ["pictures", "tokens"])
@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("shared", [True, False], ids=["joint", "apart"])
def test_critic_turn(kind: str, objective: type, shared: bool, request: pytest.FixtureRequest) -> None:
    critic: Critic = request.getfixturevalue(kind)().to(META)
    judge = CriticJudge(critic, augment=Jitter(), rng=Random(0, META))
    real, fake = sides(kind)
    if shared:
        judged = judge.joint(real, fake, gradient=True)
    else:
        judged = (
            judge(real.sample, None, real.mask, gradient=True),
            judge(fake.sample, None, fake.mask, gradient=True),
        )
    loss = objective().critic_loss(*(one.verdict for one in judged))
    for penalty in PENALTIES:
        made: Penalty = penalty().to(META)
        loss = loss + made(*judged, judge, Random(1, META))
    loss.backward()
    assert loss.shape == ()
    assert all(parameter.grad is not None for parameter in critic.parameters())


@pytest.mark.parametrize(
    "estimator",
    [
        lambda: ScoreFunction(kl=0.1, reference=Writer(), entropy=0.1, clamp=3.0, gamma=0.9),
        lambda: ScoreFunction(kl=0.1, kl_form="reward", reference=Writer(), baseline="group", standardise=True),
        Pathwise,
    ],
)
def test_generator_turn(estimator: Callable[[], torch.nn.Module], tokens: Callable[..., Critic]) -> None:
    generator, made = Writer().to(META), estimator().to(META)
    judge = CriticJudge(tokens().to(META))
    real, _ = sides("tokens")
    draw = Draw(real.sample, real.mask)
    verdict = judge(draw.sample, None, draw.mask).verdict
    verdict.features.append([verdict.logits[0]])
    report: dict[str, Tensor] = {}
    turn = GeneratorTurn(
        generator,
        objectives.RelativisticPaired(),
        judge,
        None,
        draw,
        real,
        verdict,
        verdict,
        2,
        Random(0, META),
        report,
    )
    if isinstance(made, ScoreFunction):
        made.begin(generator)
    loss = made(turn) + FeatureMatching()(turn) + Likelihood()(turn)
    picture = Batch(torch.empty(4, 1, 8, 8, device=META))
    loss = loss + Reconstruction()(
        GeneratorTurn(
            generator, turn.objective, judge, None, Draw(picture.sample), picture, None, None, 1, turn.rng, report
        )
    )
    loss.backward()
    assert generator.logits.grad is not None
    assert all(one.device == META and not one.requires_grad for one in report.values())
