"""Whether a conditional generator writes like the label it is asked for, in the eyes of a bag-of-words classifier."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import numpy as np

from genkit import ConfigError, Metric, Samples
from genkit_text.metrics.config import LabelAgreementConfig
from genkit_text.metrics.specs import FIGURES
from genkit_text.metrics.texts import WORDS, Reader


class NaiveBayes:
    """Multinomial naive Bayes over the words of a text, every label as likely as another (McCallum and Nigam 1998,
    equation 6). Words that no training text has say nothing.

    Args:
        texts: training texts as words.
        labels: the label of each, below `count`.
        count: how many labels there are.
        smoothing: added to the count of each word under each label.
    """

    def __init__(
        self, texts: Sequence[Sequence[str]], labels: Sequence[int], count: int, *, smoothing: float = 0.3
    ) -> None:
        self.known: dict[str, int] = {}
        for text in texts:
            for word in text:
                self.known.setdefault(word, len(self.known))
        seen = np.full((count, len(self.known)), smoothing)
        for text, label in zip(texts, labels, strict=True):
            np.add.at(seen[label], [self.known[word] for word in text], 1)
        self.log_likelihood = np.log(seen) - np.log(seen.sum(1, keepdims=True))

    def classify(self, text: Sequence[str], among: Sequence[int]) -> int:
        """The likeliest of the labels `among`; the first of equals."""
        words = [self.known[word] for word in text if word in self.known]
        scores = self.log_likelihood[np.asarray(among)][:, words].sum(1)
        return among[int(scores.argmax())]


class LabelAgreement(Metric):
    """The share of samples that the classifier, trained on real labelled texts, gives the label asked for: mean over
    the labels that are asked for, among which it chooses. Texts that do not depend on the label score 1 / labels,
    whichever the classifier prefers; `label_agreement_over_chance` is the score over that.

    Args:
        reader: reads the texts.
        smoothing: see `NaiveBayes`.
    """

    reference: Literal["held-out", "train"] = "train"
    better = FIGURES["label_agreement"]

    def __init__(self, reader: Reader, *, smoothing: float = 0.3) -> None:
        self.reader, self.smoothing = reader, smoothing

    def __call__(self, real: Samples, fake: Samples) -> dict[str, float]:
        """The figures; `real` is the training data. Raises DataError when a set has no labels."""
        classifier = NaiveBayes(
            self.reader.words(real),
            self.reader.labels(real),
            len(self.reader.facts.labels),
            smoothing=self.smoothing,
        )
        asked = self.reader.labels(fake)
        among = sorted(set(asked))
        given = [classifier.classify(text, among) for text in self.reader.words(fake)]
        times = Counter(asked)
        right = Counter(label for label, found in zip(asked, given, strict=True) if label == found)
        agreement = sum(right[label] / times[label] for label in among) / len(among)
        return {"label_agreement": agreement, "label_agreement_over_chance": agreement * len(among)}

    def protocol(self) -> dict[str, Any]:
        return {
            "classifier": f"multinomial naive Bayes on words, smoothing {self.smoothing:g}, labels equally likely",
            "share": "mean over the labels asked for; chance is one over their number",
            "words": WORDS,
        }


def build_label_agreement(config: LabelAgreementConfig, facts: Mapping[str, Any]) -> LabelAgreement:
    """Agreement with the labels of the data. Raises ConfigError when the data has none."""
    reader = Reader(facts)
    if not reader.facts.labels:
        raise ConfigError("text.label_agreement needs labels, and the data has none", where="metrics")
    return LabelAgreement(reader, smoothing=config.smoothing)
