"""The Fréchet distance between two sets of features (Heusel et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from genkit.evaluation.features import BLOCK, check_features
from genkit.inspection import Extractor, Metric, Samples
from genkit.specs import Better


def frechet_distance(a: Tensor, b: Tensor) -> float:
    """d² = ‖μ_a - μ_b‖² + tr(Σ_a + Σ_b - 2(Σ_a Σ_b)^½), in float64 (Heusel et al. 2017, equation 6).

    The trace of the root is the sum of the singular values of F_a F_bᵀ, where FᵀF = Σ: no root of an unsymmetric
    matrix is taken, and fewer samples than dimensions need no correction.

    Args:
        a: features [N, D].
        b: features [M, D].

    Raises:
        GenkitError: a set has fewer than two samples, its features are not finite, or the two widths differ.
    """
    check_features(a, b, least=2)
    mean_a, factor_a = _moments(a)
    mean_b, factor_b = _moments(b)
    overlap = torch.linalg.svdvals(factor_a @ factor_b.T).sum()
    spread = factor_a.square().sum() + factor_b.square().sum()
    distance = (mean_a - mean_b).square().sum() + spread - 2 * overlap
    return max(float(distance), 0.0)  # equal sets: rounding may leave it a hair below zero


def _moments(features: Tensor) -> tuple[Tensor, Tensor]:
    """The mean [D] and a factor F [min(N, D), D] of the covariance, FᵀF = Σ with divisor N - 1."""
    count, width = features.shape
    mean = torch.stack([part.double().sum(0) for part in torch.split(features, BLOCK)]).sum(0) / count
    if count <= width:
        return mean, (features.double() - mean) / (count - 1) ** 0.5
    covariance = torch.zeros(width, width, dtype=torch.float64, device=features.device)
    for part in torch.split(features, BLOCK):
        centred = part.double() - mean
        covariance.addmm_(centred.T, centred)
    values, vectors = torch.linalg.eigh(covariance / (count - 1))
    return mean, values.clamp_min(0).sqrt().unsqueeze(1) * vectors.T


class Frechet(Metric):
    """Fréchet distance in an extractor's features. Only in Inception's is it called FID.

    Args:
        extractor: what the features are; its name stands beside the figure.
    """

    def __init__(self, extractor: Extractor) -> None:
        self.extractor = extractor
        self.figure = f"frechet[{extractor.name}]"
        self.better: Mapping[str, Better] = {self.figure: "lower"}

    def __call__(self, real: Samples, fake: Samples) -> dict[str, float]:
        return {self.figure: frechet_distance(real.features(self.extractor), fake.features(self.extractor))}

    def protocol(self) -> dict[str, Any]:
        return {"extractor": self.extractor.name, "extractor_version": self.extractor.version}
