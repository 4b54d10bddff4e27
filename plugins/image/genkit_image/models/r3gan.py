"""R3GAN, config E (Huang, Gokaslan, Kuleshov and Tompkin 2024, arXiv 2501.05441): one residual block, both nets.

block(x) = x + W₃ φ(b₂ + W₂ φ(b₁ + W₁ x)): 1×1, grouped 3×3, 1×1; φ is leaky ReLU of slope 0.2. No normalisation.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genkit import ConfigError, Critic, Draw, Generator, Random, Verdict
from genkit_image.models.config import R3GANConfig, R3GANCriticConfig, R3GANGeneratorConfig
from genkit_image.models.shapes import asked_label, class_count, image_shape

SLOPE = 0.2


class Block(nn.Module):
    """One residual block, [B, width, H, W] to the same. It starts as the identity.

    Args:
        depth: residual blocks in the whole net, L: inside, gains are √(2/(1+0.2²))·L^(-1/4), as Fixup has it for three
            layers (Zhang et al. 2019).
    """

    def __init__(self, width: int, groups: int, expansion: int, depth: int) -> None:
        super().__init__()
        inner = width * expansion
        gain = math.sqrt(2 / (1 + SLOPE**2)) * depth**-0.25
        self.widen = scaled(nn.Conv2d(width, inner, 1, bias=False), gain)
        self.bias1 = nn.Parameter(torch.zeros(inner))
        self.mix = scaled(nn.Conv2d(inner, inner, 3, padding=1, groups=groups, bias=False), gain)
        self.bias2 = nn.Parameter(torch.zeros(inner))
        self.narrow = scaled(nn.Conv2d(inner, width, 1, bias=False), 0.0)

    def forward(self, x: Tensor) -> Tensor:
        h = F.leaky_relu(self.widen(x) + self.bias1[:, None, None], SLOPE)
        h = F.leaky_relu(self.mix(h) + self.bias2[:, None, None], SLOPE)
        out: Tensor = x + self.narrow(h)
        return out


class R3GANGenerator(Generator):
    """A learned 4×4 map scaled by the latent, then stages of blocks with bilinear doublings between; no tanh."""

    def __init__(self, config: R3GANGeneratorConfig, channels: int, size: int, classes: int) -> None:
        super().__init__()
        check_stages(config, size, "model.generator")
        self.latent_size = config.latent
        self.embedding = scaled_embedding(classes, config.embedding, 1.0) if classes else None
        first = config.widths[0]
        self.constant = nn.Parameter(torch.randn(first, 4, 4))
        self.style = scaled(nn.Linear(config.latent + (config.embedding if classes else 0), first, bias=False), 1.0)
        self.stages = stages(config)
        self.moves = moves(config.widths)
        self.to_image = scaled(nn.Conv2d(config.widths[-1], channels, 1, bias=False), 1.0)

    def latent(self, count: int, *, rng: Random) -> Tensor:
        """Standard normal [count, latent]."""
        return rng.normal(count, self.latent_size)

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Draw:
        """Images [B, C, size, size] from latents [B, latent] and, when conditional, labels [B]."""
        if self.embedding is not None:
            latent = torch.cat([latent, self.embedding(asked_label(condition))], 1)
        x = self.constant * self.style(latent)[:, :, None, None]
        for i, stage in enumerate(self.stages):
            x = stage(x if i == 0 else double(self.moves[i - 1](x)))
        return Draw(self.to_image(x))


class R3GANCritic(Critic):
    """The generator's stages in reverse, then a depthwise 4×4 convolution and a linear head; labels by projection."""

    def __init__(self, config: R3GANCriticConfig, channels: int, size: int, classes: int) -> None:
        super().__init__()
        check_stages(config, size, "model.critic")
        last = config.widths[0]
        self.from_image = scaled(nn.Conv2d(channels, config.widths[-1], 1, bias=False), 1.0)
        self.stages = stages(config)
        self.moves = moves(config.widths[::-1])
        self.gather = scaled(nn.Conv2d(last, last, 4, groups=last, bias=False), 1.0)
        self.head = scaled(nn.Linear(last, last if classes else 1, bias=False), 1.0)
        self.embedding = scaled_embedding(classes, last, 1 / math.sqrt(last)) if classes else None

    def forward(self, sample: Tensor, condition: Tensor | None = None, mask: Tensor | None = None) -> Verdict:
        """One logit a row [B] for images [B, C, size, size]."""
        x = self.from_image(sample)
        for i, stage in enumerate(reversed(self.stages)):
            x = stage(x if i == 0 else self.moves[i - 1](halve(x)))
        h = self.head(self.gather(x).flatten(1))
        if self.embedding is not None:
            h = (h * self.embedding(asked_label(condition))).sum(1, keepdim=True)
        return Verdict([h.squeeze(1)], [[x]])


def double(x: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, C, 2H, 2W] through the filter [1, 3, 3, 1] in both directions, which is bilinear."""
    return F.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def halve(x: Tensor) -> Tensor:
    """[B, C, H, W] -> [B, C, H/2, W/2] through [1, 3, 3, 1]/8 in both directions: bilinear with antialiasing."""
    wide = x.float() if x.dtype == torch.bfloat16 else x  # the CPU has no bf16 kernel for it
    return F.interpolate(wide, scale_factor=0.5, mode="bilinear", align_corners=False, antialias=True).to(x.dtype)


def stages(config: R3GANConfig) -> nn.ModuleList:
    """The blocks of each stage, from 4×4 up."""
    depth = config.blocks * len(config.widths)
    return nn.ModuleList(
        nn.Sequential(*(Block(width, groups, config.expansion, depth) for _ in range(config.blocks)))
        for width, groups in zip(config.widths, config.groups, strict=True)
    )


def moves(widths: tuple[int, ...]) -> nn.ModuleList:
    """What changes the number of channels from each width to the next: a 1×1 convolution, or nothing."""
    return nn.ModuleList(
        nn.Identity() if here == there else scaled(nn.Conv2d(here, there, 1, bias=False), 1.0)
        for here, there in pairwise(widths)
    )


def scaled(layer: nn.Conv2d | nn.Linear, gain: float) -> nn.Module:
    """`layer` with weights from N(0, gain²/fan_in)."""
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(layer.weight[0].numel()))
    return layer


def scaled_embedding(classes: int, size: int, gain: float) -> nn.Embedding:
    """A linear layer on one-hot labels, whose fan-in is the number of classes."""
    layer = nn.Embedding(classes, size)
    nn.init.normal_(layer.weight, 0.0, gain / math.sqrt(classes))
    return layer


def check_stages(config: R3GANConfig, size: int, where: str) -> None:
    """Raises ConfigError unless the stages lead to `size` and the groups fit."""
    count = len(config.widths)
    if 4 << (count - 1) != size:
        needed = f"{size.bit_length() - 2} widths" if size >= 4 and size & (size - 1) == 0 else "no number of widths"
        raise ConfigError(
            f"{count} widths make images of {4 << (count - 1)} pixels a side; the data has {size}, which {needed} make",
            where=f"{where}.widths",
        )
    if len(config.groups) != count or any(
        w * config.expansion % g for w, g in zip(config.widths, config.groups, strict=True)
    ):
        raise ConfigError(
            f"groups {list(config.groups)} do not divide the widths {list(config.widths)} times {config.expansion}",
            where=f"{where}.groups",
        )


def build_generator(config: R3GANGeneratorConfig, facts: Mapping[str, Any]) -> R3GANGenerator:
    """The generator for the data that `facts` describe."""
    return R3GANGenerator(config, *image_shape(facts), class_count(facts))


def build_critic(config: R3GANCriticConfig, facts: Mapping[str, Any]) -> R3GANCritic:
    """The critic for the data that `facts` describe."""
    return R3GANCritic(config, *image_shape(facts), class_count(facts))
