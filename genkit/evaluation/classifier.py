"""How sure a classifier is of each sample, and how varied its answers are over all (Salimans et al. 2016)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from genkit.evaluation.features import check_features
from genkit.inspection import Extractor, Metric, Samples
from genkit.specs import Better


def classifier_score(logits: Tensor, *, splits: int = 1) -> tuple[float, float]:
    """exp(E_x KL(p(y|x) ‖ p(y))), in float64, from 1 to the number of classes (Salimans et al. 2016, section 4).

    p(y) is the mean over the samples, so that few of them score too low. The authors' code takes ten parts and their
    mean; Barratt and Sharma 2018 advise against it.

    Args:
        logits: [N, K].
        splits: parts that are scored apart; part i holds rows i, i + splits, and so on.

    Returns:
        The mean over the parts and their standard deviation (0 for one part).

    Raises:
        GenkitError: there are fewer samples than parts, or the logits are not finite.
    """
    check_features(logits, least=splits)
    scores = torch.tensor([_score(logits[i::splits].double()) for i in range(splits)], dtype=torch.float64)
    return float(scores.mean()), float(scores.std(correction=0))


def _score(logits: Tensor) -> float:
    log_given = logits.log_softmax(1)
    log_mean = log_given.logsumexp(0) - torch.tensor(float(len(logits)), dtype=torch.float64).log()
    return float((log_given.exp() * (log_given - log_mean)).sum(1).mean().exp())


class ClassifierScore(Metric):
    """The classifier score. Only with Inception's 1,008 classes is it called Inception score.

    Args:
        classifier: an extractor whose features are logits; its name stands beside the figure.
        splits: as `classifier_score` takes them.
    """

    def __init__(self, classifier: Extractor, *, splits: int = 1) -> None:
        self.classifier = classifier
        self.splits = splits
        self.figure = f"classifier_score[{classifier.name}]"
        self.better: Mapping[str, Better] = {self.figure: "higher"}

    def __call__(self, real: Samples, fake: Samples) -> dict[str, float]:
        """The figure, for which `real` is not looked at."""
        mean, _ = classifier_score(fake.features(self.classifier), splits=self.splits)
        return {self.figure: mean}

    def protocol(self) -> dict[str, Any]:
        return {
            "classifier": self.classifier.name,
            "classifier_version": self.classifier.version,
            "splits": self.splits,
        }
