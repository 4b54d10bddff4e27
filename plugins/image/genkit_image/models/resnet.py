"""The residual nets of WGAN-GP (Gulrajani et al. 2017, arXiv 1704.00028, appendix F) and SNGAN (Miyato et al. 2018,
arXiv 1802.05957, appendix B), with labels as Miyato and Koyama 2018 (arXiv 1802.05637) give them.

block(x) = S x + W₂ φ(N W₁ φ(N x)) with 3×3 convolutions W, normalisation N, ReLU φ and a 1×1 convolution S; the
resolution changes before W₁ in the generator and after W₂ in the critic.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any, TypeVar

import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from genkit import Critic, Draw, Generator, Random, Verdict
from genkit_image.models.config import Normalisation, ResNetCriticConfig, ResNetGeneratorConfig
from genkit_image.models.normalisation import BatchNorm
from genkit_image.models.shapes import asked_label, base_size, class_count, image_shape

Layer = TypeVar("Layer", nn.Conv2d, nn.Linear, nn.Embedding)


class ResNetGenerator(Generator):
    """z -> base×base -> residual doublings with (conditional) batch norm -> batch norm, ReLU, convolution, tanh."""

    def __init__(self, config: ResNetGeneratorConfig, channels: int, size: int, classes: int) -> None:
        super().__init__()
        widths, self.latent_size, self.conditional = config.widths, config.latent, classes > 0
        self.base = base_size(size, len(widths) - 1, "model.generator.widths")
        self.spread = glorot(nn.Linear(config.latent, widths[0] * self.base**2))
        self.blocks = nn.ModuleList(Doubling(here, there, classes) for here, there in pairwise(widths))
        self.norm = BatchNorm(widths[-1])
        self.to_image = glorot(nn.Conv2d(widths[-1], channels, 3, padding=1))

    def latent(self, count: int, *, rng: Random) -> Tensor:
        """Standard normal [count, latent]."""
        return rng.normal(count, self.latent_size)

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Draw:
        """Images [B, C, size, size] from latents [B, latent] and, when conditional, labels [B]."""
        label = asked_label(condition) if self.conditional else None
        x = self.spread(latent).unflatten(1, (-1, self.base, self.base))
        for block in self.blocks:
            x = block(x, label)
        return Draw(self.to_image(F.relu(self.norm(x))).tanh())


class Doubling(nn.Module):
    """The generator's block, [B, here, H, W] -> [B, there, 2H, 2W] by repeating pixels."""

    def __init__(self, here: int, there: int, classes: int) -> None:
        super().__init__()
        self.norm1, self.norm2 = BatchNorm(here, classes), BatchNorm(there, classes)
        self.first = glorot(nn.Conv2d(here, there, 3, padding=1), math.sqrt(2))
        self.second = glorot(nn.Conv2d(there, there, 3, padding=1), math.sqrt(2))
        self.shortcut = glorot(nn.Conv2d(here, there, 1))

    def forward(self, x: Tensor, label: Tensor | None) -> Tensor:
        h = self.first(F.interpolate(F.relu(self.norm1(x, label)), scale_factor=2.0))
        h = self.second(F.relu(self.norm2(h, label)))
        # A 1×1 convolution and a repetition of pixels may change places: here it costs a quarter.
        out: Tensor = F.interpolate(self.shortcut(x), scale_factor=2.0) + h
        return out


class ResNetCritic(Critic):
    """Residual halvings, blocks that keep the resolution, ReLU, pooling over the picture, one logit; labels by
    projection. No batch norm: a row's logit is its own."""

    def __init__(self, config: ResNetCriticConfig, channels: int, size: int, classes: int) -> None:
        super().__init__()
        base_size(size, len(config.widths), "model.critic.widths", least=1)
        normalise, self.pooling = config.normalisation, config.pooling
        blocks = [Halving(channels, config.widths[0], normalise, first=True)]
        blocks += [Halving(here, there, normalise) for here, there in pairwise(config.widths)]
        blocks += [
            Halving(here, there, normalise, halves=False) for here, there in pairwise((config.widths[-1], *config.flat))
        ]
        self.blocks = nn.ModuleList(blocks)
        width = (*config.widths, *config.flat)[-1]
        self.head = bounded(glorot(nn.Linear(width, 1)), normalise)
        self.embedding = bounded(glorot(nn.Embedding(classes, width)), normalise) if classes else None

    def forward(self, sample: Tensor, condition: Tensor | None = None, mask: Tensor | None = None) -> Verdict:
        """One logit a row [B] for images [B, C, size, size]."""
        x = sample
        for block in self.blocks:
            x = block(x)
        x = F.relu(x)
        h = x.sum((2, 3)) if self.pooling == "sum" else x.mean((2, 3))
        logits = self.head(h).squeeze(1)
        if self.embedding is not None:
            logits = logits + (h * self.embedding(asked_label(condition))).sum(1)
        return Verdict([logits], [[x]])


class Halving(nn.Module):
    """The critic's block, [B, here, H, W] -> [B, there, H/2, W/2] by averaging.

    Args:
        normalise: see `ResNetCriticConfig.normalisation`.
        first: it sees the picture itself, which is neither normalised nor rectified.
        halves: False keeps the resolution.
    """

    def __init__(
        self, here: int, there: int, normalise: Normalisation, *, first: bool = False, halves: bool = True
    ) -> None:
        super().__init__()
        inner = here if halves and not first else there
        layered = normalise == "layer" and not first
        self.is_first, self.halves = first, halves
        self.norm1 = nn.GroupNorm(1, here) if layered else nn.Identity()
        self.norm2 = nn.GroupNorm(1, inner) if layered else nn.Identity()
        self.first = bounded(glorot(nn.Conv2d(here, inner, 3, padding=1), math.sqrt(2)), normalise)
        self.second = bounded(glorot(nn.Conv2d(inner, there, 3, padding=1), math.sqrt(2)), normalise)
        same = here == there and not halves
        self.shortcut = nn.Identity() if same else bounded(glorot(nn.Conv2d(here, there, 1)), normalise)

    def forward(self, x: Tensor) -> Tensor:
        h = self.first(x if self.is_first else F.relu(self.norm1(x)))
        h = self.second(F.relu(self.norm2(h)))
        if self.halves:
            x, h = F.avg_pool2d(x, 2), F.avg_pool2d(h, 2)
        out: Tensor = self.shortcut(x) + h
        return out


def glorot(layer: Layer, gain: float = 1.0) -> Layer:
    """`layer` with uniform weights by Glorot and Bengio 2010, times `gain`, and no bias."""
    nn.init.xavier_uniform_(layer.weight, gain)
    if not isinstance(layer, nn.Embedding) and layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def bounded(layer: Layer, normalise: Normalisation) -> nn.Module:
    """`layer`, with its weight divided by its largest singular value under ``spectral`` (Miyato et al. 2018, eq. 8)."""
    return spectral_norm(layer) if normalise == "spectral" else layer


def build_generator(config: ResNetGeneratorConfig, facts: Mapping[str, Any]) -> ResNetGenerator:
    """The generator for the data that `facts` describe."""
    return ResNetGenerator(config, *image_shape(facts), class_count(facts))


def build_critic(config: ResNetCriticConfig, facts: Mapping[str, Any]) -> ResNetCritic:
    """The critic for the data that `facts` describe."""
    return ResNetCritic(config, *image_shape(facts), class_count(facts))
