"""`audio.multi_period` and `audio.multi_scale`: critics of waveforms (Kong et al. 2020, section 2.3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import gcd
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm, weight_norm

from genkit import Critic, Verdict
from genkit_audio.facts import AudioFacts
from genkit_audio.models.config import MultiPeriodConfig, MultiScaleConfig
from genkit_audio.models.labels import Projection, label_count

SLOPE = 0.1


class Ensemble(Critic):
    """Several sub-critics of waveforms [B, T], each of which returns its logits and its feature maps.

    Where the data has labels, each logit hears of them by projection.

    Args:
        members: modules of ``forward(wave, condition) -> (logits, features)``.
        weights: what each of them counts; None: alike.
    """

    weights: Tensor | None
    """[K], of the verdicts."""

    def __init__(self, members: list[nn.Module], weights: Sequence[float] | None = None) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.register_buffer("weights", None if weights is None else torch.tensor(weights), persistent=False)

    def forward(self, sample: Tensor, condition: Tensor | None = None, mask: Tensor | None = None) -> Verdict:
        """Logits [B, 1, ...] and features of each member."""
        logits, features = zip(*(member(sample, condition) for member in self.members), strict=True)
        return Verdict(list(logits), list(features), weights=self.weights)

    def leave_out_first_maps(self) -> None:
        """Give no more what the first layer of each sub-critic, or of each of its bands, makes."""
        for part in self.modules():
            if isinstance(part, Layers):
                part.given_from = 1


class Layers(nn.ModuleList):
    """Layers one after the other, each followed by a leaky ReLU of slope 0.1; what each of them gives."""

    given_from: int = 0
    """Layers before this one keep what they give for themselves."""

    def forward(self, x: Tensor) -> list[Tensor]:
        found = []
        for layer in self:
            x = F.leaky_relu(layer(x), SLOPE)
            found.append(x)
        return found[self.given_from :]


class PeriodCritic(nn.Module):
    """The wave in rows of `period` samples; convolutions go down each column, so they see every period-th sample."""

    def __init__(self, period: int, width: int, classes: int) -> None:
        super().__init__()
        self.period = period
        widths = [1, width, 4 * width, 16 * width, 32 * width, 32 * width]
        self.layers = Layers(
            weight_norm(nn.Conv2d(before, after, (5, 1), (3 if number < 4 else 1, 1), padding=(2, 0)))
            for number, (before, after) in enumerate(pairwise(widths))
        )
        self.head = weight_norm(nn.Conv2d(widths[-1], 1, (3, 1), padding=(1, 0)))
        self.projection = Projection(classes, widths[-1])

    def forward(self, wave: Tensor, condition: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """Logits [B, 1, H, period] for waveforms [B, T], and the features before them."""
        missing = -wave.shape[-1] % self.period
        x = F.pad(wave[:, None], (0, missing), mode="reflect") if missing else wave[:, None]
        x = x.unflatten(-1, (-1, self.period))
        features = self.layers(x)
        logit = self.head(features[-1])
        return self.projection(logit, features[-1], condition), [*features, logit]


class ScaleCritic(nn.Module):
    """Grouped convolutions of 41 taps over the wave, after it was averaged over pairs `halvings` times.

    The first scale has spectral norm and the others weight norm, as published.
    """

    def __init__(self, halvings: int, width: int, classes: int) -> None:
        super().__init__()
        self.halvings = halvings
        norm = weight_norm if halvings else spectral_norm
        wide = [width, width, 2 * width, 4 * width, 8 * width, 8 * width]
        strides, groups = (2, 2, 4, 4, 1), (4, 16, 16, 16, 16)
        layers = [nn.Conv1d(1, width, 15, padding=7)]
        for before, after, stride, parts in zip(wide, wide[1:], strides, groups, strict=False):
            shared = gcd(gcd(before, after), parts)
            layers.append(nn.Conv1d(before, after, 41, stride, padding=20, groups=shared))
        layers.append(nn.Conv1d(wide[-1], wide[-1], 5, padding=2))
        self.layers = Layers(norm(layer) for layer in layers)
        self.head = norm(nn.Conv1d(wide[-1], 1, 3, padding=1))
        self.projection = Projection(classes, wide[-1])

    def forward(self, wave: Tensor, condition: Tensor | None) -> tuple[Tensor, list[Tensor]]:
        """Logits [B, 1, T'] for waveforms [B, T], and the features before them."""
        x = wave[:, None]
        for _ in range(self.halvings):
            x = F.avg_pool1d(x, 4, 2, padding=2)
        features = self.layers(x)
        logit = self.head(features[-1])
        return self.projection(logit, features[-1], condition), [*features, logit]


def period_critics(config: MultiPeriodConfig, classes: int) -> list[nn.Module]:
    """The sub-critics of `audio.multi_period`."""
    return [PeriodCritic(period, config.width, classes) for period in config.periods]


def scale_critics(config: MultiScaleConfig, classes: int) -> list[nn.Module]:
    """The sub-critics of `audio.multi_scale`."""
    return [ScaleCritic(halvings, config.width, classes) for halvings in range(config.scales)]


def build_multi_period(config: MultiPeriodConfig, facts: Mapping[str, Any]) -> Ensemble:
    """The critic for the data that `facts` describe."""
    return Ensemble(period_critics(config, label_count(AudioFacts.of(facts))))


def build_multi_scale(config: MultiScaleConfig, facts: Mapping[str, Any]) -> Ensemble:
    """The critic for the data that `facts` describe."""
    return Ensemble(scale_critics(config, label_count(AudioFacts.of(facts))))
