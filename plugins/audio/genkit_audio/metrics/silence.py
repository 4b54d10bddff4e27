"""What is wrong with a waveform before anyone listens: silence, clipping, DC."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from genkit import Metric, Samples
from genkit_audio.facts import AudioFacts
from genkit_audio.metrics.config import SilenceConfig
from genkit_audio.metrics.specs import FIGURES
from genkit_audio.metrics.waves import read_rows

WINDOW_SECONDS = 0.02
CLIPPED = 0.9995
RUN = 3
"""As many neighbouring samples at full scale are clipped; one may be a peak brought to full scale."""


class Silence(Metric):
    """The share of near-silent samples, the share of those that clip, and the mean DC offset as a share of full scale.

    Args:
        rate: of the data, Hz.
        silent_db: a clip whose loudest 20 ms have a lower level, in dB of full scale, is silent.
    """

    better = FIGURES["silence"]

    def __init__(self, rate: int, *, silent_db: float = -50.0) -> None:
        self.window, self.silent_db = round(rate * WINDOW_SECONDS), silent_db

    def __call__(self, real: Samples, fake: Samples) -> dict[str, float]:
        waves = read_rows(fake).sample
        return {
            "silent": float((loudest(waves, self.window) < 10 ** (self.silent_db / 20)).double().mean()),
            "clipped": float(clips(waves).double().mean()),
            "dc_offset": float(waves.double().mean(1).abs().mean()),
        }

    def protocol(self) -> dict[str, Any]:
        return {
            "silent": f"the loudest 20 ms have less than {self.silent_db:g} dB of full scale",
            "clipped": f"{RUN} samples in a row at {CLIPPED} of full scale or above",
        }


def loudest(waves: Tensor, window: int) -> Tensor:
    """The largest root mean square [B] in windows of waveforms [B, T], each half a window from the next."""
    powers = F.pad(waves, (0, max(0, window - waves.shape[-1]))).square().unsqueeze(1)
    means = F.avg_pool1d(powers, window, max(1, window // 2), ceil_mode=True)
    return means.flatten(1).amax(1).sqrt()


def clips(waves: Tensor) -> Tensor:
    """Whether waveforms [B, T] have `RUN` neighbouring samples at full scale, [B]."""
    full = F.pad((waves.abs() >= CLIPPED).float(), (0, max(0, RUN - waves.shape[-1])))
    return (full.unfold(-1, RUN, 1).sum(-1) == RUN).any(-1)


def build_silence(config: SilenceConfig, facts: Mapping[str, Any]) -> Silence:
    """Silence, clipping and DC offset."""
    return Silence(AudioFacts.of(facts).rate, silent_db=config.silent_db)
