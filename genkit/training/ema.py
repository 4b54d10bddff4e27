"""The exponential moving average of the generator's weights, with its half-life in samples."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from genkit.schedules import value_at
from genkit.settings import Ema

Net = TypeVar("Net", bound=nn.Module)


class Average:
    """An EMA of a network's parameters by torch's multi-tensor update; buffers are copied.

    The decay of an update over a batch of B samples is β = 0.5^(B / half-life) (Karras et al. 2020, appendix B).
    torch's own ``AveragedModel`` is not used: it branches on a counter, which synchronises where that lives on a
    device, and walks both networks at every update (five times the time of this, for a network of five tensors).

    Args:
        network: what to follow; the average starts as its copy.
        settings: half-life and ramp-up.
    """

    def __init__(self, network: nn.Module, settings: Ema) -> None:
        self.settings = settings
        self.network = frozen_copy(network)
        self._averages, self._weights = list(self.network.parameters()), list(network.parameters())
        self._copies, self._buffers = list(self.network.buffers()), list(network.buffers())

    def decay(self, batch_size: int, samples: float) -> float:
        """β of the update that ends at `samples` samples seen."""
        if self.settings.half_life is None:
            return 0.0
        half_life = value_at(self.settings.half_life, samples)
        if self.settings.rampup is not None:
            half_life = min(half_life, samples * self.settings.rampup)
        return float(0.5 ** (batch_size / half_life)) if half_life > 0 else 0.0

    @torch.no_grad()
    def update(self, *, batch_size: int, samples: float) -> None:
        """Move the average towards the network."""
        move = get_ema_multi_avg_fn(self.decay(batch_size, samples))
        move(self._averages, self._weights, None)
        if self._copies:
            torch._foreach_copy_(self._copies, self._buffers)


def frozen_copy(network: Net) -> Net:
    """A copy of `network` that never trains, in eval mode."""
    return copy.deepcopy(network).requires_grad_(False).eval()
