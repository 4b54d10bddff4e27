"""How metrics read samples: as waveforms that a 16-bit file would hold, at the rate that a network wants."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from weakref import WeakKeyDictionary

import numpy as np
import soxr  # type: ignore[import-untyped]
import torch
from numpy.typing import NDArray
from torch import Tensor

from genkit import Batch, DataError, PluginError, Samples

ROWS = 32
"""Clips that are transformed at once."""
Waves = NDArray[np.float32]
_rows: WeakKeyDictionary[Samples, Batch] = WeakKeyDictionary()
"""The rows of each set that was read. A set is the same in every pass, and drawing it is what an evaluation costs."""


def as_written(waves: Tensor) -> Tensor:
    """Waveforms as a 16-bit file holds them, float32 in [-1, 1]: what is clipped there must not score. What is not
    finite stays so."""
    return (waves.float() * 32768).round().clamp(-32768, 32767) / 32768


def read_rows(samples: Samples) -> Batch:
    """All samples of a set as one batch on the CPU, `as_written`. Raises DataError unless they are finite waveforms
    [B, T]."""
    if samples not in _rows:
        batch = Batch.join([batch.map(Tensor.cpu) for batch in samples.batches()])
        wave = batch.sample
        if not isinstance(wave, Tensor) or wave.dim() != 2:
            shape = list(wave.shape) if isinstance(wave, Tensor) else type(wave).__name__
            raise DataError(f"audio metrics read waveforms [B, T], not {shape}")
        if not bool(wave.isfinite().all()):
            broken = int((~wave.isfinite()).any(1).sum())
            raise DataError(f"{broken} of {len(wave)} samples hold numbers that are not finite")
        _rows[samples] = Batch(as_written(wave), batch.condition)
    return _rows[samples]


def read_aligned(real: Samples, fake: Samples) -> tuple[Tensor, Tensor]:
    """Real and generated waveforms [B, T] of the same conditions, row by row.

    Raises DataError when there are no conditions, or they or the lengths differ.
    """
    ours, theirs = read_rows(fake), read_rows(real)
    if not isinstance(ours.condition, Tensor) or not isinstance(theirs.condition, Tensor):
        raise DataError("this metric compares each sample with the real one of its condition, and there are none")
    if ours.sample.shape != theirs.sample.shape:
        raise DataError(
            f"samples {list(ours.sample.shape)} can not be compared with real ones {list(theirs.sample.shape)}",
            fix="draw one for each of the reference's conditions, as long as it",
        )
    same = ours.condition.shape == theirs.condition.shape
    # mels made in batches of another size may differ in their last digits
    if not same or not torch.allclose(ours.condition.double(), theirs.condition.double(), rtol=1e-3, atol=1e-2):
        raise DataError(
            "the samples do not have the reference's conditions one by one",
            fix="draw them for the reference's conditions, in their order",
        )
    return theirs.sample, ours.sample


def parts(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Tensors cut into parts of `ROWS` rows."""
    return zip(*(tensor.split(ROWS) for tensor in tensors), strict=True)


def choose(count: int, wanted: int, seed: int) -> list[int]:
    """`wanted` of `count` indices in their order, chosen by `seed`; all when there are no more."""
    if wanted >= count:
        return list(range(count))
    order = torch.randperm(count, generator=torch.Generator().manual_seed(seed))
    chosen: list[int] = order[:wanted].sort().values.tolist()
    return chosen


def resample(waves: Tensor, rate: int, wanted: int) -> Tensor:
    """Waveforms [B, T] of `rate` Hz at `wanted` Hz, on their device, by soxr at its high quality."""
    if rate == wanted:
        return waves
    changed: Waves = soxr.resample(np.ascontiguousarray(waves.float().cpu().numpy().T), rate, wanted)
    return torch.from_numpy(np.ascontiguousarray(changed.T, dtype=np.float32)).to(waves.device)


def package_file(package: str, path: str, what: str, install: str) -> Path:
    """A file of an installed package, which is not imported for it. Raises PluginError when it is not there."""
    found = find_spec(package)
    if found is None or found.origin is None:
        raise PluginError(f"{what} needs the package {package}", fix=install)
    file = Path(found.origin).parent / path
    if not file.is_file():
        raise PluginError(f"{what}: the package {package} has no {path}", fix=install)
    return file
