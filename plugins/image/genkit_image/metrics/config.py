"""The options of the image metrics. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

Count = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, kw_only=True)
class FeatureMetricConfig:
    """What every metric measured in features can be set to."""

    extractor: str = "auto"
    """lenet-digits: the embedded digit classifier; random-conv: an untrained convolutional network; inception:
    Inception-v3 through torch-fidelity (extra ``inception``), with `weights`; a path: a network saved with
    ``torch.export`` (.pt2) or as TorchScript that maps [B, C, H, W] in [-1, 1] to [B, D]; auto: lenet-digits for grey
    pictures labelled 0 to 9, random-conv for others. The name stands beside every figure."""
    weights: str | None = None
    """For inception: the file of its weights as torch-fidelity publishes it, or ``download``, which fetches it once."""


@dataclass(frozen=True, kw_only=True)
class FrechetConfig(FeatureMetricConfig):
    """Fréchet distance (Heusel et al. 2017)."""


@dataclass(frozen=True, kw_only=True)
class KernelConfig(FeatureMetricConfig):
    """Kernel distance (Bińkowski et al. 2018)."""

    subsets: Count = 100
    """Random subsets that are averaged over."""
    subset_size: Annotated[int, Field(ge=2)] = 1000
    """Samples in a subset."""
    seed: int = 0
    """What the choice of subsets depends on."""


@dataclass(frozen=True, kw_only=True)
class PrecisionRecallConfig(FeatureMetricConfig):
    """Improved precision and recall (Kynkäänniemi et al. 2019)."""

    k: Count = 3
    """Which nearest neighbour sets the radius."""


@dataclass(frozen=True, kw_only=True)
class DensityCoverageConfig(FeatureMetricConfig):
    """Density and coverage (Naeem et al. 2020)."""

    k: Count = 5
    """Which nearest neighbour sets the radius."""


@dataclass(frozen=True, kw_only=True)
class AuthenticityConfig(FeatureMetricConfig):
    """Authenticity (Alaa et al. 2022), against pictures as they are stored: where training mirrors them, a mirrored
    copy is not found."""


@dataclass(frozen=True, kw_only=True)
class ClassifierScoreConfig:
    """The classifier score (Salimans et al. 2016)."""

    classifier: str = "lenet-digits"
    """lenet-digits; inception, through torch-fidelity (extra ``inception``), with `weights`; or the path of a network
    saved with ``torch.export`` (.pt2) or as TorchScript that maps [B, C, H, W] in [-1, 1] to logits [B, classes]."""
    weights: str | None = None
    """For inception: the file of its weights as torch-fidelity publishes it, or ``download``, which fetches it once."""
    splits: Count = 1
    """Parts that are scored apart, then averaged; the authors' code takes 10."""


@dataclass(frozen=True, kw_only=True)
class ClassificationAccuracyConfig:
    """The classification accuracy score (Ravuri and Vinyals 2019)."""

    epochs: Count = 10
    """Passes of the classifier over the samples."""
    seed: int = 0
    """Of the classifier's first weights and of the order of samples."""


@dataclass(frozen=True, kw_only=True)
class AgreementConfig:
    """How often a classifier sees the label that was asked for."""

    classifier: str = "lenet-digits"
    """lenet-digits, or the path of a network saved with ``torch.export`` (.pt2) or as TorchScript that maps
    [B, C, H, W] in [-1, 1] to logits [B, classes] in the order of the data's labels."""


@dataclass(frozen=True, kw_only=True)
class ReconstructionConfig:
    """How far what was made of a picture is from what it was."""
