"""What a config can set on the objectives and penalties. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from genkit.schedules import Scheduled

Reduce = Literal["sum", "mean"]
"""How the losses of several sub-critics become one."""


@dataclass(frozen=True, kw_only=True)
class ObjectiveConfig:
    """What every objective can be set to."""

    reduce: Reduce = "sum"
    """Add up the losses of the sub-critics, or average them."""


@dataclass(frozen=True, kw_only=True)
class NonSaturatingConfig(ObjectiveConfig):
    """Non-saturating GAN (Goodfellow et al. 2014)."""

    smoothing: float = 0.0
    """One-sided label smoothing: reals are labelled 1 - smoothing (Salimans et al. 2016)."""


@dataclass(frozen=True, kw_only=True)
class HingeConfig(ObjectiveConfig):
    """Hinge GAN (Lim and Ye 2017)."""

    clamp_generator: bool = False
    """Let the generator's loss be max(0, 1 - D), which stops at the margin (audio codecs, Vocos), not -D."""


@dataclass(frozen=True, kw_only=True)
class LeastSquaresConfig(ObjectiveConfig):
    """Least-squares GAN (Mao et al. 2017)."""

    scale: float = 0.5
    """Factor of each square: 0.5 as Mao et al. write it, 1 as vocoders do (Kong et al. 2020, HiFi-GAN)."""


@dataclass(frozen=True, kw_only=True)
class PenaltyConfig:
    """What every penalty can be set to."""

    weight: Scheduled = 1.0
    """Its share in the critic's loss: a number or a ramp."""
    every: int = 1
    """Run at each `every`-th critic update, with `every` times the weight."""

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"every: {self.every} is not a number of updates; 1 runs the penalty at each")


@dataclass(frozen=True, kw_only=True)
class WassersteinGradientPenaltyConfig(PenaltyConfig):
    """WGAN-GP (Gulrajani et al. 2017)."""

    weight: Scheduled = 10.0
    """λ of the paper: a number or a ramp."""
    target: float = 1.0
    """The gradient norm that is not penalised; 0 gives a zero-centred penalty between the data."""


@dataclass(frozen=True, kw_only=True)
class FiniteDifferenceConfig(PenaltyConfig):
    """Approximated R1 (Lin et al. 2025, arXiv 2501.08316)."""

    weight: Scheduled = 100.0
    """λ of the paper: a number or a ramp."""
    sigma: float = 0.01
    """Standard deviation of the disturbance, in the units of the sample."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.sigma <= 0:
            raise ValueError(f"sigma: {self.sigma} is no disturbance; give a positive number")


@dataclass(frozen=True, kw_only=True)
class LeCamConfig(PenaltyConfig):
    """LeCam regularisation (Tseng et al. 2021)."""

    weight: Scheduled = 0.01
    """λ of the paper: a number or a ramp."""
    decay: float = 0.99
    """Decay of the moving averages of the critic's logits, each time the penalty runs."""
    sub_critics: int = 1
    """How many logits the critic's verdict has; each has moving averages of its own."""
    one_sided: bool = False
    """Count only logits on the right side of the other's average, as the authors' code does; their paper counts all."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0.0 <= self.decay < 1.0:
            raise ValueError(f"decay: {self.decay} is not in [0, 1)")
        if self.sub_critics < 1:
            raise ValueError(f"sub_critics: {self.sub_critics} is not a number of sub-critics")
