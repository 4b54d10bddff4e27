"""Parts of sound files as one channel of float32, and errors that name the file."""

from __future__ import annotations

import hashlib
import io
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO, Literal, Protocol

import numpy as np
import soundfile
from numpy.typing import NDArray

from genkit import DataError

"""What libsndfile reads, of what people have."""
UNREADABLE = frozenset({".m4a", ".aac", ".mp4", ".wma", ".webm", ".mka", ".amr"})
"""Sound that it does not read."""
BLOCK = 1 << 17
"""Frames read at once."""
WARM_UP = 16_384
"""Frames decoded before the wanted ones where a codec needs what came before: MP3's bit reservoir, the pages of Ogg."""

Channels = Literal["mix", "left", "right", "refuse"]
Wave = NDArray[np.float32]


class Source(Protocol):
    """A recording, not yet read. Opening it is safe in threads and in loader processes."""

    @property
    def name(self) -> str:
        """What an error calls it."""

    @property
    def key(self) -> str:
        """What tells it from the dataset's other recordings, wherever the dataset lies."""

    def open(self) -> str | IO[bytes]:
        """A path, or the content. Raises OSError."""

    def version(self) -> str:
        """Another text whenever the content is another. Raises OSError."""


@dataclass(frozen=True)
class FileSource:
    """A recording that is a file."""

    root: str
    key: str

    @property
    def name(self) -> str:
        return os.path.join(self.root, self.key)

    def open(self) -> str:
        if not os.path.isfile(self.name):
            raise FileNotFoundError("there is no such file")
        return self.name

    def version(self) -> str:
        """Its place, size and time of change."""
        about = os.stat(self.name)
        return f"{os.path.realpath(self.name)} {about.st_size} {about.st_mtime_ns}"


@dataclass(frozen=True)
class BytesSource:
    """A recording whose content is in memory."""

    name: str
    key: str
    content: bytes

    def open(self) -> IO[bytes]:
        return io.BytesIO(self.content)

    def version(self) -> str:
        """What its content hashes to."""
        return hashlib.blake2b(self.content, digest_size=16).hexdigest()


@dataclass(frozen=True)
class Header:
    """What a file says of itself."""

    rate: int
    """Frames a second."""
    channels: int
    frames: int
    compressed: bool
    """Whether what comes before a frame is needed to decode it, and `frames` may be an estimate."""
    format: str
    """Such as ``WAV, PCM_16``."""

    @property
    def seconds(self) -> float:
        return self.frames / self.rate


def read_header(source: Source) -> Header:
    """What the file says of itself.

    Raises DataError, naming it, when it is no sound, holds no frames, or is shorter than it says. An Ogg file that was
    cut off counts as what is left of it.
    """
    with _opened(source) as file:
        header = _header(file)
        _check_size(source, file, header)
    return header


def read_frames(source: Source, start: int = 0, stop: int | None = None) -> Iterator[Wave]:
    """The frames [start, stop) of a recording, [T, C], at the file's rate, in blocks; only these are decoded.

    Raises DataError, naming the file, when it can not be read, ends early, or holds samples that are no numbers.
    """
    with _opened(source) as file:
        header = _header(file)
        stop = header.frames if stop is None else min(stop, header.frames)
        position = start - (min(start, WARM_UP) if header.compressed else 0)
        if position:
            file.seek(position)
        while position < stop:
            block = _read(source, file, min(BLOCK, stop - position))
            bad = int(block.size - np.count_nonzero(np.isfinite(block)))
            if bad:
                raise DataError(
                    f"{source.name}: {bad:,} of its samples, between frames {position:,} and "
                    f"{position + len(block):,}, are not finite numbers",
                    where="data",
                )
            # A codec's header may count some frames too many; a file that was cut off lacks more than that.
            ended = len(block) < min(BLOCK, stop - position)
            if ended and stop - position - len(block) > (WARM_UP if header.compressed else 0):
                raise DataError(
                    f"{source.name}: ends at frame {position + len(block):,}; its header promises {header.frames:,}"
                )
            skipped = max(0, start - position)
            position += len(block)
            if len(block) > skipped:
                yield block[skipped:]
            if ended:
                return


def read_blocks(
    source: Source, start: int = 0, stop: int | None = None, *, channels: Channels = "mix"
) -> Iterator[Wave]:
    """As `read_frames`, as one channel [T]."""
    return (mixed(block, channels) for block in read_frames(source, start, stop))


def read_wave(source: Source, start: int = 0, stop: int | None = None, *, channels: Channels = "mix") -> Wave:
    """The frames [start, stop) of a recording, float32 [T], at the file's rate; see `read_blocks`."""
    blocks = list(read_blocks(source, start, stop, channels=channels))
    return np.concatenate(blocks) if blocks else np.zeros(0, np.float32)


def mixed(block: Wave, channels: Channels) -> Wave:
    """One channel [T] of frames [T, C]."""
    if block.shape[1] == 1:
        return block[:, 0]
    if channels == "mix":
        mean: Wave = block.mean(1, dtype=np.float32)
        return mean
    return block[:, 0] if channels == "left" else block[:, 1]


def _opened(source: Source) -> soundfile.SoundFile:
    try:
        place = source.open()
        if isinstance(place, str) and not os.path.getsize(place):
            raise DataError(f"{source.name}: is an empty file", where="data")
        return soundfile.SoundFile(place)
    except OSError as error:
        raise DataError(f"{source.name}: can not be opened ({error.strerror or error})", where="data") from error
    except (soundfile.SoundFileError, TypeError) as error:  # TypeError: a .raw file, which does not say what it is
        raise DataError(f"{source.name}: is no sound file that can be read ({_reason(error)})", where="data") from error


def _header(file: soundfile.SoundFile) -> Header:
    compressed = file.format in {"MP3", "OGG", "MPEG"}
    return Header(file.samplerate, file.channels, file.frames, compressed, f"{file.format}, {file.subtype}")


def _check_size(source: Source, file: soundfile.SoundFile, header: Header) -> None:
    if header.frames < 1 or header.rate < 1:
        raise DataError(f"{source.name}: holds no samples", where="data")
    promised = _promised(file)
    if promised is not None:
        raise DataError(
            f"{source.name}: ends early: its header promises {promised[0]:,} bytes of samples, and {promised[1]:,} "
            "are there",
            where="data",
        )


def _promised(file: soundfile.SoundFile) -> tuple[int, int] | None:
    """The bytes of samples that a WAV or AIFF header promises and those that follow, where fewer do.

    libsndfile says so in its log alone. A header that was written before its size was known holds the largest number.
    """
    found = re.search(r"^\s*(?:data|SSND)\s*:\s*(\d+) \(should be (\d+)\)", file.extra_info, re.MULTILINE)
    if found is None:
        return None
    promised, there = int(found[1]), int(found[2])
    unknown = promised >= 0x7FFF0000
    return None if unknown or promised - there <= 16 else (promised, there)  # 16: padding, and the chunk's own header


def _read(source: Source, file: soundfile.SoundFile, frames: int) -> Wave:
    """Frames [T, C]; fewer at the end of the file."""
    try:
        found: Wave = file.read(frames, dtype="float32", always_2d=True)
    except (soundfile.SoundFileError, RuntimeError) as error:
        raise DataError(f"{source.name}: is damaged ({_reason(error)})", where="data") from error
    return found


def _reason(error: Exception) -> str:
    """libsndfile's own words, without the place, which the message names already."""
    if isinstance(error, soundfile.LibsndfileError):
        return str(error.error_string).strip().rstrip(".").removeprefix("Error : ")
    return str(error)
