"""How a clip becomes examples of one length: the only place that cuts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genkit import Random


@dataclass(frozen=True)
class Window:
    """The part of a clip that an example is cut from."""

    start: int
    """Samples from the clip's beginning."""
    stop: int
    starts: int
    """At how many places in it an example may begin."""


@dataclass(frozen=True)
class Cut:
    """How clips are cut."""

    length: int
    """Samples in an example."""
    crop: Literal["random", "start", "pieces"]
    """random: anywhere; start: at the clip's beginning; pieces: one after the other, with nothing left to chance."""
    short: Literal["repeat", "silence"]
    """What fills an example whose clip is shorter."""
    fade: int = 0
    """With ``start``, samples over which a clip that goes on after the example is faded."""

    @property
    def size(self) -> int:
        """Samples in a stored window: twice an example's where it may begin in half of them."""
        return 2 * self.length if self.crop == "random" else self.length

    def windows(self, samples: int) -> list[Window]:
        """The windows of a clip of so many samples. No place where an example may begin is in two of them."""
        if samples < self.length:
            loops = self.crop == "random" and self.short == "repeat"
            return [Window(0, samples, samples if loops else 1)]
        if self.crop == "start":
            return [Window(0, self.length, 1)]
        places = samples - self.length + 1
        if self.crop == "pieces":
            return [Window(at, at + self.length, 1) for at in range(0, places, self.length)]
        found = []
        for at in range(0, places, self.length):
            starts = min(self.length, places - at)
            found.append(Window(at, at + starts - 1 + self.length, starts))
        return found

    def fill(self, part: NDArray[np.int16], window: Window, samples: int) -> NDArray[np.int16]:
        """The stored window, [size], from the clip's samples ``[window.start, window.stop)``.

        Args:
            part: these samples.
            samples: the whole clip's.
        """
        if samples < self.length and self.short == "repeat":
            return np.resize(part, self.size)
        filled = np.zeros(self.size, np.int16)
        filled[: len(part)] = part
        if self.crop == "start" and self.fade and samples > self.length:
            fade = min(self.fade, self.length)
            slope = np.cos(np.linspace(0, np.pi / 2, fade, dtype=np.float32)) ** 2
            filled[-fade:] = np.rint(filled[-fade:] * slope)
        return filled


def crop(stored: Tensor, starts: Tensor, length: int, *, rng: Random) -> Tensor:
    """An example [B, length] of each stored window [B, size], beginning at one of its `starts` places [B]."""
    begin = torch.minimum((rng.uniform(len(stored)) * starts).long(), starts.long() - 1)
    places = begin[:, None] + torch.arange(length, device=stored.device)
    return stored.gather(1, places)
