"""Many picture files -> one tensor, or a reader of one at a time where they are too many to hold."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import IO

import torch
from torch import Tensor

from genkit import DataError
from genkit_image.data.collection import Collection, Source, chosen_by_name
from genkit_image.data.config import LabelledConfig, PicturesConfig
from genkit_image.data.decode import Decoding, is_colour, read_header
from genkit_image.data.images import Images, Pictures, say_unseen

MEMORY_BYTES = 2 << 30
"""Decoded pictures are held in memory up to this size."""
PROBED = 200
"""Pictures whose size is looked at where there are too many to decode beforehand."""
AHEAD = 512
"""Pictures that are decoded at once where they are wanted in order."""
Decoded = tuple[Tensor, bool]
"""uint8 [C, S, S], and whether the picture was enlarged."""


class ReadPictures(Pictures):
    """Pictures decoded when they are asked for.

    With `skip_broken`, the next one that can be read stands in for a broken one: an index always means the same.

    Args:
        sources: all pictures of the dataset.
        rows: which of them, and in which order.
        decode: what is made of each.
        skip_broken: see above.
    """

    def __init__(self, sources: Sequence[Source], rows: Tensor, decode: Decoding, skip_broken: bool) -> None:
        self.sources, self.rows, self.decode, self.skip_broken = sources, rows, decode, skip_broken
        self._broken: set[int] = set()

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Tensor:
        for step in range(len(self)):
            row = (index + step) % len(self)
            if row in self._broken:
                continue
            try:
                return read_picture(self.sources[int(self.rows[row])], self.decode)
            except DataError as error:
                if not self.skip_broken:
                    raise
                self._broken.add(row)
                print(f"left out: {error.what}", file=sys.stderr)
        raise DataError(f"none of {len(self)} files can be read as a picture")


def load_images(collection: Collection, config: LabelledConfig) -> Images:
    """The dataset of a collection, decoded once by all processor cores where it fits in memory.

    Raises DataError when a file is broken and ``config.skip_broken`` is false, or when none can be read.
    """
    sources, labels, held_out = collection.sources, collection.labels, collection.held_out
    decode = decoding(sources, config)
    pixels: Tensor | None = None
    kept: Sequence[int] = range(len(sources))
    if fits_in_memory(len(sources), decode):
        pixels, kept = _decode_all(sources, decode, config.skip_broken, collection.name)
    else:
        _say_small(_probe(sources, decode), min(PROBED, len(sources)), decode, f"{collection.name}: looked at some; ")
    apart = (
        [held_out[i] for i in kept]
        if held_out is not None
        else chosen_by_name([sources[i].key for i in kept] if config.held_out else [""] * len(kept), config.held_out)
    )

    def part(side: bool, title: str, other: Images | None) -> Images:
        rows = torch.tensor([i for i, out in enumerate(apart) if out == side], dtype=torch.int64)
        chosen: Tensor | Pictures
        if pixels is None:
            chosen = ReadPictures(sources, rows, decode, config.skip_broken)
        else:
            chosen = pixels[rows] if len(rows) < len(apart) else pixels
        own = None
        if labels is not None:
            own = torch.tensor([labels[kept[i]] for i in rows.tolist()], dtype=torch.int64)
        return Images(
            chosen,
            own,
            collection.classes,
            name=title,
            licence="yours",
            flip=config.flip and not side,
            sampling="pictures" if side else config.sampling,
            held_out=other,
        )

    rest = part(True, f"{collection.name}, held out", None) if any(apart) else None
    data = part(False, collection.name, rest)
    say_unseen(data)
    return data


def decoding(sources: Sequence[Source], config: PicturesConfig) -> Decoding:
    """What is made of each picture."""
    channels = 1 if all_grey(sources, config) else 3
    return Decoding(config.resolution, 1 if channels == 1 else 3, config.fit, config.background)


def fits_in_memory(count: int, decode: Decoding) -> bool:
    """Whether so many pictures are held there once they are decoded."""
    return count * decode.channels * decode.resolution**2 < MEMORY_BYTES


def read_picture(source: Source, decode: Decoding) -> Tensor:
    """The picture, uint8 [C, S, S]. Raises DataError naming it when it is broken."""
    return read_sized(source, decode)[0]


def read_sized(source: Source, decode: Decoding) -> Decoded:
    """The picture, and whether it was enlarged. Raises DataError naming it when it is broken."""
    with open_source(source) as file:
        return decode.sized(file, source.name)


def open_source(source: Source) -> IO[bytes]:
    """The file of a picture. Raises DataError naming it when there is none that can be opened."""
    try:
        return source.open()
    except OSError as error:
        raise DataError(f"{source.name}: can not be opened ({error.strerror or error})") from error


def read_all(sources: Sequence[Source], decode: Decoding) -> Iterator[Decoded | DataError]:
    """The pictures in order, decoded by all processor cores and a few hundred at a time; an error for a broken one."""

    def read(source: Source) -> Decoded | DataError:
        try:
            return read_sized(source, decode)
        except DataError as error:
            return DataError(error.what, where=error.where, fix=error.fix)  # without the frames that it came through

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        waiting = iter(sources)
        while block := list(islice(waiting, AHEAD)):
            yield from pool.map(read, block)


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


def _probe(sources: Sequence[Source], decode: Decoding) -> int:
    """How many of some pictures, evenly over all of them, are smaller than is wanted."""
    small = 0
    for i in range(min(PROBED, len(sources))):
        source = sources[i * len(sources) // min(PROBED, len(sources))]
        try:
            with source.open() as file:
                header = read_header(file, source.name)
        except (DataError, OSError):
            continue  # reading it will say what is wrong
        small += decode.enlarges(header.width, header.height)
    return small


def _say_small(small: int, of: int, decode: Decoding, name: str) -> None:
    if small:
        size = decode.resolution
        print(f"{name}{small} of {of} pictures are smaller than {size}x{size} and enlarged", file=sys.stderr)


def _decode_all(sources: Sequence[Source], decode: Decoding, skip_broken: bool, name: str) -> tuple[Tensor, list[int]]:
    """uint8 [N, C, H, W] of the sources that can be read, and which these are."""
    pixels = torch.empty(len(sources), decode.channels, decode.resolution, decode.resolution, dtype=torch.uint8)
    kept: list[int] = []
    broken: list[DataError] = []
    small = 0
    for index, read in enumerate(read_all(sources, decode)):
        if isinstance(read, DataError):
            broken.append(read)
            continue
        pixels[len(kept)] = read[0]
        kept.append(index)
        small += read[1]
    if broken and not skip_broken:
        more = f", and {len(broken) - 1} more files" if len(broken) > 1 else ""
        raise DataError(f"{broken[0].what}{more}", where="data.path", fix=broken[0].fix)
    if not kept:
        raise DataError(
            f"{name}: none of its {len(sources)} files can be read as a picture; the first: {broken[0].what}"
        )
    if broken:
        print(f"{name}: {len(broken)} of {len(sources)} files left out; the first: {broken[0].what}", file=sys.stderr)
    _say_small(small, len(kept), decode, f"{name}: ")
    return pixels[: len(kept)], kept
