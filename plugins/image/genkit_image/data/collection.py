"""What a dataset's pictures are, before any is decoded: where they come from, their labels, which are held out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import IO, Protocol

import numpy as np

from genkit import DataError

NAMED = 5
"""Names that one line of words lists."""


class Source(Protocol):
    """One picture, not yet read. Opening it is safe in threads and in loader processes."""

    @property
    def name(self) -> str:
        """What an error calls it."""

    @property
    def key(self) -> str:
        """What tells it from the dataset's other pictures, wherever the dataset lies."""

    def open(self) -> IO[bytes]: ...


@dataclass(frozen=True)
class Collection:
    """Pictures that belong together."""

    name: str
    """Of the whole: a path, or a name on the hub."""
    sources: Sequence[Source]
    labels: Sequence[int] | None = None
    """One a source, numbers of `classes`."""
    classes: Sequence[str] | None = None
    held_out: Sequence[bool] | None = None
    """Which sources are kept from training; None: the config's share of them, chosen by their keys."""
    others: Mapping[str, int] = field(default_factory=dict)
    """Files that are no pictures, by their suffix."""


def number_labels(values: Sequence[object], names: Sequence[str], where: str) -> tuple[list[int], list[str]]:
    """Labels as numbers from 0 on, and the classes they stand for.

    Whole numbers, and names that are such, are sorted as numbers, all else as words.

    Args:
        values: what the data says of each picture: words, whole numbers or truth values.
        names: what each picture is called.
        where: the key that chose these labels.

    Raises DataError, naming a picture, where a value is missing or is no label.
    """
    missing = [names[row] for row, value in enumerate(values) if value is None or value == ""]
    if missing:
        raise DataError(
            f"{listed(missing)} {'has' if len(missing) == 1 else 'have'} no label",
            where=where,
            fix=f"label them, take them out, or --set {where}=none",
        )
    odd = next((row for row, value in enumerate(values) if not isinstance(value, str | int | np.integer)), None)
    if odd is not None:
        raise DataError(f"{names[odd]}: its label is {values[odd]!r}, neither a word nor a whole number", where=where)
    words = [str(value) for value in values]
    classes = sorted(set(words), key=_by_number if all(_is_number(word) for word in set(words)) else None)
    number = {word: label for label, word in enumerate(classes)}
    return [number[word] for word in words], classes


def listed(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return f"{', '.join(names[:NAMED])}{more}"


def chosen_by_name(names: Sequence[str], share: float) -> list[bool]:
    """Which pictures are held out: those whose names hash lowest, so that adding a file moves hardly another."""
    if share == 0:
        return [False] * len(names)
    hashes = [hashlib.blake2b(name.encode(errors="replace")).digest() for name in names]
    chosen = set(sorted(range(len(names)), key=hashes.__getitem__)[: round(share * len(names))])
    return [i in chosen for i in range(len(names))]


def _is_number(word: str) -> bool:
    return word.removeprefix("-").isascii() and word.removeprefix("-").isdecimal()


def _by_number(word: str) -> tuple[int, str]:
    return int(word), word
