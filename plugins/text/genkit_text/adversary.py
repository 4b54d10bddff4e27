"""How the critic's opinion reaches a generator of tokens, and what the recipes put beside it."""

from __future__ import annotations

import copy

from torch import Tensor

from genkit import Estimator, GeneratorTurn, UsageError, estimators, terms
from genkit_text.models.language import LanguageGenerator
from genkit_text.recipes.settings import Control, Reward


class Teaching(terms.Likelihood):
    """Maximum likelihood: alone until the adversary starts, then with the weight `anchor`.

    Where several draws share a condition, its real sample counts once.

    Args:
        anchor: its weight once the adversary plays.
    """

    def __init__(self, anchor: float) -> None:
        super().__init__()
        self.anchor = anchor

    def forward(self, turn: GeneratorTurn) -> Tensor:
        value = super().forward(turn)
        return value if turn.fake_verdict is None else self.anchor * value


class Silence(Estimator):
    """No adversarial loss at all: the control that goes on with maximum likelihood."""

    pathwise = False

    def forward(self, turn: GeneratorTurn) -> Tensor:
        if turn.fake_verdict is None:
            raise UsageError("the generator's draw was not judged: the adversary has not started")
        return turn.fake_verdict.logits[0].new_zeros(())


def policy_gradient(reward: Reward, control: Control, generator: LanguageGenerator) -> Estimator:
    """The score function estimator with a recipe's reward, or the control in its place."""
    if control == "likelihood":
        return Silence()
    return estimators.ScoreFunction(
        signal="critic" if control == "none" else control,
        clamp=reward.clamp,
        gamma=reward.gamma,
        baseline=reward.baseline,
        standardise=reward.standardise,
        entropy=reward.entropy,
        kl=reward.kl,
        kl_form=reward.kl_form,
        reference=copy.deepcopy(generator) if reward.kl else None,
    )


def pathwise(control: Control) -> Estimator:
    """The gradient through relaxed one-hots, or the control in its place."""
    if control == "likelihood":
        return Silence()
    return estimators.Pathwise(signal="critic" if control == "none" else control)
