"""`image.ring8` and `image.grid25`: narrow Gaussians in the plane, whose every mode is known (Lin et al. 2018, 4.1).

A point is a picture of one pixel with two channels, x and y, so that every part that asks for pictures takes it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from genkit import Batch, Dataset, Random
from genkit_image.bench.config import MixtureConfig

KIND = "mixture"
RING8 = [(math.cos(math.pi * i / 4), math.sin(math.pi * i / 4)) for i in range(8)]
GRID25 = [(float(x), float(y)) for x in range(-4, 5, 2) for y in range(-4, 5, 2)]


class Mixture(Dataset):
    """Points [N, 2, 1, 1] of equally likely Gaussians with one standard deviation.

    Args:
        points: [N, 2, 1, 1].
        means: the Gaussians' means.
        sigma: their standard deviation along each axis.
        held_out: points of the same mixture that training never sees.
    """

    def __init__(
        self, points: Tensor, *, means: Sequence[tuple[float, float]], sigma: float, held_out: Mixture | None = None
    ) -> None:
        self.points, self._held_out = points, held_out
        self.facts = {
            "modality": "image",
            "shape": [2, 1, 1],
            "labels": None,
            "modes": {"kind": KIND, "means": [list(mean) for mean in means], "sigma": sigma},
        }

    def __len__(self) -> int:
        return len(self.points)

    def read(self, index: int) -> Tensor:
        """One point, [2, 1, 1]."""
        return self.points[index]

    def resident(self) -> Tensor:
        """All points, [N, 2, 1, 1]."""
        return self.points

    def prepare(self, stored: Tensor, *, rng: Random) -> Batch:
        """Points [B, 2, 1, 1], as they are."""
        return Batch(stored.to(torch.get_default_dtype()))

    def held_out(self) -> Mixture | None:
        return self._held_out

    def summary(self) -> Mapping[str, Any]:
        modes = self.facts["modes"]
        return {"name": KIND, "examples": len(self), "modes": len(modes["means"]), "sigma": modes["sigma"]}


def draw_mixture(means: Sequence[tuple[float, float]], sigma: float, config: MixtureConfig) -> Mixture:
    """The mixture's training points, with fresh ones held out."""
    rng = Random(config.seed)
    centres = torch.tensor(means)

    def points(count: int) -> Tensor:
        drawn = centres[rng.integers(0, len(means), count)] + sigma * rng.normal(count, 2)
        return drawn.float().view(count, 2, 1, 1)

    learnt = points(config.examples)
    held_out = Mixture(points(config.held_out), means=means, sigma=sigma) if config.held_out else None
    return Mixture(learnt, means=means, sigma=sigma, held_out=held_out)


def open_ring8(config: MixtureConfig) -> Mixture:
    """Eight Gaussians of σ = 0.01 with means evenly spaced on the unit circle."""
    return draw_mixture(RING8, 0.01, config)


def open_grid25(config: MixtureConfig) -> Mixture:
    """25 Gaussians of σ = 0.05 with means {-4, -2, 0, 2, 4}²."""
    return draw_mixture(GRID25, 0.05, config)
