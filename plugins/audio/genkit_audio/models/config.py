"""Options of the generators and critics of audio. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from pydantic import Field

from genkit import ConfigError

Count = Annotated[int, Field(ge=1)]
Counts = Annotated[tuple[Count, ...], Field(min_length=1)]
Size = Annotated[int, Field(ge=2, multiple_of=2)]
Sizes = Annotated[tuple[Size, ...], Field(min_length=1)]


# --- vocoders --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class VocosConfig:
    """``audio.vocos``. The defaults are those of the published net of 24 kHz."""

    width: Count = 512
    """Channels between blocks."""
    hidden: Count = 1536
    """Channels within a block."""
    layers: Count = 8
    """ConvNeXt blocks."""
    fft: Size | None = None
    """Samples in the inverse transform; null: as in the data's mel. The hop is always the mel's."""


@dataclass(frozen=True, kw_only=True)
class HiFiGANConfig:
    """``audio.hifigan``. The defaults are V1; see `HIFIGAN`."""

    width: Count = 512
    """Channels before the first upsampling; each one halves them."""
    rates: Counts = (8, 8, 2, 2)
    """How many times each upsampling makes the signal longer; their product is the mel's hop."""
    kernels: Counts = (16, 16, 4, 4)
    """Taps of each upsampling; twice the rate, so that none is left out."""
    block: Literal["double", "single"] = "double"
    """double: each dilated convolution is followed by a plain one (V1, V2); single: it stands alone (V3)."""
    block_kernels: Counts = (3, 7, 11)
    """Taps of each of the blocks whose outputs are averaged after an upsampling."""
    block_dilations: tuple[Counts, ...] = ((1, 3, 5), (1, 3, 5), (1, 3, 5))
    """Dilations within each of these blocks."""


HIFIGAN = {
    "v1": HiFiGANConfig(),
    "v2": HiFiGANConfig(width=128),
    "v3": HiFiGANConfig(
        width=256,
        rates=(8, 8, 4),
        kernels=(16, 16, 8),
        block="single",
        block_kernels=(3, 5, 7),
        block_dilations=((1, 2), (2, 6), (3, 12)),
    ),
}
"""The published variants (Kong et al. 2020, appendix A)."""


@dataclass(frozen=True, kw_only=True)
class ISTFTNetConfig(HiFiGANConfig):
    """``audio.istftnet``. The defaults are V1-C8C8I: two upsamplings, then an inverse Fourier transform."""

    rates: Counts = (8, 8)
    """How many times each upsampling makes the signal longer; their product times `hop` is the mel's hop."""
    kernels: Counts = (16, 16)
    """Taps of each upsampling."""
    fft: Size = 16
    """Samples in the inverse transform."""
    hop: Count = 4
    """Samples between its frames."""


@dataclass(frozen=True, kw_only=True)
class BigVGANConfig(HiFiGANConfig):
    """``audio.bigvgan``. The defaults are BigVGAN-base; 112 M parameters have a width of 1536 and rates
    (4, 4, 2, 2, 2, 2) of kernels (8, 8, 4, 4, 4, 4)."""

    activation: Literal["snakebeta", "snake"] = "snakebeta"
    """snake: x + sin²(ax)/a with a learnt for each channel; snakebeta: x + sin²(ax)/b."""
    end: Literal["tanh", "clamp"] = "tanh"
    """tanh, of a convolution with a bias, as in version 1; clamp, of one without, as in version 2."""


# --- generators from noise -------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class WaveGANConfig:
    """``audio.wavegan``: Donahue et al. 2019. The length is 16·4ⁿ samples or twice as many; the paper's is 16384."""

    width: Count = 64
    """Channels before the last layer; twice as many for each layer before it."""
    latent: Count = 100
    """Numbers in a latent."""
    embedding: Count = 50
    """Numbers that stand for a label beside the latent."""
    post_filter: Annotated[int, Field(ge=0)] = 0
    """Taps of a learnt filter over the output, which takes out the pitched noise of upsampling; 0: none. The authors'
    code has 512."""


@dataclass(frozen=True, kw_only=True)
class FramesConfig:
    """``audio.frames``: from noise to short sounds, at the rate of frames."""

    width: Count = 256
    """Channels between blocks."""
    hidden: Count = 512
    """Channels within a block."""
    layers: Count = 4
    """Blocks at the full rate of frames."""
    doublings: Annotated[int, Field(ge=0)] = 3
    """Doublings of the rate before that, each after a block."""
    fft: Size = 512
    """Samples in the inverse transform."""
    hop: Count = 128
    """Samples between frames."""
    latent: Count = 128
    """Numbers in a latent that speak of the whole sound."""
    noise: Annotated[int, Field(ge=0)] = 16
    """Numbers in a latent for each frame, which textures such as a snare's are made of."""
    embedding: Count = 64
    """Numbers that stand for a label beside the latent."""


# --- critics ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class MultiPeriodConfig:
    """``audio.multi_period``: 41.1 M parameters as published."""

    periods: Counts = (2, 3, 5, 7, 11)
    """Samples in a row, one sub-critic each."""
    width: Count = 32
    """Channels after the first layer; 32 times as many in the last."""


@dataclass(frozen=True, kw_only=True)
class MultiScaleConfig:
    """``audio.multi_scale``: 29.6 M parameters as published."""

    scales: Count = 3
    """Sub-critics; each hears the wave averaged over pairs once more than the one before."""
    width: Annotated[int, Field(ge=4, multiple_of=4)] = 128
    """Channels after the first layer; 8 times as many in the last."""


@dataclass(frozen=True, kw_only=True)
class MultiResolutionConfig:
    """``audio.multi_resolution``: magnitudes as a picture. The defaults are UnivNet's and BigVGAN's."""

    ffts: Sizes = (1024, 2048, 512)
    """Samples in a transform, one sub-critic each."""
    hops: Counts = (120, 240, 50)
    """Samples between the frames of each."""
    windows: Sizes = (600, 1200, 240)
    """Samples under the window of each."""
    width: Count = 32
    """Channels of each layer."""


@dataclass(frozen=True, kw_only=True)
class MultiBandConfig:
    """``audio.multi_band``: complex spectra in bands, each with filters of its own. The defaults are those of Vocos."""

    ffts: Sizes = (2048, 1024, 512)
    """Samples in a transform, one sub-critic each; the hop is a quarter."""
    bands: tuple[Annotated[float, Field(gt=0, lt=1)], ...] = (0.1, 0.25, 0.5, 0.75)
    """Where bands meet, as shares of half the rate."""
    width: Count = 32
    """Channels of each layer."""
    loudness: bool = False
    """Let it hear how loud a wave is; else each is scaled to a peak of 0.8."""


@dataclass(frozen=True, kw_only=True)
class WaveGANCriticConfig:
    """``audio.wavegan_critic``: Donahue et al. 2019."""

    width: Count = 64
    """Channels after the first layer; twice as many after each next one."""
    shuffle: Annotated[int, Field(ge=0)] = 2
    """Samples by which phases are shuffled at most, either way, after each layer but the last."""


@dataclass(frozen=True, kw_only=True)
class FramesCriticConfig:
    """``audio.frames_critic``: spectra whose bins are channels: few, large products, for a CPU."""

    ffts: Sizes = (1024, 256)
    """Samples in a transform, one sub-critic each."""
    overlap: Count = 4
    """Transforms that each sample is in: the hop is fft / overlap."""
    width: Count = 192
    """Channels of each layer."""
    layers: Count = 3
    """Convolutions before the last: the first of each frame by itself, the others over frames, halving their rate."""
    gain: Annotated[float, Field(gt=0)] = 100.0
    """g in log(1 + g |S|), as which a magnitude is heard; a full-scale sine's is 0.5. What is quieter than 1 / g hardly
    counts, and a generator that has fallen silent hardly learns from it."""
    penalised: Literal["spectra", "wave"] = "spectra"
    """What a gradient penalty differentiates by: the spectra as the critic hears them, or the wave. Within
    ``audio.combined`` it is the wave."""

    def check_length(self, samples: int, *, where: str) -> None:
        """Raises ConfigError when sounds of so many samples have too few frames for it; `where` is its own key."""
        for fft in self.ffts:
            frames = samples // max(1, fft // self.overlap)
            if frames < 1 << (self.layers - 1):
                raise ConfigError(
                    f"{frames} frames of a transform of {fft} can not be halved {self.layers - 1} times",
                    where=f"{where}.layers",
                    fix=f"--set {where}.layers={max(1, frames.bit_length())}",
                )


@dataclass(frozen=True, kw_only=True)
class Shares:
    """What each kind of critic counts in the losses; its sub-critics share that out, so that they count as their mean.
    The defaults are those of Vocos (Siuzdak 2023)."""

    multi_period: float = 1.0
    """Waves folded into rows of a period."""
    multi_scale: float = 1.0
    """Waves at several rates."""
    multi_resolution: float = 0.1
    """Magnitudes at several resolutions."""
    multi_band: float = 0.1
    """Complex spectra in bands."""
    frames: float = 1.0
    """Spectra whose bins are channels."""


@dataclass(frozen=True, kw_only=True)
class CombinedConfig:
    """``audio.combined``: several critics in one. Null leaves one out, ``{}`` takes one with its defaults, which
    together are the critics of Vocos."""

    multi_period: MultiPeriodConfig | None = field(default_factory=MultiPeriodConfig)
    """Waves folded into rows of a period."""
    multi_scale: MultiScaleConfig | None = None
    """Waves at several rates."""
    multi_resolution: MultiResolutionConfig | None = None
    """Magnitudes at several resolutions."""
    multi_band: MultiBandConfig | None = field(default_factory=MultiBandConfig)
    """Complex spectra in bands."""
    frames: FramesCriticConfig | None = None
    """Spectra whose bins are channels."""
    shares: Shares | None = field(default_factory=Shares)
    """What each kind counts in objectives and feature matching; null: each sub-critic counts 1, as in HiFi-GAN."""
    first_maps: bool = True
    """Give what the first layer of each sub-critic makes for feature matching too, as HiFi-GAN does; Vocos does not."""
