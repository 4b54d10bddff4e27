"""DCGAN (Radford, Metz and Chintala 2016, arXiv 1511.06434, section 3 and figure 1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from genkit import Critic, Draw, Generator, Random, Verdict
from genkit_image.models.config import DCGANCriticConfig, DCGANGeneratorConfig
from genkit_image.models.shapes import asked_label, class_count, halvings, image_shape


class DCGANGenerator(Generator):
    """z -> base×base -> doublings by transposed 4×4 convolutions, batch norm and ReLU -> tanh."""

    def __init__(self, config: DCGANGeneratorConfig, channels: int, size: int, classes: int) -> None:
        super().__init__()
        base, times = halvings(size)
        self.latent_size = config.latent
        self.embedding = nn.Embedding(classes, config.embedding) if classes else None
        wide = config.width << (times - 1)
        given = config.latent + (config.embedding if classes else 0)
        layers = [nn.ConvTranspose2d(given, wide, base, bias=False), nn.BatchNorm2d(wide), nn.ReLU(inplace=True)]
        for _ in range(times - 1):
            layers += [
                nn.ConvTranspose2d(wide, wide // 2, 4, 2, 1, bias=False),
                nn.BatchNorm2d(wide // 2),
                nn.ReLU(inplace=True),
            ]
            wide //= 2
        self.layers = nn.Sequential(*layers, nn.ConvTranspose2d(wide, channels, 4, 2, 1, bias=False), nn.Tanh())
        self.apply(_initialise)

    def latent(self, count: int, *, rng: Random) -> Tensor:
        """Standard normal [count, latent]; the paper drew from a uniform distribution."""
        return rng.normal(count, self.latent_size)

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Draw:
        """Images [B, C, size, size] from latents [B, latent] and, when conditional, labels [B]."""
        if self.embedding is not None:
            latent = torch.cat([latent, self.embedding(asked_label(condition))], 1)
        return Draw(self.layers(latent[:, :, None, None]))


class DCGANCritic(Critic):
    """Halvings by strided 4×4 convolutions, batch norm and leaky ReLU, then one logit; labels by projection.

    Its logits depend on the batch. Real and fake are judged apart, and under torch.compile a gradient penalty fails:
    batch norm's running statistics can not be updated inside ``torch.func.grad``. Set ``train.compile=off`` for those.
    """

    batch_coupled = True

    def __init__(self, config: DCGANCriticConfig, channels: int, size: int, classes: int) -> None:
        super().__init__()
        base, times = halvings(size)
        wide = config.width
        layers = [nn.Conv2d(channels, wide, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)]
        for _ in range(times - 1):
            # No running statistics: a critic only ever judges whole batches, and one loss over two forwards must not
            # find them changed (on CUDA autograd refuses; compiled code has no input gradient with them).
            norm = nn.BatchNorm2d(2 * wide, track_running_stats=False)
            layers += [nn.Conv2d(wide, 2 * wide, 4, 2, 1, bias=False), norm, nn.LeakyReLU(0.2, inplace=True)]
            wide *= 2
        self.layers = nn.Sequential(*layers)
        self.head = nn.Conv2d(wide, 1, base, bias=False)
        self.embedding = nn.Embedding(classes, wide) if classes else None
        self.apply(_initialise)
        if self.embedding is not None:  # as the head's weights: torch's N(0, 1) would drown it
            nn.init.normal_(self.embedding.weight, 0.0, 0.02)

    def forward(self, sample: Tensor, condition: Tensor | None = None, mask: Tensor | None = None) -> Verdict:
        """One logit a row [B] for images [B, C, size, size]."""
        maps = self.layers(sample)
        logits = self.head(maps).flatten()
        if self.embedding is not None:
            logits = logits + (self.embedding(asked_label(condition)) * maps.sum((2, 3))).sum(1)
        return Verdict([logits], [[maps]])


def build_generator(config: DCGANGeneratorConfig, facts: Mapping[str, Any]) -> DCGANGenerator:
    """The generator for the data that `facts` describe."""
    return DCGANGenerator(config, *image_shape(facts), class_count(facts))


def build_critic(config: DCGANCriticConfig, facts: Mapping[str, Any]) -> DCGANCritic:
    """The critic for the data that `facts` describe."""
    return DCGANCritic(config, *image_shape(facts), class_count(facts))


def _initialise(module: nn.Module) -> None:
    """Section 4: weights from N(0, 0.02²); batch norm's scales around 1, as the authors' code has it."""
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)
