"""Any dataset of pictures, as what is left of them and what they were."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from typing import Any

import torch
from torch import Tensor

from genkit import Batch, ConfigError, DataError, Dataset, Random, StreamedDataset
from genkit_image.data.degradation import Degradation
from genkit_image.data.degrade import Degrade, degrade_of
from genkit_image.known import how_many, pack_known

Stored = Any
FIXED_SEED = 1_000_003
"""Example i of held-out data is always degraded by the numbers of this seed plus i."""


class _Degrading:
    """What both kinds of dataset share.

    Args:
        config: what is taken.
        facts: the pictures'.
    """

    def __init__(self, config: Degradation, facts: Mapping[str, Any]) -> None:
        shape = facts.get("shape", ())
        if facts.get("modality") != "image" or len(shape) != 3:
            raise ConfigError(
                f"only pictures can be degraded; the data has {facts.get('modality')} of shape {list(shape)}",
                where="data",
            )
        if "given" in facts:
            raise ConfigError("the data has something to start from of its own", where="data", fix="use image.pairs")
        self.config, self.degrade = config, degrade_of(config, shape)

    def degraded(self, images: Tensor, numbers: Tensor) -> Batch:
        """Pictures [B, C, H, W], with what is left of them as the condition."""
        return Batch(images, condition=self.degrade(images, numbers))

    def with_known(self, plain: Mapping[str, Any], sample: Tensor, indices: Sequence[int]) -> dict[str, Any]:
        """The facts, with pictures [N, C, H, W] that the examples `indices` hold."""
        numbers = torch.stack([fixed_numbers(self.degrade, index) for index in indices])
        given: dict[str, Any] = {"kind": self.config.kind, "shape": plain["shape"]}
        if self.config.kind == "resolution":
            given["factor"] = self.config.option("factor")
        return {
            **plain,
            "labels": None,
            "label_counts": None,
            "given": given,
            "known": pack_known(self.degrade(sample, numbers), sample),
        }


class Degraded(_Degrading, Dataset):
    """Pictures [B, C, H, W], with what is left of them (`genkit_image.data.degrade`) as the condition.

    Training takes something else each time; from held-out pictures the same is always taken, so that scores of
    different runs compare. Labels are left out.

    Args:
        data: the pictures.
        config: what is taken.
        facts: those of the training data, for the held-out part; None: training data.
    """

    def __init__(self, data: Dataset, config: Degradation, facts: Mapping[str, Any] | None = None) -> None:
        super().__init__(config, data.facts)
        self.data, self.fixed, self.weights = data, facts is not None, data.weights
        self.flip: bool = getattr(data, "flip", False)
        if facts is not None:
            self.facts = facts
            return
        source = data.held_out() or data
        count = how_many(data.facts["shape"], len(source))
        indices = [i * len(source) // count for i in range(count)]
        stored = source.collate([source.read(index) for index in indices])
        sample = source.prepare(stored, rng=Random(0)).sample
        self.facts = self.with_known(data.facts, sample, indices)

    def __len__(self) -> int:
        return len(self.data)

    def read(self, index: int) -> Stored:
        """As the pictures' own dataset stores it; held out, with the numbers of its degradation."""
        stored = self.data.read(index)
        return {"stored": stored, "numbers": fixed_numbers(self.degrade, index)} if self.fixed else stored

    def collate(self, examples: Sequence[Stored]) -> Stored:
        if not self.fixed:
            return self.data.collate(examples)
        stored = self.data.collate([one["stored"] for one in examples])
        return {"stored": stored, "numbers": torch.stack([one["numbers"] for one in examples])}

    def resident(self) -> Stored | None:
        """As the pictures' own dataset; None for the held-out part."""
        return None if self.fixed else self.data.resident()

    def prepare(self, stored: Stored, *, rng: Random) -> Batch:
        """Pictures [B, C, H, W], and ``{"image": [B, C, H, W], "mask": [B, 1, H, W]}`` as the condition."""
        if self.fixed:
            return self.degraded(self.data.prepare(stored["stored"], rng=rng).sample, stored["numbers"])
        images = self.data.prepare(stored, rng=rng).sample
        return self.degraded(images, self.degrade.draw(len(images), rng=rng))

    def still(self) -> Degraded:
        """The pictures' own, from each of which the same is always taken."""
        return Degraded(self.data.still(), self.config, self.facts)

    def held_out(self) -> Degraded | None:
        rest = self.data.held_out()
        return Degraded(rest, self.config, self.facts) if rest is not None else None

    def summary(self) -> Mapping[str, Any]:
        return {**self.data.summary(), "taken": self.config.kind}


class DegradedStream(_Degrading, StreamedDataset):
    """`Degraded` for pictures that come as a stream.

    Args:
        data: the pictures.
        config: what is taken.
    """

    def __init__(self, data: StreamedDataset, config: Degradation) -> None:
        super().__init__(config, data.facts)
        self.data = data
        count = how_many(data.facts["shape"], 1 << 30)
        first = list(islice(data.examples(seed=0, epoch=0, shard=0, shards=1), count))
        if not first:
            raise DataError("the stream holds no picture", where="data")
        sample = data.prepare(data.collate(first), rng=Random(0)).sample
        self.facts = self.with_known(data.facts, sample, range(len(first)))

    def examples(self, *, seed: int, epoch: int, shard: int, shards: int) -> Iterator[Stored]:
        """As the pictures' own dataset."""
        return self.data.examples(seed=seed, epoch=epoch, shard=shard, shards=shards)

    def collate(self, examples: Sequence[Stored]) -> Stored:
        return self.data.collate(examples)

    def prepare(self, stored: Stored, *, rng: Random) -> Batch:
        """As `Degraded.prepare`."""
        images = self.data.prepare(stored, rng=rng).sample
        return self.degraded(images, self.degrade.draw(len(images), rng=rng))

    def held_out(self) -> Degraded | None:
        rest = self.data.held_out()
        return Degraded(rest, self.config, self.facts) if rest is not None else None

    def summary(self) -> Mapping[str, Any]:
        return {**self.data.summary(), "taken": self.config.kind}


def degraded(data: Dataset | StreamedDataset, config: Degradation) -> Degraded | DegradedStream:
    """`data` as what is left of its pictures. Raises ConfigError when this can not be taken from them."""
    return Degraded(data, config) if isinstance(data, Dataset) else DegradedStream(data, config)


def fixed_numbers(degrade: Degrade, index: int) -> Tensor:
    """The numbers of a held-out example, [...]."""
    return degrade.draw(1, rng=Random(FIXED_SEED + index))[0]
