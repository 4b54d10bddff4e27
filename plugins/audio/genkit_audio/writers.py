"""Waveforms -> sound files, and previews to listen to and to look at."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import soundfile
import torch
from numpy.typing import NDArray
from torch import Tensor

from genkit import Batch, UsageError, Writer
from genkit_audio.data.resampling import to_int16
from genkit_audio.facts import AudioFacts
from genkit_audio.pictures import sheet

Kind = Literal["wav", "flac"]
PAUSE = 0.25
"""Seconds of silence between the sounds of a preview."""


class AudioWriter(Writer):
    """Writes waveforms [B, T] in [-1, 1] as 16-bit files at the data's rate; what lies outside is clipped.

    Args:
        facts: the data's.
        kind: wav or flac.
    """

    def __init__(self, facts: AudioFacts, kind: Kind = "wav") -> None:
        self.facts, self.kind = facts, kind

    def of_kind(self, kind: str) -> AudioWriter:
        """A writer of ``wav`` or ``flac`` files. Raises UsageError for other kinds."""
        if kind not in get_args(Kind):
            raise UsageError(f"sounds are not written as {kind!r}", where="--format", fix=" or ".join(get_args(Kind)))
        return AudioWriter(self.facts, kind)  # type: ignore[arg-type]

    def seconds(self, batch: Batch) -> float:
        """How long the sounds are together."""
        return float(batch.sample.numel()) / self.facts.rate

    def write(self, batch: Batch, directory: Path, *, stem: str = "sample") -> list[Path]:
        """One file a sound, ``<stem>-00000.wav`` and on, or ``<stem>-00000-kick.wav`` where they have labels."""
        directory.mkdir(parents=True, exist_ok=True)
        paths = []
        for index, (wave, label) in enumerate(zip(_waves(batch.sample), self._labels(batch), strict=True)):
            name = "".join(c if c.isalnum() or c in "-_." else "_" for c in label or "")
            paths.append(directory / f"{stem}-{index:05d}{'-' if name else ''}{name}.{self.kind}")
            self._save(to_int16(wave.numpy()), paths[-1])
        return paths

    def preview(self, batch: Batch, path: Path, *, columns: int) -> Path:
        """A sound file with all sounds one after the other, which is returned, and beside it a PNG with their waveforms
        and mels in rows of `columns`."""
        waves = _waves(batch.sample)
        pause = np.zeros(round(PAUSE * self.facts.rate), np.int16)
        pieces = [part for wave in waves for part in (to_int16(wave.numpy()), pause)]
        path.parent.mkdir(parents=True, exist_ok=True)
        sound = path.with_name(f"{path.name}.{self.kind}")
        self._save(np.concatenate(pieces), sound)
        labels = self._labels(batch)
        titles = [str(label) for label in labels] if labels[0] is not None else None
        picture = sheet(list(waves), self.facts.rate, columns=columns, titles=titles, mel=self.facts.mel)
        picture.save(path.with_name(f"{path.name}.png"))
        return sound

    def _labels(self, batch: Batch) -> list[str | None]:
        """The name of each sound's label."""
        condition = batch.condition
        if not self.facts.labels or not isinstance(condition, Tensor) or condition.dim() != 1:
            return [None] * len(batch.sample)
        return [self.facts.labels[label] for label in condition.tolist()]

    def _save(self, samples: NDArray[np.int16], path: Path) -> None:
        soundfile.write(path, samples, self.facts.rate, subtype="PCM_16")


def _waves(sample: Tensor) -> Tensor:
    """Waveforms [B, T] as float32 on the CPU. Raises UsageError for another shape, and when one is not finite."""
    if sample.dim() != 2 or 0 in sample.shape:
        raise UsageError(f"a batch of shape {list(sample.shape)} can not be written as sounds, which are [B, T]")
    waves = sample.detach().float().cpu()
    bad = int((~torch.isfinite(waves)).sum())
    if bad:
        raise UsageError(f"{bad:,} of {waves.numel():,} samples are not finite", fix="look at the run's losses")
    return waves


def build_writer(facts: Mapping[str, Any]) -> AudioWriter:
    """The writer of sounds."""
    return AudioWriter(AudioFacts.of(facts))
