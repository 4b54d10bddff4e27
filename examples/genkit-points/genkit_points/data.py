"""Mixtures of Gaussians in the plane, as PacGAN draws them (Lin et al. 2018, section 4.1)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

import genkit
from genkit_points.settings import MixtureConfig

GRID25 = [(float(x), float(y)) for x in range(-4, 5, 2) for y in range(-4, 5, 2)]
RING8 = [(math.cos(2 * math.pi * i / 8), math.sin(2 * math.pi * i / 8)) for i in range(8)]


class Mixture(genkit.Dataset):
    """Points [N, 2] of equally likely Gaussians with one standard deviation.

    Args:
        points: the points drawn, [N, 2].
        modes: the Gaussians' means.
        sigma: their standard deviation along each axis.
        held_out: points of the same mixture that training never sees.
    """

    def __init__(
        self, points: Tensor, *, modes: Sequence[tuple[float, float]], sigma: float, held_out: Mixture | None = None
    ) -> None:
        self.points = points
        self.facts = {"modality": "points", "shape": [2], "modes": [list(mode) for mode in modes], "sigma": sigma}
        self._held_out = held_out

    def __len__(self) -> int:
        return len(self.points)

    def read(self, index: int) -> Tensor:
        return self.points[index]

    def resident(self) -> Tensor:
        return self.points

    def prepare(self, stored: Tensor, *, rng: genkit.Random) -> genkit.Batch:
        return genkit.Batch(stored.to(torch.get_default_dtype()))

    def held_out(self) -> Mixture | None:
        return self._held_out

    def summary(self) -> Mapping[str, Any]:
        return {"examples": len(self), "modes": len(self.facts["modes"]), "sigma": self.facts["sigma"]}


def draw_mixture(modes: Sequence[tuple[float, float]], sigma: float, config: MixtureConfig) -> Mixture:
    """The mixture's training points, with fresh ones held out. Raises DataError when there are none to learn from."""
    if config.examples < 1:
        raise genkit.DataError(f"a mixture of {config.examples} points", where="data.examples", fix="ask for more")
    rng = genkit.Random(config.seed)
    means = torch.tensor(modes)

    def draw(count: int) -> Tensor:
        return (means[rng.integers(0, len(modes), count)] + sigma * rng.normal(count, 2)).float()

    points = draw(config.examples)
    held_out = Mixture(draw(config.held_out), modes=modes, sigma=sigma) if config.held_out > 0 else None
    return Mixture(points, modes=modes, sigma=sigma, held_out=held_out)


def open_grid25(config: MixtureConfig) -> Mixture:
    """25 Gaussians of σ = 0.05 with means {-4, -2, 0, 2, 4}²."""
    return draw_mixture(GRID25, 0.05, config)


def open_ring8(config: MixtureConfig) -> Mixture:
    """Eight Gaussians of σ = 0.01 with means evenly spaced on the unit circle."""
    return draw_mixture(RING8, 0.01, config)
