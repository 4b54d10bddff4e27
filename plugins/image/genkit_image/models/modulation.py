"""Layers of StyleGAN2 (Karras et al. 2020, arXiv 1912.04958): equalised learning rate, modulation, blurred resampling.

A layer of equalised learning rate keeps weights of variance 1 and scales them when it is run (Karras et al. 2018,
section 4.1), so that Adam's steps are of one relative size in all layers.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

SLOPE = 0.2


def activate(x: Tensor) -> Tensor:
    """Leaky ReLU that keeps the variance."""
    return F.leaky_relu(x, SLOPE) * math.sqrt(2)


class Dense(nn.Module):
    """A linear layer of equalised learning rate, [B, here] -> [B, there].

    Args:
        bias: where its bias starts.
        rate: its learning rate, as a share of the network's.
    """

    def __init__(self, here: int, there: int, *, bias: float = 0.0, rate: float = 1.0) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(there, here) / rate)
        self.bias = nn.Parameter(torch.full((there,), bias / rate))
        self.gain, self.rate = rate / math.sqrt(here), rate

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight * self.gain, self.bias * self.rate)


class Convolution(nn.Module):
    """A convolution of equalised learning rate with an odd kernel, [B, here, H, W] -> [B, there, H, W], or half of the
    resolution where it `halves`, after a blur."""

    filter: Tensor | None

    def __init__(self, here: int, there: int, kernel: int, *, bias: bool = True, halves: bool = False) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(there, here, kernel, kernel))
        self.bias = nn.Parameter(torch.zeros(there)) if bias else None
        self.gain, self.padding = 1 / math.sqrt(here * kernel**2), kernel // 2
        self.register_buffer("filter", low_pass() if halves else None, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        weight = self.weight * self.gain
        if self.filter is not None:
            return F.conv2d(blur(x, self.filter, padding=self.padding + 1), weight, self.bias, stride=2)
        return F.conv2d(x, weight, self.bias, padding=self.padding)


def modulated(
    x: Tensor, weight: Tensor, style: Tensor, *, demodulate: bool = True, filter: Tensor | None = None
) -> Tensor:
    """Convolution of `x` [B, I, H, W] by weights of each row's own, w_boik = style_bi weight_oik, which `demodulate`
    brings to norm 1 over i and k (Karras et al. 2020, eqs. 1 and 3) -> [B, O, H, W].

    A style scales what goes in, demodulation what comes out, so that all rows share one convolution: the same numbers
    as a grouped convolution with a group for each row, at the cost of an ordinary one.

    Args:
        weight: [O, I, k, k], k odd.
        style: [B, I].
        filter: [4, 4]: the resolution is doubled, [B, O, 2H, 2W], and blurred by it.
    """
    x = x * style[:, :, None, None]
    if filter is not None:
        x = blur(F.conv_transpose2d(x, weight.transpose(0, 1), stride=2), 4 * filter)
    else:
        x = F.conv2d(x, weight, padding=weight.shape[-1] // 2)
    if demodulate:
        norms = style.square() @ weight.square().sum((2, 3)).t()  # [B, O]
        x = x * torch.rsqrt(norms + 1e-8)[:, :, None, None]
    return x


def blur(x: Tensor, filter: Tensor, *, padding: int = 1) -> Tensor:
    """Each channel of `x` [B, C, H, W] through `filter` [4, 4]: smaller by 3, larger by twice `padding`."""
    channels = x.shape[1]
    return F.conv2d(x, filter.to(x.dtype).expand(channels, 1, 4, 4), padding=padding, groups=channels)


def low_pass() -> Tensor:
    """[1, 3, 3, 1]/8 in both directions, [4, 4]."""
    taps = torch.tensor([1.0, 3.0, 3.0, 1.0]) / 8
    return taps[:, None] * taps
