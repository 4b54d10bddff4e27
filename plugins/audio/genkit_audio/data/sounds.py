"""Recordings as a genkit dataset, wherever they come from."""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from typing import Any, Protocol

import torch
from torch import Tensor

from genkit import Batch, DataError, Dataset, Random
from genkit_audio.data.resampling import FULL_SCALE
from genkit_audio.data.windows import crop
from genkit_audio.facts import BINDING, AudioFacts
from genkit_audio.mel import MelSpectrogram
from genkit_audio.melspec import MelSpec

Stored = dict[str, Tensor]
"""``wave`` int16 [size]; ``starts`` int32 [], where an example may begin at several places; ``label`` int64 [], where
there are any. Once collated all have a batch dimension."""


class StoredWindows(Protocol):
    """Windows of one size, read one at a time."""

    def __len__(self) -> int: ...

    def read(self, index: int) -> tuple[Tensor, int]:
        """Window `index`, int16 [size], or another that stands in for it where it is broken; and that one's index."""


def read_window(windows: Tensor | StoredWindows, index: int) -> tuple[Tensor, int]:
    """As `StoredWindows.read`, of windows that may be in memory."""
    return (windows[index], index) if isinstance(windows, Tensor) else windows.read(index)


class Preparation:
    """Stored windows -> a batch, on whatever device they are.

    Args:
        facts: the dataset's.
        gain_db: the range of the random gain; None: none.
    """

    def __init__(self, facts: Mapping[str, Any], gain_db: tuple[float, float] | None = None) -> None:
        about = AudioFacts.of(facts)
        self.length, self.mel, self.gain_db = about.length, about.mel, gain_db
        self._spectrograms: dict[torch.device, MelSpectrogram] = {}

    def __call__(self, stored: Stored, *, rng: Random) -> Batch:
        """Waveforms [B, length] in [-1, 1]; the condition is their log-mel [B, bands, length / hop], labels int64 [B],
        or None."""
        wave = stored["wave"]
        if "starts" in stored:
            wave = crop(wave, stored["starts"], self.length, rng=rng)
        sample = wave.to(torch.get_default_dtype()) / FULL_SCALE
        if self.gain_db is not None:
            low, high = self.gain_db
            sample = sample * 10 ** ((low + (high - low) * rng.uniform(len(sample), 1)) / 20)
        if self.mel is not None:
            return Batch(sample, self._spectrogram(self.mel, sample.device)(sample))
        return Batch(sample, stored.get("label"))

    def _spectrogram(self, spec: MelSpec, device: torch.device) -> MelSpectrogram:
        if device not in self._spectrograms:
            self._spectrograms[device] = MelSpectrogram(spec).to(device)
        return self._spectrograms[device]

    def __getstate__(self) -> dict[str, Any]:
        """Without what lies on devices: loader processes only read."""
        return {**self.__dict__, "_spectrograms": {}}


class Sounds(Dataset):
    """Windows of clips, cut anew for each batch, with labels or mels.

    Args:
        windows: int16 [N, size] in memory, or anything that reads one at a time.
        starts: int32 [N], at how many places of its window an example may begin; None: at the first alone.
        labels: int64 [N], or None.
        recordings: int64 [N], which recording each window is of.
        facts: see `genkit_audio.facts.AudioFacts`.
        weights: float64 [N], how often each window is drawn; None: each once an epoch.
        seconds: how long the clips are together.
        name, licence: what a report says.
        said: what else a report says: how many clips were mixed to one channel, how many left out.
        gain_db: the range of a random gain.
        held_out: sounds that training never hears.

    Raises DataError when there is no window.
    """

    binding = BINDING

    def __init__(
        self,
        windows: Tensor | StoredWindows,
        *,
        starts: Tensor | None,
        labels: Tensor | None,
        recordings: Tensor,
        facts: Mapping[str, Any],
        weights: Tensor | None,
        seconds: float,
        name: str,
        licence: str,
        said: Mapping[str, Any] | None = None,
        gain_db: tuple[float, float] | None = None,
        held_out: Sounds | None = None,
    ) -> None:
        if len(windows) == 0:
            raise DataError(f"{name}: there is no sound to train on", where="data")
        self.windows, self.starts, self.labels, self.weights = windows, starts, labels, weights
        self.recordings = recordings
        self.facts, self.seconds = facts, seconds
        self.name, self.licence, self.said, self._held_out = name, licence, dict(said or {}), held_out
        self._prepare = Preparation(facts, gain_db)

    def __len__(self) -> int:
        return len(self.windows)

    def read(self, index: int) -> Stored:
        """One window, as `Stored`. Raises DataError when its file is broken and nothing stands in for it."""
        wave, index = read_window(self.windows, index)
        return self._stored(
            wave,
            None if self.starts is None else self.starts[index],
            None if self.labels is None else self.labels[index],
        )

    def resident(self) -> Stored | None:
        """All windows; None when they are not in memory."""
        if not isinstance(self.windows, Tensor):
            return None
        return self._stored(self.windows, self.starts, self.labels)

    def prepare(self, stored: Stored, *, rng: Random) -> Batch:
        """Waveforms [B, length] in [-1, 1]; the condition is their log-mel [B, bands, length / hop], labels int64 [B],
        or None."""
        return self._prepare(stored, rng=rng)

    def still(self) -> Sounds:
        """The same windows, each example at the beginning of its own and as loud as it is."""
        if self.starts is None and self._prepare.gain_db is None:
            return self
        found = copy(self)
        found.starts = None if self.starts is None else torch.ones_like(self.starts)
        found._prepare = Preparation(self.facts)
        return found

    def held_out(self) -> Sounds | None:
        return self._held_out

    def summary(self) -> Mapping[str, Any]:
        return {
            "name": self.name,
            "examples": len(self),
            "seconds": round(self.seconds, 1),
            "rate": self.facts["rate"],
            "length": self.facts["length"],
            **({"classes": len(self.facts["labels"])} if self.facts.get("labels") else {}),
            **self.said,
            "held out": 0 if self._held_out is None else len(self._held_out),
            "licence": self.licence,
        }

    @staticmethod
    def _stored(wave: Tensor, starts: Tensor | None, label: Tensor | None) -> Stored:
        found = {"wave": wave, "starts": starts, "label": label}
        return {name: leaf for name, leaf in found.items() if leaf is not None}
