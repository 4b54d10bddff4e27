"""Scores of generated samples against real ones, each with its real-against-real floor and its protocol."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from genkit import __version__
from genkit.errors import DataError, GenkitError
from genkit.evaluation.protocol import Score
from genkit.inspection import Extractor, Metric, Samples
from genkit.interfaces import Batch, Dataset
from genkit.random import Random, mix

HELD_OUT = "held-out"
"""The split that training never sees."""


class SampleSet(Samples, ABC):
    """A finite set of samples, the same in every pass. Only their features are kept.

    Args:
        count: samples in the set.
        split: where they come from, as protocols name it.
        batch_size: samples at once.
        seed: what their choice, or their making, depends on.
    """

    def __init__(self, count: int, *, split: str, batch_size: int, seed: int) -> None:
        self.count = count
        self.split = split
        self.batch_size = batch_size
        self.seed = seed
        self._features: dict[tuple[str, str], Tensor] = {}

    @abstractmethod
    def batch(self, start: int, count: int) -> Batch:
        """Samples [start, start + count), on the device; the same whenever it is asked."""

    def batches(self) -> Iterator[Batch]:
        for start in range(0, self.count, self.batch_size):
            with torch.no_grad():
                batch = self.batch(start, min(self.batch_size, self.count - start))
            yield batch

    def log_prob(self, batch: Batch) -> Tensor | None:
        return None

    def features(self, extractor: Extractor) -> Tensor:
        """[N, D] float32 on the CPU, computed once for each extractor's name and version.

        Raises:
            GenkitError: the extractor's features are not one row a sample.
        """
        key = (extractor.name, extractor.version)
        if key not in self._features:
            with torch.no_grad():
                rows = torch.cat([extractor(batch).float().cpu() for batch in self.batches()])
            if rows.ndim != 2 or len(rows) != self.count:
                raise GenkitError(
                    f"extractor {extractor.name} gave features {list(rows.shape)} for {self.count} samples, not [N, D]"
                )
            self._features[key] = rows
        return self._features[key]

    def describe(self) -> dict[str, Any]:
        """What a protocol says of the set."""
        return {"split": self.split, "count": self.count, "seed": self.seed}


class RealSamples(SampleSet):
    """Examples of a dataset, as the critic sees them.

    Args:
        data: the dataset.
        split: what protocols call it, such as ``train`` or ``held-out``.
        indices: which examples; None for all of them.
        count: how many of those, chosen by `seed`; all when there are no more, or with None.
        device: where batches are wanted.
        batch_size: examples at once.
        seed: which examples are chosen, and what random preparation they get.

    Raises:
        DataError: no example is left to measure.
    """

    def __init__(
        self,
        data: Dataset,
        *,
        split: str,
        indices: Sequence[int] | None = None,
        count: int | None = None,
        device: torch.device | str = "cpu",
        batch_size: int = 256,
        seed: int = 0,
    ) -> None:
        chosen = torch.arange(len(data)) if indices is None else torch.as_tensor(indices, dtype=torch.int64)
        if count is not None and count < len(chosen):
            generator = torch.Generator().manual_seed(mix(seed, "evaluation", split))
            chosen = chosen[torch.randperm(len(chosen), generator=generator)[:count].sort().values]
        if not len(chosen):
            raise DataError(f"the {split} split has no examples to evaluate on")
        super().__init__(len(chosen), split=split, batch_size=batch_size, seed=seed)
        self.data = data
        self.indices = chosen
        self.device = torch.device(device)

    def log_prob(self, batch: Batch) -> Tensor | None:
        with torch.no_grad():
            return self.data.log_prob(batch)

    def batch(self, start: int, count: int) -> Batch:
        stored = self.data.collate([self.data.read(i) for i in self.indices[start : start + count].tolist()])
        rng = Random(mix(self.seed, "evaluation", self.split, start), self.device)
        return self.data.prepare(tree_map(lambda leaf: leaf.to(self.device), stored), rng=rng)


class GeneratedSamples(SampleSet):
    """Samples of a generator.

    Args:
        draw: ``draw(start, count)`` makes samples [start, start + count), conditions included, the same at each call.
        count: samples in the set.
        batch_size: samples at once.
        seed: what the samples depend on, for the protocol.
        split: what protocols call the set.
        log_prob: the generator's log-probabilities of a batch's tokens, where it has them.

    Raises:
        GenkitError: `count` is not positive.
    """

    def __init__(
        self,
        draw: Callable[[int, int], Batch],
        count: int,
        *,
        batch_size: int = 256,
        seed: int = 0,
        split: str = "generated",
        log_prob: Callable[[Batch], Tensor] | None = None,
    ) -> None:
        if count < 1:
            raise GenkitError(f"can not evaluate {count} generated samples", fix="ask for one or more")
        super().__init__(count, split=split, batch_size=batch_size, seed=seed)
        self.draw = draw
        self._log_prob = log_prob

    def log_prob(self, batch: Batch) -> Tensor | None:
        if self._log_prob is None:
            return None
        with torch.no_grad():
            return self._log_prob(batch)

    def batch(self, start: int, count: int) -> Batch:
        return self.draw(start, count)


def evaluate(
    metrics: Sequence[Metric],
    *,
    reference: SampleSet,
    fake: SampleSet,
    other_real: SampleSet | None,
    train: SampleSet | None = None,
) -> list[Score]:
    """Measure `fake` against `reference`, and for the floor `other_real` against `reference`.

    A metric whose reference is the training set gets `train` in its place, and `reference` for the floor where that is
    no part of it.

    Args:
        metrics: what to measure.
        reference: real samples.
        fake: generated samples.
        other_real: real samples that `reference` does not hold; None when the data has none.
        train: all training samples; None: `reference` stands for them.

    Raises:
        GenkitError: a metric names a figure twice or without a direction, or measures something not finite.
    """
    scores: dict[str, Score] = {}
    for metric in metrics:
        real, other = reference, other_real
        if metric.reference == "train" and train is not None:
            real, other = train, reference if reference.split == HELD_OUT else None
        values = _measure(metric, real, fake)
        floors = _measure(metric, real, other) if other else {}
        protocol = {
            **metric.protocol(),
            "real": real.describe(),
            "fake": fake.describe(),
            "floor": other.describe() if other else "none: the data has no second set of real samples",
            "genkit": __version__,
        }
        for name, value in values.items():
            if name in scores:
                raise GenkitError(f"two metrics measure {name}", fix="take one of them out of `metrics`")
            scores[name] = Score(name, value, floors.get(name), metric.better[name], protocol)
    return list(scores.values())


def _measure(metric: Metric, real: Samples, other: Samples) -> Mapping[str, float]:
    values = {name: float(value) for name, value in metric(real, other).items()}
    kind = type(metric).__name__
    for name, value in values.items():
        if name not in metric.better:
            raise GenkitError(f"metric {kind} measures {name} without saying which direction is better")
        if not math.isfinite(value):
            raise GenkitError(f"metric {kind} measured {name} = {value}", fix="look at the samples")
    return values
