"""Monte-Carlo roll-outs: how SeqGAN gives each token a reward when the critic only judges whole sequences."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from genkit import Estimator, Generator, GeneratorTurn, UsageError
from genkit_text.models.language import LanguageGenerator


class RollOuts(Estimator):
    """-E[Σ_t Q_t log p(y_t | y_<t)] (Yu et al. 2017, equations 4 to 8).

    Q_t is the mean of the critic's probability of "real" over completions of y_≤t by the roll-out policy, which follows
    the generator; Q_L is that of the sample itself. As published there is no baseline, so that any reward, a constant
    one too, moves the generator: a historical baseline, not a recommendation.

    Args:
        policy: a generator of the same architecture that finishes sequences.
        rolls: completions of each prefix.
        follow: share of its own weights that the policy keeps at each update.
        signal: ``critic``; or ``constant`` or ``shuffled``, see ``genkit.estimators.Signal``.
    """

    pathwise = False
    batch_coupled = True  # the policy follows at each call, so a second micro-batch would meet another one

    def __init__(
        self,
        policy: LanguageGenerator,
        *,
        rolls: int = 16,
        follow: float = 0.8,
        signal: Literal["critic", "constant", "shuffled"] = "critic",
    ) -> None:
        super().__init__()
        self.policy = policy.requires_grad_(False)
        self.rolls = rolls
        self.follow = follow
        self.signal = signal

    def begin(self, generator: Generator) -> None:
        """Give the policy the generator's weights."""
        self.policy.load_state_dict(generator.state_dict())

    def forward(self, turn: GeneratorTurn) -> Tensor:
        """A scalar whose gradient is the estimate. Reports ``reward``.

        Raises UsageError when the generator does not draw tokens.
        """
        generator, draw = turn.generator, turn.draw
        if not isinstance(generator, LanguageGenerator) or draw is None or draw.sample.is_floating_point():
            raise UsageError("roll-outs need a generator that draws tokens")
        rewards = self.rewards(turn, draw.sample)
        turn.report["reward"] = rewards.mean()
        log_prob = generator.log_prob(draw, turn.condition)
        self._move(generator)
        return -(log_prob * rewards).sum(1).mean()

    @torch.no_grad()
    def rewards(self, turn: GeneratorTurn, tokens: Tensor) -> Tensor:
        """Q [B, L]."""
        count, length = tokens.shape
        if self.signal == "constant":
            return torch.ones(count, length, device=tokens.device)
        condition = None if turn.condition is None else turn.condition.repeat_interleave(self.rolls, 0)
        found = []
        for position in range(1, length):
            given = tokens[:, :position].repeat_interleave(self.rolls, 0)
            latent = turn.rng.uniform(len(given), length)
            made = self.policy.complete(given, latent, condition)
            found.append(self._judged(turn, made.sample, condition, made.mask).view(count, self.rolls).mean(1))
        mask = turn.draw.mask if turn.draw is not None else None
        found.append(self._judged(turn, tokens, turn.condition, mask))
        rewards = torch.stack(found, 1)
        if self.signal == "shuffled":
            rewards = rewards[turn.rng.uniform(count).argsort()]
        return rewards

    def _judged(self, turn: GeneratorTurn, tokens: Tensor, condition: Tensor | None, mask: Tensor | None) -> Tensor:
        verdict = turn.judge(tokens, condition, mask).verdict
        logits = torch.stack([one.float().reshape(len(tokens), -1).mean(1) for one in verdict.logits])
        return logits.sum(0).sigmoid()

    @torch.no_grad()
    def _move(self, generator: LanguageGenerator) -> None:
        torch._foreach_lerp_(list(self.policy.parameters()), list(generator.parameters()), 1 - self.follow)
