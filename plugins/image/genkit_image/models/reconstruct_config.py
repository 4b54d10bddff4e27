"""The options of the models that make a picture of a picture. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

Count = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, kw_only=True)
class ReconstructConfig:
    """What both nets share. The resolution is `fold` times 4, 5, 6 or 7 times a power of two from 2 on."""

    fold: Annotated[int, Field(ge=1, le=8)] = 2
    """Pixels a side that become channels at the entry, and again pixels at the exit; 1: none. Doubling it makes the
    finest blocks four times as fast."""
    width: Count = 32
    """Channels of the finest blocks, twice as many after each halving."""
    widest: Count = 256
    """Channels at most."""
    blocks: Annotated[int, Field(ge=0)] = 1
    """Residual blocks at each size, on the way down and, in the generator, on the way up."""


@dataclass(frozen=True, kw_only=True)
class ReconstructGeneratorConfig(ReconstructConfig):
    """A U-Net of residual blocks."""

    latent: Annotated[int, Field(ge=0)] = 16
    """Numbers in a latent, which enters at the coarsest size; 0: one completion for each picture."""


@dataclass(frozen=True, kw_only=True)
class ReconstructCriticConfig(ReconstructConfig):
    """A critic that judges the picture as a whole, beside what it was made of."""

    hidden: Count = 256
    """Numbers the picture is summed up in before the logit."""


@dataclass(frozen=True, kw_only=True)
class PatchCriticConfig:
    """PatchGAN (Isola et al. 2017, section 3.2.2): a logit for each of many overlapping patches."""

    width: Count = 64
    """Channels after the first layer, twice as many after each of the next, up to 8 times."""
    layers: Annotated[int, Field(ge=1, le=6)] = 3
    """Strided layers; 3 see patches of 70x70 pixels, the paper's choice for 256, 1 and 2 of 16x16 and 34x34."""
