"""PatchGAN (Isola, Zhu, Zhou and Efros 2017, section 3.2.2 and appendix 6.1.2), without normalisation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genkit import ConfigError, Critic, Verdict
from genkit_image.models.reconstruct import PictureToPicture, asked_picture, picture_shape
from genkit_image.models.reconstruct_config import PatchCriticConfig
from genkit_image.models.small import SLOPE, scaled


class PatchCritic(Critic, PictureToPicture):
    """4×4 convolutions, of stride 2 and then 1 -> a logit a patch, of the sample beside what it was made of.

    The paper's batch norm is left out: it couples the batch, and a penalty does what it was for.
    """

    def __init__(self, config: PatchCriticConfig, channels: int, given: int, size: int) -> None:
        super().__init__()
        if (size >> config.layers) < 3:
            raise ConfigError(
                f"{config.layers} strided layers leave nothing of {size} pixels a side",
                where="model.critic.layers",
                fix="fewer layers, or a higher resolution",
            )
        widths = [config.width << min(level, 3) for level in range(config.layers + 1)]
        before = [channels + given + 1, *widths[:-1]]
        strides = [2] * config.layers + [1]
        self.layers = nn.ModuleList(
            scaled(nn.Conv2d(here, there, 4, stride=stride, padding=1))
            for here, there, stride in zip(before, widths, strides, strict=True)
        )
        self.head = nn.Conv2d(widths[-1], 1, 4, padding=1, bias=False)
        nn.init.normal_(self.head.weight, 0.0, (16 * widths[-1]) ** -0.5)

    def forward(
        self, sample: Tensor, condition: Mapping[str, Tensor] | None = None, mask: Tensor | None = None
    ) -> Verdict:
        """Logits [B, 1, h, w] for pictures [B, C, H, W]."""
        given, known = asked_picture(condition)
        x, maps = torch.cat([sample, given.to(sample.dtype), known.to(sample.dtype)], 1), []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), SLOPE)
            maps.append(x)
        return Verdict([self.head(x)], [maps])


def build_critic(config: PatchCriticConfig, facts: Mapping[str, Any]) -> PatchCritic:
    """The critic for the data that `facts` describe."""
    return PatchCritic(config, *picture_shape(facts))
