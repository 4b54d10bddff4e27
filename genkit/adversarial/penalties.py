"""Penalties on the critic. g is the gradient of the sum of its logits at a sample, E the mean over rows.

A value is unweighted; weight and interval are the trainer's to apply. Each is computed without autocast, in fp32, or in
float64 for float64 samples, and the values of equal parts of a batch average to the batch's own.
"""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor

from genkit.adversarial.judging import full_precision, kept, require_floating, token_mask, widen
from genkit.adversarial.objectives import both_masks, row_means
from genkit.adversarial.settings import (
    FiniteDifferenceConfig,
    LeCamConfig,
    PenaltyConfig,
    WassersteinGradientPenaltyConfig,
)
from genkit.errors import UsageError
from genkit.interfaces import Judge, Judged, Penalty, Verdict
from genkit.random import Random
from genkit.schedules import Scheduled

# --- zero-centred gradient penalties ---------------------------------------------------------------------------------


class R1(Penalty):
    """½ E[‖g(r)‖²]; with weight γ the γ/2 E[‖∇D(r)‖²] of Mescheder et al. 2018, eq. 9, Huang et al. 2024 (R3GAN)."""

    gradient_at = frozenset({"real"})

    def forward(self, real: Judged, fake: Judged, judge: Judge, rng: Random) -> Tensor:
        return _half_square(real)


class R2(Penalty):
    """½ E[‖g(f)‖²] at the fakes (Mescheder et al. 2018, eq. 10)."""

    gradient_at = frozenset({"fake"})

    def forward(self, real: Judged, fake: Judged, judge: Judge, rng: Random) -> Tensor:
        return _half_square(fake)


def _half_square(judged: Judged) -> Tensor:
    if judged.gradient is None:
        raise UsageError("a gradient penalty was given a verdict without gradient", fix="judge(..., gradient=True)")
    with full_precision(judged.gradient.device):
        return 0.5 * widen(judged.gradient).flatten(1).square().sum(1).mean()


class FiniteDifferenceR1(Penalty):
    """E[(D(r) - D(r + σε))²] with ε ~ N(0, I): the approximated R1 of Lin et al. 2025 (arXiv 2501.08316).

    D is the sum of a row's logits. It needs first derivatives only, and is another loss than R1: for small σ about
    σ² E[‖g(r)‖²], so that weight γ/(2σ²) here is near weight γ of `R1`. Dropout in the critic adds noise of its own.

    Args:
        weight, every: see `Penalty`.
        sigma: σ, in the units of the sample (or of the embedding of tokens).
    """

    def __init__(self, weight: Scheduled = 100.0, every: int = 1, *, sigma: float = 0.01) -> None:
        super().__init__(weight, every)
        self.sigma = sigma

    def forward(self, real: Judged, fake: Judged, judge: Judge, rng: Random) -> Tensor:
        """Raises UsageError when the critic's penalty input is no floating-point tensor."""
        point = real.input
        require_floating(point)
        with full_precision(point.device):
            # bf16 logits differ by more from rounding than from σε.
            verdict = judge.at(point, real).verdict if real.rounded else real.verdict
            noise = rng.normal(*point.shape).to(point.dtype)
            near = judge.at(point + self.sigma * noise, real).verdict
            return (_row_sums(verdict) - _row_sums(near)).square().mean()


def _row_sums(verdict: Verdict) -> Tensor:
    """[B]: the sum of each row's logits that count, over all sub-critics."""
    sums = [kept(widen(one), token_mask(one, verdict.mask)) for one in verdict.logits]
    return torch.stack([one.flatten(1).sum(1) if one.dim() > 1 else one for one in sums]).sum(0)


# --- between real and fake -------------------------------------------------------------------------------------------


class WassersteinGradientPenalty(Penalty):
    """E[(‖g(x̂)‖ - target)²] at x̂ = u r + (1 - u) f, u ~ U(0, 1) for each row (Gulrajani et al. 2017, eq. 3).

    Tokens are mixed in the critic's embedding. The condition and augmentation at x̂ are those of the real; a position
    counts where it does in both.

    Args:
        weight, every: see `Penalty`.
        target: the norm that costs nothing.
    """

    def __init__(self, weight: Scheduled = 10.0, every: int = 1, *, target: float = 1.0) -> None:
        super().__init__(weight, every)
        self.target = target

    def forward(self, real: Judged, fake: Judged, judge: Judge, rng: Random) -> Tensor:
        """Raises UsageError when real and fake can not be mixed: no floating-point tensors, or of different shapes."""
        r, f = real.input, fake.input
        require_floating(r)
        require_floating(f)
        if r.shape != f.shape:
            raise UsageError(f"real {list(r.shape)} and fake {list(f.shape)} can not be mixed: their shapes differ")
        with full_precision(r.device):
            share = rng.uniform(len(r), *[1] * (r.dim() - 1)).to(r.dtype)
            like = replace(real, mask=both_masks(real.mask, fake.mask))
            gradient = judge.at(share * r + (1 - share) * f, like, gradient=True).gradient
            assert gradient is not None, "a judge that is asked for a gradient gives one"
            norm = torch.linalg.vector_norm(widen(gradient).flatten(1), dim=1)
            excess: Tensor = norm - self.target
            return excess.square().mean()


# --- towards the other side's average --------------------------------------------------------------------------------


class LeCam(Penalty):
    """E[(D(r) - a_f)²] + E[(D(f) - a_r)²], with a_r and a_f moving averages of D(r) and D(f) (Tseng et al. 2021).

    The averages are of the updates before the present one, over the whole batch on all devices, free of bias towards
    their start (divided by 1 - decayⁿ after n updates), and part of the state. Until there are any, the penalty is 0.
    Sub-critics are added up.

    Args:
        weight, every: see `Penalty`; the averages move when it runs.
        decay: of the moving averages.
        sub_critics: how many logits the verdict has.
        one_sided: count only logits on the right side of the other's average, as the authors' code does.
    """

    sums: Tensor
    """[2, K]: the moving averages of real and fake before their bias is taken out."""
    mass: Tensor
    """[]: the moving average of 1, which is that bias."""
    gathered: Tensor
    """[2, K]: what the parts of the present update have added so far."""
    share: Tensor
    """[]: the share of the batch those parts make."""

    def __init__(
        self,
        weight: Scheduled = 0.01,
        every: int = 1,
        *,
        decay: float = 0.99,
        sub_critics: int = 1,
        one_sided: bool = False,
    ) -> None:
        super().__init__(weight, every)
        self.decay = decay
        self.one_sided = one_sided
        self._last_start: int | None = None
        self.register_buffer("sums", torch.zeros(2, sub_critics))
        self.register_buffer("mass", torch.zeros(()))
        self.register_buffer("gathered", torch.zeros(2, sub_critics))
        self.register_buffer("share", torch.zeros(()))

    def forward(self, real: Judged, fake: Judged, judge: Judge, rng: Random) -> Tensor:
        """Raises UsageError when the verdict has another number of sub-critics."""
        found = len(real.verdict.logits)
        if found != self.sums.shape[1]:
            raise UsageError(
                f"lecam keeps averages for {self.sums.shape[1]} sub-critics and was given {found}",
                where="penalties.lecam.sub_critics",
                fix=f"--set penalties.lecam.sub_critics={found}",
            )
        with full_precision(self.sums.device):
            self._move(real.verdict, fake.verdict, rng)
            known = self.mass > 0
            real_average, fake_average = self.sums / torch.where(known, self.mass, 1.0)
            towards = [
                _mean_square(self._side(widen(r) - a), token_mask(r, real.verdict.mask))
                for r, a in zip(real.verdict.logits, fake_average, strict=True)
            ] + [
                _mean_square(self._side(a - widen(f)), token_mask(f, fake.verdict.mask))
                for f, a in zip(fake.verdict.logits, real_average, strict=True)
            ]
            return torch.where(known, torch.stack(towards).sum(), 0.0)

    def _side(self, distance: Tensor) -> Tensor:
        return F.relu(distance) if self.one_sided else distance

    @torch.no_grad()
    def _move(self, real: Verdict, fake: Verdict, rng: Random) -> None:
        """Let what the last update gathered enter the averages, and gather this part's means."""
        start = rng.rows.start if rng.rows else 0
        if self._last_start is None or start <= self._last_start:  # parts of one update come in ascending order
            some = self.share > 0
            mean = self.gathered / torch.where(some, self.share, 1.0)
            for average, news in ((self.sums, mean), (self.mass, torch.ones_like(self.mass))):
                average.copy_(torch.where(some, self.decay * average + (1 - self.decay) * news, average))
            self.gathered.zero_()
            self.share.zero_()
        self._last_start = start
        part = len(rng.rows) / rng.rows.total if rng.rows else 1.0
        means = [
            torch.stack([row_means(widen(one), token_mask(one, side.mask)).mean() for one in side.logits])
            for side in (real, fake)
        ]
        added = torch.cat([torch.stack(means).to(self.sums.dtype).flatten() * part, self.share.new_full((1,), part)])
        if dist.is_available() and dist.is_initialized():
            dist.all_reduce(added)
        self.gathered.add_(added[:-1].view_as(self.gathered))
        self.share.add_(added[-1])


def _mean_square(distance: Tensor, mask: Tensor | None) -> Tensor:
    return row_means(distance.square(), mask).mean()


# --- from a config ---------------------------------------------------------------------------------------------------


def build_r1(config: PenaltyConfig) -> R1:
    return R1(config.weight, config.every)


def build_r2(config: PenaltyConfig) -> R2:
    return R2(config.weight, config.every)


def build_r1_fd(config: FiniteDifferenceConfig) -> FiniteDifferenceR1:
    return FiniteDifferenceR1(config.weight, config.every, sigma=config.sigma)


def build_wgan_gp(config: WassersteinGradientPenaltyConfig) -> WassersteinGradientPenalty:
    return WassersteinGradientPenalty(config.weight, config.every, target=config.target)


def build_lecam(config: LeCamConfig) -> LeCam:
    return LeCam(
        config.weight, config.every, decay=config.decay, sub_critics=config.sub_critics, one_sided=config.one_sided
    )
