"""MLflow. ``MLFLOW_TRACKING_URI`` says where runs go, ``MLFLOW_EXPERIMENT_NAME`` (default: genkit) under what name."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from genkit.runs import Run
from genkit.trackers.tracker import Status, Tracker

ENDS = {"done": "FINISHED", "stopped": "KILLED", "failed": "FAILED"}
LONGEST = 500
"""Characters of a parameter: the least that MLflow's stores take."""


class MLflow(Tracker):
    """Figures as metrics, settings as parameters, previews as artefacts under ``samples/``."""

    name: ClassVar[str] = "mlflow"

    def open(self, run: Run, config: Mapping[str, Any], known: str | None) -> str | None:
        from mlflow.entities import Param
        from mlflow.tracking import MlflowClient

        self._client = MlflowClient()
        if known is not None:
            self._client.set_terminated(known, "RUNNING")
            self._id = known
            return known
        named = os.environ.get("MLFLOW_EXPERIMENT_NAME", "genkit")
        experiment = self._client.get_experiment_by_name(named)
        number = experiment.experiment_id if experiment else self._client.create_experiment(named)
        self._id = self._client.create_run(number, run_name=run.path.name).info.run_id
        params = [Param(key, str(value)[:LONGEST]) for key, value in config.items()]
        self._client.log_batch(self._id, params=params)
        return str(self._id)

    def figures(self, step: int, values: Mapping[str, float]) -> None:
        import time

        from mlflow.entities import Metric

        now = int(1000 * time.time())
        # Brackets, as in frechet[lenet-digits], are no part of MLflow's names.
        named = {
            key.replace("[", " (").replace("]", ")").replace("(", "").replace(")", ""): values[key] for key in values
        }
        self._client.log_batch(self._id, metrics=[Metric(key, value, now, step) for key, value in named.items()])

    def picture(self, step: int, name: str, path: Path) -> None:
        self._client.log_artifact(self._id, str(path), "samples")

    def sound(self, step: int, name: str, path: Path) -> None:
        self._client.log_artifact(self._id, str(path), "samples")

    def text(self, step: int, name: str, text: str) -> None:
        self._client.log_text(self._id, text, f"samples/{step:08d}.txt")

    def close(self, status: Status) -> None:
        self._client.set_terminated(self._id, ENDS[status])
