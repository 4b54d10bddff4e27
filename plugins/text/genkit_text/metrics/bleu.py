"""BLEU against real texts, and self-BLEU with each sample left out of its own references."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from genkit import Metric, Samples, UsageError
from genkit_text.metrics.config import BleuConfig
from genkit_text.metrics.ngrams import Integers, count_by_row, flatten, ngrams
from genkit_text.metrics.specs import FIGURES
from genkit_text.metrics.texts import WORDS, Reader, choose

SMOOTHING = 0.1
"""What an n-gram order without a match counts as, in matches (Chen and Cherry 2014, method 1)."""
ORDERS = (2, 3, 4, 5)
Floats = NDArray[np.float64]


def bleu(hypotheses: Sequence[Sequence[str]], references: Sequence[Sequence[str]], order: int) -> Floats:
    """Sentence BLEU-1 to BLEU-`order` of each hypothesis against all references at once (Papineni et al. 2002,
    section 2): clipped precisions with equal weights and the brevity penalty of the closest reference length.

    An order without a match counts as `SMOOTHING` matches; a hypothesis that shares no word with any reference, or has
    fewer than n words, has BLEU-n 0.

    Args:
        hypotheses, references: texts as words.
        order: the longest n-gram.

    Returns:
        [H, order].
    """
    count = len(hypotheses)
    flat = flatten([*hypotheses, *references])
    matched, total = np.zeros((count, order)), np.zeros((count, order))
    for n, found in enumerate(ngrams(flat, order)):
        row, gram, times = count_by_row(found)
        ours = row < count
        limit = np.zeros(found.distinct, dtype=np.int64)
        np.maximum.at(limit, gram[~ours], times[~ours])
        row, gram, times = row[ours], gram[ours], times[ours]
        matched[:, n] = np.bincount(row, np.minimum(times, limit[gram]), count)
        total[:, n] = np.bincount(row, times, count)
    lengths = flat.lengths[:count]
    scores = _geometric_means(matched, total) * _brevity(lengths, _closest(lengths, flat.lengths[count:]))
    return np.where(total > 0, scores, 0.0)


def self_bleu(samples: Sequence[Sequence[str]], order: int) -> Floats:
    """BLEU-1 to BLEU-`order` of each sample against all others (Zhu et al. 2018). Were a sample among its
    own references, every n-gram of it would match, and the score be 1 whatever the samples are.

    As `bleu`, but a sample of fewer than n words is scored up to its own length, and an empty one scores 1 when there
    is another: one short text again and again must not pass for variety.

    Args:
        samples: two or more texts as words.
        order: the longest n-gram.

    Returns:
        [S, order].
    """
    count = len(samples)
    flat = flatten(samples)
    matched, total = np.zeros((count, order)), np.zeros((count, order))
    for n, found in enumerate(ngrams(flat, order)):
        row, gram, times = count_by_row(found)
        matched[:, n] = np.bincount(row, np.minimum(times, _most_elsewhere(row, gram, times)), count)
        total[:, n] = np.bincount(row, times, count)
    closest = _closest(flat.lengths, flat.lengths, own=True)
    scores = _geometric_means(matched, total) * _brevity(flat.lengths, closest)
    last = np.clip(flat.lengths - 1, 0, order - 1)
    upto = np.minimum(np.arange(order)[None], last[:, None])
    empty = (flat.lengths == 0)[:, None]
    return np.where(empty, (closest == 0)[:, None], np.take_along_axis(scores, upto, 1)).astype(np.float64)


def _most_elsewhere(row: Integers, gram: Integers, times: Integers) -> Integers:
    """For each (row, n-gram) pair, how often that n-gram stands at most in one other row; 0 when in none."""
    order = np.lexsort((-times, gram))
    ranked, most = gram[order], times[order]
    first = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]]) if len(ranked) else np.zeros(0, dtype=np.int64)
    has_second = np.r_[np.diff(first) > 1, len(ranked) - first[-1:] > 1].astype(bool)
    top, holder, second = most[first], row[order][first], np.zeros(len(first), dtype=np.int64)
    second[has_second] = most[first[has_second] + 1]
    return np.where(holder[gram] == row, second[gram], top[gram])


def _closest(lengths: Integers, others: Integers, own: bool = False) -> Integers:
    """The length among `others` that is closest to each of `lengths`, the shorter of two; with `own` each of `lengths`
    stands among the others once for itself, which does not count."""
    known, times = np.unique(others, return_counts=True)
    away = np.abs(lengths[:, None] - known[None]).astype(np.float64)
    if own:
        away[(away == 0) & (times == 1)[None]] = np.inf
    closest: Integers = known[away.argmin(1)]
    return closest


def _brevity(lengths: Integers, closest: Integers) -> Floats:
    """The brevity penalty [H, 1]."""
    penalty: Floats = np.exp(np.minimum(0.0, 1 - closest / np.maximum(lengths, 1)))[:, None]
    return penalty


def _geometric_means(matched: Floats, total: Floats) -> Floats:
    """Of the precisions of orders 1 to n, for each n: [H, order]; 0 where there is no match at all."""
    precision = np.where(matched > 0, matched, SMOOTHING) / np.maximum(total, 1)
    means = np.exp(np.cumsum(np.log(precision), 1) / np.arange(1, matched.shape[1] + 1))
    return np.where(matched[:, :1] > 0, means, 0.0)


class Bleu(Metric):
    """Mean sentence BLEU-2 to BLEU-5 of samples against real texts (quality), and of samples against each other
    (self-BLEU: sameness). Either alone is gamed by temperature; they are read together, beside the floors.

    Args:
        reader: reads the texts.
        hypotheses, references: how many samples and real texts are used.
        seed: what their choice depends on.
    """

    better = FIGURES["bleu"]

    def __init__(self, reader: Reader, *, hypotheses: int = 1000, references: int = 1000, seed: int = 0) -> None:
        self.reader, self.hypotheses, self.references, self.seed = reader, hypotheses, references, seed

    def __call__(self, real: Samples, fake: Samples) -> dict[str, float]:
        """The figures. Raises UsageError for a single sample, which has no other to be compared with."""
        if fake.count < 2:
            raise UsageError("self-BLEU compares samples with each other, and there is one", fix="--count 1000")
        references = choose(self.reader.words(real), self.references, self.seed)
        hypotheses = choose(self.reader.words(fake), self.hypotheses, self.seed)
        against_real = bleu(hypotheses, references, max(ORDERS)).mean(0)
        against_each_other = self_bleu(hypotheses, max(ORDERS)).mean(0)
        return {
            **{f"bleu{n}": float(against_real[n - 1]) for n in ORDERS},
            **{f"self_bleu{n}": float(against_each_other[n - 1]) for n in ORDERS},
        }

    def protocol(self) -> dict[str, Any]:
        return {
            "bleu": "mean of sentence BLEU, equal weights, closest reference length",
            "smoothing": f"an order without a match counts {SMOOTHING} (Chen and Cherry 2014, method 1)",
            "self_bleu": "each sample against all others, itself left out",
            "hypotheses": f"{self.hypotheses}, or all of a smaller set",
            "references": f"{self.references}, or all of a smaller set",
            "choice_seed": self.seed,
            "words": WORDS,
        }


def build_bleu(config: BleuConfig, facts: Mapping[str, Any]) -> Bleu:
    """BLEU and self-BLEU."""
    return Bleu(Reader(facts), hypotheses=config.hypotheses, references=config.references, seed=config.seed)
