"""Values that change over training. Their clock is the samples seen, so they survive a change of batch size."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from genkit.bounds import AT_LEAST_0, FINITE, BoundsError, check_bounds


@dataclass(frozen=True, kw_only=True)
class Ramp:
    """A value that moves from `start` to `end` over a number of samples and then stays.

    The cosine form is v(n) = start + ½(1 - cos(πn/N))(end - start), as R3GAN's burn-in (Huang et al. 2024) uses it; the
    exponential one start·(end/start)^(n/N), a rate times the same factor after every so many samples.

    Raises ConfigError when a length is negative, and when an exponential ramp would pass through 0.
    """

    start: float
    """Value when the ramp begins."""
    end: float
    """Value once `over` samples have been seen."""
    over: float
    """Length of the ramp, in samples."""
    shape: Literal["linear", "cosine", "exponential"] = "cosine"
    """How the value moves between the two."""
    warmup: float = 0.0
    """Samples of linear rise from 0 to `start` before the ramp begins."""

    def __post_init__(self) -> None:
        check_bounds(self, (AT_LEAST_0, "over warmup"), (FINITE, "start end"))
        if self.shape == "exponential" and self.start * self.end <= 0:
            through = f"an exponential ramp from {self.start:g} to {self.end:g} would pass through 0"
            raise BoundsError(
                f"this ramp can not be: {through}",
                fields={"shape": f"{through}; give both ends the same sign, or shape: linear"},
            )

    def at(self, samples: float) -> float:
        """The value after `samples` samples."""
        if samples < self.warmup:
            return self.start * samples / self.warmup
        done = min(max((samples - self.warmup) / self.over, 0.0), 1.0) if self.over > 0 else 1.0
        if self.shape == "exponential":
            return self.start * math.pow(self.end / self.start, done)
        if self.shape == "cosine":
            done = (1.0 - math.cos(math.pi * done)) / 2.0
        return self.start + done * (self.end - self.start)


Scheduled = float | Ramp
"""A number, or a ramp of numbers: what any scheduled setting accepts."""


def value_at(value: Scheduled, samples: float) -> float:
    """The value of a scheduled setting after `samples` samples."""
    return value.at(samples) if isinstance(value, Ramp) else float(value)
