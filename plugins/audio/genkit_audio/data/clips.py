"""Clips: recordings or parts of them, what their files say, and their samples, decoded once."""

from __future__ import annotations

import hashlib
import os
import sys
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from genkit import DataError
from genkit_audio.data.config import SoundConfig
from genkit_audio.data.files import Header, Source, read_header
from genkit_audio.data.levels import levelled, trimmed
from genkit_audio.data.resampling import read_window, read_with_peak, resampled_size, to_int16
from genkit_audio.data.windows import Cut, Window

CACHE_FORMAT = "2"
"""Changes when what is cached is made in another way."""
FULL = 1.001
"""The level from which on a recording is louder than full scale."""
ROUNDING = 0.05
"""Seconds by which a list's `stop` may pass the end of its recording."""

Samples = NDArray[np.int16]
Given = TypeVar("Given")
Found = TypeVar("Found")


@dataclass(frozen=True)
class Clip:
    """A recording, or a part of one."""

    source: Source
    label: str | None = None
    start: float = 0.0
    """Seconds."""
    stop: float | None = None
    """Seconds; None: the recording's end."""
    text: str | None = None
    """What is said in it."""
    held_out: bool | None = None
    """Whether training never hears it; None: as the config's share and its recording's name have it."""


@dataclass(frozen=True)
class Measured:
    """A clip whose file has been looked at."""

    clip: Clip
    header: Header
    rate: int
    """Samples a second that are wanted."""

    def at_speed(self, speed: float) -> Measured:
        """The clip played so many times as fast, and as high: it is read at another rate than it is then taken for."""
        return replace(self, rate=round(self.rate / speed))

    @property
    def frames(self) -> tuple[int, int]:
        """The part of the recording, at its own rate."""
        stop = self.header.frames if self.clip.stop is None else round(self.clip.stop * self.header.rate)
        return round(self.clip.start * self.header.rate), min(stop, self.header.frames)

    @property
    def samples(self) -> int:
        """Samples at the rate that is wanted, before anything is trimmed."""
        start, stop = self.frames
        return resampled_size(stop - start, self.header.rate, self.rate)


@dataclass(frozen=True)
class Decoded:
    """The samples of a clip."""

    samples: Samples
    over: bool = False
    """Whether the recording passes full scale, and was clipped."""


def measure(clip: Clip, rate: int) -> Measured:
    """Look at a clip's file. Raises DataError, naming it, when it is broken or does not hold the clip."""
    header = read_header(clip.source)
    end = clip.start if clip.stop is None else clip.stop
    if end > header.seconds + (ROUNDING if clip.stop is not None else 0) or clip.start >= header.seconds:
        raise DataError(
            f"{clip.source.name}: is {header.seconds:.2f} seconds long, and the part from {clip.start:g} to "
            f"{'its end' if clip.stop is None else format(clip.stop, 'g')} is asked of it",
            where="data.path",
        )
    return Measured(clip, header, rate)


def decode(clip: Measured, config: SoundConfig) -> Decoded:
    """A clip's samples: of one channel, at the rate, trimmed and levelled; none when all is silent and trimmed off.

    With ``config.cache`` they are kept there, and mapped from there. Raises DataError when the file is broken.
    """
    start, stop = clip.frames
    place = _place(clip, config)
    if place is not None and place.exists():
        return Decoded(_mapped(place))
    wave, loudest = read_with_peak(
        clip.clip.source, clip.header, clip.rate, start=start, stop=stop, channels=config.channels
    )
    if not len(wave):
        raise DataError(f"{clip.clip.source.name}: holds no samples", where="data")
    if config.trim_db is not None:
        wave = trimmed(wave, config.trim_db)
    wave = levelled(wave, config)
    peak = float(np.abs(wave).max(initial=0.0))
    over = peak > 1 and loudest > FULL
    if peak > 1 and not over:  # by resampling alone, as much as a fifth
        wave = wave / np.float32(peak)
    samples = to_int16(wave)
    if place is None:
        return Decoded(samples, over)
    _keep(samples, place)
    return Decoded(_mapped(place), over)


class ReadWindows:
    """Windows of clips, read when they are asked for: from their files, or from the cache where there is one.

    With ``config.skip_broken`` the next one that can be read stands in for a broken one, so that there are always as
    many.

    Args:
        clips: the clips.
        places: for each window, the number of its clip and what part of it.
        cut: how windows are made.
        config: the dataset's.
    """

    def __init__(
        self, clips: Sequence[Measured], places: Sequence[tuple[int, Window]], cut: Cut, config: SoundConfig
    ) -> None:
        self.clips, self.places, self.cut, self.config = clips, places, cut, config
        self._said: set[str] = set()

    def __len__(self) -> int:
        return len(self.places)

    def read(self, index: int) -> tuple[Tensor, int]:
        """A window, int16 [size], and the index it has: that of the stand-in, whose label and starts are its own.

        Raises DataError when the file is broken and nothing stands in for it.
        """
        for step in range(len(self)):
            place = (index + step) % len(self)
            try:
                return torch.from_numpy(self._read(*self.places[place])), place
            except DataError as error:
                if not self.config.skip_broken:
                    raise
                if error.what not in self._said:
                    self._said.add(error.what)
                    print(f"left out: {error.what}", file=sys.stderr)
        raise DataError(f"none of {len(self)} windows can be read")

    def _read(self, number: int, window: Window) -> Samples:
        clip = self.clips[number]
        if self.config.cache is not None:
            whole = decode(clip, self.config).samples
            return self.cut.fill(whole[window.start : window.stop], window, len(whole))
        start, stop = clip.frames
        part = to_int16(
            read_window(
                clip.clip.source,
                clip.header,
                clip.rate,
                (window.start, window.stop),
                start=start,
                stop=stop,
                channels=self.config.channels,
            )
        )
        if not len(part):
            raise DataError(f"{clip.clip.source.name}: ends before sample {window.start:,}", where="data")
        # A codec's header may count some frames too many: what is missing at the end is repeated, not silent.
        return self.cut.fill(np.resize(part, window.stop - window.start), window, clip.samples)


def each(
    function: Callable[[Given], Found], given: Sequence[Given], *, skip_broken: bool
) -> tuple[list[Found], list[DataError]]:
    """`function` of each, on all processor cores, in order, without those that are broken; and their errors.

    Raises DataError when one is broken and `skip_broken` is false.
    """

    def attempt(one: Given) -> Found | DataError:
        try:
            return function(one)
        except DataError as error:
            return error

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        results = list(pool.map(attempt, given))
    broken = [one for one in results if isinstance(one, DataError)]
    if broken and not skip_broken:
        others = len({one.what for one in broken}) - 1  # a recording may be read at several speeds
        more = f", and {others} more" if others else ""
        raise DataError(
            f"{broken[0].what}{more}",
            where=broken[0].where,
            fix=broken[0].fix or "--set data.skip_broken=true leaves such recordings out",
        ) from broken[0]
    return [one for one in results if not isinstance(one, DataError)], broken


def _place(clip: Measured, config: SoundConfig) -> Path | None:
    """Where the cache has this clip: a name of all that its samples depend on."""
    if config.cache is None:
        return None
    try:
        version = clip.clip.source.version()
    except OSError as error:
        raise DataError(f"{clip.clip.source.name}: can not be opened ({error.strerror or error})") from error
    settings = (config.channels, config.trim_db, config.loudness, config.level_db)
    words = (CACHE_FORMAT, version, clip.rate, *clip.frames, *settings)
    digest = hashlib.blake2b("\x1f".join(map(str, words)).encode(errors="replace"), digest_size=16).hexdigest()
    return Path(config.cache).expanduser() / digest[:2] / f"{digest}.int16"


def _mapped(place: Path) -> Samples:
    if not place.stat().st_size:  # of a silent clip nothing is left, which can not be mapped
        return np.zeros(0, np.int16)
    return np.memmap(place, np.int16, mode="r")


def _keep(samples: Samples, place: Path) -> None:
    """Write a file that is either whole or not there."""
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=place.parent, suffix=".part", delete=False) as file:
            samples.tofile(file.file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(file.name, place)
    except OSError as error:
        raise DataError(
            f"{place}: can not be written ({error.strerror or error})", where="data.cache", fix="name another folder"
        ) from error
