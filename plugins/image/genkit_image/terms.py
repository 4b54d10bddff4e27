"""Losses of image generators beside the adversarial one."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from genkit import ConfigError, GeneratorTurn, Scheduled, Term, UsageError
from genkit_image.models.stylegan2 import StyleGAN2Generator


class PathLength(Term):
    """E[(‖J_wᵀ y‖ - a)²] with pictures y of noise N(0, I/(H·W)) and J_w the synthesis network's Jacobian (Karras et al.
    2020, eq. 4): a step in w is to change the picture alike everywhere. The square of the norm is over w's numbers and
    the mean over layers.

    a is the moving average of the lengths in the updates before the present one, over the whole batch on all devices,
    free of bias towards its start and part of the state; until there is any, the term is 0. (The authors' code starts
    it at 0.) Reports ``path_length``, the present lengths' mean.

    Args:
        weight, every: see `Term`; the paper has 2 and 4.
        shrink: only every `shrink`-th row of the batch is looked at.
        decay: of the moving average.
    """

    name = "path_length"
    needs_real = False

    sums: Tensor
    """[]: the moving average of the lengths before its bias is taken out."""
    mass: Tensor
    """[]: the moving average of 1, which is that bias."""
    gathered: Tensor
    """[2]: the lengths' mean times share, and the share of the batch, of the present update's parts so far."""

    def __init__(self, weight: Scheduled = 2.0, every: int = 4, *, shrink: int = 2, decay: float = 0.99) -> None:
        super().__init__(weight, every)
        self.shrink, self.decay = shrink, decay
        self._last_start: int | None = None
        self.register_buffer("sums", torch.zeros(()))
        self.register_buffer("mass", torch.zeros(()))
        self.register_buffer("gathered", torch.zeros(2))

    def forward(self, turn: GeneratorTurn) -> Tensor:
        """Raises UsageError for a generator without styles, ConfigError when `shrink` does not divide the rows."""
        generator = turn.generator
        if not isinstance(generator, StyleGAN2Generator) or turn.draw is None:
            raise UsageError(f"{type(generator).__name__} has no styles whose paths could be measured")
        rows = len(turn.draw.sample)
        if rows % self.shrink:
            raise ConfigError(
                f"{rows} rows in a part of the batch are no multiple of {self.shrink}", where="path_length.shrink"
            )
        some = slice(None, None, self.shrink)
        latent = generator.latent(rows, rng=turn.rng)[some]
        styles = generator.styles(latent, None if turn.condition is None else turn.condition[some])
        images = generator.synthesise(styles, latent)
        noise = turn.rng.normal(rows, *images.shape[1:])[some].to(images.dtype)
        lengths = path_lengths(images, styles, noise)
        self._move(lengths.detach().mean(), turn)
        turn.report["path_length"] = lengths.detach().mean()
        known = self.mass > 0
        average = self.sums / torch.where(known, self.mass, 1.0)
        return torch.where(known, (lengths - average).square().mean(), 0.0)

    @torch.no_grad()
    def _move(self, mean: Tensor, turn: GeneratorTurn) -> None:
        """Let what the last update gathered enter the average, and gather this part's mean."""
        rows = turn.rng.rows
        start = rows.start if rows else 0
        if self._last_start is None or start <= self._last_start:  # parts of one update come in ascending order
            some = self.gathered[1] > 0
            news = self.gathered[0] / torch.where(some, self.gathered[1], 1.0)
            for average, new in ((self.sums, news), (self.mass, torch.ones_like(self.mass))):
                average.copy_(torch.where(some, self.decay * average + (1 - self.decay) * new, average))
            self.gathered.zero_()
        self._last_start = start
        share = len(rows) / rows.total if rows else 1.0
        self.gathered.add_(turn.total(torch.stack([mean.to(self.gathered) * share, torch.full_like(self.mass, share)])))


def path_lengths(images: Tensor, styles: Tensor, noise: Tensor) -> Tensor:
    """‖J_wᵀ y‖ [B] with its graph, of images [B, C, H, W] that were made from `styles` [B, layers, style], along
    standard normal `noise` like the images."""
    height, width = images.shape[2:]
    along = (images * noise).sum() / math.sqrt(height * width)
    (gradient,) = torch.autograd.grad(along, styles, create_graph=True)
    return gradient.square().sum(2).mean(1).sqrt()
