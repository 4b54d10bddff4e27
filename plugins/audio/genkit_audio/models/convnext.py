"""The ConvNeXt block over frames (Liu et al. 2022; in one dimension, Siuzdak 2023)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

TAPS = 7


class ConvNeXtBlock(nn.Module):
    """x + γ W₂ φ(W₁ norm(depthwise(x))) with φ the GELU, [B, F, width] to the same.

    Args:
        width: channels.
        hidden: channels within.
        scale: where γ starts.
    """

    def __init__(self, width: int, hidden: int, scale: float) -> None:
        super().__init__()
        self.mix = nn.Conv1d(width, width, TAPS, padding=TAPS // 2, groups=width)
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.widen = nn.Linear(width, hidden)
        self.narrow = nn.Linear(hidden, width)
        self.scale = nn.Parameter(torch.full((width,), scale))

    def forward(self, x: Tensor, style: Tensor | None = None) -> Tensor:
        """`style`, where given, is [B, 2·width]: what the normed channels are scaled by, beside 1, and shifted by."""
        h = self.norm(self._mixed(x))
        if style is not None:
            gain, shift = style[:, None].chunk(2, -1)
            h = h * (1 + gain) + shift
        h = self.narrow(F.gelu(self.widen(h)))
        out: Tensor = x + self.scale * h
        return out

    def _mixed(self, x: Tensor) -> Tensor:
        """`mix`, as a convolution of two dimensions whose channels stay last in memory: nothing is copied."""
        picture = x[:, None].permute(0, 3, 1, 2)
        weight, width = self.mix.weight[:, :, None], x.shape[-1]
        mixed = F.conv2d(picture, weight, self.mix.bias, padding=(0, TAPS // 2), groups=width)
        return mixed.permute(0, 2, 3, 1)[:, 0]


def initialise(module: nn.Module) -> None:
    """Weights from N(0, 0.02²) cut off at ±2; biases zero."""
    if isinstance(module, nn.Conv1d | nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
