"""The kernel distance between two sets of features (Bińkowski et al. 2018)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from genkit.evaluation.features import check_features
from genkit.inspection import Extractor, Metric, Samples
from genkit.specs import Better


def kernel_distance(
    a: Tensor, b: Tensor, *, subsets: int = 100, subset_size: int = 1000, seed: int = 0
) -> tuple[float, float]:
    """The unbiased squared MMD with the kernel k(x, y) = (xᵀy / D + 1)³, averaged over random subsets, in float64
    (Bińkowski et al. 2018, section 4; the estimator is Gretton et al. 2012, equation 3).

    Args:
        a: features [N, D].
        b: features [M, D].
        subsets: subsets averaged; one is enough, and taken, when both sets are used whole.
        subset_size: samples drawn from each set, without replacement; all of a set that has fewer.
        seed: which subsets are drawn.

    Returns:
        The mean over the subsets and their standard deviation (0 for one subset). An unbiased estimate can be negative.

    Raises:
        GenkitError: a set has fewer than two samples, its features are not finite, or the two widths differ.
    """
    check_features(a, b, least=2)
    size_a, size_b = min(subset_size, len(a)), min(subset_size, len(b))
    if size_a == len(a) and size_b == len(b):
        subsets = 1
    generator = torch.Generator().manual_seed(seed)
    estimates = torch.stack(
        [
            _squared_mmd(_subset(a, size_a, generator).double(), _subset(b, size_b, generator).double())
            for _ in range(subsets)
        ]
    )
    return float(estimates.mean()), float(estimates.std()) if subsets > 1 else 0.0


def _subset(features: Tensor, size: int, generator: torch.Generator) -> Tensor:
    return features[torch.randperm(len(features), generator=generator)[:size].to(features.device)]


def _kernel(x: Tensor, y: Tensor) -> Tensor:
    return (x @ y.T / x.shape[1] + 1.0) ** 3


def _squared_mmd(x: Tensor, y: Tensor) -> Tensor:
    """Σ_{i≠j} k(x_i, x_j) / n(n-1) + Σ_{i≠j} k(y_i, y_j) / m(m-1) - 2 Σ_{i,j} k(x_i, y_j) / nm."""

    def within(points: Tensor) -> Tensor:
        count = len(points)
        kernel = _kernel(points, points)
        return (kernel.sum() - kernel.diagonal().sum()) / (count * (count - 1))

    return within(x) + within(y) - 2 * _kernel(x, y).mean()


class Kernel(Metric):
    """Kernel distance in an extractor's features. Only in Inception's is it called KID.

    Args:
        extractor: what the features are; its name stands beside the figure.
        subsets, subset_size, seed: as `kernel_distance` takes them.
    """

    def __init__(self, extractor: Extractor, *, subsets: int = 100, subset_size: int = 1000, seed: int = 0) -> None:
        self.extractor = extractor
        self.subsets = subsets
        self.subset_size = subset_size
        self.seed = seed
        self.figure = f"kernel[{extractor.name}]"
        self.better: Mapping[str, Better] = {self.figure: "lower"}

    def __call__(self, real: Samples, fake: Samples) -> dict[str, float]:
        mean, _ = kernel_distance(
            real.features(self.extractor),
            fake.features(self.extractor),
            subsets=self.subsets,
            subset_size=self.subset_size,
            seed=self.seed,
        )
        return {self.figure: mean}

    def protocol(self) -> dict[str, Any]:
        return {
            "extractor": self.extractor.name,
            "extractor_version": self.extractor.version,
            "kernel": "(x·y/D + 1)^3, unbiased",
            "subsets": f"{self.subsets} of {self.subset_size}, or all of a smaller set",
            "subset_seed": self.seed,
        }
