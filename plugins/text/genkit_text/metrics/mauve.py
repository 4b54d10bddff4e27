"""The area under the divergence frontier between two sets of texts (Pillutla et al. 2021)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from genkit import Extractor, Metric, Samples
from genkit_text.metrics.config import MauveConfig
from genkit_text.metrics.embedding import open_extractor
from genkit_text.metrics.texts import Reader

ROUNDS = 100  # of Lloyd's algorithm at most; it nearly always stops by itself before
POINTS = 100  # of the frontier


def divergence_frontier_area(p: Tensor, q: Tensor, scale: float = 5.0) -> float:
    """The area under the curve of (exp(-c KL(q‖r)), exp(-c KL(p‖r))) over the mixtures r = λp + (1 - λ)q, closed by the
    corners (1, 0) and (0, 1); 1 when p = q, towards 0 when they share nothing (Pillutla et al. 2021, equations 1 and
    2).

    Args:
        p: histogram [K] that sums to one.
        q: another.
        scale: c.
    """
    mixed = torch.linspace(0, 1, POINTS + 2, dtype=torch.float64)[1:-1, None]
    r = mixed * p.double() + (1 - mixed) * q.double()
    x = torch.cat([torch.ones(1), (-scale * _kl(q.double(), r)).exp(), torch.zeros(1)])
    y = torch.cat([torch.zeros(1), (-scale * _kl(p.double(), r)).exp(), torch.ones(1)])
    return float(torch.trapezoid(y.flip(0), x.flip(0)))


def cluster(points: Tensor, clusters: int, seed: int) -> Tensor:
    """The cell [N] of each point [N, D]: k-means from k-means++ seeding (Lloyd 1982; Arthur and Vassilvitskii 2007).

    Fewer cells than asked for come out where fewer points are different.
    """
    points = points.float()
    generator = torch.Generator().manual_seed(seed)
    chosen = [int(torch.randint(len(points), (1,), generator=generator))]
    nearest = (points - points[chosen[0]]).square().sum(1)
    while len(chosen) < min(clusters, len(points)) and float(nearest.sum()) > 0:
        chosen.append(int(torch.multinomial(nearest, 1, generator=generator)))
        nearest = torch.minimum(nearest, (points - points[chosen[-1]]).square().sum(1))
    centres = points[chosen].clone()
    cells = torch.full((len(points),), -1)
    for _ in range(ROUNDS):
        found = torch.cdist(points, centres).argmin(1)
        if torch.equal(found, cells):
            break
        cells = found
        sizes = torch.bincount(cells, minlength=len(centres))
        sums = torch.zeros_like(centres).index_add_(0, cells, points)
        occupied = sizes > 0  # an empty cell keeps its centre
        centres[occupied] = sums[occupied] / sizes[occupied, None]
    return cells


def _kl(p: Tensor, mixtures: Tensor) -> Tensor:
    """KL(p‖r) of each of the mixtures [M, K]: [M]."""
    return torch.xlogy(p, p).sum() - torch.xlogy(p, mixtures).sum(1)


class Mauve(Metric):
    """MAUVE's area, mean over several clusterings, and their standard deviation. The published figures are measured on
    GPT-2's features, and short texts carry little signal: only what one extractor measures on equally many samples
    compares.

    Args:
        extractor: what the features are; its name stands beside the figure.
        clusters: cells; None for a tenth of the smaller set.
        repeats: clusterings.
        scale: c of `divergence_frontier_area`.
        seed: what the clusterings depend on.
    """

    def __init__(
        self, extractor: Extractor, *, clusters: int | None = None, repeats: int = 5, scale: float = 5.0, seed: int = 0
    ) -> None:
        self.extractor, self.clusters, self.repeats, self.scale, self.seed = extractor, clusters, repeats, scale, seed
        self.figure, self.spread = f"mauve[{extractor.name}]", f"mauve_spread[{extractor.name}]"
        self.better: Mapping[str, Literal["lower", "higher"]] = {self.figure: "higher", self.spread: "lower"}

    def __call__(self, real: Samples, fake: Samples) -> dict[str, float]:
        a, b = real.features(self.extractor), fake.features(self.extractor)
        clusters = self.clusters or max(2, round(min(len(a), len(b)) / 10))
        areas = []
        for repeat in range(self.repeats):
            cells = cluster(torch.cat([a, b]), clusters, self.seed + repeat)
            p, q = (
                torch.bincount(part, minlength=clusters).double() / len(part)
                for part in (cells[: len(a)], cells[len(a) :])
            )
            areas.append(divergence_frontier_area(p, q, self.scale))
        found = torch.tensor(areas, dtype=torch.float64)
        return {self.figure: float(found.mean()), self.spread: float(found.std(correction=0))}

    def protocol(self) -> dict[str, Any]:
        return {
            "extractor": self.extractor.name,
            "extractor_version": self.extractor.version,
            "clusters": self.clusters or "a tenth of the smaller set",
            "clusterings": f"{self.repeats} k-means from seed {self.seed}; the spread is their standard deviation",
            "scale": self.scale,
        }


def build_mauve(config: MauveConfig, facts: Mapping[str, Any]) -> Mauve:
    """The area under the divergence frontier."""
    return Mauve(
        open_extractor(config.extractor, Reader(facts)),
        clusters=config.clusters,
        repeats=config.repeats,
        scale=config.scale,
        seed=config.seed,
    )
