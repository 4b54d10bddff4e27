"""Whether samples are new, or nearer to a training example than training examples are to each other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import torch
from torch import Tensor

from genkit.evaluation.features import centred, distances
from genkit.inspection import Extractor, Metric, Samples
from genkit.specs import Better


def authenticity(train: Tensor, fake: Tensor) -> float:
    """The share of samples that are no copies (Alaa, van Breugel, Saveliev and van der Schaar 2022).

    A sample counts as a copy when the training example nearest to it is no farther away than that example's own
    nearest neighbour among the others. About half of independent samples of the same distribution do: compare with
    what held-out examples get, of which a generator that has learnt by heart falls short.

    Args:
        train: features of all training examples [N, D].
        fake: features [M, D].

    Raises:
        GenkitError: there are fewer than two training examples or no sample, features are not finite, or the two widths
            differ.
    """
    train, fake = centred(train, fake, least=(2, 1))
    nearest = _nearest(fake, train)
    near, which = nearest.unique(return_inverse=True)
    between = (train[near] - train[_nearest(train[near], train, own=near)]).norm(dim=1)
    away = (fake - train[nearest]).norm(dim=1)  # exact, which the blocks' products are not: a copy is at 0
    return float((away > between[which]).double().mean())


def _nearest(rows: Tensor, others: Tensor, *, own: Tensor | None = None) -> Tensor:
    """The index [N] of the nearest of `others` [M, D] to each of `rows` [N, D]; `own` [N] are indices that a row is not
    compared with."""
    found = []
    for block, away in distances(rows, others):
        if own is not None:
            away.scatter_(1, own[block, None], float("inf"))
        found.append(away.argmin(1))
    return torch.cat(found)


class Authenticity(Metric):
    """Authenticity in an extractor's features, against the whole training set.

    Args:
        extractor: what the features are; its name stands beside the figure.
    """

    reference: Literal["held-out", "train"] = "train"

    def __init__(self, extractor: Extractor) -> None:
        self.extractor = extractor
        self.figure = f"authenticity[{extractor.name}]"
        self.better: Mapping[str, Better] = {self.figure: "real"}

    def __call__(self, real: Samples, fake: Samples) -> dict[str, float]:
        """The figure; `real` is the training set."""
        return {self.figure: authenticity(real.features(self.extractor), fake.features(self.extractor))}

    def protocol(self) -> dict[str, Any]:
        return {
            "extractor": self.extractor.name,
            "extractor_version": self.extractor.version,
            "copy": "no farther from its nearest training example than that one's nearest training neighbour",
        }
