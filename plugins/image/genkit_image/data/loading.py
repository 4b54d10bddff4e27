"""Many picture files -> one tensor, or a reader of one at a time where they are too many to hold."""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import IO, Protocol

import torch
from torch import Tensor

from genkit import DataError
from genkit_image.data.config import PicturesConfig
from genkit_image.data.decode import Decoding, is_colour
from genkit_image.data.images import Images, Pictures

MEMORY_BYTES = 2 << 30
"""Decoded pictures are held in memory up to this size."""


class Source(Protocol):
    """One picture, not yet read. Opening it is safe in threads and in loader processes."""

    @property
    def name(self) -> str:
        """What an error calls it."""

    @property
    def key(self) -> str:
        """What tells it from the dataset's other pictures, wherever the dataset lies."""

    def open(self) -> IO[bytes]: ...


class ReadPictures(Pictures):
    """Pictures decoded when they are asked for.

    With `skip_broken`, the next one that can be read stands in for a broken one: an index always means the same.
    """

    def __init__(self, sources: Sequence[Source], decode: Decoding, skip_broken: bool) -> None:
        self.sources, self.decode, self.skip_broken = sources, decode, skip_broken
        self._said: set[str] = set()

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: int) -> Tensor:
        for step in range(len(self)):
            source = self.sources[(index + step) % len(self)]
            try:
                return read_picture(source, self.decode)
            except DataError as error:
                if not self.skip_broken:
                    raise
                if source.name not in self._said:
                    self._said.add(source.name)
                    print(f"left out: {error.what}", file=sys.stderr)
        raise DataError(f"none of {len(self)} files can be read as a picture")


def load_images(
    sources: Sequence[Source],
    labels: Sequence[int] | None,
    classes: Sequence[str] | None,
    config: PicturesConfig,
    *,
    name: str,
    held_out: Sequence[bool] | None = None,
) -> Images:
    """The dataset of `sources`, decoded once by all processor cores where it fits in memory.

    Args:
        held_out: which sources are kept from training; None: `config.held_out` of them, chosen by their names.

    Raises DataError when a file is broken and ``config.skip_broken`` is false, or when none can be read.
    """
    decode = Decoding(config.resolution, 1 if all_grey(sources, config) else 3, config.fit, config.background)
    pictures: Tensor | Pictures
    if len(sources) * decode.channels * config.resolution**2 < MEMORY_BYTES:
        pictures, kept = _decode_all(sources, decode, config.skip_broken, name)
        sources = [sources[i] for i in kept]
        labels = [labels[i] for i in kept] if labels is not None else None
        held_out = [held_out[i] for i in kept] if held_out is not None else None
    else:
        pictures = ReadPictures(sources, decode, config.skip_broken)
    apart = held_out if held_out is not None else chosen_by_name([source.key for source in sources], config.held_out)

    def part(side: bool, title: str, flip: bool, other: Images | None) -> Images:
        rows = [i for i, out in enumerate(apart) if out == side]
        if isinstance(pictures, Tensor):
            chosen: Tensor | Pictures = pictures[rows] if len(rows) < len(apart) else pictures
        else:
            chosen = ReadPictures([sources[i] for i in rows], decode, config.skip_broken)
        own = torch.tensor([labels[i] for i in rows], dtype=torch.int64) if labels is not None else None
        return Images(chosen, own, classes, name=title, licence="yours", flip=flip, held_out=other)

    rest = part(True, f"{name}, held out", False, None) if any(apart) else None
    return part(False, name, config.flip, rest)


def read_picture(source: Source, decode: Decoding) -> Tensor:
    """The picture, uint8 [C, S, S]. Raises DataError naming it when it is broken."""
    try:
        file = source.open()
    except OSError as error:
        raise DataError(f"{source.name}: can not be opened ({error.strerror or error})") from error
    with file:
        return decode(file, source.name)


def all_grey(sources: Sequence[Source], config: PicturesConfig) -> bool:
    """Whether all pictures are grey, or the config wants them to be."""
    if config.channels != "auto":
        return config.channels == "grey"
    return not any(_has_colour(source) for source in sources)


def _has_colour(source: Source) -> bool:
    try:
        with source.open() as file:
            return is_colour(file, source.name)
    except (DataError, OSError):
        return False  # decoding it will say what is wrong


def _decode_all(sources: Sequence[Source], decode: Decoding, skip_broken: bool, name: str) -> tuple[Tensor, list[int]]:
    """uint8 [N, C, H, W] of the sources that can be read, and which these are."""
    pixels = torch.empty(len(sources), decode.channels, decode.resolution, decode.resolution, dtype=torch.uint8)

    def fill(index: int) -> DataError | None:
        try:
            pixels[index] = read_picture(sources[index], decode)
        except DataError as error:
            return error
        return None

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        faults = list(pool.map(fill, range(len(sources))))
    broken = [fault for fault in faults if fault is not None]
    if not broken:
        return pixels, list(range(len(sources)))
    if not skip_broken:
        more = f", and {len(broken) - 1} more files" if len(broken) > 1 else ""
        raise DataError(f"{broken[0].what}{more}", where="data.path", fix=broken[0].fix) from broken[0]
    if len(broken) == len(sources):
        raise DataError(
            f"{name}: none of its {len(sources)} files can be read as a picture; the first: {broken[0].what}"
        )
    print(f"{name}: {len(broken)} of {len(sources)} files left out; the first: {broken[0].what}", file=sys.stderr)
    kept = [i for i, fault in enumerate(faults) if fault is None]
    return pixels[kept], kept


def chosen_by_name(names: Sequence[str], share: float) -> list[bool]:
    """Which pictures are held out: those whose names hash lowest, so that adding a file moves hardly another."""
    hashes = [hashlib.blake2b(name.encode(errors="replace")).digest() for name in names]
    chosen = set(sorted(range(len(names)), key=hashes.__getitem__)[: round(share * len(names))])
    return [i in chosen for i in range(len(names))]
