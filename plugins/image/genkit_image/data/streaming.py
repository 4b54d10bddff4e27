"""Pictures that come one after the other, for `image.hub`: a dataset that no disk here holds."""

from __future__ import annotations

import io
import random
import sys
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain, islice
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from genkit import Batch, ConfigError, DataError, Random, StreamedDataset
from genkit_image.data.config import HubConfig
from genkit_image.data.decode import Decoding, is_colour
from genkit_image.data.images import Images, Stored, as_batch

PROBED = 64
"""Pictures, the first ones, that decide whether all are taken for grey."""
Encoded = dict[str, Tensor]
"""``file`` uint8 [bytes], ``number`` int64 [] and, where there are labels, ``label`` int64 []."""


class StreamedPictures(StreamedDataset):
    """Pictures of a stream. They stay compressed until a batch is made of them, so that reading past those of earlier
    batches costs no decoding.

    Args:
        table: an ``IterableDataset`` of the package `datasets` whose pictures are not decoded.
        column: where they are.
        label: where the labels are, numbers of `classes`; None without labels.
        classes: the labels' names.
        decode: what is made of each picture.
        config: the dataset's.
        held_out: pictures that training never sees.
    """

    binding = ("labels",)

    def __init__(
        self,
        table: Any,
        column: str,
        label: str | None,
        classes: Sequence[str] | None,
        decode: Decoding,
        config: HubConfig,
        held_out: Images | None,
    ) -> None:
        self.table, self.column, self.label, self.decode, self.config = table, column, label, decode, config
        self._held_out = held_out
        self.facts = {
            "modality": "image",
            "shape": [decode.channels, decode.resolution, decode.resolution],
            "range": [-1, 1],
            "labels": list(classes) if classes is not None else None,
            "label_counts": None,
        }

    def examples(self, *, seed: int, epoch: int, shard: int, shards: int) -> Iterator[Encoded]:
        """Pictures as `Encoded`, drawn from a buffer by numbers that follow from `seed` and `epoch` alone.

        Raises DataError where a row has no picture or no label.
        """
        chance = random.Random(f"{seed} {epoch}")
        held: list[Encoded] = []
        for example in self._in_order(chance, epoch, shard, shards):
            if len(held) < self.config.buffer:
                held.append(example)
                continue
            chosen = chance.randrange(len(held))
            held[chosen], example = example, held[chosen]
            yield example
        chance.shuffle(held)
        yield from held

    def _in_order(self, chance: random.Random, epoch: int, shard: int, shards: int) -> Iterator[Encoded]:
        """One reader's part of the stream: whole files of it in an order by chance, where they can be shared out.

        Neither is left to `datasets`, whose own shuffling gives a loader process other numbers than the main one.
        """
        files = list(range(self.table.num_shards))
        chance.shuffle(files)
        alike = len(files) % shards == 0
        parts = (self.table.shard(len(files), file) for file in (files[shard::shards] if alike else files))
        rows = chain.from_iterable(parts)
        for number, row in enumerate(rows if alike else islice(rows, shard, None, shards)):
            name = f"{self.config.path} ({self.config.split}), example {number} of epoch {epoch}"
            try:
                with open_stored(row[self.column], name) as file:
                    content = np.frombuffer(file.read(), dtype=np.uint8).copy()
            except OSError as error:
                raise DataError(f"{name}: can not be opened ({error})", where="data.path") from error
            example = {"file": torch.from_numpy(content), "number": torch.tensor(number)}
            if self.label is not None:
                example["label"] = torch.tensor(self._number(row[self.label], name))
            yield example

    def collate(self, examples: Sequence[Encoded]) -> Stored:
        """The pictures, decoded, as ``Images.read`` gives them in a batch.

        With ``skip_broken`` the next one of the batch stands in for a broken one, so that the order stays what it is.
        Raises DataError naming a broken one else, or where all are.
        """
        decoded: list[Tensor | None] = [self._decoded(one) for one in examples]
        whole = [i for i, pixels in enumerate(decoded) if pixels is not None]
        if not whole:
            raise DataError(f"{self.config.path}: none of {len(examples)} pictures in a row can be read")
        rows = [next((i for i in whole if i >= at), whole[0]) for at in range(len(examples))]
        stored = {"image": torch.stack([pixels for i in rows if (pixels := decoded[i]) is not None])}
        return stored | ({"label": torch.stack([examples[i]["label"] for i in rows])} if self.label else {})

    def prepare(self, stored: Stored, *, rng: Random) -> Batch:
        """As ``Images.prepare``."""
        return as_batch(stored, flip=self.config.flip, rng=rng)

    def held_out(self) -> Images | None:
        return self._held_out

    def summary(self) -> Mapping[str, Any]:
        return {
            "name": self.config.path,
            "examples": "streamed",
            "shape": self.facts["shape"],
            "classes": None if self.facts["labels"] is None else len(self.facts["labels"]),
            "held out": 0 if self._held_out is None else len(self._held_out),
            "licence": "yours",
        }

    def _decoded(self, example: Encoded) -> Tensor | None:
        name = f"{self.config.path} ({self.config.split}), example {int(example['number'])} of its epoch"
        try:
            return self.decode(io.BytesIO(example["file"].numpy().tobytes()), name)
        except DataError as error:
            if not self.config.skip_broken:
                raise
            print(f"left out: {error.what}", file=sys.stderr)
            return None

    def _number(self, value: Any, name: str) -> int:
        classes = self.facts["labels"]
        if value is None or not 0 <= value < len(classes):
            raise DataError(f"{name}: has no label", where="data.label", fix="--set data.label=none")
        return int(value)


def open_stream(
    table: Any, column: str, label: str | None, config: HubConfig, held_out: Images | None
) -> StreamedPictures:
    """The pictures of a stream.

    Raises ConfigError where the options want what only the whole of the data could say, DataError where it is empty or
    its labels have no names.
    """
    import datasets

    if config.sampling == "labels":
        raise ConfigError(
            "how often a stream has each label is not known before its end",
            where="data.sampling",
            fix="data.sampling=pictures, or data.streaming=false",
        )
    if config.held_out:
        raise ConfigError(
            "no share of a stream can be set apart", where="data.held_out", fix="data.held_out_split=SPLIT"
        )
    classes = None
    if label is not None:
        feature = table.features[label]
        if not isinstance(feature, datasets.ClassLabel):
            raise DataError(
                f"{config.path}: its column {label!r} names no classes, which a stream has to before its end",
                where="data.label",
                fix="--set data.label=none, or data.streaming=false",
            )
        classes = list(feature.names)
        if held_out is not None and held_out.facts["labels"] != classes:
            raise DataError(f"{config.path}: the split {config.held_out_split} names other labels", where="data.label")
    grey = config.channels == "grey"
    if config.channels == "auto":
        grey = not any(_has_colour(row[column], config.path) for row in islice(table, PROBED))
    decode = Decoding(config.resolution, 1 if grey else 3, config.fit, config.background)
    if held_out is not None and held_out.facts["shape"][0] != decode.channels:
        raise DataError(
            f"{config.path}: only one of its splits {config.split} and {config.held_out_split} begins in grey",
            where="data.channels",
            fix="--set data.channels=rgb",
        )
    return StreamedPictures(table, column, label, classes, decode, config, held_out)


def open_stored(stored: Mapping[str, Any] | None, name: str) -> IO[bytes]:
    """The file that a cell of a column of pictures holds. Raises DataError naming `name` when it holds none."""
    if stored is None or (stored["bytes"] is None and stored["path"] is None):
        raise DataError(f"{name}: has no picture")
    if stored["bytes"] is not None:
        return io.BytesIO(stored["bytes"])
    if "://" not in stored["path"]:
        return open(stored["path"], "rb")
    from datasets.utils.file_utils import xopen  # a file of a folder on the hub, which a stream has not copied

    opened: IO[bytes] = xopen(stored["path"], "rb")
    return opened


def _has_colour(stored: Mapping[str, Any] | None, name: str) -> bool:
    try:
        with open_stored(stored, name) as file:
            return is_colour(file, name)
    except (DataError, OSError):
        return False  # reading it will say what is wrong
