"""A pair for small pictures on a CPU: residual 3×3 convolutions at a quarter of the resolution.

There a convolution has enough channels to be a dense matrix product, which is what a CPU is fast at; at full resolution
it would cost 16 times as much, with few channels and little to see. What it comes to is in docs/benchmarks.md.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genkit import ConfigError, Critic, Draw, Generator, Random, Verdict
from genkit_image.models.config import SmallCriticConfig, SmallGeneratorConfig
from genkit_image.models.shapes import asked_label, class_count, image_shape

SLOPE = 0.2
BRANCH = 0.1
"""How much a residual branch weighs at the start."""


class SmallGenerator(Generator):
    """Linear -> residual blocks at a quarter of the size -> doubled by a transposed convolution -> sub-pixels -> tanh.

    Without tanh the background of digits becomes noise around -1, half of which is clipped in a picture.
    """

    def __init__(self, config: SmallGeneratorConfig, channels: int, size: int, classes: int) -> None:
        super().__init__()
        self.grid, self.width, self.latent_size = quarter(size), config.width, config.latent
        self.embedding = nn.Embedding(classes, config.embedding) if classes else None
        given = config.latent + (config.embedding if classes else 0)
        self.spread = scaled(nn.Linear(given, config.width * self.grid**2))
        self.blocks = nn.Sequential(*(Block(config.width) for _ in range(config.blocks)))
        self.enlarge = scaled(nn.ConvTranspose2d(config.width, config.width, 4, stride=2, padding=1))
        self.to_image = scaled(nn.Conv2d(config.width, 4 * channels, 3, padding=1))

    def latent(self, count: int, *, rng: Random) -> Tensor:
        """Standard normal [count, latent]."""
        return rng.normal(count, self.latent_size)

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Draw:
        """Images [B, C, size, size] from latents [B, latent] and, when conditional, labels [B]."""
        if self.embedding is not None:
            latent = torch.cat([latent, self.embedding(asked_label(condition))], 1)
        x = self.blocks(self.spread(latent).unflatten(1, (self.width, self.grid, self.grid)))
        x = self.enlarge(F.leaky_relu(x, SLOPE))
        return Draw(F.pixel_shuffle(self.to_image(F.leaky_relu(x, SLOPE)), 2).tanh())


class SmallCritic(Critic):
    """Sub-pixels as channels -> strided convolution to a quarter of the size -> residual blocks -> strided convolution
    -> linear -> one logit; labels by projection (Miyato and Koyama 2018)."""

    def __init__(self, config: SmallCriticConfig, channels: int, size: int, classes: int) -> None:
        super().__init__()
        grid = -(-quarter(size) // 2)
        self.from_image = scaled(nn.Conv2d(4 * channels, config.width, 3, stride=2, padding=1))
        self.blocks = nn.Sequential(*(Block(config.width) for _ in range(config.blocks)))
        self.reduce = scaled(nn.Conv2d(config.width, 2 * config.width, 3, stride=2, padding=1))
        self.gather = scaled(nn.Linear(2 * config.width * grid**2, config.hidden))
        self.head = nn.Linear(config.hidden, 1)
        self.embedding = nn.Embedding(classes, config.hidden) if classes else None
        nn.init.normal_(self.head.weight, 0.0, 1 / math.sqrt(config.hidden))
        nn.init.zeros_(self.head.bias)
        if self.embedding is not None:
            nn.init.normal_(self.embedding.weight, 0.0, 1 / math.sqrt(config.hidden))

    def forward(self, sample: Tensor, condition: Tensor | None = None, mask: Tensor | None = None) -> Verdict:
        """One logit a row [B] for images [B, C, size, size]."""
        x = self.blocks(self.from_image(F.pixel_unshuffle(sample, 2)))
        x = F.leaky_relu(self.reduce(F.leaky_relu(x, SLOPE)), SLOPE)
        h = F.leaky_relu(self.gather(x.flatten(1)), SLOPE)
        logits = self.head(h).squeeze(1)
        if self.embedding is not None:
            logits = logits + (h * self.embedding(asked_label(condition))).sum(1)
        return Verdict([logits], [[x, h]])


class Block(nn.Module):
    """x + W₂ φ(W₁ φ(x)) with 3×3 convolutions, [B, width, H, W] to the same."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.first = scaled(nn.Conv2d(width, width, 3, padding=1))
        self.second = scaled(nn.Conv2d(width, width, 3, padding=1), BRANCH)

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.second(F.leaky_relu(self.first(F.leaky_relu(x, SLOPE)), SLOPE))
        return out


def scaled(layer: nn.Conv2d | nn.ConvTranspose2d | nn.Linear, gain: float = 1.0) -> nn.Module:
    """`layer` with no bias and He weights (He et al. 2015, for leaky ReLU) times `gain`."""
    weight = layer.weight
    if isinstance(layer, nn.ConvTranspose2d):  # [in, out, k, k], and each output sees k²/stride² of the taps
        fan_in = weight.shape[0] * weight[0, 0].numel() / (layer.stride[0] * layer.stride[1])
    else:
        fan_in = weight[0].numel()
    nn.init.normal_(weight, 0.0, gain * math.sqrt(2 / ((1 + SLOPE**2) * fan_in)))
    if layer.bias is not None:
        nn.init.zeros_(layer.bias)
    return layer


def quarter(size: int) -> int:
    """A quarter of `size`. Raises ConfigError when it is no whole number."""
    if size % 4:
        raise ConfigError(f"{size} pixels a side are no multiple of 4", where="data.resolution")
    return size // 4


def build_generator(config: SmallGeneratorConfig, facts: Mapping[str, Any]) -> SmallGenerator:
    """The generator for the data that `facts` describe."""
    return SmallGenerator(config, *image_shape(facts), class_count(facts))


def build_critic(config: SmallCriticConfig, facts: Mapping[str, Any]) -> SmallCritic:
    """The critic for the data that `facts` describe."""
    return SmallCritic(config, *image_shape(facts), class_count(facts))
