"""The log-mel spectrogram a `MelSpec` describes, on whatever device it is moved to."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from genkit_audio.melspec import MelSpec
from genkit_audio.spectra import full_precision, hann, spectrum

LINEAR_STEP = 200 / 3
"""Hz in a mel of the slaney scale, below 1 kHz."""
LOG_STEP = math.log(6.4) / 27
"""ln of the ratio of two frequencies one mel apart, above 1 kHz."""
BREAK_HZ = 1000.0


class MelSpectrogram(nn.Module):
    """Waveforms [B, T] to log-mel spectrograms [B, bands, T // hop]. It has buffers and no weights.

    Args:
        spec: what is computed; its bands, range, scale, norm, logarithm and floor.
    """

    window: Tensor
    """[fft]."""
    filters: Tensor
    """[bands, fft / 2 + 1]."""

    def __init__(self, spec: MelSpec) -> None:
        super().__init__()
        self.spec = spec
        self.register_buffer("window", hann(spec.window, spec.fft).float(), persistent=False)
        self.register_buffer("filters", mel_filters(spec).float(), persistent=False)

    def forward(self, wave: Tensor) -> Tensor:
        """Log-mel spectrograms in fp32 or wider. Raises UsageError for waveforms too short to mirror their ends."""
        spec = self.spec
        with full_precision(wave.device):
            # [B, T // hop, bins] is how the transform lies in memory; turned round, all that follows is a third slower.
            bins = spectrum(wave, self.window, spec.hop, padding="centre" if spec.centre else "same").mT.abs()
            if spec.power == 2:
                bins = bins.square()
            bands = (bins @ self.filters.to(bins.dtype).mT).mT.clamp(min=spec.floor)
            if spec.log == "none":
                return bands
            return bands.log() if spec.log == "ln" else bands.log10()


def mel_filters(spec: MelSpec) -> Tensor:
    """Triangles [bands, fft / 2 + 1] that meet at equal distances in mel, float64."""
    low, high = to_mel(torch.tensor([spec.low_hz, spec.top_hz], dtype=torch.float64), spec.scale)
    share = torch.linspace(0, 1, spec.bands + 2, dtype=torch.float64)
    edges = to_hz(low + share * (high - low), spec.scale)
    bins = torch.arange(spec.fft // 2 + 1, dtype=torch.float64) * (spec.rate / spec.fft)
    left, peak, right = (edges[i : i + spec.bands, None] for i in range(3))
    triangles = torch.minimum((bins - left) / (peak - left), (right - bins) / (right - peak)).clamp(min=0)
    return triangles * (2 / (right - left)) if spec.norm == "slaney" else triangles


def to_mel(hz: Tensor, scale: str) -> Tensor:
    """Frequencies in Hz as mels: 2595 log10(1 + f/700) (htk), or Slaney's 1998 Auditory Toolbox."""
    if scale == "htk":
        return 2595 * torch.log10(1 + hz / 700)
    above = BREAK_HZ / LINEAR_STEP + torch.log(hz.clamp(min=BREAK_HZ) / BREAK_HZ) / LOG_STEP
    return torch.where(hz < BREAK_HZ, hz / LINEAR_STEP, above)


def to_hz(mel: Tensor, scale: str) -> Tensor:
    """The inverse of `to_mel`."""
    if scale == "htk":
        return 700 * (10 ** (mel / 2595) - 1)
    at_break = BREAK_HZ / LINEAR_STEP
    return torch.where(mel < at_break, mel * LINEAR_STEP, BREAK_HZ * torch.exp(LOG_STEP * (mel - at_break)))
