"""The best checkpoint: by which figure, in which direction, and what ``best`` points at."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping

from genkit.errors import ConfigError
from genkit.experiment import Experiment
from genkit.plugins import suggestion
from genkit.runs import Run
from genkit.specs import Better
from genkit.training.checkpoint import mark_best


def direction_of(experiment: Experiment, name: str) -> Better:
    """Which direction of the figure `name` is better; lower for one that no metric of the experiment has."""
    ways = {key: way for metric in experiment.metrics for key, way in metric.better.items()}
    return ways.get(name, "lower")


def check_best(experiment: Experiment, name: str, figures: Collection[str] | None) -> None:
    """Raise ConfigError for a figure by which no checkpoint can be the best.

    Args:
        name: ``train.keep_best``.
        figures: what evaluations give; None where that is not known before the first.
    """
    if direction_of(experiment, name) == "real":
        raise ConfigError(
            f"neither more nor less of {name} is better: no checkpoint is best in it", where="train.keep_best"
        )
    if figures is not None and name not in figures:
        raise ConfigError(
            f"no metric is called {name!r}{suggestion(name, figures)}",
            where="train.keep_best",
            fix=f"there are: {', '.join(sorted(figures)) or 'none'}",
        )


class Best:
    """Keeps ``best`` pointing at the checkpoint with the best value of a figure.

    Args:
        run: where.
        experiment: its metrics say which direction is better.
        name: the figure.
    """

    def __init__(self, run: Run, experiment: Experiment, name: str) -> None:
        self.run = run
        self.name = name
        self._sign = -1.0 if direction_of(experiment, name) == "higher" else 1.0
        self._value: float | None = None
        self._warned = False

    def recall(self) -> None:
        """Take up the value of what ``best`` points at, for a run that is gone on with.

        It is read from the evaluation's record: the checkpoint is older than its evaluation, and the figure may have
        been another.
        """
        self._value = None
        pointer = self.run.checkpoints / "best"
        if not pointer.is_file():
            return
        step = int(pointer.read_text(encoding="utf-8"))
        for record in self.run.records():
            if record["kind"] == "eval" and record["step"] == step and self.name in record:
                self._value = self._compared(record[self.name])

    def judge(self, step: int, figures: Mapping[str, float]) -> str | None:
        """Point ``best`` at the checkpoint of `step` if its figure is the best. Returns what is to be warned of."""
        if self.name not in figures:
            warned, self._warned = self._warned, True
            known = ", ".join(sorted(figures)) or "none"
            text = f"no checkpoint is kept as the best: no figure is called {self.name!r}; there are: {known}"
            return None if warned else text
        value = self._compared(figures[self.name])
        if value is not None and (self._value is None or value < self._value):
            self._value = value
            mark_best(self.run, step)
        return None

    def _compared(self, value: float) -> float | None:
        """A figure as it is compared, less being better; None for one that is not finite and would never be beaten."""
        return self._sign * value if math.isfinite(value) else None
