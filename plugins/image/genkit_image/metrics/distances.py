"""The core's scores of features, bound to an extractor of images."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genkit import Metric, evaluation
from genkit_image.metrics.config import (
    AuthenticityConfig,
    ClassifierScoreConfig,
    DensityCoverageConfig,
    FrechetConfig,
    KernelConfig,
    PrecisionRecallConfig,
)
from genkit_image.metrics.extractors import open_classifier, open_extractor


def build_frechet(config: FrechetConfig, facts: Mapping[str, Any]) -> Metric:
    """Fréchet distance in the extractor's features."""
    return evaluation.Frechet(open_extractor(config.extractor, facts, config.weights))


def build_kernel(config: KernelConfig, facts: Mapping[str, Any]) -> Metric:
    """Kernel distance in the extractor's features."""
    extractor = open_extractor(config.extractor, facts, config.weights)
    return evaluation.Kernel(extractor, subsets=config.subsets, subset_size=config.subset_size, seed=config.seed)


def build_precision_recall(config: PrecisionRecallConfig, facts: Mapping[str, Any]) -> Metric:
    """Precision and recall in the extractor's features."""
    return evaluation.PrecisionRecall(open_extractor(config.extractor, facts, config.weights), k=config.k)


def build_density_coverage(config: DensityCoverageConfig, facts: Mapping[str, Any]) -> Metric:
    """Density and coverage in the extractor's features."""
    return evaluation.DensityCoverage(open_extractor(config.extractor, facts, config.weights), k=config.k)


def build_authenticity(config: AuthenticityConfig, facts: Mapping[str, Any]) -> Metric:
    """Authenticity in the extractor's features."""
    return evaluation.Authenticity(open_extractor(config.extractor, facts, config.weights))


def build_classifier_score(config: ClassifierScoreConfig, facts: Mapping[str, Any]) -> Metric:
    """The classifier score, by a classifier of images."""
    return evaluation.ClassifierScore(open_classifier(config.classifier, config.weights), splits=config.splits)
