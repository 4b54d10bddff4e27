"""What samples copy from the training data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np

from genkit import Metric, Samples
from genkit_text.metrics.config import MemorisationConfig
from genkit_text.metrics.copying import longest_copied
from genkit_text.metrics.specs import FIGURES
from genkit_text.metrics.texts import WORDS, Reader


class Memorisation(Metric):
    """The longest span of words that each sample has from the training data, in words and as a share of the sample, and
    the share of samples that are a training text word for word. Natural texts share spans, too: what held-out ones
    share is the floor, and only what lies above it is memorised.

    Args:
        reader: reads the texts.
    """

    reference: Literal["held-out", "train"] = "train"
    better = FIGURES["memorisation"]

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def __call__(self, real: Samples, fake: Samples) -> dict[str, float]:
        """The figures; `real` is the training data. An empty sample copies nothing."""
        training, texts = self.reader.words(real), self.reader.words(fake)
        copied = longest_copied(texts, training)
        shares = copied / np.maximum([len(text) for text in texts], 1)
        known = {tuple(text) for text in training}
        return {
            "copied_share": float(shares.mean()),
            "copied_share_max": float(shares.max()),
            "copied_words": float(copied.mean()),
            "copied_words_max": float(copied.max()),
            "exact_copies": sum(bool(text) and tuple(text) in known for text in texts) / len(texts),
        }

    def protocol(self) -> dict[str, Any]:
        return {"copied": "the longest span of a sample that stands in one training text", "words": WORDS}


def build_memorisation(config: MemorisationConfig, facts: Mapping[str, Any]) -> Memorisation:
    """What samples copy from the training data."""
    return Memorisation(Reader(facts))
