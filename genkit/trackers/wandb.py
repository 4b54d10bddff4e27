"""Weights & Biases. ``WANDB_PROJECT`` (default: genkit), ``WANDB_MODE`` and the others mean what they mean there."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from genkit.runs import Run
from genkit.trackers.tracker import Status, Tracker


class WeightsAndBiases(Tracker):
    """Figures, pictures, sounds and texts as a Weights & Biases run; what it keeps locally stands in ``RUN/wandb``."""

    name: ClassVar[str] = "wandb"

    def open(self, run: Run, config: Mapping[str, Any], known: str | None) -> str | None:
        import wandb

        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", "genkit"),
            name=run.path.name,
            id=known,
            resume="allow",
            dir=str(run.path),
            config=dict(config),
        )
        # Evaluations and previews come after later steps' figures: the step is a figure among the others.
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")
        return str(self._run.id)

    def figures(self, step: int, values: Mapping[str, float]) -> None:
        self._run.log({"step": step, **values})

    def picture(self, step: int, name: str, path: Path) -> None:
        import wandb

        self._run.log({"step": step, name: wandb.Image(str(path))})

    def sound(self, step: int, name: str, path: Path) -> None:
        import wandb

        self._run.log({"step": step, name: wandb.Audio(str(path))})

    def text(self, step: int, name: str, text: str) -> None:
        import html

        import wandb

        self._run.log({"step": step, name: wandb.Html(f"<pre>{html.escape(text)}</pre>")})

    def close(self, status: Status) -> None:
        self._run.finish(exit_code=1 if status == "failed" else 0)
