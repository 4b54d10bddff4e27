"""Two multi-layer perceptrons over all numbers of a sample, as in the first GAN (Goodfellow et al. 2014)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

from torch import Tensor, nn

from genkit import ConfigError, Critic, Draw, Generator, Random, Verdict
from genkit_image.bench.config import PerceptronCriticConfig, PerceptronGeneratorConfig
from genkit_image.models.shapes import class_count

SLOPE = 0.2


class PerceptronGenerator(Generator):
    """Latents [B, latent] to samples of `shape`. Its units are not leaky: the passage from one mode to the next has to
    be steep, and kinks make it so."""

    def __init__(self, config: PerceptronGeneratorConfig, shape: Sequence[int]) -> None:
        super().__init__()
        self.latent_size, self.shape = config.latent, tuple(shape)
        self.layers = layers([config.latent, *[config.width] * config.depth, math.prod(shape)], slope=0.0)

    def latent(self, count: int, *, rng: Random) -> Tensor:
        """Standard normal [count, latent]."""
        return rng.normal(count, self.latent_size)

    def forward(self, latent: Tensor, condition: None = None) -> Draw:
        """Samples [B, *shape]."""
        return Draw(self.layers(latent).view(-1, *self.shape))


class PerceptronCritic(Critic):
    """Samples of `shape` to logits [B, 1]."""

    def __init__(self, config: PerceptronCriticConfig, shape: Sequence[int]) -> None:
        super().__init__()
        self.layers = layers([math.prod(shape), *[config.width] * config.depth, 1], slope=SLOPE)

    def forward(self, sample: Tensor, condition: None = None, mask: Tensor | None = None) -> Verdict:
        """Logits [B, 1]."""
        return Verdict([self.layers(sample.flatten(1))])


def layers(sizes: Sequence[int], *, slope: float) -> nn.Sequential:
    """Linear layers of these sizes with ReLU between them, leaky by `slope`, weights after He et al. (2015)."""
    made: list[nn.Module] = []
    for here, there in pairwise(sizes):
        linear = nn.Linear(here, there)
        nn.init.kaiming_normal_(linear.weight, slope)
        nn.init.zeros_(linear.bias)
        made += [linear, nn.LeakyReLU(slope) if slope else nn.ReLU()]
    return nn.Sequential(*made[:-1])


def build_generator(config: PerceptronGeneratorConfig, facts: Mapping[str, Any]) -> PerceptronGenerator:
    """The generator for samples of the shape in `facts`. Raises ConfigError for data with labels."""
    _refuse_labels(facts)
    return PerceptronGenerator(config, facts["shape"])


def build_critic(config: PerceptronCriticConfig, facts: Mapping[str, Any]) -> PerceptronCritic:
    """The critic for samples of the shape in `facts`. Raises ConfigError for data with labels."""
    _refuse_labels(facts)
    return PerceptronCritic(config, facts["shape"])


def _refuse_labels(facts: Mapping[str, Any]) -> None:
    if class_count(facts):
        raise ConfigError(
            f"perceptrons learn no labels, and the data has {class_count(facts)}",
            where="model",
            fix="--set data.labels=none (false for image.digits; data.label=none for image.hub and image.webdataset)",
        )
