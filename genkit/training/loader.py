"""Which examples a batch holds, and how they reach the device.

Order is a pure function of (seed, epoch, position): batch number n is the same whatever the number of workers, devices
or resumptions, so a run needs no loader state to go on exactly.
"""

from __future__ import annotations

import atexit
import multiprocessing.util  # noqa: F401  (its hook at exit must be registered before ours, to run after it)
from collections.abc import Iterator
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map
from torch.utils.data import DataLoader, IterableDataset
from torch.utils.data import Dataset as TorchDataset

from genkit.errors import ConfigError, DataError, GenkitError
from genkit.interfaces import Dataset, StreamedDataset, Tree
from genkit.random import Rows, mix
from genkit.settings import Train
from genkit.training.signals import ignore_in_worker


class Order:
    """The endless order of a dataset's indices: a new permutation each epoch, or weighted draws with replacement."""

    def __init__(self, size: int, seed: int, weights: Tensor | None = None) -> None:
        self.size = size
        self.seed = seed
        self._edges = None if weights is None else weights.double().cumsum(0)
        self._epochs: dict[int, Tensor] = {}

    def epoch(self, number: int) -> Tensor:
        """The indices of an epoch, [size] int64."""
        if number not in self._epochs:
            source = torch.Generator().manual_seed(mix(self.seed, "order", number))
            if self._edges is None:
                order = torch.randperm(self.size, generator=source)
            else:
                drawn = torch.rand(self.size, generator=source, dtype=torch.float64) * self._edges[-1]
                order = torch.bucketize(drawn, self._edges, right=True).clamp_(max=self.size - 1)
            self._epochs = {known: kept for known, kept in self._epochs.items() if known == number - 1}
            self._epochs[number] = order
        return self._epochs[number]

    def indices(self, start: int, count: int) -> Tensor:
        """The indices at positions [start, start + count), int64; a batch may straddle epochs."""
        pieces = []
        while count > 0:
            epoch, position = divmod(start, self.size)
            piece = self.epoch(epoch)[position : position + count]
            pieces.append(piece)
            start, count = start + len(piece), count - len(piece)
        return pieces[0] if len(pieces) == 1 else torch.cat(pieces)


class Batches:
    """Batches of stored examples, by number, on the device: this rank's rows of each.

    Args:
        data: where examples come from.
        train: batch size, workers and whether the data lives on the device.
        seed: the run's.
        rows: this rank's rows of the global batch.
        device: where batches are wanted.
    """

    def __init__(
        self, data: Dataset | StreamedDataset, train: Train, *, seed: int, rows: Rows, device: torch.device
    ) -> None:
        self.data = data
        self.train = train
        self.seed = seed
        self.rows = rows
        self.device = device
        self._loader: Iterator[Tree] | None = None
        _OPENED.add(self)
        self._next = 0
        self._last: Tree | None = None
        self._resident: Tree | None = None
        self.order: Order | None = None
        if isinstance(data, Dataset):
            if len(data) == 0:
                raise DataError("the dataset is empty", where="data")
            if len(data) < train.batch_size:
                raise ConfigError(
                    f"the dataset has {len(data)} examples, fewer than a batch of {train.batch_size}",
                    where="train.batch_size",
                    fix=f"--set train.batch_size={len(data)} or less, or bring more data",
                )
            self.order = Order(len(data), seed, data.weights)
            self._resident = self._hold(data)

    @property
    def resident(self) -> bool:
        """True when the whole dataset is on the device."""
        return self._resident is not None

    def take(self, number: int) -> Tree:
        """This rank's rows of batch `number`, as stored, on the device.

        The last batch that was loaded is kept: a preview looks at the one that the next step begins with. What the
        dataset raises where it can not read an example is raised here, whichever process read it.
        """
        if self.order is not None and self._resident is not None:
            chosen = self.indices(number)
            if self.device.type == "cuda":
                chosen = chosen.pin_memory()
            chosen = chosen.to(self.device, non_blocking=True)
            return tree_map(lambda leaf: leaf.index_select(0, chosen), self._resident)
        if self._last is not None and number == self._next - 1:
            return self._last
        if self._loader is None or number != self._next:
            self._loader = iter(self._open(number))
        self._next, self._last = number + 1, None
        stored = next(self._loader)
        if isinstance(stored, GenkitError):
            self.close()
            raise stored
        self._last = tree_map(lambda leaf: leaf.to(self.device, non_blocking=True), stored)
        return self._last

    def indices(self, number: int) -> Tensor:
        """The dataset indices of this rank's rows of batch `number`."""
        assert self.order is not None, "a streamed dataset has no indices"
        start = number * self.rows.total + self.rows.start
        return self.order.indices(start, len(self.rows))

    def close(self) -> None:
        """End the loader's processes."""
        self._loader = self._last = None

    def _hold(self, data: Dataset) -> Tree | None:
        if self.train.resident == "off":
            return None
        everything = data.resident()
        if everything is None:
            if self.train.resident == "on":
                raise ConfigError("this dataset can not be held in memory at once", where="train.resident")
            return None
        size = sum(leaf.numel() * leaf.element_size() for leaf in tree_leaves(everything))
        if self.train.resident == "auto" and self.device.type == "cuda":
            free, _ = torch.cuda.mem_get_info(self.device)
            if size > free // 3:
                return None
        return tree_map(lambda leaf: leaf.to(self.device), everything)

    def _open(self, first: int) -> DataLoader[Tree]:
        pinned = self.device.type == "cuda"
        # A generator of its own: DataLoader draws a seed when it opens, which must not disturb the networks' dropout.
        shared: dict[str, Any] = {"pin_memory": pinned, "generator": torch.Generator()}
        if self.train.workers:
            shared |= {"worker_init_fn": _start_worker, "prefetch_factor": 4}
        if isinstance(self.data, Dataset):
            return DataLoader(
                _Reader(self.data),
                batch_sampler=_Numbers(self, first),
                collate_fn=_as_it_is,
                num_workers=self.train.workers,
                **shared,
            )
        # One reader alone keeps a stream's order a function of the seed: several would interleave by their speed.
        if self.train.workers == 0:
            shared.pop("worker_init_fn", None)
        return DataLoader(
            _Stream(self.data, self.seed, self.rows, first),
            batch_size=None,
            num_workers=min(self.train.workers, 1),
            **shared,
        )


_OPENED: WeakSet[Batches] = WeakSet()


@atexit.register
def _close_all() -> None:
    """End all loaders' processes: they take no signal, so that Python would wait for them without end."""
    for batches in list(_OPENED):
        batches.close()


class _Reader(TorchDataset[Tree]):
    """Reads whole batches. What a dataset raises on purpose is given as a value: raised in a loader process, it would
    come as the text of a traceback."""

    def __init__(self, data: Dataset) -> None:
        self.data = data

    def __getitems__(self, indices: list[int]) -> Tree | GenkitError:
        try:
            return self.data.collate([self.data.read(index) for index in indices])
        except GenkitError as error:
            return error


def _as_it_is(batch: Tree) -> Tree:
    return batch


class _Numbers:
    """Index lists of batches `first`, first + 1, ... without end."""

    def __init__(self, batches: Batches, first: int) -> None:
        self.batches = batches
        self.first = first

    def __iter__(self) -> Iterator[list[int]]:
        number = self.first
        while True:
            yield self.batches.indices(number).tolist()
            number += 1


class _Stream(IterableDataset[Tree]):
    """Batches of a streamed dataset. To begin at batch `first` it reads past the batches before it."""

    def __init__(self, data: StreamedDataset, seed: int, rows: Rows, first: int) -> None:
        self.data, self.seed, self.rows, self.first = data, seed, rows, first

    def __iter__(self) -> Iterator[Tree | GenkitError]:
        try:
            yield from self._batches()
        except GenkitError as error:  # as a value, as `_Reader` gives it
            yield error

    def _batches(self) -> Iterator[Tree]:
        each = len(self.rows)
        shards, shard = self.rows.total // each, self.rows.start // each
        to_skip, epoch = self.first * each, 0
        held: list[Tree] = []
        while True:
            empty = True
            for example in self.data.examples(seed=self.seed, epoch=epoch, shard=shard, shards=shards):
                empty = False
                if to_skip:
                    to_skip -= 1
                    continue
                held.append(example)
                if len(held) == each:
                    yield self.data.collate(held)
                    held = []
            if empty:
                raise DataError(
                    f"the stream gave reader {shard} of {shards} no examples in epoch {epoch}", where="data"
                )
            epoch += 1


def _start_worker(number: int) -> None:
    torch.set_num_threads(1)
    ignore_in_worker()
