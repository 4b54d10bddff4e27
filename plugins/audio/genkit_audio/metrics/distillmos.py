"""The network of the package distillmos (Stahl and Gamper 2025), of which only the weights are used: the package
imports torchaudio for its command line."""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genkit_audio.metrics.waves import package_file

INSTALL = 'pip install "genkit-gan-audio[mos]", or all that is used of it: pip install --no-deps distillmos==0.9.1'
RATE = 16000
LENGTH = 122880
"""Samples that are heard at once, 7.68 s."""
STEP = 16000
"""Longer clips are heard in parts that lie at most this far from each other."""
WIDTHS = (64, 64, 128, 256, 256, 256)
INNER, HEADS, LAYERS, FRAMES = 200, 8, 7, 384
COMPRESSION = 0.3


def compressed_spectrum(waves: Tensor) -> Tensor:
    """STFT [B, 2, 161, F] of waveforms [B, T], 20 ms Hann windows each 10 ms, its magnitudes to the power 0.3."""
    waves = F.pad(waves, (80, 80), mode="reflect")
    spectrum = torch.stft(
        waves, 320, 160, 320, torch.hann_window(320, device=waves.device), center=False, return_complex=True
    )
    spectrum = torch.view_as_real(spectrum).permute(0, 3, 1, 2)
    magnitude = spectrum.square().sum(1, keepdim=True).sqrt().clamp(min=1e-12)
    return spectrum * magnitude ** (COMPRESSION - 1)


class DistillMosNet(nn.Module):
    """Convolutions over a compressed spectrum, seven transformer layers, attention pooling. 4.1 million parameters."""

    def __init__(self) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for number, (into, out) in enumerate(zip((2, *WIDTHS[:-1]), WIDTHS, strict=True)):
            stride = (2 if number else 1, 2 if number == len(WIDTHS) - 1 else 1)
            layers += [nn.Conv2d(into, out, 3, stride=stride, padding=(0, 1)), nn.LeakyReLU(0.1)]
        self.convolutions = nn.Sequential(*layers)
        self.norm_in = nn.BatchNorm1d(1024)
        self.norm_project = nn.BatchNorm1d(1024)
        self.project = nn.Linear(1024, INNER)
        self.register_buffer("positions", torch.zeros(1, FRAMES, INNER))
        layer = nn.TransformerEncoderLayer(INNER, HEADS, 2 * INNER, dropout=0.0, batch_first=True)
        self.transformer = nn.TransformerEncoder(layer, LAYERS, enable_nested_tensor=False)
        self.norm_out = nn.BatchNorm1d(INNER)
        self.attention = nn.Sequential(nn.Linear(INNER, 2 * INNER), nn.ReLU(), nn.Linear(2 * INNER, 1))
        self.opinion = nn.Linear(INNER, 1)

    def forward(self, waves: Tensor) -> Tensor:
        """The mean opinion [B], 1 to 5, on clips [B, T] of 16 kHz, each brought to full scale. What is shorter than
        7.68 s is followed by silence; of what is longer the mean over parts is given."""
        beyond = max(0, waves.shape[-1] - LENGTH)
        waves = F.pad(waves, (0, max(0, LENGTH - waves.shape[-1])))
        count = math.ceil(beyond / STEP) + 1
        starts = [int(beyond * i / max(1, count - 1)) for i in range(count)]
        return torch.stack([self._part(waves[:, start : start + LENGTH]) for start in starts]).mean(0)

    def _part(self, waves: Tensor) -> Tensor:
        waves = waves / (waves.abs().amax(1, keepdim=True) + 1e-8)
        x = self.convolutions(compressed_spectrum(waves)).flatten(1, 2)  # [B, 1024, 384]
        x = self.project(self.norm_project(self.norm_in(x)).transpose(1, 2)) + self.positions
        x = self.norm_out(self.transformer(x).transpose(1, 2)).transpose(1, 2)
        pooled = (self.attention(x).softmax(1) * x).sum(1)
        return 1 + 4 * torch.sigmoid(self.opinion(pooled)).squeeze(1)


_NAMES = (
    ("cnn.cnn.", "convolutions."),
    ("transformer_pool_attn.norm_input.", "norm_in."),
    ("transformer_pool_attn.transformer.norm.", "norm_project."),
    ("transformer_pool_attn.transformer.position_encoding.pe", "positions"),
    ("transformer_pool_attn.transformer.linear_proj.", "project."),
    ("transformer_pool_attn.transformer.transformer_encoder.", "transformer."),
    ("transformer_pool_attn.norm_trans.", "norm_out."),
    ("transformer_pool_attn.pool.linear1.", "attention.0."),
    ("transformer_pool_attn.pool.linear2.", "attention.2."),
    ("transformer_pool_attn.pool.linear3.", "opinion."),
)
"""How the package's file calls what is above."""


def load_distillmos() -> DistillMosNet:
    """The network on the CPU, frozen and in evaluation mode. Raises PluginError when the package is not installed."""
    file = package_file("distillmos", "weights/distill_mos_v7.pt", "audio.distillmos", INSTALL)
    stored = torch.load(file, map_location="cpu", weights_only=True)["model"]
    weights = {}
    for key, value in stored.items():
        theirs, ours = next(pair for pair in _NAMES if key.startswith(pair[0]))
        weights[ours + key.removeprefix(theirs)] = value
    net = DistillMosNet()
    net.load_state_dict(weights)
    return net.eval().requires_grad_(False)
