"""Evaluation: distances between features, coverage, and scores that carry their protocol."""

from __future__ import annotations

from genkit.evaluation.authenticity import Authenticity, authenticity
from genkit.evaluation.classifier import ClassifierScore, classifier_score
from genkit.evaluation.coverage import DensityCoverage, PrecisionRecall, density_coverage, precision_recall
from genkit.evaluation.evaluate import GeneratedSamples, RealSamples, SampleSet, evaluate
from genkit.evaluation.frechet import Frechet, frechet_distance
from genkit.evaluation.kernel import Kernel, kernel_distance
from genkit.evaluation.modes import ModeCoverage, mode_coverage
from genkit.evaluation.networks import SavedNetwork, saved_network
from genkit.evaluation.protocol import Score

__all__ = [
    "Authenticity", "ClassifierScore", "DensityCoverage", "Frechet", "GeneratedSamples", "Kernel", "ModeCoverage",
    "PrecisionRecall", "RealSamples", "SampleSet", "SavedNetwork", "Score", "authenticity", "classifier_score",
    "density_coverage", "evaluate", "frechet_distance", "kernel_distance", "mode_coverage", "precision_recall",
    "saved_network",
]  # fmt: skip
