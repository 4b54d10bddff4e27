"""How many different things a generator says, and how much it repeats itself."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from genkit import Metric, Samples
from genkit_text.metrics.config import DiversityConfig
from genkit_text.metrics.ngrams import count_by_row, flatten, ngrams
from genkit_text.metrics.specs import FIGURES
from genkit_text.metrics.texts import WORDS, Reader, choose

REPEATED = 4
"""The n-gram whose repetition inside a sample is counted (Welleck et al. 2020, seq-rep-4)."""


def distinct(texts: Sequence[Sequence[str]], order: int) -> list[float]:
    """Distinct-1 to distinct-`order`: different n-grams over all n-grams of the texts (Li et al. 2016); 0 where
    there is none."""
    return [found.distinct / max(len(found.gram), 1) for found in ngrams(flatten(texts), order)]


def repetition(texts: Sequence[Sequence[str]], order: int = REPEATED) -> float:
    """The share of a text's n-grams that stood in it before, mean over the texts that have one; 0 when none has."""
    *_, found = ngrams(flatten(texts), order)
    row, _, times = count_by_row(found)
    total = np.bincount(row, times, len(texts))
    different = np.bincount(row, minlength=len(texts))
    long_enough = total > 0
    if not long_enough.any():
        return 0.0
    return float((1 - different[long_enough] / total[long_enough]).mean())


class Diversity(Metric):
    """Distinct-1 to distinct-3, the share of different samples, repetition inside a sample, and how far the mean length
    is from the reference's. Random words are as diverse as can be: read it beside the perplexities.

    Args:
        reader: reads the texts.
        count: samples that are looked at.
        seed: what their choice depends on.
    """

    better = FIGURES["diversity"]

    def __init__(self, reader: Reader, *, count: int = 1000, seed: int = 0) -> None:
        self.reader, self.count, self.seed = reader, count, seed

    def __call__(self, real: Samples, fake: Samples) -> dict[str, float]:
        texts = choose(self.reader.words(fake), self.count, self.seed)
        reference = choose(self.reader.words(real), self.count, self.seed)
        shares = distinct(texts, 3)
        return {
            **{f"distinct{n}": share for n, share in enumerate(shares, 1)},
            "unique": len(set(map(tuple, texts))) / len(texts),
            "repetition": repetition(texts),
            "length_difference": abs(_mean_length(texts) - _mean_length(reference)),
        }

    def protocol(self) -> dict[str, Any]:
        return {
            "samples": f"{self.count}, or all of a smaller set",
            "choice_seed": self.seed,
            "repetition": f"{REPEATED}-grams that stood in the same sample before",
            "length": "mean words a sample, against the reference's",
            "words": WORDS,
        }


def _mean_length(texts: Sequence[Sequence[str]]) -> float:
    return sum(map(len, texts)) / len(texts)


def build_diversity(config: DiversityConfig, facts: Mapping[str, Any]) -> Diversity:
    """Diversity of samples."""
    return Diversity(Reader(facts), count=config.count, seed=config.seed)
