"""Critics of spectra: `audio.multi_resolution`, `audio.multi_band` and `audio.frames_critic`."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from genkit import ConfigError, UsageError, Verdict
from genkit_audio.facts import AudioFacts
from genkit_audio.models.config import FramesCriticConfig, MultiBandConfig, MultiResolutionConfig
from genkit_audio.models.labels import Projection, label_count
from genkit_audio.models.wave_critics import Ensemble, Layers
from genkit_audio.spectra import full_precision, hann, magnitude, spectrum

WIDE = ((3, 9), (1, 2), (1, 4))
"""Kernel, stride and padding of the convolutions that halve an axis; it is the second."""
PEAK = 0.8
"""What a wave is scaled to where loudness is not heard."""
QUIET = 1e-3
"""Peaks below this are left below: to scale silence up would make a gradient of any size."""


class ResolutionCritic(nn.Module):
    """Magnitudes at one resolution as a picture, halved along time (Jang et al. 2021, UnivNet; Lee et al. 2023)."""

    window: Tensor

    def __init__(self, fft: int, hop: int, window: int, width: int, classes: int) -> None:
        super().__init__()
        self.hop = hop
        self.register_buffer("window", hann(window, fft).float(), persistent=False)
        self.layers, self.head = picture_layers(1, width), weight_norm(nn.Conv2d(width, 1, 3, padding=1))
        self.projection = Projection(classes, width)

    def forward(self, wave: Tensor, condition: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """Logits [B, 1, bins, F'] for waveforms [B, T], and the features before them."""
        with full_precision(wave.device):
            x = magnitude(spectrum(wave, self.window, self.hop, padding="same"))[:, None]
        features = self.layers(x)
        logit = self.head(features[-1])
        return self.projection(logit, features[-1], condition), [*features, logit]


class BandCritic(nn.Module):
    """Complex spectra at one resolution, in bands of their own filters (Kumar et al. 2023, DAC, section 3.4; Siuzdak
    2023). Frequencies are halved, frames are not."""

    window: Tensor

    def __init__(self, fft: int, edges: list[float], width: int, classes: int, *, loudness: bool) -> None:
        super().__init__()
        self.hop, self.loudness = fft // 4, loudness
        self.register_buffer("window", hann(fft).float(), persistent=False)
        bins = [int(edge * (fft // 2 + 1)) for edge in (0.0, *edges, 1.0)]
        if any(high - low < 2 for low, high in pairwise(bins)):
            raise ConfigError(
                f"bands that meet at {edges} leave less than two bins of a transform of {fft}",
                where="model.critic.bands",
            )
        self.sizes = [high - low for low, high in pairwise(bins)]
        self.bands = nn.ModuleList(picture_layers(2, width) for _ in self.sizes)
        self.head = weight_norm(nn.Conv2d(width, 1, 3, padding=1))
        self.projection = Projection(classes, width)

    def forward(self, wave: Tensor, condition: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """Logits [B, 1, F, bins'] for waveforms [B, T], and the features before them, band by band."""
        with full_precision(wave.device):
            if not self.loudness:
                wave = wave - wave.mean(-1, keepdim=True)
                wave = PEAK * wave / wave.abs().amax(-1, keepdim=True).clamp(min=QUIET)
            parts = torch.view_as_real(spectrum(wave, self.window, self.hop)).permute(0, 3, 2, 1)
        found, ends = [], []
        for band, x in zip(self.bands, parts.split(self.sizes, -1), strict=True):
            features = band(x)
            found += features
            ends.append(features[-1])
        x = torch.cat(ends, -1)
        logit = self.head(x)
        return self.projection(logit, x, condition), [*found, logit]


class FramesCritic(nn.Module):
    """Spectra as sequences whose channels are the bins: log(1 + g |S|), and S itself shrunk to that size.

    A convolution is then one large product, which is what a CPU is fast at.
    """

    window: Tensor

    def __init__(self, fft: int, overlap: int, gain: float, width: int, layers: int, classes: int) -> None:
        super().__init__()
        self.hop, self.gain = max(1, fft // overlap), gain
        window = hann(fft).float()
        self.register_buffer("window", window / window.sum(), persistent=False)
        widths = [3 * (fft // 2 + 1)] + [width] * layers
        self.layers = Layers(
            weight_norm(nn.Conv1d(before, after, 4, 2, padding=1) if number else nn.Conv1d(before, after, 1))
            for number, (before, after) in enumerate(pairwise(widths))
        )
        self.head = weight_norm(nn.Conv1d(width, 1, 3, padding=1))
        self.projection = Projection(classes, width)

    def forward(self, wave: Tensor, condition: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """Logits [B, 1, F'] for waveforms [B, T], and the features before them."""
        return self.judge(self.hear(wave), condition)

    def hear(self, wave: Tensor) -> Tensor:
        """What is judged of waveforms [B, T]: [B, 3·bins, T // hop]."""
        with full_precision(wave.device):
            found = spectrum(wave, self.window, self.hop, padding="same")
            size = magnitude(found)
            loud = (1 + self.gain * size).log()  # of at least 3e-5: log1p is no more exact, but slower
            shrunk = loud / size
            real, imaginary = torch.view_as_real(found).unbind(-1)
            return torch.cat([loud, real * shrunk, imaginary * shrunk], 1)

    def judge(self, heard: Tensor, condition: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """Logits [B, 1, F'] for what `hear` gave, and the features before them."""
        features = self.layers(heard)
        logit = self.head(features[-1])
        return self.projection(logit, features[-1], condition), [*features, logit]


class FramesEnsemble(Ensemble):
    """Several `FramesCritic`, penalised for their slope over what they hear, not over the wave.

    Then no transform is differentiated twice: a penalty takes half the time.

    Args:
        members: the sub-critics.
        length: samples in a waveform.
    """

    def __init__(self, members: list[FramesCritic], length: int) -> None:
        super().__init__(list(members))
        self.length = length
        self.shapes = [(len(one.window) // 2 + 1, length // one.hop) for one in members]

    def forward(self, sample: Tensor, condition: Tensor | None = None, mask: Tensor | None = None) -> Verdict:
        """Logits [B, 1, F'] and features of each member, for waveforms [B, T] or what `penalty_input` made of them."""
        if sample.dim() == 2:
            return super().forward(sample, condition, mask)
        parts = sample[:, 0].split([3 * bins * frames for bins, frames in self.shapes], 1)
        logits, features = zip(
            *(
                member.judge(part.unflatten(1, (3 * bins, frames)), condition)
                for member, part, (bins, frames) in zip(self._critics(), parts, self.shapes, strict=True)
            ),
            strict=True,
        )
        return Verdict(list(logits), list(features))

    def penalty_input(self, sample: Tensor) -> Tensor:
        """What all members hear, [B, 1, N]. Raises UsageError for waveforms of another length than the data's."""
        if sample.shape[-1] != self.length:
            raise UsageError(f"this critic hears waveforms of {self.length} samples, not {sample.shape[-1]}")
        return torch.cat([member.hear(sample).flatten(1) for member in self._critics()], 1)[:, None]

    def _critics(self) -> list[FramesCritic]:
        return [member for member in self.members if isinstance(member, FramesCritic)]


def picture_layers(channels: int, width: int) -> Layers:
    """Five convolutions, the middle three of which halve the second axis."""
    kernel, stride, padding = WIDE
    first = nn.Conv2d(channels, width, kernel, padding=padding)
    halving = [nn.Conv2d(width, width, kernel, stride, padding) for _ in range(3)]
    return Layers(weight_norm(layer) for layer in (first, *halving, nn.Conv2d(width, width, 3, padding=1)))


def resolution_critics(config: MultiResolutionConfig, classes: int) -> list[nn.Module]:
    """The sub-critics of `audio.multi_resolution`. Raises ConfigError when sizes do not fit."""
    if not len(config.ffts) == len(config.hops) == len(config.windows):
        raise ConfigError(
            f"{len(config.ffts)} transforms, {len(config.hops)} hops and {len(config.windows)} windows",
            where="model.critic.hops",
            fix="give each transform a hop and a window",
        )
    each = list(zip(config.ffts, config.hops, config.windows, strict=True))
    for fft, hop, window in each:
        if not hop <= window <= fft:
            raise ConfigError(
                f"hop {hop}, window {window} and fft {fft} must be in ascending order", where="model.critic.windows"
            )
    return [ResolutionCritic(fft, hop, window, config.width, classes) for fft, hop, window in each]


def band_critics(config: MultiBandConfig, classes: int) -> list[nn.Module]:
    """The sub-critics of `audio.multi_band`. Raises ConfigError when bands do not fit."""
    edges = list(config.bands)
    if edges != sorted(set(edges)):
        raise ConfigError(f"bands must meet in ascending order, not at {edges}", where="model.critic.bands")
    return [BandCritic(fft, edges, config.width, classes, loudness=config.loudness) for fft in config.ffts]


def frames_critics(config: FramesCriticConfig, classes: int) -> list[nn.Module]:
    """The sub-critics of `audio.frames_critic`."""
    return list(_frames_critics(config, classes))


def _frames_critics(config: FramesCriticConfig, classes: int) -> list[FramesCritic]:
    return [FramesCritic(fft, config.overlap, config.gain, config.width, config.layers, classes) for fft in config.ffts]


def build_multi_resolution(config: MultiResolutionConfig, facts: Mapping[str, Any]) -> Ensemble:
    """The critic for the data that `facts` describe."""
    return Ensemble(resolution_critics(config, label_count(AudioFacts.of(facts))))


def build_multi_band(config: MultiBandConfig, facts: Mapping[str, Any]) -> Ensemble:
    """The critic for the data that `facts` describe."""
    return Ensemble(band_critics(config, label_count(AudioFacts.of(facts))))


def build_frames_critic(config: FramesCriticConfig, facts: Mapping[str, Any]) -> Ensemble:
    """The critic for the data that `facts` describe. Raises ConfigError when their sounds are too short for it."""
    about = AudioFacts.of(facts)
    config.check_length(about.length, where="model.critic")
    members = _frames_critics(config, label_count(about))
    return FramesEnsemble(members, about.length) if config.penalised == "spectra" else Ensemble(list(members))
