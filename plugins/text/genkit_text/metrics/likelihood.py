"""The likelihood of held-out texts under the generator."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from genkit import Metric, Samples, evaluation
from genkit_text.metrics.config import LikelihoodConfig
from genkit_text.metrics.divergence import cross_entropy
from genkit_text.metrics.specs import FIGURES
from genkit_text.metrics.texts import Reader, read_rows


class Likelihood(Metric):
    """Negative log-likelihood of the reference under the generator: nats a token, and where the tokens are text bits a
    character, which compares between tokenizers. Other reals have no likelihood to give, so there is no floor.

    Args:
        reader: reads the reference's texts.
    """

    better = FIGURES["likelihood"]

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    def __call__(self, real: Samples, fake: Samples) -> dict[str, float]:
        """The figures. Raises UsageError when the generator has no density, or a token has probability 0."""
        if isinstance(fake, evaluation.RealSamples):
            return {}
        nll = cross_entropy(fake, real, "generator")
        figures = {"nll": nll}
        if self.reader.facts.tokenizer is not None:
            rows = read_rows(real)
            tokens = rows.sample.numel() if rows.mask is None else int(rows.mask.sum())
            characters = sum(map(len, self.reader.texts(real)))
            figures["bits_per_character"] = nll * tokens / math.log(2) / max(characters, 1)
        return figures

    def protocol(self) -> dict[str, Any]:
        return {"tokens": "the end of a text counts as a token, and is no character"}


def build_likelihood(config: LikelihoodConfig, facts: Mapping[str, Any]) -> Likelihood:
    """The likelihood of held-out texts."""
    return Likelihood(Reader(facts))
