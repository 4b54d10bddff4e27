"""Recordings at the rate that is wanted."""

from __future__ import annotations

import math

import numpy as np
import soxr
from numpy.typing import NDArray

from genkit_audio.data.files import Channels, Header, Source, Wave, read_blocks, read_wave

MARGIN = 2048
"""Frames read on both sides of a window, which the resampling filter looks at: many times what it needs."""
FULL_SCALE = 32_768
"""What 1.0 is in 16 bit."""


def resampled_size(frames: int, source_rate: int, rate: int) -> int:
    """Samples that `frames` become."""
    return max(1, round(frames * rate / source_rate))


def read_at_rate(
    source: Source, header: Header, rate: int, *, start: int = 0, stop: int | None = None, channels: Channels = "mix"
) -> Wave:
    """The frames [start, stop) of a recording as float32 [T] at `rate`, decoded and resampled block by block.

    Raises DataError, naming the file, when it can not be read.
    """
    return read_with_peak(source, header, rate, start=start, stop=stop, channels=channels)[0]


def read_with_peak(
    source: Source, header: Header, rate: int, *, start: int = 0, stop: int | None = None, channels: Channels = "mix"
) -> tuple[Wave, float]:
    """As `read_at_rate`, and the highest level that the recording itself has there: resampling overshoots it."""
    peak, pieces = 0.0, []
    stream = None if header.rate == rate else soxr.ResampleStream(header.rate, rate, 1, dtype="float32")
    for block in read_blocks(source, start, stop, channels=channels):
        peak = max(peak, float(np.abs(block).max(initial=0.0)))
        pieces.append(block if stream is None else stream.resample_chunk(block))
    if stream is not None:
        pieces.append(stream.resample_chunk(np.zeros(0, np.float32), last=True))
    return np.concatenate(pieces) if pieces else np.zeros(0, np.float32), peak


def read_window(
    source: Source,
    header: Header,
    rate: int,
    window: tuple[int, int],
    *,
    start: int = 0,
    stop: int | None = None,
    channels: Channels = "mix",
) -> Wave:
    """The samples [window) of what `read_at_rate` gives, decoding no more of the file than they need."""
    first, last = window
    if header.rate == rate:
        return read_wave(source, start + first, start + last, channels=channels)
    # Where both rates have a sample at one time, the part has the same phase as the whole.
    shared = math.gcd(header.rate, rate)
    here, there = header.rate // shared, rate // shared  # frames of the file in a cycle, samples
    before = max(0, first // there - math.ceil(MARGIN / here))
    end = header.frames if stop is None else stop
    until = min(end, start + math.ceil(last * header.rate / rate) + MARGIN)
    wave = read_wave(source, start + before * here, until, channels=channels)
    found: Wave = soxr.resample(wave, header.rate, rate)
    skipped = first - before * there
    return found[skipped : skipped + last - first]


def to_int16(wave: Wave) -> NDArray[np.int16]:
    """16-bit samples; what lies outside [-1, 1] is clipped."""
    return np.clip(np.rint(wave * FULL_SCALE), -FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
