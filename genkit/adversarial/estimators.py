"""How the critic's opinion reaches the generator: through the sample, or by the score function."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._pytree import tree_leaves

from genkit.adversarial.judging import kept, token_mask, widen
from genkit.errors import UsageError
from genkit.interfaces import Estimator, Generator, GeneratorTurn, TokenGenerator, Verdict

Baseline = Literal["position", "group", "none"]
Signal = Literal["critic", "constant", "shuffled"]
"""What the generator hears: the critic, or one of the two controls that any gain must be compared with. ``constant``:
the same for every sample. ``shuffled``: what the critic said of another row of this device's batch, so that its size
and spread are the critic's and its meaning is gone."""


class Pathwise(Estimator):
    """The objective's generator loss, backpropagated through the critic and the sample.

    Args:
        signal: see `Signal`; what is shuffled is the gradient that reaches the samples.
    """

    def __init__(self, *, signal: Signal = "critic") -> None:
        super().__init__()
        self.signal = signal

    def forward(self, turn: GeneratorTurn) -> Tensor:
        """A scalar. Raises UsageError when the draw was not judged."""
        if turn.fake_verdict is None:
            raise UsageError("the generator's draw was not judged: the adversary has not started")
        real = turn.real_verdict if turn.objective.needs_real else None
        loss = turn.objective.generator_loss(real, turn.fake_verdict)
        if self.signal == "constant":
            return 0 * loss
        if self.signal == "shuffled" and turn.draw is not None:
            leaves = [leaf for leaf in tree_leaves(turn.draw.sample) if leaf.requires_grad]
            order = _shuffled(turn)
            for leaf in leaves:
                leaf.register_hook(lambda gradient: gradient[order])
        return loss


class ScoreFunction(Estimator):
    """-E[Σ_t A_t log p(x_t | x_<t)] / L: ascent of the expected reward of discrete draws (Williams 1992, REINFORCE).

    The reward is the critic's logit, whatever the objective: for an optimal critic of tokens it is log p_data/p, whose
    expectation is -KL(p‖p_data), and what a relativistic objective subtracts, the real's logit, does not depend on
    the draw. Sub-critics are added up; per-token logits [B, L] reward their token, per-sequence ones [B] or [B, 1] the
    last that counts. The return R_t = Σ_k≥t γ^(k-t) r_k less a baseline is the advantage A_t; so a critic of tokens
    must be causal: a logit that looks ahead would praise tokens for what only came after them, and bias the gradient.

    Baselines leave the row itself out, so they do not bias the gradient (Kool et al. 2019). ``position`` is the mean of
    R_t over the batch's other rows whose token t counts, on all devices, 0 where there is none; it can not be had in
    micro-batches. ``group`` is the mean over the other draws for the same condition, which a part of a batch must hold
    together; a draw that has ended keeps its last return. Rewards of whole sequences need it, or large batches.

    Args:
        signal: see `Signal`; what is shuffled is the reward.
        clamp: clamp the reward to [-clamp, clamp].
        gamma: γ, the discount.
        baseline: ``position``, ``group`` or ``none``.
        standardise: divide a group's advantages by the group's standard deviation (Shao et al. 2024, GRPO); biased.
        entropy: η, adds -η log p(x_t | x_<t) to the reward, whose expectation is η times the entropy.
        kl: β, the weight of the divergence from `reference`, in the same units as the reward.
        kl_form: ``k3``: the loss β Σ_t (q/p - log q/p - 1) of GRPO, q the reference, whose value estimates KL(p‖q) and
            whose gradient is that of KL(q‖p) at the prefixes drawn; ``reward``: -β log p/q joins the reward, which
            gives the gradient of KL(p‖q) itself.
        reference: a generator of the same architecture for `kl`; `begin` gives it the generator's weights.
        per_row: divide by each row's own number of tokens, as GRPO does, not by the common L; it favours short draws.
    """

    pathwise = False

    def __init__(
        self,
        *,
        signal: Signal = "critic",
        clamp: float | None = None,
        gamma: float = 1.0,
        baseline: Baseline = "position",
        standardise: bool = False,
        entropy: float = 0.0,
        kl: float = 0.0,
        kl_form: Literal["k3", "reward"] = "k3",
        reference: TokenGenerator | None = None,
        per_row: bool = False,
    ) -> None:
        super().__init__()
        if standardise and baseline != "group":
            raise UsageError(f"standardise divides by a group's deviation, and the baseline is {baseline!r}")
        if (kl != 0.0) != (reference is not None):
            raise UsageError("a divergence from a reference needs both `kl` and `reference`")
        self.signal = signal
        self.clamp = clamp
        self.batch_coupled = baseline == "position"
        self.gamma = gamma
        self.baseline = baseline
        self.standardise = standardise
        self.entropy = entropy
        self.kl = kl
        self.kl_form = kl_form
        self.per_row = per_row
        self.reference = reference
        if self.reference is not None:
            self.reference.requires_grad_(False).eval()

    def begin(self, generator: Generator) -> None:
        """Copy `generator` into the reference."""
        if self.reference is not None:
            self.reference.load_state_dict(generator.state_dict())

    def train(self, mode: bool = True) -> ScoreFunction:
        """As ``nn.Module.train``; the reference stays in evaluation."""
        super().train(mode)
        if self.reference is not None:
            self.reference.eval()
        return self

    def forward(self, turn: GeneratorTurn) -> Tensor:
        """A scalar whose gradient is the estimate; its value means nothing.

        Reports ``reward`` and ``advantage_std``, ``entropy`` and ``kl`` in nats a token. Raises UsageError when the
        generator has no log-probabilities, the draw was not judged, or the logits do not fit the draw.
        """
        draw, verdict = turn.draw, turn.fake_verdict
        if draw is None or verdict is None:
            raise UsageError("the generator's draw was not judged: the adversary has not started")
        if not isinstance(turn.generator, TokenGenerator):
            raise UsageError(
                f"{type(turn.generator).__name__} is no TokenGenerator: it has no log_prob to weigh with rewards",
                fix="use the Pathwise estimator for differentiable samples",
            )
        log_prob = widen(turn.generator.log_prob(draw, turn.condition))
        mask = torch.ones_like(log_prob, dtype=torch.bool) if draw.mask is None else draw.mask
        with torch.no_grad():
            reward = self._reward(self._heard(verdict, turn), log_prob, mask)
            guided = reward - self.entropy * log_prob
        lost = torch.zeros_like(log_prob)
        if self.reference is not None:
            with torch.no_grad():
                ratio = widen(self.reference.log_prob(draw, turn.condition))
            ratio = ratio - log_prob
            k3 = ratio.exp() - ratio - 1
            turn.report["kl"] = _mean(k3.detach(), mask)
            if self.kl_form == "k3":
                lost = self.kl * k3
            else:
                guided = guided + self.kl * ratio.detach()
        with torch.no_grad():
            advantage = self._advantage(discounted(kept(guided, mask), self.gamma), mask, turn)
        turn.report["reward"] = _mean(reward, mask)
        turn.report["advantage_std"] = _mean((advantage - _mean(advantage, mask)).square(), mask).sqrt()
        turn.report["entropy"] = -_mean(log_prob.detach(), mask)
        rows = kept(lost - advantage * log_prob, mask).sum(1)
        return (rows / (mask.sum(1).clamp(min=1) if self.per_row else log_prob.shape[1])).mean()

    def _reward(self, verdict: Verdict, log_prob: Tensor, mask: Tensor) -> Tensor:
        """[B, L]: the clamped logits, those of whole sequences at each row's last token that counts."""
        reward = torch.zeros_like(log_prob)
        logits = [widen(one) for one in verdict.logits]
        if verdict.weights is not None:
            logits = [one * weight.to(one) for one, weight in zip(logits, verdict.weights.unbind(), strict=True)]
        tokens = [one for one in logits if one.shape == log_prob.shape]
        whole = [one for one in logits if one.numel() == len(log_prob) and one.shape != log_prob.shape]
        if len(tokens) + len(whole) != len(logits):
            shapes = ", ".join(str(list(one.shape)) for one in logits)
            raise UsageError(f"a reward needs logits {list(log_prob.shape)} or one a row, not {shapes}")
        if tokens:
            total = torch.stack(tokens).sum(0)
            reward = kept(self._clamped(total), token_mask(tokens[0], verdict.mask))
        if whole:
            total = torch.stack([one.flatten() for one in whole]).sum(0)
            at = torch.arange(mask.shape[1], device=mask.device) == _last(mask)[:, None]
            reward = reward + torch.where(at, self._clamped(total)[:, None], 0.0)
        return kept(reward, mask)

    def _heard(self, verdict: Verdict, turn: GeneratorTurn) -> Verdict:
        """What the generator hears of the critic's verdict."""
        if self.signal == "constant":
            return Verdict([torch.ones_like(one) for one in verdict.logits], mask=verdict.mask, weights=verdict.weights)
        if self.signal == "critic":
            return verdict
        order = _shuffled(turn)
        mask = None if verdict.mask is None else verdict.mask[order]
        return Verdict([one[order] for one in verdict.logits], mask=mask, weights=verdict.weights)

    def _clamped(self, logit: Tensor) -> Tensor:
        return logit if self.clamp is None else logit.clamp(-self.clamp, self.clamp)

    def _advantage(self, returns: Tensor, mask: Tensor, turn: GeneratorTurn) -> Tensor:
        group = turn.group
        if self.baseline == "none":
            return returns
        if self.baseline == "position":
            sums = torch.stack([mask.sum(0).to(returns), kept(returns, mask).sum(0)])
            counted, summed = turn.total(sums).unbind(0)
            return returns - (summed - returns) / (counted - 1).clamp(min=1)
        if group < 2:
            raise UsageError(
                "the group baseline compares draws for one condition, and there is one draw for each",
                fix="--set train.samples_per_condition=4",
            )
        positions = torch.arange(mask.shape[1], device=mask.device)
        carried = returns.gather(1, torch.minimum(positions, _last(mask)[:, None]))
        groups = carried.view(-1, group, carried.shape[1])
        advantage = groups - (groups.sum(1, keepdim=True) - groups) / (group - 1)
        if self.standardise:
            advantage = advantage / (groups.std(1, keepdim=True) + 1e-4)
        return advantage.view_as(returns)


def _shuffled(turn: GeneratorTurn) -> Tensor:
    """A random order of the rows of this turn's draw."""
    leaf: Tensor = tree_leaves(turn.draw.sample if turn.draw is not None else None)[0]
    order: Tensor = turn.rng.uniform(len(leaf)).argsort()
    return order


def discounted(reward: Tensor, gamma: float) -> Tensor:
    """R_t = Σ_k≥t γ^(k-t) r_k along the last dimension of [B, L], in log₂ L steps."""
    returns, span = reward, 1
    while span < reward.shape[1]:
        returns = returns + gamma**span * F.pad(returns[:, span:], (0, span))
        span *= 2
    return returns


def _last(mask: Tensor) -> Tensor:
    """[B]: the position of each row's last token that counts; 0 in a row without any."""
    return torch.where(mask, torch.arange(mask.shape[1], device=mask.device), 0).amax(1)


def _mean(values: Tensor, mask: Tensor) -> Tensor:
    return kept(values, mask).sum() / mask.sum().clamp(min=1)
