"""Random numbers that depend on the seed, the step and the purpose, and not on how many devices share the batch."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Rows:
    """The rows [start, stop) of a global batch of `total` rows, those that one rank's micro-batch holds."""

    start: int
    stop: int
    total: int

    def __len__(self) -> int:
        return self.stop - self.start


def mix(*words: object) -> int:
    """A 63-bit seed from anything printable; the same words give the same seed on every machine."""
    digest = hashlib.blake2b("\x1f".join(map(str, words)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


class Random:
    """The source of every random number a generator, dataset, penalty or augmentation uses.

    A part of a batch gets the numbers of its own rows of the global batch, so that one device and many, one micro-batch
    and several, draw the same: each call draws for all `rows.total` rows and keeps this part's.

    Args:
        seed: see `mix`.
        device: where the numbers are wanted. On ``meta`` only shapes are made.
        rows: the rows of the global batch held here; None when the batch is not shared.
    """

    def __init__(self, seed: int, device: torch.device | str = "cpu", rows: Rows | None = None) -> None:
        self.device = torch.device(device)
        self.rows = rows
        self.generator = torch.Generator(device="cpu" if self.device.type == "meta" else self.device)
        self.generator.manual_seed(seed)

    def normal(self, count: int, *shape: int) -> Tensor:
        """Standard normal numbers [count, *shape], in torch's default dtype."""
        return self._own(torch.randn(self._drawn(count), *shape, generator=self.generator, device=self.device), count)

    def uniform(self, count: int, *shape: int) -> Tensor:
        """Uniform numbers in [0, 1) [count, *shape], in torch's default dtype."""
        return self._own(torch.rand(self._drawn(count), *shape, generator=self.generator, device=self.device), count)

    def integers(self, low: int, high: int, count: int, *shape: int) -> Tensor:
        """Integers in [low, high) [count, *shape], int64."""
        size = (self._drawn(count), *shape)
        return self._own(torch.randint(low, high, size, generator=self.generator, device=self.device), count)

    def _drawn(self, count: int) -> int:
        if self.rows is None:
            return count
        whole, rest = divmod(count, len(self.rows))
        if rest:
            raise ValueError(f"{count} rows asked of a random source that serves {len(self.rows)} rows of a batch")
        return whole * self.rows.total

    def _own(self, drawn: Tensor, count: int) -> Tensor:
        if self.rows is None:
            return drawn
        each = count // len(self.rows)
        return drawn[self.rows.start * each : self.rows.stop * each]
