"""The options of the views. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

Count = Annotated[int, Field(ge=1)]
Several = Annotated[int, Field(ge=2)]
Positive = Annotated[float, Field(gt=0)]
Weight = Annotated[float, Field(ge=0)]


@dataclass(frozen=True, kw_only=True)
class StripConfig:
    """Rows that go from one sample to another, along the sphere that normal latents lie near."""

    rows: Count = 4
    """Pairs of samples."""
    columns: Several = 9
    """Pictures from one sample to the other, both included."""


@dataclass(frozen=True, kw_only=True)
class WalkConfig:
    """A GIF that goes from sample to sample and back to the first, along the sphere that normal latents lie near."""

    walks: Count = 4
    """Walks side by side."""
    stops: Several = 5
    """Samples that each walk passes."""
    frames: Count = 12
    """Pictures from one stop to the next."""
    rate: Annotated[float, Field(gt=0, le=50)] = 12.0
    """Pictures in a second."""


@dataclass(frozen=True, kw_only=True)
class TruncationConfig:
    """The same samples, each with less variety in one column than in the next."""

    rows: Count = 6
    """Samples."""
    values: Annotated[tuple[Positive, ...], Field(min_length=1)] | None = None
    """Where the generator has the setting `truncation` (StyleGAN2): its values, null: 0.25 to 1. Else bounds that each
    number of a normal latent is kept within (Brock et al. 2019), null: 0.25 to 2 and none."""


@dataclass(frozen=True, kw_only=True)
class ClassesConfig:
    """A row for each label, the same latents in each."""

    columns: Count = 8
    """Samples of a label."""
    most: Count = 40
    """Labels at most, the first ones."""


@dataclass(frozen=True, kw_only=True)
class NeighboursConfig:
    """Samples beside the training pictures nearest to them."""

    rows: Count = 8
    """Samples."""
    neighbours: Count = 6
    """Training pictures beside each, the nearest first."""
    extractor: str = "pixels"
    """pixels: the root of the mean squared difference of pixels in [-1, 1]; else an extractor as metrics take it (auto,
    lenet-digits, random-conv, a path), whose features are compared by their distance."""


@dataclass(frozen=True, kw_only=True)
class ProjectionConfig:
    """The latents that come nearest to given pictures."""

    image: str | Annotated[tuple[str, ...], Field(min_length=1)]
    """The picture, or several: files of any size and kind, brought to the run's resolution by their largest square."""
    steps: Annotated[int, Field(ge=0)] = 300
    """Steps of Adam."""
    rate: Positive = 0.05
    """Its learning rate, which falls to nothing along a cosine."""
    starts: Count = 256
    """Random latents of which the nearest in pixels is begun with."""
    pixels: Weight = 1.0
    """Weight of the mean squared difference of pixels."""
    features: Weight = 0.1
    """Weight of the difference of the critic's features, as a share of the picture's own."""
    prior: Weight = 0.01
    """Weight of what keeps a latent at the length that normal latents have."""
