"""`image.webdataset`: .tar files of pictures in WebDataset's form (Aizman et al. 2020), on a disk of this machine.

The headers are gone through once. After that any picture is read where it lies, so that order, resumption, held-out
pictures and sampling by label are as exact as for a folder.
"""

from __future__ import annotations

import glob
import io
import json
import re
import tarfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import IO, Any, overload

import numpy as np

from genkit import DataError
from genkit_image.data.collection import Collection, Source, number_labels
from genkit_image.data.config import WebDatasetConfig
from genkit_image.data.endings import SUFFIXES
from genkit_image.data.images import Images
from genkit_image.data.loading import load_images

_RANGE = re.compile(r"\{(\d+)\.\.(\d+)\}")


@dataclass(frozen=True)
class MemberSource:
    """A picture inside a .tar file."""

    archive: str
    member: str
    offset: int
    size: int

    @property
    def key(self) -> str:
        return f"{PurePosixPath(self.archive).name}/{self.member}"

    @property
    def name(self) -> str:
        return f"{self.archive}:{self.member}"

    def open(self) -> IO[bytes]:
        with open(self.archive, "rb") as file:
            file.seek(self.offset)
            return io.BytesIO(file.read(self.size))


class Members(Sequence[Source]):
    """The pictures of shards, packed: millions of them take tens of bytes each, in this process and in loaders.

    Args:
        archives: the .tar files.
        places: for each picture the number of its archive, where it begins and how long it is.
        members: their names in the archives.
    """

    def __init__(
        self, archives: Sequence[Path], places: Sequence[tuple[int, int, int]], members: Sequence[str]
    ) -> None:
        self.archives = [str(archive) for archive in archives]
        self.places = np.array(places, dtype=np.int64).reshape(-1, 3)
        encoded = [member.encode(errors="surrogateescape") for member in members]
        self.names = np.frombuffer(b"".join(encoded), dtype=np.uint8)
        self.ends = np.cumsum([len(one) for one in encoded], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.places)

    @overload
    def __getitem__(self, index: int) -> Source: ...

    @overload
    def __getitem__(self, index: slice) -> list[Source]: ...

    def __getitem__(self, index: int | slice) -> Source | list[Source]:
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        archive, offset, size = self.places[index].tolist()
        start = int(self.ends[index - 1]) if index else 0
        member = self.names[start : int(self.ends[index])].tobytes().decode(errors="surrogateescape")
        return MemberSource(self.archives[archive], member, offset, size)


@dataclass
class Example:
    """The members of one name."""

    shard: str
    key: str
    pictures: dict[str, tuple[int, int]] = field(default_factory=dict)
    """Ending: where it begins, how long it is."""
    others: dict[str, bytes] = field(default_factory=dict)
    """What ``cls`` and ``json`` hold."""

    @property
    def name(self) -> str:
        return f"{self.shard}:{self.key}"


def open_webdataset(config: WebDatasetConfig) -> Images:
    """The pictures of shards, each [channels, resolution, resolution].

    Raises DataError naming the shard that is damaged, or the example that lacks a picture or a label.
    """
    return load_images(find_webdataset(config), config)


def find_webdataset(config: WebDatasetConfig) -> Collection:
    """The pictures of shards with their labels, not yet read. Raises as `open_webdataset`."""
    archives = shards_of(config.path, "data.path")
    tests = shards_of(config.held_out_path, "data.held_out_path") if config.held_out_path is not None else []
    places: list[tuple[int, int, int]] = []
    members: list[str] = []
    values: list[Any] = []
    counts: list[int] = []
    others: Counter[str] = Counter()
    place: str | None = None if config.label == "auto" else config.label
    first: str | None = None  # the example by which `auto` finds no labels
    for number, archive in enumerate([*archives, *tests]):
        for example in examples_of(archive):
            if place is None:
                place = _place(example)
                first = example.name if place == "none" else None
            elif first is not None and _has_label(example):
                raise DataError(
                    f"{example.name}: has a label, and {first}, the first example, has none",
                    where="data.label",
                    fix="--set data.label=none learns no labels, data.label=cls names every picture without one; the "
                    "members of one example lie side by side",
                )
            ending = _picture(example, config.image)
            if ending is None:
                others[f".{next(iter([*example.others, *example.pictures]), 'other')} alone"] += 1
                continue
            places.append((number, *example.pictures[ending]))
            members.append(f"{example.key}.{ending}")
            values.append(None if place == "none" else _label(example, place))
        counts.append(len(places) - sum(counts))
    if not places:
        raise DataError(f"{config.path}: no picture found in it", where="data.path")
    sources = Members([*archives, *tests], places, members)
    labels, classes = None, None
    if place != "none":
        labels, classes = _numbered(values, sources, config)
    elif config.classes is not None:
        raise DataError(f"{config.path}: data.classes names classes, and there are no labels", where="data.classes")
    held_out = None
    if tests:
        held_out = [False] * sum(counts[: len(archives)]) + [True] * sum(counts[len(archives) :])
    return Collection(config.path, sources, labels, classes, held_out, dict(others))


def shards_of(given: str, where: str) -> list[Path]:
    """The .tar files that a path or pattern means, sorted. Raises DataError when one is not there."""
    if "://" in given or given.startswith("pipe:"):
        raise DataError(
            f"{given}: shards are read at random places, which a disk of this machine can do",
            where=where,
            fix="copy them here; or stream them by `image.hub` with data.streaming=true where they lie on the hub",
        )
    path = Path(given).expanduser()
    if path.is_dir():
        found = sorted(path.glob("*.tar"))
        if not found:
            raise DataError(f"{path}: no .tar file in it", where=where)
        return found
    found = []
    for one in _ranges(str(path)):
        named = [Path(one)] if Path(one).is_file() else [Path(name) for name in sorted(glob.glob(one))]
        if not named:
            raise DataError(f"{one}: there is no such file", where=where)
        found += named
    return found


def _ranges(pattern: str) -> Iterator[str]:
    """The names that ``{000..146}`` stands for, with as many digits."""
    found = _RANGE.search(pattern)
    if found is None:
        yield pattern
        return
    first, last = found.groups()
    for number in range(int(first), int(last) + 1):
        yield from _ranges(f"{pattern[: found.start()]}{number:0{len(first)}d}{pattern[found.end() :]}")


def examples_of(archive: Path) -> Iterator[Example]:
    """The examples of a shard, in its order. Raises DataError when it is damaged or no .tar file."""
    size = archive.stat().st_size
    example: Example | None = None
    try:
        with tarfile.open(archive, "r:") as shard:
            while (member := shard.next()) is not None:
                shard.members.clear()  # type: ignore[attr-defined]  # else it keeps them all
                if not member.isfile() or PurePosixPath(member.name).name.startswith("."):
                    continue
                if member.offset_data + member.size > size:
                    raise DataError(f"{archive}: ends in the middle of {member.name}", fix="copy it anew")
                folder, _, base = member.name.rpartition("/")
                stem, _, ending = base.partition(".")
                key = f"{folder}/{stem}" if folder else stem
                if example is None or example.key != key:
                    if example is not None:
                        yield example
                    example = Example(str(archive), key)
                ending = ending.lower()
                if f".{ending}" in SUFFIXES:
                    example.pictures[ending] = (member.offset_data, member.size)
                elif ending in {"cls", "json"}:
                    content = shard.extractfile(member)
                    example.others[ending] = content.read() if content is not None else b""
            _check_end(archive, shard.offset)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise DataError(
            f"{archive}: can not be read as a .tar file ({error})",
            where="data.path",
            fix="copy it anew; one that is compressed as a whole is to be unpacked, its pictures are so already",
        ) from error
    if example is not None:
        yield example


def _check_end(archive: Path, offset: int) -> None:
    """Raises DataError where `tarfile` stopped at something that is no end: it takes half a header for one."""
    with archive.open("rb") as file:
        file.seek(offset)
        block = file.read(tarfile.BLOCKSIZE)
    if block.strip(b"\0") or 0 < len(block) < tarfile.BLOCKSIZE:
        raise DataError(f"{archive}: is damaged after {offset} bytes", where="data.path", fix="copy it anew")


def _picture(example: Example, wanted: str | None) -> str | None:
    """The ending of an example's picture; None when it has none."""
    if wanted is not None:
        return wanted.lower() if wanted.lower() in example.pictures else None
    if len(example.pictures) > 1:
        endings = sorted(example.pictures)
        raise DataError(
            f"{example.name}: has the pictures {' and '.join(endings)}",
            where="data.image",
            fix=f"--set data.image={endings[0]}",
        )
    return next(iter(example.pictures), None)


def _place(example: Example) -> str:
    """Where the labels are, by the first example."""
    if "cls" in example.others:
        return "cls"
    return "label" if "json" in example.others and "label" in _object(example) else "none"


def _has_label(example: Example) -> bool:
    """Whether there is a label where `auto` looks for one. Only a json in which the word stands is read."""
    return "cls" in example.others or (b'"label"' in example.others.get("json", b"") and "label" in _object(example))


def _label(example: Example, place: str) -> Any:
    """What an example says of its label; None when nothing."""
    if place == "cls":
        return example.others.get("cls", b"").decode(errors="replace").strip()
    return _object(example).get(place) if "json" in example.others else None


def _object(example: Example) -> dict[str, Any]:
    try:
        found = json.loads(example.others["json"])
    except ValueError as error:
        raise DataError(f"{example.name}.json: is no JSON ({error})", where="data.label") from error
    if not isinstance(found, dict):
        raise DataError(f"{example.name}.json: is no object with keys", where="data.label")
    return found


class _Names(Sequence[str]):
    """The names of sources, made when one is asked for."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources = sources

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: Any) -> Any:
        return self.sources[index].name


def _numbered(
    values: Sequence[Any], sources: Sequence[Source], config: WebDatasetConfig
) -> tuple[list[int], list[str]]:
    """The labels, and the names of the classes."""
    labels, classes = number_labels(values, _Names(sources), "data.label")
    if config.classes is None:
        return labels, classes
    top = len(config.classes)
    odd = [name for name in classes if not name.isdecimal() or int(name) >= top]
    if odd:
        raise DataError(f"{config.path}: has the label {odd[0]}, and data.classes names {top}", where="data.classes")
    number = [int(name) for name in classes]
    return [number[label] for label in labels], list(config.classes)
