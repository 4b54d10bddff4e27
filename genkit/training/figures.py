"""Figures of an iteration: device tensors, summed there, read once in a log interval."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from genkit.training.distributed import World

NEVER = torch.iinfo(torch.int64).max


class Figures:
    """Named scalars of one turn, averaged over its micro-batches."""

    def __init__(self) -> None:
        self.values: dict[str, Tensor] = {}
        self.report: dict[str, Tensor] = {}
        """What estimators and terms write while they compute; taken over by `mean`."""

    def add(self, name: str, value: Tensor) -> None:
        """Add a micro-batch's value."""
        value = value.detach()
        self.values[name] = self.values[name] + value if name in self.values else value

    def mean(self, parts: int) -> Figures:
        """The sums over `parts` micro-batches as means. What was reported (by the last one) stands beside them."""
        if parts > 1:
            self.values = {name: value / parts for name, value in self.values.items()}
        self.values |= {name: value.detach() for name, value in self.report.items()}
        return self

    def set(self, name: str, value: Tensor) -> Figures:
        """Set a figure that stands for the whole turn."""
        self.values[name] = value.detach()
        return self

    def __or__(self, other: Figures) -> Figures:
        both = Figures()
        both.values = self.values | other.values
        return both


@dataclass(frozen=True)
class Reading:
    """What a log interval came to."""

    means: dict[str, float]
    bad_step: int | None
    """The first step with a non-finite figure."""
    bad_names: tuple[str, ...]
    """Its non-finite figures."""


class Meter:
    """Sums figures on the device and remembers the first step at which each was not finite."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, ...], tuple[Tensor, Tensor, int]] = {}

    def add(self, step: int, figures: Figures) -> None:
        """Take a step's figures in. Nothing is waited for."""
        names = tuple(figures.values)
        values = torch.stack([value.reshape(()).to(torch.float32) for value in figures.values.values()])
        finite = values.isfinite()
        known = self._kept.get(names)
        if known is None:
            first = torch.full(values.shape, NEVER, device=values.device)
            total, count = torch.zeros_like(values), 0
        else:
            total, first, count = known
        first = torch.where(finite | (first != NEVER), first, step)
        self._kept[names] = (total + values, first, count + 1)

    def read(self, world: World) -> Reading:
        """The means since the last reading, over all ranks, by two synchronisations; then start again."""
        if not self._kept:
            return Reading({}, None, ())
        world.mean_([total for total, _, _ in self._kept.values()])
        world.least_([first for _, first, _ in self._kept.values()])
        # Each is read in its own type: Apple's GPUs have no float64, which would hold both.
        totals = torch.cat([total for total, _, _ in self._kept.values()]).tolist()
        steps = torch.cat([first for _, first, _ in self._kept.values()]).tolist()
        named = [(name, count) for names, (_, _, count) in self._kept.items() for name in names]
        self._kept.clear()
        sums: dict[str, tuple[float, int]] = {}
        firsts: dict[str, int] = {}
        for (name, count), total, first in zip(named, totals, steps, strict=True):
            before, seen = sums.get(name, (0.0, 0))
            sums[name] = (before + total, seen + count)
            firsts[name] = min(first, firsts.get(name, first))
        means = {name: total / count for name, (total, count) in sums.items()}
        bad_step = min(firsts.values())
        if bad_step == NEVER:
            return Reading(means, None, ())
        return Reading(means, bad_step, tuple(name for name, first in firsts.items() if first == bad_step))
