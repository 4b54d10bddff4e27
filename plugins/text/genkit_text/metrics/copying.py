"""The longest span of words that a text has in common with others."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from genkit_text.metrics.ngrams import Integers, flatten


def longest_copied(texts: Sequence[Sequence[str]], sources: Sequence[Sequence[str]]) -> Integers:
    """Words in the longest span of each text that stands, word for word, within one of the sources: [N], exact.

    A span of n + 1 words can only be copied where one of n is, so each round looks at the places that are left.
    """
    count = len(texts)
    flat = flatten([*texts, *sources])
    longest = np.zeros(count, dtype=np.int64)
    start, gram = np.arange(len(flat.words)), flat.words
    width = int(gram.max()) + 1 if len(gram) else 1
    length = 1
    while len(start):
        ours = flat.rows[start] < count
        shared = np.intersect1d(gram[ours], gram[~ours])
        found = np.isin(gram, shared)
        start, gram, ours = start[found], gram[found], ours[found]
        longest[flat.rows[start[ours]]] = length
        inside = start + length < len(flat.words)
        start, gram = start[inside], gram[inside]
        inside = flat.rows[start] == flat.rows[start + length]
        start, gram = start[inside], gram[inside]
        gram = np.unique(gram * width + flat.words[start + length], return_inverse=True)[1]
        length += 1
    return longest


def longest_in_own(texts: Sequence[Sequence[str]], sources: Sequence[Sequence[str]]) -> Integers:
    """As `longest_copied`, where text i may only copy from source i."""
    pairs = [longest_copied([text], [source]) for text, source in zip(texts, sources, strict=True)]
    return np.concatenate(pairs) if pairs else np.zeros(0, dtype=np.int64)
