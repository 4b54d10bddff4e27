"""An n-gram language model with modified Kneser-Ney smoothing (Chen and Goodman 1999, section 3)."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

START, END, UNKNOWN = "<s>", "</s>", "<unk>"
FALLBACK = (0.5, 1.0, 1.5)
"""Discounts where the counts are too few to estimate them."""

Gram = tuple[str, ...]


@dataclass(frozen=True)
class _Context:
    """What is known of the words that follow a context."""

    counts: dict[str, int]
    total: int
    reserved: float
    """The share of the probability that discounting takes and the shorter context gives out."""
    discounts: tuple[float, float, float]


class KneserNey:
    """An interpolated n-gram model of sentences.

    Each text is read as a sentence with a start, which is only ever context, and an end, which is predicted. A word
    outside the vocabulary is read as ``<unk>``, one more word. Below the longest order an n-gram counts as often as
    different words stand before it; one that begins at the start has none before it and keeps its plain count. Under
    the shortest order lies the uniform distribution over the vocabulary, ``<unk>`` and the end, so that no word is
    impossible.

    Args:
        texts: the texts to learn from, as words.
        vocabulary: the words that are predicted.
        order: words in the longest n-gram.
    """

    def __init__(self, texts: Iterable[Sequence[str]], vocabulary: Iterable[str], order: int = 3) -> None:
        self.vocabulary = frozenset(vocabulary) | {UNKNOWN, END}
        self.order = order
        raw: list[Counter[Gram]] = [Counter() for _ in range(order + 1)]
        for text in texts:
            words = self._read(text)
            for n in range(1, order + 1):
                raw[n].update(zip(*(words[i:] for i in range(n)), strict=False))
        self.tables = [{} if n == 0 else _contexts(raw, n, order) for n in range(order + 1)]

    def probability(self, word: str, context: Sequence[str]) -> float:
        """p(word | context). The context are the words before it, after ``<s>`` where it reaches a text's start; only
        its last order - 1 words are looked at. Words outside the vocabulary read as ``<unk>``."""
        word = self._known(word)
        longest = tuple(self._known(one) for one in context)[-(self.order - 1) :] if self.order > 1 else ()
        value = 1 / len(self.vocabulary)
        for n in range(1, len(longest) + 2):
            found = self.tables[n].get(longest[len(longest) - n + 1 :])
            if found is None:
                break
            count = found.counts.get(word, 0)
            kept = count - found.discounts[min(count, 3) - 1] if count else 0.0
            value = kept / found.total + found.reserved * value
        return value

    def perplexity(self, texts: Iterable[Sequence[str]]) -> float:
        """exp of the mean negative log-probability of a word, the end of each text counted as one."""
        total, count = 0.0, 0
        for text in texts:
            words = self._read(text)
            for i in range(1, len(words)):
                total -= math.log(self.probability(words[i], words[max(0, i - self.order + 1) : i]))
            count += len(words) - 1
        return math.exp(total / count)

    def _read(self, text: Sequence[str]) -> list[str]:
        return [START, *(word if word in self.vocabulary else UNKNOWN for word in text), END]

    def _known(self, word: str) -> str:
        return word if word == START or word in self.vocabulary else UNKNOWN


def _contexts(raw: list[Counter[Gram]], n: int, order: int) -> dict[Gram, _Context]:
    """The contexts of n - 1 words."""
    counts: Counter[Gram] = Counter()
    if n == order:
        counts.update({gram: count for gram, count in raw[n].items() if gram != (START,)})
    else:
        counts.update(gram[1:] for gram in raw[n + 1])
        counts.update({gram: count for gram, count in raw[n].items() if gram[0] == START and n > 1})
    discounts = _discounts(counts)
    following: defaultdict[Gram, dict[str, int]] = defaultdict(dict)
    for gram, count in counts.items():
        following[gram[:-1]][gram[-1]] = count
    contexts = {}
    for context, words in following.items():
        total = sum(words.values())
        taken = sum(discounts[min(count, 3) - 1] for count in words.values())
        contexts[context] = _Context(words, total, taken / total, discounts)
    return contexts


def _discounts(counts: Counter[Gram]) -> tuple[float, float, float]:
    """D1, D2 and D3+ from how many n-grams occur once to four times (Chen and Goodman 1999, section 3); `FALLBACK` when
    one of these numbers is 0 or a discount comes out negative or above the count it is taken from."""
    once, twice, thrice, four = (list(counts.values()).count(k) for k in (1, 2, 3, 4))
    if not (once and twice and thrice and four):
        return FALLBACK
    y = once / (once + 2 * twice)
    found = (1 - 2 * y * twice / once, 2 - 3 * y * thrice / twice, 3 - 4 * y * four / thrice)
    if any(not 0 < discount <= k for k, discount in enumerate(found, 1)):
        return FALLBACK
    return found
