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


Share = Annotated[float, Field(ge=0.0, le=1.0)]


@dataclass(frozen=True, kw_only=True)
class ADAConfig:
    """Karras et al. 2020 (ADA). Each transformation's number multiplies the probability p; 0 leaves it out."""

    probability: Scheduled = 0.8
    """p, a number or a ramp; with a `target`, the most it may become. Above 0.8 the generator begins to imitate what
    the augmentation does (section 2.2)."""
    target: float | None = 0.6
    """How often the critic is to be sure of a real, as the mean sign of its logits: p moves to keep it there. null does
    not adapt p, as R3GAN does."""
    length: Annotated[float, Field(gt=0)] = 500_000
    """Reals in which p can move from 0 to 1."""
    interval: Annotated[int, Field(ge=1)] = 4
    """Critic updates between two moves of p."""
    flip: Share = 1.0
    """Left and right exchanged, half of the time."""
    turn: Share = 1.0
    """A turn by 0, 90, 180 or 270 degrees."""
    shift: Share = 1.0
    """Whole pixels, up to an eighth of the side."""
    scale: Share = 1.0
    """Larger or smaller by 2^N(0, 0.2²)."""
    rotate: Share = 1.0
    """A turn by any angle, before and after `stretch`."""
    stretch: Share = 1.0
    """Width against height, by 2^N(0, 0.2²)."""
    drift: Share = 1.0
    """Parts of pixels, N(0, 0.125²) of the side."""
    brightness: Share = 1.0
    """Lighter or darker by N(0, 0.2²)."""
    contrast: Share = 1.0
    """Colours scaled by 2^N(0, 0.5²)."""
    luma_flip: Share = 1.0
    """Light and dark exchanged, half of the time."""
    hue: Share = 1.0
    """Hues turned by any angle; nothing for grey pictures."""
    saturation: Share = 1.0
    """Saturation scaled by 2^N(0, 1); nothing for grey pictures."""
    cutout: Share = 0.0
    """A square of half the side made grey."""
