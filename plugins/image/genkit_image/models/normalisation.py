"""Batch norm over the whole batch, on however many devices it lies, with gains and shifts by label."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn

from genkit_image.models.shapes import asked_label

MOMENTUM = 0.1
EPS = 1e-5


class BatchNorm(nn.Module):
    """Batch norm (Ioffe and Szegedy 2015), conditional where there are classes (Dumoulin et al. 2017; de Vries et al.
    2017). With several processes the statistics are those of all their rows, so that they train as one does; all of
    them must then run it in training mode together.

    Args:
        width: channels.
        classes: labels with a gain and a shift of their own; 0: one for all.
    """

    mean: Tensor
    """[width]: moving average of the batches' means."""
    variance: Tensor
    """[width]: moving average of the batches' variances."""

    def __init__(self, width: int, classes: int = 0) -> None:
        super().__init__()
        self.classes = classes
        self.gain = nn.Parameter(torch.ones(max(classes, 1), width))
        self.shift = nn.Parameter(torch.zeros(max(classes, 1), width))
        self.register_buffer("mean", torch.zeros(width))
        self.register_buffer("variance", torch.ones(width))

    def forward(self, x: Tensor, condition: Tensor | None = None) -> Tensor:
        """[B, width, H, W] to the same, given labels [B] where it has classes."""
        if not self.classes:
            return self._normalised(x, self.gain[0], self.shift[0])
        label = asked_label(condition)
        gain, shift = (F.embedding(label, table)[:, :, None, None] for table in (self.gain, self.shift))
        return self._normalised(x, None, None) * gain + shift

    def _normalised(self, x: Tensor, gain: Tensor | None, shift: Tensor | None) -> Tensor:
        if self.training and dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            x = self._shared(x)
            return x if gain is None or shift is None else x * gain[:, None, None] + shift[:, None, None]
        return F.batch_norm(x, self.mean, self.variance, gain, shift, self.training, MOMENTUM, EPS)

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _shared(self, x: Tensor) -> Tensor:
        """`x` by the mean and variance over all processes' rows, of which each has as many."""
        world = dist.get_world_size()
        variance, mean = torch.var_mean(x.float() if x.dtype != torch.float64 else x, (0, 2, 3), unbiased=False)
        moments: Tensor = _Total.apply(torch.stack([mean, variance + mean.square()])) / world
        mean, variance = moments[0], (moments[1] - moments[0].square()).clamp(min=0.0)
        with torch.no_grad():
            count = x.numel() // x.shape[1] * world
            self.mean.lerp_(mean.to(self.mean), MOMENTUM)
            self.variance.lerp_((variance * count / max(count - 1, 1)).to(self.variance), MOMENTUM)
        out = (x - mean[:, None, None]) * torch.rsqrt(variance + EPS)[:, None, None]
        return out.to(x.dtype)


class _Total(torch.autograd.Function):
    """The sum over all processes; its gradient is the sum of theirs, as often as it is differentiated."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        total = x.contiguous().clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        total: Tensor = _Total.apply(gradients[0])
        return total
