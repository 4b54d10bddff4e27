"""The network of the package aisfx (Ma and Lerch 2022) for sounds of all kinds, of which only the weights are used."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genkit import Batch, Extractor
from genkit_audio.mel import to_hz, to_mel
from genkit_audio.metrics.spectral import magnitudes
from genkit_audio.metrics.waves import as_written, package_file, resample

INSTALL = "pip install --no-deps aisfx==0.1.2"
RATE, FFT, HOP, BANDS = 44100, 2048, 1024, 96
PART, STEP = 100, 50
"""Frames that are heard at once (2.3 s), and between such parts."""
LOUDEST = 9.457798957824707
"""What the package divides its spectrograms by: the largest value of its training data."""


class SoundEncoder(nn.Module):
    """Four blocks of two convolutions, the mean over bands and the maximum over time. Keys as in the package's file."""

    widths = (64, 128, 256, 512)

    def __init__(self) -> None:
        super().__init__()
        for number, (into, out) in enumerate(zip((1, *self.widths[:-1]), self.widths, strict=True), 1):
            block = nn.ModuleDict(
                {
                    "conv1": nn.Conv2d(into, out, 3, padding=1, bias=False),
                    "bn1": nn.BatchNorm2d(out),
                    "conv2": nn.Conv2d(out, out, 3, padding=1, bias=False),
                    "bn2": nn.BatchNorm2d(out),
                }
            )
            self.add_module(f"conv_block{number}", block)

    def forward(self, mel: Tensor) -> Tensor:
        """[B, 512] of spectrograms [B, F, 96]."""
        x = mel.unsqueeze(1)
        for number, block in enumerate(self.children(), 1):
            assert isinstance(block, nn.ModuleDict)
            x = F.relu(block["bn1"](block["conv1"](x)))
            x = F.relu(block["bn2"](block["conv2"](x)))
            x = F.max_pool2d(x, 2) if number < len(self.widths) else x
        return x.mean(3).amax(2)


class AiSfx(Extractor):
    """What kind of sound it is, 512 numbers: the mean over parts of 2.3 s, silence after what is shorter.

    The spectrograms are made here: 96 triangles on the htk scale, each with a sum of one, of powers. The authors' come
    from Essentia, which differs in details, so figures compare with those of this extractor alone.

    Args:
        rate: of the waveforms, Hz.

    Raises:
        PluginError: the package is not installed.
    """

    name = "aisfx"
    version = "weights of 0.1.2, own spectrograms, 44.1 kHz, 16-bit input"

    def __init__(self, rate: int) -> None:
        self.rate, self.net, self.filters = rate, SoundEncoder(), unit_filters()
        file = package_file("aisfx", "models/checkpoint.pth", f"the extractor {self.name}", INSTALL)
        number = np.int64(0)  # the file counts its classes in such; no other thing that is no tensor is let in
        scalar = (number.__reduce__()[0], "numpy.core.multiarray.scalar")
        with torch.serialization.safe_globals([scalar, np.dtype, type(number.dtype)]):
            weights, _ = torch.load(file, map_location="cpu", weights_only=True)
        head = "embedding_net."
        self.net.load_state_dict({k.removeprefix(head): v for k, v in weights.items() if k.startswith(head)})
        self.net.eval().requires_grad_(False)

    def __call__(self, batch: Batch) -> Tensor:
        """Features [B, 512]."""
        waves = resample(as_written(batch.sample), self.rate, RATE)
        powers = magnitudes(waves, FFT, HOP, FFT).square()
        mel = (1 + 1e4 * self.filters.to(waves.device) @ powers).log10().transpose(1, 2) / LOUDEST
        starts = range(0, max(1, mel.shape[1] - PART + 1), STEP)
        mel = F.pad(mel, (0, 0, 0, max(0, PART - mel.shape[1])))
        net = self.net.to(waves.device)
        with torch.no_grad():
            return torch.stack([net(mel[:, start : start + PART]) for start in starts]).mean(0)


def unit_filters() -> Tensor:
    """Triangles [96, 1025] on the htk scale up to 22.05 kHz, each with a sum of one."""
    top = float(to_mel(torch.tensor(RATE / 2, dtype=torch.float64), "htk"))
    edges = to_hz(torch.linspace(0, top, BANDS + 2, dtype=torch.float64), "htk")
    bins = torch.linspace(0, RATE / 2, FFT // 2 + 1, dtype=torch.float64)
    left, peak, right = (edges[i : i + BANDS, None] for i in range(3))
    triangles = torch.minimum((bins - left) / (peak - left), (right - bins) / (right - peak)).clamp(min=0)
    return (triangles / triangles.sum(1, keepdim=True).clamp(min=1e-9)).float()
