"""Running a recipe: the catalog, the config, the run directory and the trainer, brought together."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from genkit.catalog import catalog
from genkit.config import RESUMABLE, difference, resolve_config, to_dict, to_yaml
from genkit.errors import ConfigError, GenkitError, UsageError
from genkit.evaluation import Score
from genkit.experiment import Experiment
from genkit.inference import recipe_of
from genkit.plugins import plugins
from genkit.random import mix
from genkit.report.writer import ReportWriter
from genkit.runs import Run, fresh_path
from genkit.scoring import Scorer, last_scores
from genkit.settings import RecipeConfig
from genkit.specs import RecipeSpec
from genkit.trackers import activated, check_trackers
from genkit.training.distributed import World, join
from genkit.training.observers import EndStatus, Observer
from genkit.training.precision import choose_device
from genkit.training.trainer import Trainer
from genkit.training.versions import versions

Resume = Literal["auto", "never"]


@dataclass(frozen=True)
class RunResult:
    """What a run came to."""

    run: Path
    """Its directory."""
    step: int
    seconds: float
    """Training time over all resumptions."""
    metrics: dict[str, float]
    """The last evaluation's figures."""
    preview: Path | None = None
    """The last preview."""
    scores: Sequence[Score] = field(default_factory=tuple)
    """The last evaluation, with floors and protocols."""


def run(
    recipe: str,
    *,
    steps: int | None = None,
    minutes: float | None = None,
    seed: int = 0,
    device: str | None = None,
    out: str | Path | None = None,
    config: str | Path | None = None,
    values: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
    resume: Resume | str | Path = "never",
    observers: Sequence[Observer] = (),
    trackers: Sequence[str] = (),
    report: bool = True,
) -> RunResult:
    """Train a recipe, as ``genkit run`` does.

    Args:
        recipe: its name, ``modality.recipe``.
        steps: stop after this many steps.
        minutes: or after this many minutes; either replaces what the config says of both.
        seed: every random number follows from it.
        device: such as ``cpu`` or ``cuda:0``; None takes the machine's accelerator.
        out: the run directory; None makes one under ``runs/``.
        config: a YAML file.
        values: config values, nested or with dotted keys.
        overrides: ``"key=value"`` strings, as ``--set`` takes them.
        resume: ``never``, ``auto`` (go on with what `out` holds) or the path of a run or checkpoint to go on from.
        observers: told what the trainer does.
        trackers: who else is told, by name: tensorboard, wandb, mlflow, trackio.
        report: keep ``report.html`` in the run up to date.

    Raises a GenkitError whose exit code is the command's.
    """
    spec = catalog().recipe(recipe)
    check_trackers(trackers)
    if steps is not None and minutes is not None:
        raise UsageError("both --steps and --minutes say how long to train", fix="give one of them")
    limits: dict[str, Any] = {}
    if steps is not None or minutes is not None:
        limits = {"train.steps": steps, "train.minutes": minutes}
    given = {**(values or {}), **limits}
    resolved = resolve_config(spec, files=[Path(config)] if config else [], values=given, overrides=overrides)
    world, chosen = _join(device)
    try:
        target = Path(out) if out is not None else None
        start: Path | None = None
        if resume not in ("auto", "never"):
            start = _starting_point(Path(resume))
            source = Run.open(start.parent.parent)
            _refuse_changes(recipe_of(source)[1], resolved, source)
            target = target or source.path
        if target is None:
            _need_out_for_restarts()
            target = Path(world.share(str(fresh_path(recipe))))
        holds_run = world.share(str((target / "config.yaml").is_file())) == "True"
        if start is None and holds_run and resume == "auto":
            start = _newest(Run.open(target))
        fresh = target if world.main and not target.exists() else None
        opened = _enter(target, holds_run and resume != "never", spec, resolved, seed, chosen, world)
        told = _observers(opened, observers, report)
        with activated(trackers if world.main else ()):
            return _train(opened, spec, resolved, start, device=device, world=world, observers=told, fresh=fresh)
    finally:
        world.leave()


def resume(
    run: str | Path,
    *,
    steps: int | None = None,
    minutes: float | None = None,
    device: str | None = None,
    checkpoint: str | int = "latest",
    overrides: Sequence[str] = (),
    observers: Sequence[Observer] = (),
    trackers: Sequence[str] = (),
    report: bool = True,
) -> RunResult:
    """Go on with a run from its last checkpoint (or another), bit-equal to one that never stopped.

    Args:
        run: the run directory.
        steps: a new end; `minutes`: likewise.
        device: as for `run`.
        checkpoint: a step, ``latest`` or ``best``.
        overrides: settings that do not change the mathematics, such as ``train.log_every=10``.
        observers: told what the trainer does.
        trackers: who else is told, by name: tensorboard, wandb, mlflow, trackio.
        report: keep ``report.html`` in the run up to date.

    Raises UsageError when `run` is no run directory, ConfigError when an override would change the mathematics.
    """
    found = Run.open(run)
    spec, config = recipe_of(found)
    check_trackers(trackers)
    limits: dict[str, Any] = (
        {} if steps is None and minutes is None else {"train.steps": steps, "train.minutes": minutes}
    )
    wanted = resolve_config(spec, files=[found.path / "config.yaml"], values=limits, overrides=overrides)
    _refuse_changes(config, wanted, found)
    world, _ = _join(device)
    try:
        start = _newest(found) if checkpoint == "latest" else found.checkpoint(checkpoint)
        told = _observers(found, observers, report)
        with activated(trackers if world.main else ()):
            return _train(found, spec, wanted, start, device=device, world=world, observers=told)
    finally:
        world.leave()


# --- how a run comes about -------------------------------------------------------------------------------------------


def _join(device: str | None) -> tuple[World, torch.device]:
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    chosen = choose_device(device, local_rank)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    return join(chosen.type), chosen


def _need_out_for_restarts() -> None:
    if int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0") or 0) > 0:
        raise UsageError(
            "torchrun may restart this run, and a restarted process must find the same directory",
            where="--out",
            fix="give --out DIR --resume auto",
        )


def _starting_point(path: Path) -> Path:
    """The checkpoint that ``--resume PATH`` means."""
    if (path / "state.json").is_file():
        return path
    if (path / "config.yaml").is_file():
        return Run.open(path).checkpoint()
    raise UsageError(f"{path} is neither a run directory nor a checkpoint of one", where="--resume")


def _newest(run: Run) -> Path | None:
    """The checkpoint to go on from; None when the run ended before its first."""
    return run.checkpoint() if (run.checkpoints / "latest").is_file() else None


def _enter(
    path: Path, exists: bool, spec: RecipeSpec, config: RecipeConfig, seed: int, device: torch.device, world: World
) -> Run:
    """The run directory: opened when it is to be gone on with, else created (by rank 0)."""
    if exists:
        found = Run.open(path)
        if found.recipe != spec.name:
            raise ConfigError(f"{path} holds a run of {found.recipe}, not of {spec.name}", where="--out")
        if found.seed != seed:
            raise ConfigError(
                f"{path} was run with another seed",
                problems=[f"seed: {found.seed} -> {seed}"],
                fix=f"--seed {found.seed}",
            )
        _, before = recipe_of(found)
        _refuse_changes(before, config, found)
        return found
    if world.main:
        header = f"recipe: {spec.name}\nseed: {seed}\n"
        Run.create(
            path, recipe=spec.name, seed=seed, config=header + to_yaml(config), environment=environment(device, world)
        )
    world.wait()
    return Run(path, recipe=spec.name, seed=seed)


def _refuse_changes(before: RecipeConfig, after: RecipeConfig, run: Run) -> None:
    changes = difference(to_dict(before), to_dict(after))
    refused = [change for change in changes if change.split(":", 1)[0] not in RESUMABLE]
    if refused:
        raise ConfigError(
            f"{run.path} was trained with another config; going on with this one would be another run",
            problems=refused,
            where=str(run.path / "config.yaml"),
            fix="take the changes back, or choose a new --out",
        )


def _observers(run: Run, given: Sequence[Observer], report: bool) -> list[Observer]:
    """Plugins' run hooks, the report and the caller's own, in this order."""
    return [PluginHooks(run), *([ReportWriter(run)] if report else []), *given]


def _train(
    run: Run,
    spec: RecipeSpec,
    config: RecipeConfig,
    start: Path | None,
    *,
    device: str | None,
    world: World,
    observers: Sequence[Observer],
    fresh: Path | None = None,
) -> RunResult:
    """Set up and train. `fresh` is the run directory where this call made it: it goes again if setting up fails."""
    scorer = Scorer(config)
    with run.locked() if world.main else nullcontext():
        try:
            torch.manual_seed(mix(run.seed, "initial weights"))
            experiment: Experiment = catalog().load(spec, "build")(config)
            trainer = Trainer(
                experiment,
                config.train,
                ema=config.ema,
                seed=run.seed,
                device=device,
                run=run,
                observers=[scorer, *observers],
                world=world,
            )
            if start is not None:
                trainer.restore(start)
            elif world.main:
                run.rewind(0)  # it ended before its first checkpoint: what it logged will come again
        except GenkitError:
            if fresh is not None:
                shutil.rmtree(fresh)
            raise
        outcome = trainer.fit()
    previews = sorted(path for path in run.samples.iterdir() if path.is_file())
    metrics = outcome.metrics or dict(run.status().get("metrics", {}))
    scores = tuple(scorer.scores or last_scores(run))
    return RunResult(run.path, outcome.step, outcome.seconds, metrics, previews[-1] if previews else None, scores)


def environment(device: torch.device, world: World) -> dict[str, Any]:
    """What a run was made on and with."""
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else platform.processor() or platform.machine()
    return {
        "versions": versions(),
        "plugins": {
            status.name: f"{status.distribution} {status.version}"
            for status in plugins().statuses
            if status.state == "ok"
        },
        "platform": platform.platform(),
        "device": f"{device} ({name})",
        "processes": world.size,
        "threads": torch.get_num_threads(),
        "command": sys.argv,
    }


class PluginHooks(Observer):
    """Tells plugins' run hooks."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def started(self, trainer: Trainer) -> None:
        plugins().notify("genkit_run_start", run=self.run)

    def logged(self, trainer: Trainer, means: Mapping[str, float]) -> None:
        plugins().notify("genkit_step_end", run=self.run, step=trainer.step, metrics=means)

    def evaluate(self, trainer: Trainer) -> Mapping[str, float]:
        answers = plugins().notify("genkit_evaluate", run=self.run, step=trainer.step)
        return {key: value for _, answer in answers for key, value in (answer or {}).items()}

    def parts(self, trainer: Trainer) -> Mapping[str, Any]:
        answers = plugins().notify("genkit_checkpoint_parts", run=self.run)
        return {f"{name}.{key}": part for name, answer in answers for key, part in (answer or {}).items()}

    def ended(self, trainer: Trainer, status: EndStatus, error: str | None) -> None:
        plugins().notify("genkit_run_end", tolerant=True, run=self.run, status=status, error=error)
