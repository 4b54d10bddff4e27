"""Evaluation: distances between features, coverage, and scores that carry their protocol."""

from __future__ import annotations

from genkit.evaluation.coverage import DensityCoverage, PrecisionRecall, density_coverage, precision_recall
from genkit.evaluation.evaluate import GeneratedSamples, RealSamples, SampleSet, evaluate
from genkit.evaluation.frechet import Frechet, frechet_distance
from genkit.evaluation.kernel import Kernel, kernel_distance
from genkit.evaluation.networks import SavedNetwork, saved_network
from genkit.evaluation.protocol import Score

__all__ = [
    "DensityCoverage", "Frechet", "GeneratedSamples", "Kernel", "PrecisionRecall", "RealSamples", "SampleSet",
    "SavedNetwork", "Score", "density_coverage", "evaluate", "frechet_distance", "kernel_distance", "precision_recall",
    "saved_network",
]  # fmt: skip
