"""The options of the augmentations. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

from genkit import Scheduled


@dataclass(frozen=True, kw_only=True)
class DiffAugmentConfig:
    """Zhao et al. 2020."""

    probability: Scheduled = 1.0
    """How likely each transformation of a picture is; the paper's is 1. A number or a ramp."""
    policies: tuple[Literal["colour", "translation", "cutout"], ...] = ("colour", "translation", "cutout")
    """Which transformations."""
    shift: Annotated[float, Field(ge=0.0, le=1.0)] = 0.125
    """Largest translation, as a share of the side."""
    cut: Annotated[float, Field(ge=0.0, le=1.0)] = 0.5
    """Side of the square that is cut out, as a share of the picture's."""
