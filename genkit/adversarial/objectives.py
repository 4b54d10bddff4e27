"""Adversarial losses as functions of logits. D is the critic's logit, r a real, f a fake sample, E the mean over rows.

Everywhere a row's loss is the mean over its logits (patches, time steps, the tokens that count), a batch's is the mean
over its rows, and sub-critics, each times its weight if the verdict has any, are added up or averaged. So the losses of
equal parts of a batch average to the batch's own. Losses are fp32, or float64 for float64 logits.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from genkit.adversarial.judging import kept, reduced, token_mask, widen
from genkit.adversarial.settings import HingeConfig, LeastSquaresConfig, NonSaturatingConfig, ObjectiveConfig, Reduce
from genkit.errors import UsageError
from genkit.interfaces import Objective, Verdict

# --- what an objective is written in ---------------------------------------------------------------------------------


def row_means(values: Tensor, mask: Tensor | None) -> Tensor:
    """[B]: for each row of `values` [B, ...] the mean over what counts. A row of which nothing counts gives 0."""
    if mask is None:
        return values.flatten(1).mean(1) if values.dim() > 1 else values
    return kept(values, mask).sum(1) / mask.sum(1).clamp(min=1)


def both_masks(first: Tensor | None, second: Tensor | None) -> Tensor | None:
    """Where both masks are True; a missing mask is True everywhere."""
    if first is None or second is None:
        return second if first is None else first
    return first & second


def pair_logits(real: Verdict | None, fake: Verdict) -> list[tuple[Tensor, Tensor]]:
    """For each sub-critic its logits on reals and on fakes, in fp32 or wider.

    Raises UsageError when there is no verdict on reals, or it is of other sub-critics than that on fakes.
    """
    if real is None or len(real.logits) != len(fake.logits):
        raise UsageError(
            "a relativistic objective compares verdicts of the same sub-critics on real and fake, "
            f"but there are {0 if real is None else len(real.logits)} on real and {len(fake.logits)} on fake"
        )
    return [(widen(r), widen(f)) for r, f in zip(real.logits, fake.logits, strict=True)]


class LogitObjective(Objective):
    """An objective made of functions of single logits, or of pairs of them.

    Args:
        reduce: add up the losses of the sub-critics, each times the weight its verdict gives it, or average them.
    """

    def __init__(self, reduce: Reduce = "sum") -> None:
        self.reduce = reduce

    def each(self, verdict: Verdict, loss: Callable[[Tensor], Tensor]) -> Tensor:
        """E[loss(D)] over one verdict's logits, a scalar."""
        means = [row_means(loss(widen(one)), token_mask(one, verdict.mask)).mean() for one in verdict.logits]
        return reduced(means, self.reduce, verdict.weights)

    def paired(self, real: Verdict | None, fake: Verdict, loss: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
        """E[loss(D(r), D(f))] over row i of the reals with row i of the fakes, at positions that count in both.

        Raises UsageError when the two verdicts differ in shape.
        """
        pairs = pair_logits(real, fake)
        for r, f in pairs:
            if r.shape != f.shape:
                raise UsageError(
                    f"a paired objective needs a real logit for each fake one, not {list(r.shape)} for {list(f.shape)}"
                )
        mask = both_masks(real.mask if real else None, fake.mask)
        means = [row_means(loss(r, f), token_mask(f, mask)).mean() for r, f in pairs]
        return reduced(means, self.reduce, fake.weights)


# --- one sample at a time --------------------------------------------------------------------------------------------


class NonSaturating(LogitObjective):
    """L_D = E[-log σ(D(r))] + E[-log(1 - σ(D(f)))], L_G = E[-log σ(D(f))] (Goodfellow et al. 2014, section 3).

    Args:
        reduce: see `LogitObjective`.
        smoothing: one-sided label smoothing s: reals are labelled 1 - s (Salimans et al. 2016, section 3.4).
    """

    def __init__(self, reduce: Reduce = "sum", smoothing: float = 0.0) -> None:
        super().__init__(reduce)
        self.smoothing = smoothing

    def critic_loss(self, real: Verdict, fake: Verdict) -> Tensor:
        return self.each(real, lambda d: F.softplus(-d) + self.smoothing * d) + self.each(fake, F.softplus)

    def generator_loss(self, real: Verdict | None, fake: Verdict) -> Tensor:
        return self.each(fake, lambda d: F.softplus(-d))


class Minimax(NonSaturating):
    """L_D of `NonSaturating`, and L_G = E[log(1 - σ(D(f)))], which saturates (Goodfellow et al. 2014, eq. 1)."""

    def generator_loss(self, real: Verdict | None, fake: Verdict) -> Tensor:
        return self.each(fake, lambda d: -F.softplus(d))


class Hinge(LogitObjective):
    """L_D = E[max(0, 1 - D(r))] + E[max(0, 1 + D(f))], L_G = -E[D(f)] (Lim and Ye 2017).

    Args:
        reduce: see `LogitObjective`.
        clamp_generator: let L_G be E[max(0, 1 - D(f))] (Siuzdak 2023, Vocos).
    """

    def __init__(self, reduce: Reduce = "sum", clamp_generator: bool = False) -> None:
        super().__init__(reduce)
        self.clamp_generator = clamp_generator

    def critic_loss(self, real: Verdict, fake: Verdict) -> Tensor:
        return self.each(real, lambda d: F.relu(1 - d)) + self.each(fake, lambda d: F.relu(1 + d))

    def generator_loss(self, real: Verdict | None, fake: Verdict) -> Tensor:
        return self.each(fake, lambda d: F.relu(1 - d) if self.clamp_generator else -d)


class LeastSquares(LogitObjective):
    """L_D = s E[(D(r) - 1)²] + s E[D(f)²], L_G = s E[(D(f) - 1)²] (Mao et al. 2017, eqs. 2 and 9).

    Args:
        reduce: see `LogitObjective`.
        scale: s, ½ in Mao et al., 1 in vocoders (Kong et al. 2020, HiFi-GAN, eqs. 1 and 2).
    """

    midpoint = 0.5

    def __init__(self, reduce: Reduce = "sum", scale: float = 0.5) -> None:
        super().__init__(reduce)
        self.scale = scale

    def critic_loss(self, real: Verdict, fake: Verdict) -> Tensor:
        return self.scale * (self.each(real, lambda d: (d - 1).square()) + self.each(fake, torch.square))

    def generator_loss(self, real: Verdict | None, fake: Verdict) -> Tensor:
        return self.scale * self.each(fake, lambda d: (d - 1).square())


class Wasserstein(LogitObjective):
    """L_D = E[D(f)] - E[D(r)], L_G = -E[D(f)] (Arjovsky et al. 2017). Something must keep D Lipschitz: `wgan_gp`."""

    midpoint = None

    def critic_loss(self, real: Verdict, fake: Verdict) -> Tensor:
        return self.each(fake, torch.clone) - self.each(real, torch.clone)

    def generator_loss(self, real: Verdict | None, fake: Verdict) -> Tensor:
        return self.each(fake, torch.neg)


# --- against the other side ------------------------------------------------------------------------------------------


class RelativisticPaired(LogitObjective):
    """RpGAN: L_D = E[softplus(D(f) - D(r))], L_G = E[softplus(D(r) - D(f))] over pairs (Jolicoeur-Martineau 2018;
    Huang et al. 2024, R3GAN, section 2). It is the Bradley-Terry loss of preference models.
    """

    needs_real = True
    midpoint = None

    def critic_loss(self, real: Verdict, fake: Verdict) -> Tensor:
        return self.paired(real, fake, lambda r, f: F.softplus(f - r))

    def generator_loss(self, real: Verdict | None, fake: Verdict) -> Tensor:
        return self.paired(real, fake, lambda r, f: F.softplus(r - f))


class RelativisticAverage(LogitObjective):
    """RaGAN: L_D = E[softplus(-(D(r) - E[D(f)]))] + E[softplus(D(f) - E[D(r)])], L_G the same with r and f exchanged
    (Jolicoeur-Martineau 2018).

    The inner means are over the rows it is given: a batch cut into parts, or shared by devices, has another loss.
    """

    needs_real = True
    midpoint = None
    batch_coupled = True

    def critic_loss(self, real: Verdict, fake: Verdict) -> Tensor:
        return self._above(real, fake)

    def generator_loss(self, real: Verdict | None, fake: Verdict) -> Tensor:
        return self._above(fake, real)

    def _above(self, upper: Verdict | None, lower: Verdict | None) -> Tensor:
        """Small when each of `upper` is above the mean of `lower`, and each of `lower` below the mean of `upper`."""
        if upper is None or lower is None:
            raise UsageError("a relativistic objective needs the verdict on reals")

        def gap(one: Tensor, others: Tensor, own: Verdict, other: Verdict, sign: int) -> Tensor:
            mean = row_means(others, token_mask(others, other.mask)).mean()
            return row_means(F.softplus(sign * (one - mean)), token_mask(one, own.mask)).mean()

        gaps = [gap(u, low, upper, lower, -1) + gap(low, u, lower, upper, +1) for u, low in pair_logits(upper, lower)]
        return reduced(gaps, self.reduce, upper.weights)


# --- from a config ---------------------------------------------------------------------------------------------------


def build_non_saturating(config: NonSaturatingConfig) -> NonSaturating:
    return NonSaturating(config.reduce, config.smoothing)


def build_minimax(config: NonSaturatingConfig) -> Minimax:
    return Minimax(config.reduce, config.smoothing)


def build_hinge(config: HingeConfig) -> Hinge:
    return Hinge(config.reduce, config.clamp_generator)


def build_least_squares(config: LeastSquaresConfig) -> LeastSquares:
    return LeastSquares(config.reduce, config.scale)


def build_wasserstein(config: ObjectiveConfig) -> Wasserstein:
    return Wasserstein(config.reduce)


def build_rpgan(config: ObjectiveConfig) -> RelativisticPaired:
    return RelativisticPaired(config.reduce)


def build_ragan(config: ObjectiveConfig) -> RelativisticAverage:
    return RelativisticAverage(config.reduce)
