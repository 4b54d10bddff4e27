"""The embedded classifier of one-shots: the offline feature extractor, and the judge of conditional drums."""

from __future__ import annotations

import json
from importlib.resources import as_file, files
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor, nn

from genkit_audio.mel import MelSpectrogram
from genkit_audio.melspec import MelSpec

WEIGHTS = "drum_classifier.safetensors"
SPEC = MelSpec(22050, 1024, 512, 1024, 64, 0.0, None, None, "htk", 1, "ln", 1e-4, True)
"""The mel it reads: a frame each 23 ms, 64 bands to 11 kHz."""
SHORTEST = 8192
"""Samples that it needs; what is shorter is followed by silence."""


class DrumClassifier(nn.Module):
    """A small convolutional network on the log-mel of a one-shot of any length, 22.05 kHz. 80,000 parameters.

    The level is heard: a quiet noise must not pass for a drum because it is made louder.

    Args:
        classes: how many kinds there are.
    """

    widths = (16, 32, 48, 64)
    width = 64
    """Of the features."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.mel = MelSpectrogram(SPEC)
        self.blocks = nn.ModuleList()
        for into, out in zip((1, *self.widths[:-1]), self.widths, strict=True):
            self.blocks.append(nn.Sequential(nn.Conv2d(into, out, 3, padding=1, bias=False), nn.BatchNorm2d(out)))
        self.hidden = nn.Linear(2 * 4 * self.widths[-1], self.width)
        self.dropout = nn.Dropout(0.3)
        self.head = nn.Linear(self.width, classes)

    def features(self, waves: Tensor) -> Tensor:
        """The penultimate layer [B, 64] of waveforms [B, T] in [-1, 1] at 22.05 kHz."""
        length = max(waves.shape[-1], SHORTEST)
        waves = F.pad(waves, (0, length - waves.shape[-1] + -length % SPEC.hop))
        return self.features_of_mel(self.mel(waves))

    def features_of_mel(self, mel: Tensor) -> Tensor:
        """The same of log-mels [B, 64, F], F at least 16."""
        x = (mel.unsqueeze(1) + 5) / 3
        for block in self.blocks:
            x = F.max_pool2d(F.relu(block(x)), 2)
        return F.relu(self.hidden(torch.cat([x.amax(-1), x.mean(-1)], 1).flatten(1)))

    def forward(self, waves: Tensor) -> Tensor:
        """Logits [B, classes] of waveforms [B, T] in [-1, 1] at 22.05 kHz."""
        logits: Tensor = self.head(self.dropout(self.features(waves)))
        return logits


def load_drum_classifier() -> tuple[DrumClassifier, dict[str, Any]]:
    """The embedded classifier on the CPU, frozen and in evaluation mode, and what its file says of it."""
    with as_file(files("genkit_audio") / "assets" / WEIGHTS) as path, safe_open(path, framework="pt") as stored:
        weights = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (it is no dict)
        about = json.loads(stored.metadata()["about"])
    net = DrumClassifier(len(about["classes"]))
    net.load_state_dict(weights)
    return net.eval().requires_grad_(False), about
