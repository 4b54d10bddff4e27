"""Mode coverage, measured as PacGAN does (Lin et al. 2018, section 4.1, and the logger of its published code)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch

import genkit
from genkit_points.settings import ModesConfig


class Modes(genkit.Metric):
    """What becomes of each known mode.

    A sample belongs to the nearest mode, and is of high quality when its Mahalanobis distance to it is below the
    threshold: with a threshold of 3, 98.9 % of the true distribution are. From the histogram p of the high-quality
    samples over the M modes:

    - `modes`: modes with at least one of them;
    - `high_quality`: their share of all samples, in [0, 1];
    - `reverse_kl`: KL(p ‖ uniform) = Σ p_i log(M p_i), in nats; log M, its largest value, when there are none. N
      samples of the true distribution have about (M - 1) / 2N.

    Args:
        modes: the modes' means, [[x, y], ...].
        sigma: their standard deviation along each axis.
        threshold: standard deviations within which a sample is of high quality.
    """

    better: Mapping[str, str] = {"modes": "higher", "high_quality": "higher", "reverse_kl": "lower"}

    def __init__(self, modes: list[list[float]], sigma: float, threshold: float) -> None:
        self.modes = torch.tensor(modes, dtype=torch.float64)
        self.sigma = sigma
        self.threshold = threshold

    def __call__(self, real: genkit.Samples, fake: genkit.Samples) -> dict[str, float]:
        """The figures of `fake`; the truth is known, so `real` is not looked at."""
        counts = torch.zeros(len(self.modes), dtype=torch.int64)
        for batch in fake.batches():
            distance, nearest = (torch.cdist(batch.sample.cpu().double(), self.modes) / self.sigma).min(1)
            counts += torch.bincount(nearest[distance < self.threshold], minlength=len(self.modes))
        good = int(counts.sum())
        share = counts / max(good, 1)
        return {
            "modes": float((counts > 0).sum()),
            "high_quality": good / fake.count,
            "reverse_kl": float(torch.special.xlogy(share, share * len(share)).sum()) if good else math.log(len(share)),
        }

    def protocol(self) -> dict[str, Any]:
        return {
            "follows": "PacGAN (Lin et al. 2018)",
            "mixture": f"{len(self.modes)} modes, sigma {self.sigma}",
            "high_quality": f"Mahalanobis distance to the nearest mode below {self.threshold:g}",
            "reverse_kl": "KL(histogram of high-quality samples over modes || uniform), nats",
        }


def build_modes(config: ModesConfig, facts: Mapping[str, Any]) -> Modes:
    """Mode coverage of the mixture that `facts` describe."""
    return Modes(facts["modes"], facts["sigma"], config.threshold)
