"""The options of the image models, which are conditional where the data has labels. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

Count = Annotated[int, Field(ge=1)]
Counts = Annotated[tuple[Count, ...], Field(min_length=1)]


@dataclass(frozen=True, kw_only=True)
class DCGANGeneratorConfig:
    """Radford et al. 2016, figure 1, for any resolution of 4 to 7 times a power of two."""

    width: Count = 64
    """Channels before the last layer; twice as many for each halving of the resolution. Figure 1 has 128, the authors'
    torch code and PyTorch's tutorial 64."""
    latent: Count = 100
    """Numbers in a latent."""
    embedding: Count = 50
    """Numbers that stand for a label beside the latent."""


@dataclass(frozen=True, kw_only=True)
class DCGANCriticConfig:
    """Radford et al. 2016. Batch norm couples the batch: no gradient penalty under torch.compile."""

    width: Count = 64
    """Channels after the first layer; twice as many for each halving of the resolution."""


@dataclass(frozen=True, kw_only=True)
class R3GANConfig:
    """What both nets of Huang et al. 2024, config E, share. The resolution is 4·2^(stages - 1)."""

    widths: Counts = (128, 128, 128, 64)
    """Channels of each stage, from 4x4 pixels up."""
    groups: Counts = (16, 16, 16, 8)
    """Groups of each stage's 3x3 convolutions; the paper has 16 channels in each (32 for ImageNet)."""
    blocks: Count = 2
    """Residual blocks in a stage."""
    expansion: Count = 2
    """How many times wider a block is inside."""


@dataclass(frozen=True, kw_only=True)
class R3GANGeneratorConfig(R3GANConfig):
    """The generator of R3GAN."""

    latent: Count = 64
    """Numbers in a latent."""
    embedding: Count = 64
    """Numbers that stand for a label beside the latent."""


@dataclass(frozen=True, kw_only=True)
class R3GANCriticConfig(R3GANConfig):
    """The critic of R3GAN."""


@dataclass(frozen=True, kw_only=True)
class SmallConfig:
    """What both small nets share. The resolution is a multiple of 4; the work is done at a quarter of it."""

    width: Count = 32
    """Channels at a quarter of the resolution."""


@dataclass(frozen=True, kw_only=True)
class SmallGeneratorConfig(SmallConfig):
    """The small generator."""

    blocks: Annotated[int, Field(ge=0)] = 2
    """Residual blocks at a quarter of the resolution."""
    latent: Count = 64
    """Numbers in a latent."""
    embedding: Count = 32
    """Numbers that stand for a label beside the latent."""


@dataclass(frozen=True, kw_only=True)
class SmallCriticConfig(SmallConfig):
    """The small critic."""

    blocks: Annotated[int, Field(ge=0)] = 1
    """Residual blocks at a quarter of the resolution."""
    hidden: Count = 256
    """Numbers the whole picture is summed up in before the logit."""
