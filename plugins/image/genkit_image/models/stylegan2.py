"""StyleGAN2 (Karras, Laine, Aittala, Hellsten, Lehtinen and Aila 2020, arXiv 1912.04958), without custom kernels.

z -> mapping network -> w; w modulates each convolution of the synthesis network, which adds up pictures of growing
resolution. The critic is residual and shows each row how much its group of rows varies.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genkit import Critic, Draw, Generator, Random, Verdict
from genkit_image.models.config import StyleGAN2CriticConfig, StyleGAN2GeneratorConfig
from genkit_image.models.modulation import Convolution, Dense, activate, low_pass, modulated
from genkit_image.models.r3gan import double, halve
from genkit_image.models.shapes import asked_label, base_size, class_count, image_shape

AVERAGE_DECAY = 0.998


class StyleGAN2Generator(Generator):
    """Mapping network and synthesis network with skips to the picture.

    A latent [B, latent_size] holds, all of them standard normal: z; where styles are mixed in training, a second z and
    the number that says from which layer on it rules; and the noise of every layer. So a forward is a function of its
    latent alone. Sampling uses the first z and the noise.

    `average` is w's moving average over the training batches (of the first process, where there are several); the EMA
    of the weights takes it over.
    """

    sampling = MappingProxyType({"truncation": 1.0})
    average: Tensor
    """[style]"""

    def __init__(self, config: StyleGAN2GeneratorConfig, channels: int, size: int, classes: int) -> None:
        super().__init__()
        widths, style = config.widths, config.style
        base = base_size(size, len(widths) - 1, "model.generator.widths")
        self.z_size, self.mixing = config.latent, config.mixing
        self.embedding = nn.Embedding(classes, style) if classes else None
        given = (config.latent + style if classes else config.latent, *[style] * (config.mapping - 1))
        self.mapping = nn.ModuleList(Dense(here, style, rate=config.mapping_rate) for here in given)
        self.constant = nn.Parameter(torch.randn(widths[0], base, base))
        layers = [Styled(widths[0], widths[0], style)]
        sides = [base]
        for i, (here, there) in enumerate(pairwise(widths), start=1):
            layers += [Styled(here, there, style, doubles=True), Styled(there, there, style)]
            sides += [base << i] * 2
        self.layers = nn.ModuleList(layers)
        self.to_image = nn.ModuleList(ToImage(width, channels, style) for width in widths)
        self.noise_sides = sides if config.noise else []
        self.register_buffer("average", torch.zeros(style))

    @property
    def style_count(self) -> int:
        """Styles of one picture: one for each layer, and one for the last step to the picture."""
        return len(self.layers) + 1

    @property
    def latent_size(self) -> int:
        """Numbers in a latent."""
        return self._before_noise + sum(side**2 for side in self.noise_sides)

    @property
    def _before_noise(self) -> int:
        return self.z_size if self.mixing == 0 else 2 * self.z_size + 1

    def latent(self, count: int, *, rng: Random) -> Tensor:
        """Standard normal [count, latent_size]."""
        return rng.normal(count, self.latent_size)

    def forward(self, latent: Tensor, condition: Tensor | None = None, *, truncation: float = 1.0) -> Draw:
        """Images [B, C, size, size] from latents [B, latent_size] and, when conditional, labels [B].

        Args:
            truncation: ψ: w is drawn towards its average, w̄ + ψ (w - w̄) (Karras et al. 2019, appendix B): less
                variety, better pictures. 1 changes nothing.
        """
        styles = self.styles(latent, condition)
        if self.training:
            with torch.no_grad():
                self.average.lerp_(styles[:, 0].mean(0).to(self.average), 1 - AVERAGE_DECAY)
        if truncation != 1.0:
            styles = self.average + truncation * (styles - self.average)
        return Draw(self.synthesise(styles, latent))

    def styles(self, latent: Tensor, condition: Tensor | None = None) -> Tensor:
        """w for each layer [B, style_count, style]; mixed in training (Karras et al. 2019, section 3.1)."""
        first = self._mapped(latent[:, : self.z_size], condition)[:, None].expand(-1, self.style_count, -1)
        if not self.training or self.mixing == 0:
            return first
        second = self._mapped(latent[:, self.z_size : 2 * self.z_size], condition)[:, None]
        share = 0.5 + 0.5 * torch.erf(latent[:, 2 * self.z_size] / math.sqrt(2))  # uniform, from a normal number
        crossing = 1 + (share / self.mixing * (self.style_count - 1)).floor()  # beyond the last layer: not mixed
        layer = torch.arange(self.style_count, device=latent.device)
        return torch.where((layer < crossing[:, None])[:, :, None], first, second)

    def _mapped(self, z: Tensor, condition: Tensor | None) -> Tensor:
        """w [B, style] of z [B, latent]."""
        x = unit_variance(z)
        if self.embedding is not None:
            x = torch.cat([x, unit_variance(self.embedding(asked_label(condition)))], 1)
        for layer in self.mapping:
            x = activate(layer(x))
        return x

    def synthesise(self, styles: Tensor, latent: Tensor) -> Tensor:
        """Images [B, C, size, size] from styles [B, style_count, style] and the noise in latents [B, latent_size]."""
        noises: list[Tensor | None] = [None] * len(self.layers)
        if self.noise_sides:
            flat = latent[:, self._before_noise :].split([side**2 for side in self.noise_sides], 1)
            noises = [one.view(-1, 1, side, side) for one, side in zip(flat, self.noise_sides, strict=True)]
        x: Tensor = self.constant.expand(len(styles), -1, -1, -1)
        x = self.layers[0](x, styles[:, 0], noises[0])
        image: Tensor = self.to_image[0](x, styles[:, 1])
        for stage, to_image in enumerate(self.to_image[1:], start=1):
            for i in (2 * stage - 1, 2 * stage):
                x = self.layers[i](x, styles[:, i], noises[i])
            image = double(image) + to_image(x, styles[:, 2 * stage + 1])
        return image


class Styled(nn.Module):
    """A modulated 3×3 convolution, noise of a learnt strength that starts at 0, a bias and the activation."""

    filter: Tensor | None

    def __init__(self, here: int, there: int, style: int, *, doubles: bool = False) -> None:
        super().__init__()
        self.style = Dense(style, here, bias=1.0)
        self.weight = nn.Parameter(torch.randn(there, here, 3, 3))
        self.strength = nn.Parameter(torch.zeros(()))
        self.bias = nn.Parameter(torch.zeros(there))
        self.gain = 1 / math.sqrt(9 * here)
        self.register_buffer("filter", low_pass() if doubles else None, persistent=False)

    def forward(self, x: Tensor, style: Tensor, noise: Tensor | None) -> Tensor:
        """[B, here, H, W] -> [B, there, H, W] or twice that, given w [B, style] and noise [B, 1, ...] for it."""
        x = modulated(x, self.weight * self.gain, self.style(style), filter=self.filter)
        if noise is not None:
            x = x + self.strength * noise
        return activate(x + self.bias[:, None, None])


class ToImage(nn.Module):
    """A modulated 1×1 convolution to the picture's channels, without demodulation."""

    def __init__(self, width: int, channels: int, style: int) -> None:
        super().__init__()
        self.style = Dense(style, width, bias=1.0)
        self.weight = nn.Parameter(torch.randn(channels, width, 1, 1))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.gain = 1 / math.sqrt(width)

    def forward(self, x: Tensor, style: Tensor) -> Tensor:
        """[B, width, H, W] -> [B, channels, H, W], given w [B, style]."""
        return modulated(x, self.weight * self.gain, self.style(style), demodulate=False) + self.bias[:, None, None]


class StyleGAN2Critic(Critic):
    """Residual halvings, the batch's standard deviation, a convolution and two linear layers; labels by projection."""

    batch_coupled = True

    def __init__(self, config: StyleGAN2CriticConfig, channels: int, size: int, classes: int) -> None:
        super().__init__()
        widths, self.group = config.widths[::-1], config.group
        base = base_size(size, len(widths) - 1, "model.critic.widths")
        self.from_image = Convolution(channels, widths[0], 1)
        self.blocks = nn.ModuleList(Residual(here, there) for here, there in pairwise(widths))
        last = widths[-1]
        self.mix = Convolution(last + 1, last, 3)
        self.gather = Dense(last * base**2, last)
        self.head = Dense(last, last if classes else 1)
        self.embedding = nn.Embedding(classes, last) if classes else None

    def forward(self, sample: Tensor, condition: Tensor | None = None, mask: Tensor | None = None) -> Verdict:
        """One logit a row [B] for images [B, C, size, size]."""
        x = activate(self.from_image(sample))
        for block in self.blocks:
            x = block(x)
        h = activate(self.mix(with_spread(x, self.group)))
        h = self.head(activate(self.gather(h.flatten(1))))
        if self.embedding is not None:
            wanted = unit_variance(self.embedding(asked_label(condition)))
            h = (h * wanted).sum(1, keepdim=True) / math.sqrt(h.shape[1])
        return Verdict([h.squeeze(1)], [[x]])


class Residual(nn.Module):
    """(S x + W₂ φ(W₁ x))/√2, [B, here, H, W] -> [B, there, H/2, W/2]; the halvings are blurred."""

    def __init__(self, here: int, there: int) -> None:
        super().__init__()
        self.first = Convolution(here, here, 3)
        self.second = Convolution(here, there, 3, halves=True)
        self.shortcut = Convolution(here, there, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        h = activate(self.second(activate(self.first(x))))
        out: Tensor = (self.shortcut(halve(x)) + h) / math.sqrt(2)
        return out


def with_spread(x: Tensor, group: int) -> Tensor:
    """`x` [B, C, H, W] and one channel more, [B, C + 1, H, W]: the standard deviation over each `group` rows that
    follow one another, averaged over channels and pixels (Karras et al. 2018, section 3). Where `group` does not divide
    the batch, the largest number below it that does."""
    rows = len(x)
    size = next(number for number in range(min(group, rows), 0, -1) if rows % number == 0)
    grouped = x.unflatten(0, (rows // size, size))
    spread = (grouped.var(1, unbiased=False) + 1e-8).sqrt().mean((1, 2, 3))
    shown = spread.repeat_interleave(size).view(rows, 1, 1, 1).expand(-1, 1, *x.shape[2:])
    return torch.cat([x, shown.to(x.dtype)], 1)


def unit_variance(x: Tensor) -> Tensor:
    """`x` [B, N] with a mean square of 1 in each row."""
    return F.normalize(x, dim=1) * math.sqrt(x.shape[1])


def build_generator(config: StyleGAN2GeneratorConfig, facts: Mapping[str, Any]) -> StyleGAN2Generator:
    """The generator for the data that `facts` describe."""
    return StyleGAN2Generator(config, *image_shape(facts), class_count(facts))


def build_critic(config: StyleGAN2CriticConfig, facts: Mapping[str, Any]) -> StyleGAN2Critic:
    """The critic for the data that `facts` describe."""
    return StyleGAN2Critic(config, *image_shape(facts), class_count(facts))
