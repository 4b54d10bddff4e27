"""Keeps a run's report up to date while it trains."""

from __future__ import annotations

from typing import TYPE_CHECKING

from genkit.report.page import write_report
from genkit.report.previews import Cache
from genkit.training.observers import EndStatus, Observer

if TYPE_CHECKING:
    from genkit.runs import Run
    from genkit.training.trainer import Trainer


class ReportWriter(Observer):
    """Writes ``report.html`` into the run after each evaluation and at the end. A failure costs one warning."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self._cache: Cache = {}
        self._warned = False

    def evaluated(self, trainer: Trainer) -> None:
        self._write(trainer)

    def ended(self, trainer: Trainer, status: EndStatus, error: str | None) -> None:
        if trainer.world.main:
            self._write(trainer)

    def _write(self, trainer: Trainer) -> None:
        try:
            write_report([self.run.path], cache=self._cache)
        except Exception as error:
            # Whatever is wrong with a page must not end hours of training; it is said once, where the user looks.
            if not self._warned:
                self._warned = True
                text = f"the report can not be written: {type(error).__name__}: {' '.join(str(error).split())}"
                for observer in trainer.observers:
                    observer.warned(trainer, text)
