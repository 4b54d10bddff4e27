"""The contract, second part: how samples are asked for, looked at and measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

from torch import Tensor

from genkit.errors import UsageError
from genkit.interfaces import Batch, Tree
from genkit.specs import Better

if TYPE_CHECKING:
    from genkit.random import Random


class Conditions(Protocol):
    """What can be asked of a conditional generator."""

    paired: bool = False
    """True when a condition belongs to one example (a prompt, a masked picture): generated samples are then measured
    against the real sample of the same condition, row by row."""

    def draw(self, count: int, *, rng: Random) -> Tree:
        """Conditions as the data has them, on ``rng.device``."""

    def grid(self, count: int) -> tuple[Tree, int]:
        """Conditions for a preview of `count` samples, and its number of columns."""

    def parse(self, given: Mapping[str, Any], count: int) -> Tree:
        """The batch of conditions that ``--condition K=V`` asks for. Raises UsageError."""

    def describe(self, condition: Tree) -> Any:
        """The conditions as something numpy can store and a person can read."""


class Writer(Protocol):
    """Turns samples into files a person can open."""

    def write(self, batch: Batch, directory: Path, *, stem: str = "sample") -> list[Path]:
        """One file a sample, or one for the batch where a sample is a row; `batch` is on the CPU. Returns the paths."""

    def preview(self, batch: Batch, path: Path, *, columns: int) -> Path:
        """One file that shows the batch; `path` has no suffix. Returns the path with it."""

    def of_kind(self, kind: str) -> Writer:
        """A writer of the same samples to another kind of file, such as ``flac``. Raises UsageError naming those there
        are."""
        raise UsageError(f"samples of this modality are not written as {kind!r}: they have one kind of file")

    def seconds(self, batch: Batch) -> float | None:
        """How long the samples play one after the other; None for what does not play."""
        return None

    def lines(self, batch: Batch) -> list[dict[str, Any]] | None:
        """The samples as JSON objects, for what a terminal can show; None for what it can not."""
        return None


class Samples(Protocol):
    """A finite set of samples that can be gone through again and again, always the same."""

    count: int

    def batches(self) -> Iterator[Batch]:
        """The samples in batches, on the device."""

    def features(self, extractor: Extractor) -> Tensor:
        """[N, D] float32 on the CPU, computed once for each extractor."""

    def log_prob(self, batch: Batch) -> Tensor | None:
        """log p(token | tokens before it) of a batch's tokens, [B, L], under what made this set: the generator, or data
        whose distribution is known; None where it is not."""
        return None


class Extractor(Protocol):
    """Maps samples to features that distances are measured in."""

    name: str
    """Such as ``lenet-digits``; it stands beside every number measured in it."""
    version: str

    def __call__(self, batch: Batch) -> Tensor:
        """Features [B, D]."""


class Metric(Protocol):
    """A score of generated samples against real ones."""

    better: Mapping[str, Better]
    """Each figure's name, as printed, and which direction is better."""
    reference: Literal["held-out", "train"] = "held-out"
    """What `real` is: the held-out set, or the training set, for what asks how much was copied from it. The floor
    compares one of them with the other."""

    def __call__(self, real: Samples, fake: Samples) -> Mapping[str, float]:
        """The figures. `genkit eval` calls it once more with real samples in the place of `fake`, for the floor; there
        a figure that real samples have not may be left out."""

    def protocol(self) -> Mapping[str, Any]:
        """What, beside counts, split and seed, a reader needs to compare the figures with others."""
