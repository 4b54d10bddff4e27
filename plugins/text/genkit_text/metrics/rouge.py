"""Responses against the real responses to the same prompts: ROUGE, lengths, copying."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from genkit import DataError, Metric, Samples, evaluation
from genkit_text.metrics.config import PairsConfig, RougeConfig
from genkit_text.metrics.copying import longest_in_own
from genkit_text.metrics.specs import FIGURES
from genkit_text.metrics.texts import WORDS, Reader, read_rows, split_words

_ROUGE_WORD = re.compile(r"[^\W_]+")


def rouge_words(text: str) -> list[str]:
    """Runs of letters and digits, in lower case; no stemming."""
    return _ROUGE_WORD.findall(text.lower())


def rouge_n(candidate: Sequence[str], reference: Sequence[str], n: int) -> float:
    """ROUGE-N (Lin 2004, section 2) as F1: of n-grams, each counted as often as both have it; 0 where one has none."""
    ours, theirs = _bag(candidate, n), _bag(reference, n)
    return _f1((ours & theirs).total(), ours.total(), theirs.total())


def rouge_l(candidate: Sequence[str], reference: Sequence[str]) -> float:
    """ROUGE-L (Lin 2004, section 3.1) as F1: of the longest common subsequence; 0 where one is empty."""
    return _f1(longest_common_subsequence(candidate, reference), len(candidate), len(reference))


def longest_common_subsequence(a: Sequence[str], b: Sequence[str]) -> int:
    """Words in the longest sequence that both have in this order, gaps allowed."""
    row = [0] * (len(b) + 1)
    for word in a:
        diagonal = 0
        for i, other in enumerate(b, 1):
            above = row[i]
            row[i] = diagonal + 1 if word == other else max(above, row[i - 1])
            diagonal = above
    return row[-1]


def _bag(words: Sequence[str], n: int) -> Counter[tuple[str, ...]]:
    return Counter(zip(*(words[i:] for i in range(n)), strict=False))


def _f1(shared: int, ours: int, theirs: int) -> float:
    return 2 * shared / (ours + theirs) if ours and theirs else 0.0


def require_aligned(real: Samples, fake: Samples) -> None:
    """Raises DataError unless sample i of both sets answers the same prompt, for all of them."""
    asked, answered = read_rows(real).condition, read_rows(fake).condition
    if asked is None or answered is None:
        raise DataError("this metric compares responses to the same prompt, and the data has no prompts")
    if not torch.equal(asked, answered):
        raise DataError(
            "the samples do not answer the reference's prompts one by one",
            fix="draw them for the reference's conditions, in their order",
        )


class Rouge(Metric):
    """ROUGE-1, ROUGE-2 and ROUGE-L of responses against the real response to the same prompt, mean F1. One good answer
    is all it knows: it tells who is on the subject, not who is right. Other reals answer other prompts, so there is no
    floor.

    Args:
        reader: reads the texts.
    """

    better = FIGURES["rouge"]

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def __call__(self, real: Samples, fake: Samples) -> dict[str, float]:
        """The figures. Raises DataError when the two sets do not answer the same prompts in the same order."""
        if isinstance(fake, evaluation.RealSamples):
            return {}
        require_aligned(real, fake)
        pairs = [
            (rouge_words(ours), rouge_words(theirs))
            for ours, theirs in zip(self.reader.texts(fake), self.reader.texts(real), strict=True)
        ]
        return {
            "rouge1": sum(rouge_n(*pair, 1) for pair in pairs) / len(pairs),
            "rouge2": sum(rouge_n(*pair, 2) for pair in pairs) / len(pairs),
            "rougeL": sum(rouge_l(*pair) for pair in pairs) / len(pairs),
        }

    def protocol(self) -> dict[str, Any]:
        return {"rouge": "F1, mean over pairs", "words": "runs of letters and digits in lower case, no stemming"}


class Pairs(Metric):
    """How far the mean length of responses is from the reference's, as a share of it, and the share of responses that
    copy their prompt.

    Args:
        reader: reads the texts.
        copied: a response copies its prompt when one span of the prompt holds this share of its words.
    """

    better = FIGURES["pairs"]

    def __init__(self, reader: Reader, *, copied: float = 0.8) -> None:
        self.reader, self.copied = reader, copied

    def __call__(self, real: Samples, fake: Samples) -> dict[str, float]:
        """The figures. Raises DataError when the samples answer no prompts."""
        responses, prompts = self.reader.words(fake), list(map(split_words, self.reader.prompts(fake)))
        lengths = np.array([len(words) for words in responses])
        reference = np.array([len(words) for words in self.reader.words(real)])
        spans = longest_in_own(responses, prompts)
        copies = (lengths > 0) & (spans >= self.copied * lengths)
        return {
            "length_ratio_error": abs(float(lengths.mean() / max(reference.mean(), 1e-9)) - 1),
            "prompt_copies": float(copies.mean()),
        }

    def protocol(self) -> dict[str, Any]:
        return {
            "length": "|mean words of the samples / mean words of the reference - 1|",
            "prompt_copies": f"at least {self.copied:.0%} of the words in one span of the prompt",
            "words": WORDS,
        }


def build_rouge(config: RougeConfig, facts: Mapping[str, Any]) -> Rouge:
    """ROUGE of responses."""
    return Rouge(Reader(facts))


def build_pairs(config: PairsConfig, facts: Mapping[str, Any]) -> Pairs:
    """Lengths and copying of responses."""
    return Pairs(Reader(facts), copied=config.copied)
