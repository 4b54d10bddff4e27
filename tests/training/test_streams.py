"""A run on a stream: what going on with it keeps, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace

import pytest
import torch

import genkit
from genkit.training import checkpoint


class Numbers(genkit.StreamedDataset):
    """A stream without content."""

    facts = {}  # noqa: RUF012

    def examples(self, *, seed: int, epoch: int, shard: int, shards: int) -> Iterator[torch.Tensor]:
        yield torch.zeros(1)

    def prepare(self, stored: torch.Tensor, *, rng: genkit.Random) -> genkit.Batch:
        return genkit.Batch(stored)


def test_another_number_of_processes_is_refused_for_a_stream_alone(tmp_path) -> None:
    with pytest.raises(genkit.CheckpointError, match="2 processes shared this run's stream of data, and 3") as caught:
        checkpoint.check_readers(tmp_path, Numbers(), {"world": 2}, 3)
    assert "go on with 2" in str(caught.value)
    checkpoint.check_readers(tmp_path, Numbers(), {"world": 2}, 2)
    indexed = SimpleNamespace()  # anything that is no stream
    checkpoint.check_readers(tmp_path, indexed, {"world": 2}, 3)
