"""The options of the data whose modes are known, and of the networks for points. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

from genkit_image.data.config import Resolution

Count = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, kw_only=True)
class MixtureConfig:
    """A mixture of Gaussians in the plane, as PacGAN draws it (Lin et al. 2018, section 4.1)."""

    examples: Count = 100_000
    """Points to learn from."""
    held_out: Annotated[int, Field(ge=0)] = 10_000
    """Further points that training never sees."""
    seed: int = 0
    """Which points are drawn."""


@dataclass(frozen=True, kw_only=True)
class StackedDigitsConfig:
    """Three of the embedded digits as red, green and blue: 1,000 modes, all equally likely but for the digits' own
    frequencies (Lin et al. 2018, section 4.2)."""

    examples: Count = 128_000
    """Triples of training digits, drawn with replacement, to learn from."""
    held_out: Annotated[int, Field(ge=0)] = 26_000
    """Triples of the digits that `image.digits` holds out."""
    resolution: Resolution = 28
    """Pixels a side: 28 as stored, 32 with a black border, or 32·2^k enlarged."""
    seed: int = 0
    """Which triples are drawn."""


@dataclass(frozen=True, kw_only=True)
class ModesConfig:
    """Mode coverage of data whose modes are known."""

    threshold: Annotated[float, Field(gt=0)] = 3.0
    """Standard deviations from the nearest mode within which a point is of high quality. Stacked digits have none."""


@dataclass(frozen=True, kw_only=True)
class PerceptronConfig:
    """What both perceptrons share."""

    width: Count = 128
    """Units in a hidden layer."""


@dataclass(frozen=True, kw_only=True)
class PerceptronGeneratorConfig(PerceptronConfig):
    """The generator of points, with ReLU."""

    depth: Count = 4
    """Hidden layers."""
    latent: Count = 2
    """Numbers in a latent."""


@dataclass(frozen=True, kw_only=True)
class PerceptronCriticConfig(PerceptronConfig):
    """The critic of points, with leaky ReLU."""

    depth: Count = 3
    """Hidden layers."""
