"""`audio.hifigan` (Kong, Kim and Bae 2020, arXiv 2010.05646) and `audio.istftnet` (Kaneko et al. 2022, 2203.02395)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from genkit import ConfigError
from genkit_audio.melspec import MelSpec
from genkit_audio.models.config import HiFiGANConfig, ISTFTNetConfig
from genkit_audio.models.vocoder import Vocoder, mel_of
from genkit_audio.spectra import InverseSTFT, full_precision, widen

SLOPE = 0.1
LAST_SLOPE = 0.01
"""As in the authors' code, where the last activation has PyTorch's default."""
ENDS = 7
"""Taps of the first and the last convolution."""


class Activation(nn.Module):
    """An activation within a block, [B, width, T] to the same."""

    reach: int = 0
    """Samples to either side that it looks at."""
    owns: bool = False
    """Whether what it is given is needed by nobody else, so that it may be overwritten."""


class Leaky(Activation):
    """Leaky ReLU of slope 0.1, whatever the channels."""

    def __init__(self, width: int) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        return F.leaky_relu(x, SLOPE, inplace=self.owns)


MakeActivation = Callable[[int], Activation]
"""Makes the activation for so many channels."""


class ResidualBlock(nn.Module):
    """Dilated convolutions, each around a shortcut: x + c₂ φ(c₁ φ(x)), or without c₂; [B, width, T] to the same.

    Convolutions keep PyTorch's own initial weights: the N(0, 0.01²) of the authors' code is set on what weight norm
    overwrites in the first forward.
    """

    def __init__(
        self, width: int, kernel: int, dilations: tuple[int, ...], *, double: bool, act: MakeActivation
    ) -> None:
        super().__init__()
        self.first = nn.ModuleList(_same(width, kernel, dilation) for dilation in dilations)
        self.second = nn.ModuleList(_same(width, kernel, 1) for _ in dilations) if double else None
        self.first_acts = nn.ModuleList(act(width) for _ in dilations)
        self.second_acts = nn.ModuleList(act(width) for _ in dilations) if double else None
        for part in self.second_acts or ():
            assert isinstance(part, Activation), "blocks have activations"
            part.owns = True  # the first convolution's output
        acts = [part for part in self.modules() if isinstance(part, Activation)]
        convolved = sum((kernel - 1) // 2 * (dilation + double) for dilation in dilations)
        self.reach = convolved + sum(part.reach for part in acts)

    def forward(self, x: Tensor) -> Tensor:
        for i, (act, convolution) in enumerate(zip(self.first_acts, self.first, strict=True)):
            h = convolution(act(x))
            if self.second is not None and self.second_acts is not None:
                h = self.second[i](self.second_acts[i](h))
            x = h.add_(x)  # in place, here and below: fresh memory for each sum costs a tenth of the time on a CPU
        return x


class Stage(nn.Module):
    """One upsampling and the mean of the residual blocks after it, [B, 2·width, T] to [B, width, T·rate]."""

    def __init__(self, config: HiFiGANConfig, number: int, width: int, *, act: MakeActivation) -> None:
        super().__init__()
        self.rate, self.kernel = config.rates[number], config.kernels[number]
        self.padding = (self.kernel - self.rate) // 2
        self.up = weight_norm(nn.ConvTranspose1d(2 * width, width, self.kernel, self.rate, self.padding))
        blocks = [
            ResidualBlock(width, kernel, dilations, double=config.block == "double", act=act)
            for kernel, dilations in zip(config.block_kernels, config.block_dilations, strict=True)
        ]
        self.blocks = nn.ModuleList(blocks)
        self.inner_reach = max(block.reach for block in blocks)

    def forward(self, x: Tensor) -> Tensor:
        x = self.up(x)
        total: Tensor = self.blocks[0](x)
        for block in self.blocks[1:]:
            total.add_(block(x))
        return total.div_(len(self.blocks))

    def reach(self, after: int) -> int:
        """Samples before this stage, to either side, on which `after` samples to either side behind it depend."""
        after += self.inner_reach
        back = (after + self.kernel - 1 - self.padding) // self.rate
        ahead = (self.rate - 1 + after + self.padding) // self.rate
        return max(back, ahead)


class Upsampler(Vocoder):
    """A convolution, stages of upsampling, a convolution: what HiFi-GAN and its relatives share.

    Args:
        config: its options.
        mel: what the spectrograms are.
        out: channels at the end.
        hop: samples that the end makes of each position; with the rates it must give the mel's hop.
        act: makes the activations within blocks.
        bias: whether the last convolution has one.
        margin: positions to either side that the end depends on, beside the last convolution's.

    Raises ConfigError when rates, kernels or blocks do not fit together or do not give the mel's hop.
    """

    def __init__(
        self,
        config: HiFiGANConfig,
        mel: MelSpec,
        *,
        out: int = 1,
        hop: int = 1,
        act: MakeActivation = Leaky,
        bias: bool = True,
        margin: int = 0,
    ) -> None:
        super().__init__(mel)
        check_rates(config, mel, hop)
        self.enter = weight_norm(nn.Conv1d(mel.bands, config.width, ENDS, padding=ENDS // 2))
        widths = [config.width >> (number + 1) for number in range(len(config.rates))]
        stages = [Stage(config, number, width, act=act) for number, width in enumerate(widths)]
        self.stages = nn.ModuleList(stages)
        self.blocks = len(config.block_kernels)
        self.leave = weight_norm(nn.Conv1d(widths[-1], out, ENDS, padding=ENDS // 2, bias=bias))
        reach = ENDS // 2 + margin
        for stage in reversed(stages):
            reach = stage.reach(reach)
        self.context = reach + ENDS // 2


class HiFiGAN(Upsampler):
    """Waveforms by transposed convolutions and residual blocks of several kernels and dilations."""

    def synthesise(self, mel: Tensor) -> Tensor:
        x = self.enter(mel)
        for stage in self.stages:
            x = stage(F.leaky_relu(x, SLOPE, inplace=True))
        return torch.tanh(self.leave(F.leaky_relu(x, LAST_SLOPE)))[:, 0]


class ISTFTNet(Upsampler):
    """HiFi-GAN whose last upsamplings are an inverse Fourier transform."""

    def __init__(self, config: ISTFTNetConfig, mel: MelSpec) -> None:
        margin = math.ceil(config.fft / config.hop) + 1
        super().__init__(config, mel, out=config.fft + 2, hop=config.hop, margin=margin)
        self.inverse = InverseSTFT(config.fft, config.hop)

    def synthesise(self, mel: Tensor) -> Tensor:
        x = self.enter(mel)
        for stage in self.stages:
            x = stage(F.leaky_relu(x, SLOPE, inplace=True))
        # One frame more than hops: centred frames stand at both ends of the wave.
        x = self.leave(F.pad(F.leaky_relu(x, LAST_SLOPE), (1, 0), mode="reflect"))
        with full_precision(x.device):
            loudness, angle = widen(x).mT.chunk(2, -1)
            size, phase = torch.exp(loudness), torch.sin(angle)
            wave: Tensor = self.inverse(size * torch.cos(phase), size * torch.sin(phase))
        return wave[:, : -self.inverse.hop]


def check_rates(config: HiFiGANConfig, mel: MelSpec, hop: int) -> None:
    """Raises ConfigError when the upsamplings do not fit together or do not give the mel's hop."""
    where = "model.generator"
    if len(config.kernels) != len(config.rates):
        raise ConfigError(f"{len(config.rates)} rates and {len(config.kernels)} kernels", where=f"{where}.kernels")
    if len(config.block_kernels) != len(config.block_dilations):
        raise ConfigError(
            f"{len(config.block_kernels)} block kernels and dilations for {len(config.block_dilations)}",
            where=f"{where}.block_dilations",
        )
    if math.prod(config.rates) * hop != mel.hop:
        made = " x ".join(map(str, (*config.rates, hop) if hop > 1 else config.rates))
        raise ConfigError(
            f"{made} makes {math.prod(config.rates) * hop} samples of a frame; the data's mel has {mel.hop}",
            where=f"{where}.rates",
        )
    for rate, kernel in zip(config.rates, config.kernels, strict=True):
        if kernel < rate or (kernel - rate) % 2:
            raise ConfigError(
                f"a kernel of {kernel} can not make exactly {rate} times as many samples",
                where=f"{where}.kernels",
                fix=f"{2 * rate} taps",
            )
    if any(kernel % 2 == 0 for kernel in config.block_kernels):
        raise ConfigError(f"block kernels {list(config.block_kernels)} must be odd", where=f"{where}.block_kernels")
    if config.width >> len(config.rates) < 1:
        raise ConfigError(
            f"{config.width} channels can not be halved {len(config.rates)} times", where=f"{where}.width"
        )


def _same(width: int, kernel: int, dilation: int) -> nn.Module:
    convolution = nn.Conv1d(width, width, kernel, padding=(kernel - 1) // 2 * dilation, dilation=dilation)
    normed: nn.Module = weight_norm(convolution)
    return normed


def build_hifigan(config: HiFiGANConfig, facts: Mapping[str, Any]) -> HiFiGAN:
    """The vocoder for the data that `facts` describe."""
    return HiFiGAN(config, mel_of(facts))


def build_istftnet(config: ISTFTNetConfig, facts: Mapping[str, Any]) -> ISTFTNet:
    """The vocoder for the data that `facts` describe."""
    return ISTFTNet(config, mel_of(facts))
