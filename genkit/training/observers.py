"""Who is told what a trainer does: the run directory, the terminal, plugins' run hooks, evaluation."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from genkit.runs import Run

if TYPE_CHECKING:
    from genkit.training.trainer import Trainer

EndStatus = Literal["done", "stopped", "failed"]


class Observer:
    """Does nothing at every occasion; a subclass overrides the ones it cares about. Called outside compiled regions."""

    def started(self, trainer: Trainer) -> None:
        """Training begins or goes on, at ``trainer.step``. On every rank."""

    def logged(self, trainer: Trainer, means: Mapping[str, float]) -> None:
        """A log interval has ended. On every rank."""

    def previewed(self, trainer: Trainer, path: Path) -> None:
        """A preview was written. On rank 0."""

    def saved(self, trainer: Trainer, path: Path) -> None:
        """A checkpoint was written. On rank 0."""

    def warned(self, trainer: Trainer, text: str) -> None:
        """Something needs the user's eye. On rank 0."""

    def evaluate(self, trainer: Trainer) -> Mapping[str, float]:
        """An evaluation is due: figures by name. On rank 0."""
        return {}

    def measures(self, trainer: Trainer) -> Collection[str] | None:
        """The names of what `evaluate` gives; None where they are not known before. On every rank, before training."""
        return () if type(self).evaluate is Observer.evaluate else None

    def evaluated(self, trainer: Trainer) -> None:
        """An evaluation's figures are written, and are ``trainer.metrics``. On rank 0."""

    def parts(self, trainer: Trainer) -> Mapping[str, Any]:
        """Objects with ``state_dict`` and ``load_state_dict`` to keep in checkpoints. On every rank."""
        return {}

    def ended(self, trainer: Trainer, status: EndStatus, error: str | None) -> None:
        """Training has ended. On every rank."""


class RunRecorder(Observer):
    """Writes what happens into the run directory."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def started(self, trainer: Trainer) -> None:
        if trainer.world.main:
            self.run.set_status("running", step=trainer.step, seconds=trainer.seconds)
            self.run.log(f"training from step {trainer.step} on {trainer.device}, {trainer.precision.name}")

    def logged(self, trainer: Trainer, means: Mapping[str, float]) -> None:
        if trainer.world.main:
            rate = {"samples": trainer.samples, "seconds": round(trainer.seconds, 3)}
            self.run.append("train", trainer.step, {**rate, **means})
            self.run.set_status("running", step=trainer.step, seconds=trainer.seconds)

    def previewed(self, trainer: Trainer, path: Path) -> None:
        self.run.log(f"step {trainer.step}: preview {path.name}")

    def saved(self, trainer: Trainer, path: Path) -> None:
        self.run.log(f"step {trainer.step}: checkpoint {path.name}")

    def warned(self, trainer: Trainer, text: str) -> None:
        self.run.append("warning", trainer.step, {"text": text})
        self.run.log(f"step {trainer.step}: warning: {text}")

    def ended(self, trainer: Trainer, status: EndStatus, error: str | None) -> None:
        if trainer.world.main:
            self.run.set_status(status, step=trainer.step, seconds=trainer.seconds)
            self.run.log(f"{status} at step {trainer.step}" + (f": {error}" if error else ""))
