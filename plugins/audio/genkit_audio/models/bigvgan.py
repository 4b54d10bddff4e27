"""`audio.bigvgan`: HiFi-GAN with periodic activations free of aliasing (Lee et al. 2023, arXiv 2206.04658)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genkit_audio.melspec import MelSpec
from genkit_audio.models.config import BigVGANConfig
from genkit_audio.models.hifigan import Activation, Upsampler
from genkit_audio.models.vocoder import mel_of

TAPS = 12
"""Of the low-pass filter at twice the rate."""


class BigVGAN(Upsampler):
    """HiFi-GAN's stages without an activation before upsampling, and `AntiAliased` snakes within and after them."""

    def __init__(self, config: BigVGANConfig, mel: MelSpec) -> None:
        act = partial(AntiAliased, beta=config.activation == "snakebeta")
        super().__init__(config, mel, act=act, bias=config.end == "tanh", margin=AntiAliased.reach)
        self.act = act(config.width >> len(config.rates))
        self.end = config.end

    def synthesise(self, mel: Tensor) -> Tensor:
        x = self.enter(mel)
        for stage in self.stages:
            x = stage(x)
        wave = self.leave(self.act(x))[:, 0]
        return torch.tanh(wave) if self.end == "tanh" else wave.clamp(-1, 1)


class AntiAliased(Activation):
    """The snake x + sin²(αx)/β (Ziyin et al. 2020) at twice the rate, between low-pass filters; [B, width, T] to same.

    α and, where `beta`, β are learnt for each channel, as logarithms; without `beta`, β is α.
    """

    reach = TAPS // 2
    filter: Tensor
    """[TAPS]: sums to 1."""

    def __init__(self, width: int, *, beta: bool) -> None:
        super().__init__()
        self.alpha = nn.Parameter(torch.zeros(width))
        self.beta = nn.Parameter(torch.zeros(width)) if beta else None
        self.register_buffer("filter", low_pass(0.25, 0.3, TAPS).float(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        width = x.shape[1]
        taps = self.filter.to(x.dtype).expand(width, 1, TAPS)
        # Twice the rate: zeros between samples, filtered; the ends are repeated, so that nothing fades there.
        edge = TAPS // 2 - 1
        x = 2 * F.conv_transpose1d(F.pad(x, (edge, edge), mode="replicate"), taps, stride=2, groups=width)
        x = x[..., 2 * edge + TAPS // 2 - 1 : -(2 * edge + TAPS // 2 - 1)]
        alpha = self.alpha.exp()[:, None]
        beta = alpha if self.beta is None else self.beta.exp()[:, None]
        x = x + torch.sin(alpha * x).square() / (beta + 1e-9)
        return F.conv1d(F.pad(x, (TAPS // 2 - 1, TAPS // 2), mode="replicate"), taps, stride=2, groups=width)


def low_pass(cutoff: float, half_width: float, taps: int) -> Tensor:
    """A windowed sinc [taps], float64: `cutoff` and `half_width` of the transition in cycles a sample.

    Kaiser's window with the attenuation that this width and number of taps allow (Kaiser 1974).
    """
    attenuation = 2.285 * (taps / 2 - 1) * math.pi * 4 * half_width + 7.95
    if attenuation > 50:
        beta = 0.1102 * (attenuation - 8.7)
    elif attenuation >= 21:
        beta = 0.5842 * (attenuation - 21) ** 0.4 + 0.07886 * (attenuation - 21)
    else:
        beta = 0.0
    window = torch.kaiser_window(taps, periodic=False, beta=beta, dtype=torch.float64)
    time = torch.arange(taps, dtype=torch.float64) - (taps - 1) / 2
    shape = window * torch.sinc(2 * cutoff * time)
    return shape / shape.sum()


def build_bigvgan(config: BigVGANConfig, facts: Mapping[str, Any]) -> BigVGAN:
    """The vocoder for the data that `facts` describe."""
    return BigVGAN(config, mel_of(facts))
