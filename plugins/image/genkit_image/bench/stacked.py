"""`image.stacked_digits`: StackedMNIST on the digits that come with the package (Lin et al. 2018, section 4.2)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from genkit import Batch, Dataset, Random
from genkit_image.bench.config import StackedDigitsConfig
from genkit_image.data.config import DigitsConfig
from genkit_image.data.digits import LICENCE, open_digits
from genkit_image.data.images import Images

MODES = 1000
KIND = "stacked digits"


class StackedDigits(Dataset):
    """Pictures [3, S, S] of three digits, one a channel. What is stored of a picture is which digits.

    Args:
        digits: uint8 [N, 1, S, S].
        triples: int64 [M, 3], which digits are red, green and blue.
        held_out: triples of digits that training never sees.
    """

    def __init__(self, digits: Tensor, triples: Tensor, held_out: StackedDigits | None = None) -> None:
        self.digits, self.triples, self._held_out = digits[:, 0], triples, held_out
        self._placed = self.digits
        self.facts = {
            "modality": "image",
            "shape": [3, *self.digits.shape[1:]],
            "range": [-1, 1],
            "labels": None,
            "modes": {"kind": KIND},
        }

    def __len__(self) -> int:
        return len(self.triples)

    def read(self, index: int) -> Tensor:
        """The numbers of three digits, int64 [3]."""
        return self.triples[index]

    def resident(self) -> Tensor:
        """All triples, int64 [M, 3]; the digits themselves follow to the device with the first batch."""
        return self.triples

    def prepare(self, stored: Tensor, *, rng: Random) -> Batch:
        """Pictures [B, 3, S, S] in [-1, 1]."""
        if self._placed.device != stored.device:
            self._placed = self.digits.to(stored.device)
        return Batch(self._placed[stored].to(torch.get_default_dtype()) / 127.5 - 1)

    def held_out(self) -> StackedDigits | None:
        return self._held_out

    def summary(self) -> Mapping[str, Any]:
        return {
            "name": KIND,
            "examples": len(self),
            "shape": self.facts["shape"],
            "modes": MODES,
            "held out": 0 if self._held_out is None else len(self._held_out),
            "licence": LICENCE,
        }


def open_stacked_digits(config: StackedDigitsConfig) -> StackedDigits:
    """Triples of the 8,000 training digits, and of the 2,000 others held out, both drawn from the seed."""
    digits = open_digits(DigitsConfig(resolution=config.resolution, labels=False))
    others = digits.held_out()
    assert others is not None, "the embedded digits hold a fifth out"
    rng = Random(config.seed)
    learnt = rng.integers(0, len(digits), config.examples, 3)
    apart = rng.integers(0, len(others), config.held_out, 3)
    held_out = StackedDigits(_pixels(others), apart) if config.held_out else None
    return StackedDigits(_pixels(digits), learnt, held_out)


def _pixels(digits: Images) -> Tensor:
    assert isinstance(digits.pictures, Tensor), "the embedded digits are in memory"
    return digits.pictures
