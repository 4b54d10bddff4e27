"""`image.paired`: two folders of pictures that belong together by name, what is given and what is to be made of it."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from copy import copy
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import torch
from torch import Tensor

from genkit import Batch, DataError, Dataset, Random
from genkit_image.data.collection import chosen_by_name
from genkit_image.data.config import PairedConfig
from genkit_image.data.decode import Decoding
from genkit_image.data.folder import FileSource, picture_files
from genkit_image.data.loading import MEMORY_BYTES, all_grey, read_picture
from genkit_image.known import how_many, pack_known

NAMED = 5
"""Missing partners that an error names."""
Stored = dict[str, Tensor]


@dataclass(frozen=True)
class Pair:
    """Two pictures of one name."""

    key: str
    given: FileSource
    made: FileSource

    def decode(self, given: Decoding, made: Decoding) -> Stored:
        """Both pictures, uint8 [C, S, S]. Raises DataError naming the file that is broken."""
        return {"given": read_picture(self.given, given), "image": read_picture(self.made, made)}


class PairReader:
    """Pairs decoded when they are asked for.

    With `skip_broken`, the next pair that can be read stands in for a broken one: an index always means the same.
    """

    def __init__(self, pairs: Sequence[Pair], decodings: tuple[Decoding, Decoding], skip_broken: bool) -> None:
        self.pairs, self.decodings, self.skip_broken = pairs, decodings, skip_broken
        self._said: set[str] = set()

    def __len__(self) -> int:
        return len(self.pairs)

    def __getitem__(self, index: int) -> Stored:
        for step in range(len(self)):
            pair = self.pairs[(index + step) % len(self)]
            try:
                return pair.decode(*self.decodings)
            except DataError as error:
                if not self.skip_broken:
                    raise
                if pair.key not in self._said:
                    self._said.add(pair.key)
                    print(f"left out: {error.what}", file=sys.stderr)
        raise DataError(f"none of {len(self)} pairs can be read as pictures")


class Paired(Dataset):
    """Pictures [B, C, R, R], with those they belong to, ``{"image": [B, C', R, R], "mask": 0}``, as the condition.

    A mirrored or shifted picture is so with its partner, by the same numbers.

    Args:
        pairs: uint8 ``given`` and ``image`` [N, C, S, S] in memory, or what reads one at a time.
        resolution: R; what S is larger is cut off by chance, and around the middle in held-out pairs.
        flip: mirror pairs by chance.
        name: what a report says.
        held_out: pairs that training never sees; None in the held-out part itself.
        facts: the training pairs', in the held-out part.
    """

    def __init__(
        self,
        pairs: Stored | PairReader,
        *,
        resolution: int,
        flip: bool,
        name: str,
        held_out: Paired | None = None,
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        self.pairs, self.resolution, self.flip, self.name, self._held_out = pairs, resolution, flip, name, held_out
        self.trains = facts is None
        self.facts = facts if facts is not None else self._facts()

    def __len__(self) -> int:
        return len(self.pairs["image"]) if isinstance(self.pairs, dict) else len(self.pairs)

    def read(self, index: int) -> Stored:
        """``given`` and ``image``, uint8 [C, S, S]. Raises DataError when broken."""
        if isinstance(self.pairs, dict):
            return {side: pictures[index] for side, pictures in self.pairs.items()}
        return self.pairs[index]

    def resident(self) -> Stored | None:
        return self.pairs if isinstance(self.pairs, dict) else None

    def prepare(self, stored: Stored, *, rng: Random) -> Batch:
        """See the class."""
        both = [stored["given"], stored["image"]]
        if not self.trains:
            given, made = (scaled(centre(one, self.resolution)) for one in both)
            return Batch(made, condition=as_condition(given))
        numbers = rng.uniform(len(both[0]), 3)  # of fixed width: a row's numbers do not depend on what is on
        margin = both[0].shape[-1] - self.resolution
        offsets = ((margin + 1) * numbers[:, :2]).floor().long()
        mirrored = (numbers[:, 2] < 0.5 * self.flip)[:, None, None, None]
        both = [cut(one, offsets, self.resolution) for one in both]
        given, made = (scaled(torch.where(mirrored, one.flip(-1), one)) for one in both)
        return Batch(made, condition=as_condition(given))

    def still(self) -> Paired:
        """The pairs, none of them mirrored, and of each the middle."""
        other = copy(self)
        other.flip, other.trains = False, False
        return other

    def held_out(self) -> Paired | None:
        return self._held_out

    def summary(self) -> Mapping[str, Any]:
        return {
            "name": self.name,
            "examples": len(self),
            "shape": self.facts["shape"],
            "given": self.facts["given"]["shape"],
            "held out": 0 if self._held_out is None else len(self._held_out),
            "licence": "yours",
        }

    def _facts(self) -> dict[str, Any]:
        source = self._held_out if self._held_out is not None else self
        first = source.read(0)
        side = [self.resolution, self.resolution]
        shapes = {key: [len(first[key]), *side] for key in ("given", "image")}
        count = how_many(max(shapes.values()), len(source))
        rows = [source.read(i * len(source) // count) for i in range(count)]
        stored = {key: torch.stack([row[key] for row in rows]) for key in ("given", "image")}
        given, made = (scaled(centre(stored[key], self.resolution)) for key in ("given", "image"))
        return {
            "modality": "image",
            "shape": shapes["image"],
            "range": [-1, 1],
            "labels": None,
            "given": {"kind": "pairs", "shape": shapes["given"]},
            "known": pack_known(as_condition(given), made),
        }


def cut(images: Tensor, offsets: Tensor, size: int) -> Tensor:
    """[B, C, size, size]: each picture [B, C, S, S] from the row and column on that `offsets` [B, 2] give it."""
    place = torch.arange(size, device=images.device)
    rows, columns = ((offsets[:, dim, None] + place)[:, None] for dim in (0, 1))  # [B, 1, size]
    images = images.gather(2, rows[..., None].expand(-1, images.shape[1], -1, images.shape[3]))
    return images.gather(3, columns[:, :, None].expand(-1, images.shape[1], size, -1))


def centre(images: Tensor, size: int) -> Tensor:
    """[B, C, size, size]: the middle of pictures [B, C, S, S]."""
    start = (images.shape[-1] - size) // 2
    return images[..., start : start + size, start : start + size]


def open_paired(config: PairedConfig) -> Paired:
    """The pairs of two folders. Raises DataError, naming what is missing or broken."""
    folders = {role: folder_of(config, role) for role in ("given", "made")}
    pairs = match(folders["given"], folders["made"])
    channels = {
        role: 1 if all_grey([getattr(pair, role) for pair in pairs], config) else 3 for role in ("given", "made")
    }
    size = config.resolution + config.margin
    settings: dict[str, Any] = {
        "resolution": config.resolution,
        "flip": config.flip,
        "name": str(folders["made"].parent),
    }
    given, made = (_decoding(config, size, channels[role]) for role in ("given", "made"))
    if len(pairs) * (channels["given"] + channels["made"]) * size**2 >= MEMORY_BYTES:
        apart = _held_out(pairs, config)

        def reader(side: bool) -> PairReader:
            rows = [pair for pair, out in zip(pairs, apart, strict=True) if out == side]
            return PairReader(rows, (given, made), config.skip_broken)

        return pair_up(reader(False), reader(True) if any(apart) else None, **settings)
    pairs, decoded = _decode_all(pairs, given, made, config.skip_broken)
    apart = _held_out(pairs, config)

    def part(side: bool) -> Stored:
        rows = [row for row, out in zip(decoded, apart, strict=True) if out == side]
        return {key: torch.stack([row[key] for row in rows]) for key in ("given", "image")}

    return pair_up(part(False), part(True) if any(apart) else None, **settings)


def _held_out(pairs: Sequence[Pair], config: PairedConfig) -> list[bool]:
    """Which pairs are held out. Raises DataError where none is left to train on."""
    apart = chosen_by_name([pair.key for pair in pairs], config.held_out)
    if all(apart):
        raise DataError(
            f"{config.path}: there is no pair to train on: all {len(pairs)} are held out",
            where="data.held_out",
            fix="hold a smaller share out",
        )
    return apart


def folder_of(config: PairedConfig, role: str) -> Path:
    """The folder of either side. Raises DataError when there is none."""
    name = config.given if role == "given" else config.made
    path = Path(config.path).expanduser() / Path(name).expanduser()
    if not path.is_dir():
        raise DataError(
            f"{path}: there is no such folder",
            where=f"data.{role}",
            fix="data.path holds the folders A and B, or data.given and data.made name two others",
        )
    return path


def match(given: Path, made: Path) -> list[Pair]:
    """The pairs of two folders by their paths below them, without suffix, sorted.

    Raises DataError naming pictures without a partner, or two of one name.
    """
    sides = [_by_name(folder) for folder in (given, made)]
    if not sides[0] and not sides[1]:
        raise DataError(f"{given}: no picture found in it", where="data.path")
    for here, there, own, other in ((sides[0], sides[1], given, made), (sides[1], sides[0], made, given)):
        alone = sorted(set(here) - set(there))
        if alone:
            names = ", ".join(here[name].key for name in alone[:NAMED])
            more = f" and {len(alone) - NAMED} more" if len(alone) > NAMED else ""
            raise DataError(
                f"{own}: {names}{more} {'has' if len(alone) == 1 else 'have'} no partner of the same name in {other}",
                where="data.path",
                fix="add the partner, or take the picture out",
            )
    return [Pair(name, sides[0][name], sides[1][name]) for name in sorted(sides[0])]


def _by_name(folder: Path) -> dict[str, FileSource]:
    found: dict[str, FileSource] = {}
    for name in sorted(picture_files(folder)):
        key = str(PurePosixPath(name).with_suffix(""))
        if key in found:
            raise DataError(f"{folder}: {found[key].key} and {name} have one name", where="data.path")
        found[key] = FileSource(str(folder), name)
    return found


def pair_up(
    train: Stored | PairReader, rest: Stored | PairReader | None, *, resolution: int, flip: bool, name: str
) -> Paired:
    """Pairs to train on, and the `rest` held out."""
    apart = None
    if rest is not None:
        apart = Paired(rest, resolution=resolution, flip=False, name=f"{name}, held out", facts={})
    data = Paired(train, resolution=resolution, flip=flip, name=name, held_out=apart)
    if apart is not None:
        apart.facts = data.facts
    return data


def _decode_all(
    pairs: Sequence[Pair], given: Decoding, made: Decoding, skip_broken: bool
) -> tuple[list[Pair], list[Stored]]:
    """The pairs that can be read, decoded by all processor cores."""

    def decode(pair: Pair) -> Stored | DataError:
        try:
            return pair.decode(given, made)
        except DataError as error:
            return error

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        results = list(pool.map(decode, pairs))
    broken = [one for one in results if isinstance(one, DataError)]
    if broken and (not skip_broken or len(broken) == len(pairs)):
        more = f", and {len(broken) - 1} more pairs" if len(broken) > 1 else ""
        raise DataError(f"{broken[0].what}{more}", where="data.path", fix=broken[0].fix) from broken[0]
    if broken:
        print(f"{len(broken)} of {len(pairs)} pairs left out; the first: {broken[0].what}", file=sys.stderr)
    kept = [pair for pair, one in zip(pairs, results, strict=True) if not isinstance(one, DataError)]
    return kept, [one for one in results if not isinstance(one, DataError)]


def _decoding(config: PairedConfig, size: int, channels: int) -> Decoding:
    kind: Literal[1, 3] = 1 if channels == 1 else 3
    return Decoding(size, kind, config.fit, config.background)


def scaled(pixels: Tensor) -> Tensor:
    """uint8 -> [-1, 1]."""
    return pixels.to(torch.get_default_dtype()) / 127.5 - 1


def as_condition(given: Tensor) -> dict[str, Tensor]:
    """What models take: pictures [B, C, R, R], none of whose pixels is as it should be."""
    return {"image": given, "mask": given.new_zeros(len(given), 1, *given.shape[2:])}
