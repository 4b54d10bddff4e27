"""How much of the real distribution is covered, and how much of the generated one is real, by k-nearest-neighbour
balls."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from genkit.evaluation.features import centred, distances
from genkit.inspection import Extractor, Metric, Samples
from genkit.specs import Better


def precision_recall(real: Tensor, fake: Tensor, *, k: int = 3) -> tuple[float, float]:
    """Improved precision and recall (Kynkäänniemi et al. 2019, equations 1 and 2).

    Precision is the share of fakes inside the ball of some real, recall that of reals inside the ball of some fake; a
    sample's ball reaches to its k-th nearest neighbour in its own set.

    Args:
        real: features [N, D].
        fake: features [M, D].
        k: which neighbour sets a ball's radius.

    Raises:
        GenkitError: a set has no more than k samples, its features are not finite, or the two widths differ.
    """
    real, fake = centred(real, fake, least=k + 1)
    in_real, _ = _balls(fake, centres=real, k=k)
    in_fake, _ = _balls(real, centres=fake, k=k)
    return _share(in_real), _share(in_fake)


def density_coverage(real: Tensor, fake: Tensor, *, k: int = 5) -> tuple[float, float]:
    """Density and coverage (Naeem et al. 2020, equations 3 and 4), with balls around the reals alone.

    Density counts the real balls that a fake lies in, over k (it is near 1 for the real distribution and may exceed
    it); coverage is the share of reals whose ball holds a fake.

    Args:
        real: features [N, D].
        fake: features [M, D].
        k: which neighbour sets a ball's radius.

    Raises:
        GenkitError: a set has no more than k samples, its features are not finite, or the two widths differ.
    """
    real, fake = centred(real, fake, least=k + 1)
    holding, held = _balls(fake, centres=real, k=k)
    return float(holding.double().mean()) / k, _share(held)


def _radii(points: Tensor, k: int) -> Tensor:
    """Distance [N] from each point to its k-th nearest neighbour, itself not counted."""
    radii = points.new_empty(len(points))
    for block, away in distances(points, points):
        own = torch.arange(block.start, block.stop, device=points.device)
        away[torch.arange(len(own), device=points.device), own] = float("inf")
        radii[block] = away.topk(k, dim=1, largest=False).values.amax(1)
    return radii


def _balls(points: Tensor, *, centres: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """For each point [N] the number of balls it lies in, and for each centre's ball [M] the number of points in it."""
    radii = _radii(centres, k)
    containing = torch.zeros(len(points), dtype=torch.int64, device=points.device)
    contained = torch.zeros(len(centres), dtype=torch.int64, device=points.device)
    for block, away in distances(points, centres):
        inside = away <= radii
        containing[block] = inside.sum(1)
        contained += inside.sum(0)
    return containing, contained


def _share(counts: Tensor) -> float:
    return float((counts > 0).double().mean())


class PrecisionRecall(Metric):
    """Improved precision and recall in an extractor's features.

    Args:
        extractor: what the features are; its name stands beside the figures.
        k: which neighbour sets a ball's radius.
    """

    def __init__(self, extractor: Extractor, *, k: int = 3) -> None:
        self.extractor = extractor
        self.k = k
        self.figures = (f"precision[{extractor.name}]", f"recall[{extractor.name}]")
        self.better: Mapping[str, Better] = dict.fromkeys(self.figures, "higher")

    def __call__(self, real: Samples, fake: Samples) -> dict[str, float]:
        values = precision_recall(real.features(self.extractor), fake.features(self.extractor), k=self.k)
        return dict(zip(self.figures, values, strict=True))

    def protocol(self) -> dict[str, Any]:
        return {"extractor": self.extractor.name, "extractor_version": self.extractor.version, "k": self.k}


class DensityCoverage(Metric):
    """Density and coverage in an extractor's features.

    Args:
        extractor: what the features are; its name stands beside the figures.
        k: which neighbour sets a ball's radius.
    """

    def __init__(self, extractor: Extractor, *, k: int = 5) -> None:
        self.extractor = extractor
        self.k = k
        self.figures = (f"density[{extractor.name}]", f"coverage[{extractor.name}]")
        self.better: Mapping[str, Better] = dict.fromkeys(self.figures, "higher")

    def __call__(self, real: Samples, fake: Samples) -> dict[str, float]:
        values = density_coverage(real.features(self.extractor), fake.features(self.extractor), k=self.k)
        return dict(zip(self.figures, values, strict=True))

    def protocol(self) -> dict[str, Any]:
        return {"extractor": self.extractor.name, "extractor_version": self.extractor.version, "k": self.k}
