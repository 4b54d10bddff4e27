"""Keys and values of what a transformers model has read, written in place. Needs transformers."""

from __future__ import annotations

from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache, DynamicCache, DynamicLayer


class PlacedLayer(DynamicLayer):
    """One layer's keys and values [B, H, T, D], in buffers that are as long as they will ever be.

    transformers' own layer joins them anew at each token, which copies all that was read before.

    Args:
        room: the T that it will end with.
    """

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room
        self.read = 0
        self.buffers: list[Tensor] = []

    def update(self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Add keys and values [B, H, t, D]; all of them, [B, H, T, D]."""
        added = (key_states, value_states)
        if not self.buffers:
            self.buffers = [new.new_empty(*new.shape[:2], self.room, new.shape[3]) for new in added]
            self.dtype, self.device, self.is_initialized = key_states.dtype, key_states.device, True
        start, self.read = self.read, self.read + key_states.shape[2]
        for buffer, new in zip(self.buffers, added, strict=True):
            buffer[:, :, start : self.read] = new
        self.keys, self.values = (buffer[:, :, : self.read] for buffer in self.buffers)
        return self.keys, self.values


def key_values(room: int) -> Cache:
    """A cache for `room` tokens in all. Where gradients are wanted it is transformers' own, since nothing may then be
    written over."""
    if torch.is_grad_enabled():
        return DynamicCache()
    layers: Any = partial(PlacedLayer, room)  # called without arguments, once a layer
    return Cache(layer_class_to_replicate=layers)
