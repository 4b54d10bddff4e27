"""N-grams as numbers: equal n-grams of a set of texts have equal numbers, so that counting them is sorting."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[np.int64]


@dataclass(frozen=True)
class Flat:
    """Texts one after the other."""

    words: Integers
    """[T]: the number of each word."""
    rows: Integers
    """[T]: which text it is in."""
    lengths: Integers
    """[R]: words of each text."""


@dataclass(frozen=True)
class Occurrences:
    """Every place where an n-gram stands."""

    gram: Integers
    """[M]: which n-gram, numbered from 0 without gaps."""
    row: Integers
    """[M]: in which text."""
    distinct: int
    """How many n-grams there are."""


def flatten(texts: Sequence[Sequence[str]]) -> Flat:
    """Number the words of the texts."""
    known: dict[str, int] = {}
    words = np.array([known.setdefault(word, len(known)) for text in texts for word in text], dtype=np.int64)
    lengths = np.array([len(text) for text in texts], dtype=np.int64)
    return Flat(words, np.repeat(np.arange(len(texts), dtype=np.int64), lengths), lengths)


def ngrams(flat: Flat, order: int) -> Iterator[Occurrences]:
    """The 1-grams, the 2-grams, ... up to `order`; none spans two texts."""
    start = np.arange(len(flat.words))
    gram = flat.words
    width = int(gram.max()) + 1 if len(gram) else 1
    for n in range(1, order + 1):
        if n > 1:
            inside = start + n - 1 < len(flat.words)
            start, gram = start[inside], gram[inside]
            inside = flat.rows[start] == flat.rows[start + n - 1]
            start, gram = start[inside], gram[inside]
            gram = gram * width + flat.words[start + n - 1]
        distinct, gram = np.unique(gram, return_inverse=True)
        yield Occurrences(gram, flat.rows[start], len(distinct))


def count_by_row(found: Occurrences) -> tuple[Integers, Integers, Integers]:
    """Row, n-gram and how often it stands there, for each pair that occurs, in the order of rows."""
    pairs, counts = np.unique(found.row * max(found.distinct, 1) + found.gram, return_counts=True)
    return pairs // max(found.distinct, 1), pairs % max(found.distinct, 1), counts
