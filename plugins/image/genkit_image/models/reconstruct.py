"""From what is left of a picture to the picture: a U-Net of residual blocks, and a critic that sees both.

The U-Net's form is Ronneberger et al. 2015, its condition enters as in Isola et al. 2017; the blocks are those of
`genkit_image.models.small`.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genkit import ConfigError, Critic, Draw, Generator, Random, UsageError, Verdict
from genkit_image.models.reconstruct_config import (
    ReconstructConfig,
    ReconstructCriticConfig,
    ReconstructGeneratorConfig,
)
from genkit_image.models.shapes import halvings, image_shape
from genkit_image.models.small import SLOPE, Block, scaled


class PictureToPicture(nn.Module):
    """Marks models whose condition is ``{"image": [B, C, H, W], "mask": [B, 1, H, W]}``."""


class ReconstructGenerator(Generator, PictureToPicture):
    """Halvings with residual blocks, the latent added at the bottom, doublings that see the way down -> tanh.

    Known pixels, where the mask is 1, are those that were given, to the bit.
    """

    def __init__(self, config: ReconstructGeneratorConfig, channels: int, given: int, size: int) -> None:
        super().__init__()
        widths, base = plan(config, size, "model.generator")
        self.fold, self.latent_size, self.keeps = config.fold, config.latent, given == channels
        self.from_image = scaled(nn.Conv2d(config.fold**2 * (given + 1), widths[0], 3, padding=1))
        self.down = nn.ModuleList(_blocks(width, config.blocks) for width in widths)
        self.sink = nn.ModuleList(_sink(fine, coarse) for fine, coarse in pairwise(widths))
        self.spread = scaled(nn.Linear(config.latent, widths[-1] * base**2)) if config.latent else None
        self.bottom = (widths[-1], base, base)
        rising = list(reversed(widths))
        self.rise = nn.ModuleList(_rise(coarse, fine) for coarse, fine in pairwise(rising))
        self.join = nn.ModuleList(scaled(nn.Conv2d(2 * width, width, 1)) for width in rising[1:])
        self.up = nn.ModuleList(_blocks(width, config.blocks) for width in rising)
        self.to_image = scaled(nn.Conv2d(widths[0], config.fold**2 * channels, 3, padding=1))

    def latent(self, count: int, *, rng: Random) -> Tensor:
        """Standard normal [count, latent]."""
        return rng.normal(count, self.latent_size)

    def forward(self, latent: Tensor, condition: Mapping[str, Tensor] | None = None) -> Draw:
        """Pictures [B, C, H, W] from latents [B, latent] and what is left of them."""
        given, mask = asked_picture(condition)
        x = self.from_image(folded(torch.cat([given, mask], 1), self.fold))
        seen = []
        for blocks, sink in zip(self.down, self.sink, strict=False):
            x = blocks(x)
            seen.append(x)
            x = sink(x)
        x = self.down[-1](x)
        if self.spread is not None:
            x = x + self.spread(latent).unflatten(1, self.bottom)
        x = self.up[0](x)
        for rise, join, blocks in zip(self.rise, self.join, list(self.up)[1:], strict=True):
            x = blocks(join(torch.cat([rise(x), seen.pop()], 1)))
        made = unfolded(self.to_image(F.leaky_relu(x, SLOPE)), self.fold).tanh()
        return Draw(torch.where(mask > 0.5, given.to(made.dtype), made) if self.keeps else made)


class ReconstructCritic(Critic, PictureToPicture):
    """Halvings with residual blocks -> linear -> one logit, of the sample beside what it was made of."""

    def __init__(self, config: ReconstructCriticConfig, channels: int, given: int, size: int) -> None:
        super().__init__()
        widths, base = plan(config, size, "model.critic")
        self.fold = config.fold
        self.from_image = scaled(nn.Conv2d(config.fold**2 * (channels + given + 1), widths[0], 3, padding=1))
        self.blocks = nn.ModuleList(_blocks(width, config.blocks) for width in widths)
        self.sink = nn.ModuleList(_sink(fine, coarse) for fine, coarse in pairwise(widths))
        self.gather = scaled(nn.Linear(widths[-1] * base**2, config.hidden))
        self.head = nn.Linear(config.hidden, 1)
        nn.init.normal_(self.head.weight, 0.0, config.hidden**-0.5)
        nn.init.zeros_(self.head.bias)

    def forward(
        self, sample: Tensor, condition: Mapping[str, Tensor] | None = None, mask: Tensor | None = None
    ) -> Verdict:
        """One logit a row [B] for pictures [B, C, H, W]."""
        given, known = asked_picture(condition)
        x = self.from_image(folded(torch.cat([sample, given.to(sample.dtype), known.to(sample.dtype)], 1), self.fold))
        maps = []
        for blocks, sink in zip(self.blocks, self.sink, strict=False):
            x = blocks(x)
            maps.append(x)
            x = sink(x)
        x = self.blocks[-1](x)
        h = F.leaky_relu(self.gather(F.leaky_relu(x, SLOPE).flatten(1)), SLOPE)
        return Verdict([self.head(h).squeeze(1)], [[*maps, x, h]])


def asked_picture(condition: object) -> tuple[Tensor, Tensor]:
    """What is left of the pictures, [B, C, H, W], and the mask [B, 1, H, W]. Raises UsageError without them."""
    if not isinstance(condition, Mapping) or not {"image", "mask"} <= set(condition):
        raise UsageError(
            "this model makes pictures of what is left of them, and was given none",
            fix="train it with image.reconstruct or image.pairs; --condition image=FILE",
        )
    return condition["image"], condition["mask"]


def folded(images: Tensor, fold: int) -> Tensor:
    """[B, C, H, W] -> [B, fold²·C, H/fold, W/fold]."""
    return images if fold == 1 else F.pixel_unshuffle(images, fold)


def unfolded(x: Tensor, fold: int) -> Tensor:
    """The inverse of `folded`."""
    return x if fold == 1 else F.pixel_shuffle(x, fold)


def plan(config: ReconstructConfig, size: int, where: str) -> tuple[list[int], int]:
    """The channels at each size from the finest on, and the coarsest size. Raises ConfigError when `size` has none."""
    if size % config.fold:
        raise ConfigError(f"{size} pixels a side are no multiple of {config.fold}", where=f"{where}.fold")
    base, times = halvings(size // config.fold)
    return [min(config.width << level, config.widest) for level in range(times + 1)], base


def picture_shape(facts: Mapping[str, Any]) -> tuple[int, int, int]:
    """Channels of the picture, channels of what is left of it, pixels a side. Raises ConfigError unless it is square.

    Without a word in the facts, what is left has the picture's own channels.
    """
    channels, size = image_shape(facts)
    given = facts.get("given", {}).get("shape", (channels, size, size))
    if tuple(given[1:]) != (size, size):
        raise ConfigError(f"a picture of {size} pixels a side is to be made of one of {list(given)}", where="data")
    return channels, given[0], size


def _blocks(width: int, count: int) -> nn.Sequential:
    return nn.Sequential(*(Block(width) for _ in range(count)))


def _sink(fine: int, coarse: int) -> nn.Sequential:
    """A strided 2×2 convolution, as the dense product it is."""
    return nn.Sequential(nn.PixelUnshuffle(2), scaled(nn.Conv2d(4 * fine, coarse, 1)))


def _rise(coarse: int, fine: int) -> nn.Sequential:
    return nn.Sequential(scaled(nn.Conv2d(coarse, 4 * fine, 1)), nn.PixelShuffle(2))


def build_generator(config: ReconstructGeneratorConfig, facts: Mapping[str, Any]) -> ReconstructGenerator:
    """The generator for the data that `facts` describe."""
    return ReconstructGenerator(config, *picture_shape(facts))


def build_critic(config: ReconstructCriticConfig, facts: Mapping[str, Any]) -> ReconstructCritic:
    """The critic for the data that `facts` describe."""
    return ReconstructCritic(config, *picture_shape(facts))
