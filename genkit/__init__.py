"""genkit: adversarial generation. One contract, one trainer; plugins bring the modalities.

This is the whole public API. Names that need torch are loaded when they are first used, so that ``genkit --help`` and a
plugin's light module stay free of it.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from genkit.errors import (
    CheckpointError,
    ConfigError,
    DataError,
    DivergedError,
    GenkitError,
    Interrupted,
    PluginError,
    UnknownNameError,
    UsageError,
)
from genkit.hookspecs import hookimpl
from genkit.schedules import Ramp, Scheduled, value_at
from genkit.settings import Ema, Model, Optim, Optimizer, Part, RecipeConfig, Role, Train
from genkit.specs import (
    BenchmarkSpec,
    Better,
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
    figures,
)

__version__ = "0.1.0"

_LAZY = {
    "Augment": "genkit.interfaces",
    "Bank": "genkit.conditions",
    "Batch": "genkit.interfaces",
    "Conditions": "genkit.inspection",
    "Critic": "genkit.interfaces",
    "Dataset": "genkit.interfaces",
    "Draw": "genkit.interfaces",
    "Estimator": "genkit.interfaces",
    "Experiment": "genkit.experiment",
    "Extractor": "genkit.inspection",
    "Generator": "genkit.interfaces",
    "GeneratorTurn": "genkit.interfaces",
    "Judged": "genkit.interfaces",
    "Labels": "genkit.conditions",
    "Metric": "genkit.inspection",
    "Objective": "genkit.interfaces",
    "Observer": "genkit.training.observers",
    "Penalty": "genkit.interfaces",
    "Random": "genkit.random",
    "Run": "genkit.runs",
    "RunResult": "genkit.session",
    "Sampler": "genkit.inference",
    "SamplerParts": "genkit.inference",
    "Samples": "genkit.inspection",
    "StreamedDataset": "genkit.interfaces",
    "Subject": "genkit.views",
    "Term": "genkit.interfaces",
    "TokenGenerator": "genkit.interfaces",
    "Trainer": "genkit.training.trainer",
    "Verdict": "genkit.interfaces",
    "Writer": "genkit.inspection",
    "assemble": "genkit.assembly",
    "evaluate": "genkit.scoring",
    "export": "genkit.exporting",
    "inspect": "genkit.views",
    "load": "genkit.inference",
    "resume": "genkit.session",
    "run": "genkit.session",
}
_MODULES = {"evaluation": "genkit.evaluation", "objectives": "genkit.adversarial.objectives"} | {
    name: f"genkit.adversarial.{name}" for name in ("penalties", "estimators", "terms")
}

if TYPE_CHECKING:
    from genkit import evaluation
    from genkit.adversarial import estimators, objectives, penalties, terms
    from genkit.assembly import assemble
    from genkit.conditions import Bank, Labels
    from genkit.experiment import Experiment
    from genkit.exporting import export
    from genkit.inference import Sampler, SamplerParts, load
    from genkit.inspection import Conditions, Extractor, Metric, Samples, Writer
    from genkit.interfaces import (
        Augment,
        Batch,
        Critic,
        Dataset,
        Draw,
        Estimator,
        Generator,
        GeneratorTurn,
        Judged,
        Objective,
        Penalty,
        StreamedDataset,
        Term,
        TokenGenerator,
        Verdict,
    )
    from genkit.random import Random
    from genkit.runs import Run
    from genkit.scoring import evaluate
    from genkit.session import RunResult, resume, run
    from genkit.training.observers import Observer
    from genkit.training.trainer import Trainer
    from genkit.views import Subject, inspect

__all__ = [
    "Augment", "Bank", "Batch", "BenchmarkSpec", "Better", "Check", "CheckpointError", "CommandSpec", "Conditions",
    "ConfigError", "Critic", "DataError", "Dataset", "DatasetSpec", "DivergedError", "Draw", "Ema", "Estimator",
    "Experiment", "ExportSpec", "Extractor", "Generator", "GeneratorTurn", "GenkitError", "Interrupted", "Judged",
    "Labels", "Metric", "MetricSpec", "Model", "ModelSpec", "Objective", "ObjectiveSpec", "Observer", "Optim",
    "Optimizer", "Part", "Penalty", "PluginError", "Ramp", "Random", "RecipeConfig", "RecipeSpec", "Role", "Run",
    "RunResult", "Sampler", "SamplerParts", "Samples", "Scheduled", "StreamedDataset", "Subject", "Term",
    "TokenGenerator", "Train", "Trainer", "UnknownNameError", "UsageError", "Verdict", "ViewSpec", "Writer",
    "WriterSpec", "__version__", "assemble", "estimators", "evaluate", "evaluation", "export", "figures", "hookimpl",
    "inspect", "load", "objectives", "penalties", "resume", "run", "terms", "value_at",
]  # fmt: skip


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    if name in _MODULES:
        return import_module(_MODULES[name])
    raise AttributeError(f"module 'genkit' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
