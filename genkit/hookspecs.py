"""What a plugin may implement. Registration hooks return frozen specs and must not import torch; run hooks see a run.

A plugin is one light module that an entry point of the group ``genkit`` names; its functions are marked
``@genkit.hookimpl``.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal

import pluggy

from genkit.specs import (
    BenchmarkSpec,
    Check,
    CommandSpec,
    DatasetSpec,
    ExportSpec,
    MetricSpec,
    ModelSpec,
    ObjectiveSpec,
    RecipeSpec,
    ViewSpec,
    WriterSpec,
)

if TYPE_CHECKING:
    from genkit.runs import Run

PROJECT = "genkit"

hookspec = pluggy.HookspecMarker(PROJECT)
hookimpl = pluggy.HookimplMarker(PROJECT)


# --- registration: called once for each plugin, alone; a failure is that plugin's only -----------------------------


@hookspec
def genkit_recipes() -> Iterable[RecipeSpec]:
    """Recipes, named ``modality.recipe``."""


@hookspec
def genkit_models() -> Iterable[ModelSpec]:
    """Generators and critics that any recipe of the modality can name."""


@hookspec
def genkit_datasets() -> Iterable[DatasetSpec]:
    """Datasets that any recipe of the modality can name."""


@hookspec
def genkit_objectives() -> Iterable[ObjectiveSpec]:
    """Objectives, penalties and augmentations."""


@hookspec
def genkit_metrics() -> Iterable[MetricSpec]:
    """Metrics, each with the direction that is better."""


@hookspec
def genkit_writers() -> Iterable[WriterSpec]:
    """How samples of a modality become files."""


@hookspec
def genkit_exports() -> Iterable[ExportSpec]:
    """Formats that trained generators can be exported to."""


@hookspec
def genkit_views() -> Iterable[ViewSpec]:
    """Ways to look at what a run has learnt, for ``genkit inspect``."""


@hookspec
def genkit_benchmarks() -> Iterable[BenchmarkSpec]:
    """What ``genkit bench`` can measure."""


@hookspec
def genkit_commands() -> Iterable[CommandSpec]:
    """Commands shown under "Plugin commands"."""


@hookspec
def genkit_doctor() -> Iterable[Check]:
    """Checks of the environment, shown by ``genkit doctor``. May import torch."""


# --- a run: called outside compiled regions; on every rank but for genkit_evaluate, which rank 0 alone calls -------


@hookspec
def genkit_run_start(run: Run) -> None:
    """A run begins or goes on. An exception fails the run."""


@hookspec
def genkit_step_end(run: Run, step: int, metrics: Mapping[str, float]) -> None:
    """Log steps only. Must not synchronise the device."""


@hookspec
def genkit_evaluate(run: Run, step: int) -> Mapping[str, float]:
    """More figures for an evaluation, written beside the recipe's metrics."""


@hookspec
def genkit_checkpoint_parts(run: Run) -> Mapping[str, Any]:
    """Objects with ``state_dict`` and ``load_state_dict`` to keep in each checkpoint under the plugin's name.

    Asked for by rank 0 at each save, and by every rank when a checkpoint is gone on from, before `genkit_run_start`.
    """


@hookspec
def genkit_run_end(run: Run, status: Literal["done", "stopped", "failed"], error: str | None) -> None:
    """A run ends. An exception here is reported and does not change the run's result."""
