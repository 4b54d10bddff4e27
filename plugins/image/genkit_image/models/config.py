"""The options of the image models, which are conditional where the data has labels. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

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


Normalisation = Literal["spectral", "layer", "none"]


@dataclass(frozen=True, kw_only=True)
class ResNetGeneratorConfig:
    """The residual generator of WGAN-GP and SNGAN."""

    widths: Counts = (256, 256, 256, 256)
    """Channels, from the first map up; the resolution doubles between one and the next. Four make 32 pixels of 4."""
    latent: Count = 128
    """Numbers in a latent."""


@dataclass(frozen=True, kw_only=True)
class ResNetCriticConfig:
    """The residual critic of WGAN-GP and SNGAN."""

    widths: Counts = (128, 128)
    """Channels after each halving of the resolution."""
    flat: tuple[Count, ...] = (128, 128)
    """Channels of the blocks that follow at the last resolution."""
    normalisation: Normalisation = "spectral"
    """spectral: no layer stretches anything (SNGAN); layer: layer norm (WGAN-GP at 64 pixels); none (WGAN-GP at 32).
    Batch norm is not offered: with it a gradient penalty is no longer one of each row (Gulrajani et al. 2017, 4)."""
    pooling: Literal["sum", "mean"] = "sum"
    """How the last map becomes one vector: summed (SNGAN) or averaged (WGAN-GP)."""


@dataclass(frozen=True, kw_only=True)
class StyleGAN2Config:
    """What both nets of Karras et al. 2020 share. The resolution halves between one width and the one before it."""

    widths: Counts = (256, 256, 256, 128)
    """Channels of each stage, from the first map up: four make 32 pixels of 4, or 28 pixels want three of 7."""


@dataclass(frozen=True, kw_only=True)
class StyleGAN2GeneratorConfig(StyleGAN2Config):
    """The generator of StyleGAN2, with skips to the picture at each resolution."""

    latent: Count = 256
    """Numbers in z; a latent holds also those of the second z and of the noise."""
    style: Count = 256
    """Numbers in w, and in the mapping network's layers."""
    mapping: Count = 4
    """Layers of the mapping network; the paper has 8."""
    mapping_rate: Annotated[float, Field(gt=0)] = 0.01
    """Learning rate of the mapping network, as a share of the generator's."""
    mixing: Annotated[float, Field(ge=0, le=1)] = 0.9
    """Share of training samples with a second style from some layer on."""
    noise: bool = True
    """Noise in each layer, of a learnt strength; off, a latent is z alone, and a second z where `mixing` is not 0."""


@dataclass(frozen=True, kw_only=True)
class StyleGAN2CriticConfig(StyleGAN2Config):
    """The residual critic of StyleGAN2, which compares the rows of a batch."""

    group: Count = 4
    """Rows whose standard deviation is shown to each of them; fewer where the batch is no multiple."""
