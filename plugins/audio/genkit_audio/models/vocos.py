"""`audio.vocos`: ConvNeXt at the rate of frames and an inverse Fourier transform (Siuzdak 2023, arXiv 2306.00814)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from genkit_audio.melspec import MelSpec
from genkit_audio.models.config import VocosConfig
from genkit_audio.models.convnext import TAPS, ConvNeXtBlock, initialise
from genkit_audio.models.vocoder import Vocoder, mel_of
from genkit_audio.spectra import InverseSTFT, full_precision, widen

LOUDEST = 100.0
"""The largest magnitude the head gives: exp() of a stray logarithm must not drown a step."""


class Vocos(Vocoder):
    """Embedding -> ConvNeXt blocks -> magnitudes and phases -> inverse transform. Frames stand as those of the mel.

    Args:
        config: its options.
        mel: what the spectrograms are.
    """

    def __init__(self, config: VocosConfig, mel: MelSpec) -> None:
        super().__init__(mel)
        fft = config.fft or mel.fft
        self.context = TAPS // 2 * (1 + config.layers) + math.ceil(fft / (2 * mel.hop)) + 1
        self.embed = nn.Conv1d(mel.bands, config.width, TAPS, padding=TAPS // 2)
        self.norm = nn.LayerNorm(config.width, eps=1e-6)
        self.blocks = nn.ModuleList(
            ConvNeXtBlock(config.width, config.hidden, 1 / config.layers) for _ in range(config.layers)
        )
        self.last_norm = nn.LayerNorm(config.width, eps=1e-6)
        self.head = SpectralHead(config.width, fft, mel.hop, centre=mel.centre)
        self.apply(initialise)

    def synthesise(self, mel: Tensor) -> Tensor:
        x = self.norm(self.embed(mel).mT)
        for block in self.blocks:
            x = block(x)
        wave: Tensor = self.head(self.last_norm(x))
        return wave


class SpectralHead(nn.Module):
    """Channels [B, F, width] to waveforms [B, F·hop]: a logarithm of the magnitude and a phase for each bin.

    Args:
        width: channels.
        fft, hop, centre: of the inverse transform.
    """

    def __init__(self, width: int, fft: int, hop: int, *, centre: bool) -> None:
        super().__init__()
        self.out = nn.Linear(width, fft + 2)
        self.inverse = InverseSTFT(fft, hop, padding="centre" if centre else "same")

    def forward(self, x: Tensor, advance: Tensor | None = None) -> Tensor:
        """`advance`, where given, is added to the phases, [F, fft / 2 + 1]."""
        with full_precision(x.device):
            loudness, phase = self.out(widen(x)).chunk(2, -1)
            if advance is not None:
                phase = phase + advance
            size = torch.exp(loudness).clamp(max=LOUDEST)
            wave: Tensor = self.inverse(size * torch.cos(phase), size * torch.sin(phase))
        return wave


def build_vocos(config: VocosConfig, facts: Mapping[str, Any]) -> Vocos:
    """The vocoder for the data that `facts` describe."""
    return Vocos(config, mel_of(facts))
