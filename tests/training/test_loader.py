"""Order is a pure function of (seed, epoch, position), and every way to load gives the same batches."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from toys import Points, experiment

import genkit
from genkit.random import Rows
from genkit.training.loader import Batches, Order

CPU = torch.device("cpu")


def test_an_epoch_is_a_permutation_and_the_next_another() -> None:
    order = Order(100, seed=1)
    first, second = order.indices(0, 100), order.indices(100, 100)
    assert sorted(first.tolist()) == sorted(second.tolist()) == list(range(100))
    assert not torch.equal(first, second)
    assert torch.equal(first, Order(100, seed=1).indices(0, 100))
    assert not torch.equal(first, Order(100, seed=2).indices(0, 100))


def test_a_position_holds_the_same_index_however_it_is_asked_for() -> None:
    whole = Order(7, seed=3).indices(0, 70)
    order = Order(7, seed=3)
    for start, count in [(63, 7), (5, 4), (0, 20), (13, 2), (69, 1)]:
        assert torch.equal(order.indices(start, count), whole[start : start + count])


def test_weights_decide_how_often_an_example_is_drawn() -> None:
    drawn = Order(3, seed=0, weights=torch.tensor([1.0, 0.0, 3.0])).indices(0, 30_000)
    shares = torch.bincount(drawn, minlength=3) / len(drawn)
    torch.testing.assert_close(shares, torch.tensor([0.25, 0.0, 0.75]), atol=0.01, rtol=0)


@pytest.mark.parametrize("workers", [0, 2])
def test_loaded_batches_equal_resident_ones(workers: int) -> None:
    rows = Rows(4, 12, 16)
    resident = Batches(Points(), genkit.Train(batch_size=16), seed=1, rows=rows, device=CPU)
    off = genkit.Train(batch_size=16, resident="off", workers=workers)
    loaded = Batches(Points(), off, seed=1, rows=rows, device=CPU)
    assert resident.resident
    assert not loaded.resident
    for number in (3, 4, 20, 21):  # going on in the middle, then a jump
        for one, other in zip(resident.take(number), loaded.take(number), strict=True):
            assert torch.equal(one, other)
            assert len(one) == 8
    loaded.close()


def test_ranks_share_a_batch_out_without_overlap() -> None:
    settings = genkit.Train(batch_size=16)
    whole = Batches(Points(), settings, seed=1, rows=Rows(0, 16, 16), device=CPU).indices(5)
    parts = [
        Batches(Points(), settings, seed=1, rows=Rows(at, at + 4, 16), device=CPU).indices(5) for at in (0, 4, 8, 12)
    ]
    assert torch.equal(torch.cat(parts), whole)


class Counting(genkit.StreamedDataset):
    """A stream of 10 numbers an epoch, shared out by their remainder."""

    facts: dict[str, Any] = {}  # noqa: RUF012

    def examples(self, *, seed: int, epoch: int, shard: int, shards: int) -> Iterator[torch.Tensor]:
        yield from (torch.tensor(epoch * 100 + i) for i in range(10) if i % shards == shard)

    def prepare(self, stored: torch.Tensor, *, rng: genkit.Random) -> genkit.Batch:
        return genkit.Batch(stored)


@pytest.mark.parametrize("workers", [0, 3])
def test_a_stream_goes_on_where_it_was(workers: int) -> None:
    settings = genkit.Train(batch_size=4, workers=workers)
    whole = Batches(Counting(), settings, seed=0, rows=Rows(2, 4, 4), device=CPU)
    taken = [whole.take(number).tolist() for number in range(5)]
    assert taken == [[1, 3], [5, 7], [9, 101], [103, 105], [107, 109]]
    whole.close()
    again = Batches(Counting(), settings, seed=0, rows=Rows(2, 4, 4), device=CPU)
    assert again.take(3).tolist() == taken[3]
    again.close()


class Broken(Points):
    """Points of which the file of one is broken."""

    def read(self, index: int) -> Any:
        if index == 3:
            raise genkit.DataError("clip 3 is broken", where="clip-3.wav", fix="leave it out")
        return super().read(index)


class BrokenStream(Counting):
    def examples(self, **which: Any) -> Iterator[torch.Tensor]:
        yield torch.tensor(0)
        raise genkit.DataError("clip 3 is broken", where="clip-3.wav", fix="leave it out")


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("data", [Broken, BrokenStream])
def test_what_a_loader_process_can_not_read_is_told_as_it_was_raised(data: Any, workers: int) -> None:
    settings = genkit.Train(batch_size=4, workers=workers, resident="off")
    batches = Batches(data(), settings, seed=0, rows=Rows(0, 4, 4), device=CPU)
    with pytest.raises(genkit.DataError) as caught:
        [batches.take(number) for number in range(65)]
    assert str(caught.value) == "clip 3 is broken\n  where: clip-3.wav\n  fix:   leave it out"


class Opened(genkit.StreamedDataset):
    """A stream of points that counts how often it is opened."""

    facts = Points().facts

    def __init__(self) -> None:
        self.opened: list[int] = []

    def examples(self, *, seed: int, epoch: int, shard: int, shards: int) -> Iterator[Any]:
        self.opened.append(epoch)
        points = Points()
        yield from (points.read(i) for i in range(len(points)))

    def prepare(self, stored: Any, *, rng: genkit.Random) -> genkit.Batch:
        return genkit.Batch(*stored)


@pytest.mark.parametrize("every", [1, 3])
def test_an_uninterrupted_run_opens_its_stream_once(tmp_path: Path, every: int) -> None:
    from genkit.runs import Run
    from genkit.training.trainer import Trainer

    class Nowhere:
        def preview(self, batch: genkit.Batch, path: Path, *, columns: int) -> Path:
            return path

    run = Run.create(tmp_path / "run", recipe=None, seed=5, config="recipe: null\nseed: 5\n", environment={})
    parts = experiment(data=Opened(), writer=Nowhere())
    settings = genkit.Train(batch_size=8, steps=9, preview_every=every, workers=0)
    Trainer(parts, settings, device="cpu", run=run).fit()
    assert parts.data.opened == [0], "its previews look at reals without beginning anew"


def test_an_empty_dataset_and_one_smaller_than_the_batch_are_refused() -> None:
    class Nothing(Points):
        def __len__(self) -> int:
            return 0

    with pytest.raises(genkit.DataError, match="empty"):
        Batches(Nothing(), genkit.Train(batch_size=4), seed=0, rows=Rows(0, 4, 4), device=CPU)
    with pytest.raises(genkit.ConfigError, match="8 examples, fewer than a batch of 16") as caught:
        Batches(Points(8), genkit.Train(batch_size=16), seed=0, rows=Rows(0, 16, 16), device=CPU)
    assert caught.value.exit_code == 2


def test_data_that_can_not_be_resident_is_not_pretended_to_be() -> None:
    with pytest.raises(genkit.ConfigError, match="can not be held"):
        Batches(Points(resident=False), genkit.Train(resident="on"), seed=0, rows=Rows(0, 64, 64), device=CPU)


def test_a_program_that_leaves_its_batches_open_ends_all_the_same() -> None:
    """Loader processes take no SIGTERM, with which Python would end them."""
    program = """
import torch
from toys import Points
import genkit
from genkit.random import Rows
from genkit.training.loader import Batches

train = genkit.Train(batch_size=4, workers=2, resident="off")
batches = Batches(Points(), train, seed=1, rows=Rows(0, 4, 4), device=torch.device("cpu"))
batches.take(0)
batches.own = batches  # a cycle, as a trainer's: nothing collects it at the end
"""
    subprocess.run([sys.executable, "-c", program], cwd=Path(__file__).parent, timeout=60, check=True)
