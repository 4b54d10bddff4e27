"""The training part of a corpus, or the held-out one: its clips as windows, in memory or not."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genkit_audio.data.clips import Measured, ReadWindows, Samples, decode, each
from genkit_audio.data.config import SoundConfig
from genkit_audio.data.sounds import Sounds, read_window
from genkit_audio.data.windows import Cut, Window


@dataclass(frozen=True)
class _Loaded:
    """A clip as it was loaded."""

    clip: Measured
    samples: int
    windows: list[Window]
    stored: Samples | None = None
    """[windows, size], where they are kept in memory."""
    over: bool = False


class Part:
    """Windows of clips.

    Args:
        clips: the clips.
        cut: how windows are made.
        config: the dataset's.
        in_memory: whether to keep the windows themselves, or only where they are.

    Raises DataError when a recording is broken, unless ``config.skip_broken``.
    """

    def __init__(self, clips: Sequence[Measured], cut: Cut, config: SoundConfig, *, in_memory: bool) -> None:
        self.cut = cut

        def load(clip: Measured) -> _Loaded:
            if not in_memory and config.cache is None:
                return _Loaded(clip, clip.samples, cut.windows(clip.samples))
            decoded = decode(clip, config)
            samples, count = decoded.samples, len(decoded.samples)
            windows = cut.windows(count) if count else []
            if not in_memory or not count:
                return _Loaded(clip, count, windows, over=decoded.over)
            rows = [cut.fill(samples[window.start : window.stop], window, count) for window in windows]
            return _Loaded(clip, count, windows, np.stack(rows), decoded.over)

        loaded, self.broken = each(load, clips, skip_broken=config.skip_broken)
        self.silent = len(_once(one for one in loaded if not one.samples))
        self._clips = [one for one in loaded if one.samples]
        self.over = len(_once(one for one in self._clips if one.over))
        self.short = len(_once(one for one in self._clips if one.samples < cut.length))
        places = [(number, window) for number, one in enumerate(self._clips) for window in one.windows]
        self._owners = torch.tensor([number for number, _ in places], dtype=torch.int64)
        self._starts = torch.tensor([window.starts for _, window in places], dtype=torch.int32)
        stored = [one.stored for one in self._clips if one.stored is not None]
        self._windows: Tensor | ReadWindows
        if in_memory:
            self._windows = torch.from_numpy(np.concatenate(stored)) if stored else torch.empty(0, cut.size)
        else:
            self._windows = ReadWindows([one.clip for one in self._clips], places, cut, config)

    def __len__(self) -> int:
        return len(self._windows)

    @property
    def has_starts(self) -> bool:
        """Whether chance decides where an example begins."""
        return self.cut.crop == "random"

    def some(self, count: int) -> dict[str, Tensor]:
        """At most so many stored windows, evenly over all of them, as a batch."""
        count = min(count, len(self))
        waves, rows = zip(*(read_window(self._windows, i * len(self) // count) for i in range(count)), strict=True)
        return {"wave": torch.stack(waves)} | ({"starts": self._starts[list(rows)]} if self.has_starts else {})

    def recordings(self) -> Tensor:
        """Which recording each window is of, int64 [N]: the first, the second, and so on."""
        numbers: dict[str, int] = {}
        own = [numbers.setdefault(one.clip.clip.source.key, len(numbers)) for one in self._clips]
        return torch.tensor(own, dtype=torch.int64)[self._owners]

    def labels(self, classes: Sequence[str]) -> Tensor:
        """The label of each window, int64 [N]."""
        number = {name: label for label, name in enumerate(classes)}
        own = torch.tensor([number[str(one.clip.clip.label)] for one in self._clips], dtype=torch.int64)
        return own[self._owners]

    def weights(self, sampling: str, classes: Sequence[str]) -> Tensor | None:
        """How often each window is drawn, float64 [N], of mean 1; None when that is all the same."""
        share = torch.tensor([one.samples for one in self._clips], dtype=torch.float64)
        if sampling == "clips":
            share = torch.ones_like(share)
        starts = self._starts.double()
        places = torch.zeros(len(share), dtype=torch.float64).index_add_(0, self._owners, starts)
        weights = share[self._owners] * starts / places[self._owners]
        if sampling == "labels" and classes:
            labels = self.labels(classes)
            weights = weights / torch.zeros(len(classes), dtype=torch.float64).index_add_(0, labels, weights)[labels]
        weights = weights / weights.mean()
        return None if bool((weights - 1).abs().max() < 1e-9) else weights

    def label_counts(self, classes: Sequence[str], weights: Tensor | None) -> list[int]:
        """How many windows of each label an epoch draws."""
        return torch.bincount(self.labels(classes), weights, minlength=len(classes)).round().long().tolist()

    def sounds(self, facts: Mapping[str, Any], **about: Any) -> Sounds:
        """The dataset; what else `Sounds` takes is given in `about`. Raises DataError when there is no window."""
        classes = facts["labels"]
        return Sounds(
            self._windows,
            starts=self._starts if self.has_starts else None,
            labels=self.labels(classes) if classes else None,
            recordings=self.recordings(),
            facts=facts,
            seconds=sum(one.samples / one.clip.rate for one in _once(self._clips)),
            **about,
        )


def _once(clips: Iterable[_Loaded]) -> list[_Loaded]:
    """One of each clip, at however many speeds it is heard."""
    return list({id(one.clip.clip): one for one in clips}.values())
