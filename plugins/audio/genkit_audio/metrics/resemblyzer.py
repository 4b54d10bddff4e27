"""The voice encoder of the package resemblyzer (Wan et al. 2018), of which only the weights are used."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genkit import Batch, Extractor
from genkit_audio.mel import MelSpectrogram
from genkit_audio.melspec import MelSpec
from genkit_audio.metrics.waves import as_written, package_file, resample

INSTALL = "pip install --no-deps resemblyzer==0.1.4"
SPEC = MelSpec(16000, 400, 160, 400, 40, 0.0, None, "slaney", "slaney", 2, "none", 1e-12, True)
PART, STEP, LEAST = 160, 77, 0.75
"""Frames that are heard at once, frames between such parts, and the share of the last one that must be sound."""
LEVEL_DB = -30.0


class VoiceEncoder(nn.Module):
    """Three LSTM layers over 40 mel bands; the last state, as a vector of length 1. Keys as in the package's file."""

    def __init__(self) -> None:
        super().__init__()
        self.lstm = nn.LSTM(SPEC.bands, 256, 3, batch_first=True)
        self.linear = nn.Linear(256, 256)

    def forward(self, mel: Tensor) -> Tensor:
        """[B, 256] of mels [B, F, 40]."""
        _, (state, _) = self.lstm(mel)
        return F.normalize(F.relu(self.linear(state[-1])), dim=1)


class Resemblyzer(Extractor):
    """Whose voice it is, 256 numbers of length 1: the mean over parts of 1.6 s. Pauses are not cut out, as the package
    does with another package's help.

    Args:
        rate: of the waveforms, Hz.

    Raises:
        PluginError: the package is not installed.
    """

    name = "resemblyzer"
    version = "weights of 0.1.4, pauses kept, 16 kHz, 16-bit input"

    def __init__(self, rate: int) -> None:
        self.rate, self.mel, self.net = rate, MelSpectrogram(SPEC), VoiceEncoder()
        file = package_file("resemblyzer", "pretrained.pt", f"the extractor {self.name}", INSTALL)
        weights = torch.load(file, map_location="cpu", weights_only=True)["model_state"]
        self.net.load_state_dict({key: value for key, value in weights.items() if not key.startswith("similarity")})
        self.net.eval().requires_grad_(False)

    def __call__(self, batch: Batch) -> Tensor:
        """Features [B, 256]."""
        waves = louder(resample(as_written(batch.sample), self.rate, SPEC.rate))
        heard = 1 + waves.shape[-1] // SPEC.hop
        starts = list(range(0, max(1, heard - PART + STEP + 1), STEP))
        if len(starts) > 1 and (heard - starts[-1]) / PART < LEAST:
            starts.pop()
        waves = F.pad(waves, (0, max(0, (starts[-1] + PART) * SPEC.hop - waves.shape[-1])))
        waves = F.pad(waves, (0, -waves.shape[-1] % SPEC.hop))
        with torch.no_grad():
            mel = self.mel.to(waves.device)(waves).transpose(1, 2)
            net = self.net.to(waves.device)
            parts = torch.stack([net(mel[:, start : start + PART]) for start in starts])
        return F.normalize(parts.mean(0), dim=1)


def louder(waves: Tensor) -> Tensor:
    """Clips [B, T] brought to -30 dB of full scale where they are quieter; a silent one stays so."""
    level = waves.square().mean(1, keepdim=True).sqrt()
    gain = (10 ** (LEVEL_DB / 20) / level.clamp(min=1e-9)).clamp(min=1.0)
    return torch.where(level > 0, waves * gain, waves)
