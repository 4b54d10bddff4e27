"""Perplexity under an n-gram model, from real texts to samples and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genkit import Metric, Samples
from genkit_text.metrics.config import NgramPerplexityConfig
from genkit_text.metrics.kneser_ney import KneserNey
from genkit_text.metrics.specs import FIGURES
from genkit_text.metrics.texts import WORDS, Reader


class NgramPerplexity(Metric):
    """Perplexity of samples under an n-gram model of the reference (fluency), and of the reference under an n-gram
    model of the samples (coverage: reverse perplexity, Zhao et al. 2018). The first alone is gamed by saying little
    that is likely; the second then rises.

    Both models predict the same words: those of the reference, and one ``<unk>`` for all others. A word that only
    samples have is therefore dear in the first direction, and no use in the second.

    Args:
        reader: reads the texts.
        order: words in the longest n-gram.
    """

    better = FIGURES["ngram_perplexity"]

    def __init__(self, reader: Reader, *, order: int = 3) -> None:
        self.reader, self.order = reader, order

    def __call__(self, real: Samples, fake: Samples) -> dict[str, float]:
        reference, samples = self.reader.words(real), self.reader.words(fake)
        vocabulary = {word for text in reference for word in text}
        return {
            "ngram_perplexity": KneserNey(reference, vocabulary, self.order).perplexity(samples),
            "reverse_ngram_perplexity": KneserNey(samples, vocabulary, self.order).perplexity(reference),
        }

    def protocol(self) -> dict[str, Any]:
        return {
            "model": f"{self.order}-gram, interpolated modified Kneser-Ney (Chen and Goodman 1999)",
            "vocabulary": "the words of the reference and <unk>, in both directions",
            "unit": "a word, the end of a text counted as one",
            "words": WORDS,
        }


def build_ngram_perplexity(config: NgramPerplexityConfig, facts: Mapping[str, Any]) -> NgramPerplexity:
    """N-gram perplexity in both directions."""
    return NgramPerplexity(Reader(facts), order=config.order)
