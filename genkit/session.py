"""Running a recipe: the catalog, the config, the run directory and the trainer, brought together."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import torch

from genkit.catalog import catalog
from genkit.config import RESUMABLE, difference, resolve_config, seed_in, to_dict, to_yaml
from genkit.errors import ConfigError, UsageError
from genkit.evaluation import Score
from genkit.experiment import Experiment
from genkit.inference import recipe_of
from genkit.plugins import plugins
from genkit.random import mix
from genkit.report.writer import ReportWriter
from genkit.runs import Run, check_place, fresh_path
from genkit.scoring import Scorer, last_scores
from genkit.settings import RecipeConfig
from genkit.specs import RecipeSpec
from genkit.trackers import activated, check_trackers
from genkit.training.checks import check_end
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
    seed: int | None = None,
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
        seed: every random number follows from it; None: the config file's, else 0.
        device: such as ``cpu`` or ``cuda:0``; None takes the machine's accelerator.
        out: the run directory; None makes one under ``runs/``.
        config: a YAML file.
        values: config values, nested or with dotted keys.
        overrides: ``"key=value"`` strings, as ``--set`` takes them.
        resume: ``never``, ``auto`` (go on with what `out` holds) or the path of a run or checkpoint to go on from, of
            the same recipe, seed and config.
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
    files = [Path(config)] if config else []
    resolved = resolve_config(spec, files=files, values=given, overrides=overrides)
    if seed is None:
        seed = seed_in(files) or 0
    check_end(resolved.train)
    check_place(out, resume)
    world, chosen = _join(device)
    try:
        target = Path(out) if out is not None else None
        start: Path | None = None
        if resume not in ("auto", "never"):
            start = _starting_point(Path(resume))
            source = Run.open(start.parent.parent)
            _refuse_another(source, spec, resolved, seed, where="--resume")
            target = target or source.path
        elsewhere = start is not None and target is not None and start.resolve().parent.parent != target.resolve()
        if target is None or resume == "never" or elsewhere:
            _refuse_restarts()
        if target is None:
            target = Path(world.share(str(fresh_path(recipe))))
        holds_run = world.share(str((target / "config.yaml").is_file())) == "True"
        if holds_run and elsewhere:
            raise UsageError(
                f"{target} holds a run already, and {start} is no checkpoint of it",
                where="--out",
                fix="leave --out away to go on where the checkpoint is, or name another directory",
            )
        if start is None and holds_run and resume == "auto":
            start = _newest(Run.open(target))
        start = _agreed(start, world)
        opened = _enter(target, holds_run and resume != "never", spec, resolved, seed, chosen, world)
        told = _observers(opened, observers, report)
        return _train(opened, spec, resolved, start, device=device, world=world, observers=told, trackers=trackers)
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
        start = _agreed(_newest(found) if checkpoint == "latest" else found.checkpoint(checkpoint), world)
        told = _observers(found, observers, report)
        return _train(found, spec, wanted, start, device=device, world=world, observers=told, trackers=trackers)
    finally:
        world.leave()


# --- how a run comes about -------------------------------------------------------------------------------------------


def _join(device: str | None) -> tuple[World, torch.device]:
    local_rank = int(os.environ.get("LOCAL_RANK", "0"))
    chosen = choose_device(device, local_rank)
    if chosen.type == "cuda":
        torch.cuda.set_device(chosen)
    return join(chosen.type), chosen


def _refuse_restarts() -> None:
    """Where torchrun may restart this run, a restarted process would find no run, or one that it is refused."""
    if int(os.environ.get("TORCHELASTIC_MAX_RESTARTS", "0") or 0) > 0:
        raise UsageError(
            "torchrun may restart this run, and a restarted process must find the same directory and go on with it",
            where="--out",
            fix="give --out DIR --resume auto, or --max-restarts 0",
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


def _agreed(path: Path | None, world: World) -> Path | None:
    """Rank 0's path, on every rank: a pointer to a checkpoint may move between two looks at it."""
    shared = world.share(str(path) if path is not None else "")
    return Path(shared) if shared else None


def _enter(
    path: Path, exists: bool, spec: RecipeSpec, config: RecipeConfig, seed: int, device: torch.device, world: World
) -> Run:
    """The run directory: opened when it is to be gone on with, else created (by rank 0)."""
    if exists:
        found = Run.open(path)
        _refuse_another(found, spec, config, seed, where="--out")
        return found
    run = Run(path, recipe=spec.name, seed=seed)
    if world.main:
        header = f"recipe: {spec.name}\nseed: {seed}\n"
        run = Run.create(
            path, recipe=spec.name, seed=seed, config=header + to_yaml(config), environment=environment(device, world)
        )
    world.wait()
    return run


def _refuse_another(found: Run, spec: RecipeSpec, config: RecipeConfig, seed: int, *, where: str) -> None:
    """Raise ConfigError when going on with `found` would be another run: of another recipe, seed or config."""
    if found.recipe != spec.name:
        raise ConfigError(f"{found.path} holds a run of {found.recipe}, not of {spec.name}", where=where)
    if found.seed != seed:
        raise ConfigError(
            f"{found.path} was run with another seed",
            problems=[f"seed: {found.seed} -> {seed}"],
            where=where,
            fix=f"--seed {found.seed}",
        )
    _refuse_changes(recipe_of(found)[1], config, found)


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
    trackers: Sequence[str],
) -> RunResult:
    """Set up and train. What was made of the run directory goes again if setting up fails."""
    scorer = Scorer(config)
    with ExitStack() as stack:
        if world.main:
            stack.enter_context(run.locked())
        try:
            stack.enter_context(activated(trackers if world.main else ()))
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
        except BaseException:
            run.discard()
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

    def measures(self, trainer: Trainer) -> Collection[str] | None:
        return None if any("genkit_evaluate" in status.hooks for status in plugins().statuses) else ()

    def evaluate(self, trainer: Trainer) -> Mapping[str, float]:
        answers = plugins().notify("genkit_evaluate", run=self.run, step=trainer.step)
        return {key: value for _, answer in answers for key, value in (answer or {}).items()}

    def parts(self, trainer: Trainer) -> Mapping[str, Any]:
        answers = plugins().notify("genkit_checkpoint_parts", run=self.run)
        return {f"{name}.{key}": part for name, answer in answers for key, part in (answer or {}).items()}

    def ended(self, trainer: Trainer, status: EndStatus, error: str | None) -> None:
        plugins().notify("genkit_run_end", tolerant=True, run=self.run, status=status, error=error)
