"""The shared adversarial trainer: sets an experiment up on a device, iterates, looks, saves, stops."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves, tree_map

from genkit.errors import Interrupted
from genkit.experiment import Experiment
from genkit.interfaces import Batch, Dataset
from genkit.random import Random, mix
from genkit.runs import Run
from genkit.settings import Ema, Train
from genkit.training import checkpoint
from genkit.training.best import Best
from genkit.training.checks import check_end, check_settings
from genkit.training.distributed import World
from genkit.training.figures import Meter
from genkit.training.guards import DeadPlayers, Diversity, diverged
from genkit.training.observers import EndStatus, Observer, RunRecorder
from genkit.training.phases import iterate
from genkit.training.precision import backends, choose_device, choose_precision
from genkit.training.setup import modules_of, set_up
from genkit.training.signals import StopRequest
from genkit.training.versions import versions

AGREE_EVERY = 10  # steps between the ranks' looks at each other's stop flags: a signal waits no longer than that


@dataclass(frozen=True)
class Outcome:
    """How training ended."""

    step: int
    samples: int
    seconds: float
    """Training time over all resumptions, evaluation and previews included."""
    means: dict[str, float]
    """The last log interval's figures."""
    metrics: dict[str, float]
    """The last evaluation's."""


class Trainer:
    """Trains an experiment.

    Args:
        experiment: what the recipe, or the caller, built.
        train: how long, how large and how the loop runs; it must give ``steps`` or ``minutes``.
        ema: the average of the generator's weights.
        seed: every random number of the run follows from it.
        device: such as ``cuda`` or ``cpu``; None takes the machine's accelerator where there is one.
        run: where checkpoints, previews and metrics go; None keeps nothing.
        observers: who is told.
        world: this process among others; see `genkit.training.distributed.join`.

    Raises UsageError, ConfigError or DataError when the experiment, the settings and the device do not fit.
    """

    def __init__(
        self,
        experiment: Experiment,
        train: Train | None = None,
        *,
        ema: Ema | None = None,
        seed: int = 0,
        device: str | torch.device | None = None,
        run: Run | None = None,
        observers: Sequence[Observer] = (),
        world: World | None = None,
    ) -> None:
        self.experiment = experiment
        self.train = train or Train()
        self.seed = seed
        self.run = run
        self.world = world or World()
        self.observers: list[Observer] = [*([RunRecorder(run)] if run else []), *observers]
        self.device = choose_device(str(device) if device is not None else None, self.world.local_rank)
        self.precision = choose_precision(self.train, self.device)
        self.step = 0
        self.seconds = 0.0
        self.means: dict[str, float] = {}
        self.metrics: dict[str, float] = {}
        self._best = Best(run, experiment, self.train.keep_best) if run and self.train.keep_best else None
        self._meter = Meter()
        self._dead = DeadPlayers()
        self._diversity: Diversity | None = None
        check_settings(experiment, self.train, self.world, figures=self._figures() if run else None)
        if run:
            for network in modules_of(experiment).values():
                checkpoint.check_states(network)
        self.team = set_up(
            experiment,
            self.train,
            ema or Ema(),
            seed=seed,
            device=self.device,
            precision=self.precision,
            world=self.world,
        )

    @property
    def samples(self) -> int:
        """Real samples' worth of training so far: steps times batch size."""
        return self.step * self.train.batch_size

    @property
    def sampling_network(self) -> nn.Module:
        """The network samples are drawn from: the average where one is kept, else the generator."""
        return self.team.average.network if self.team.average else self.experiment.generator

    # --- training ----------------------------------------------------------------------------------------------------

    def fit(self) -> Outcome:
        """Train until ``train.steps`` or ``train.minutes`` is reached.

        Raises DivergedError at a non-finite loss or gradient, and Interrupted after a signal, once a checkpoint is
        written.
        """
        check_end(self.train)
        with ExitStack() as stack:
            stack.enter_context(backends(self.train, self.device))
            if self.run and self.world.main:
                stack.enter_context(self.run.locked())
            stop = stack.enter_context(StopRequest())
            status: EndStatus = "failed"
            problem: str | None = None
            try:
                for observer in self.observers:
                    observer.started(self)
                self._loop(stop)
                status = "done"
            except Interrupted as error:
                status, problem = "stopped", str(error)
                raise
            except BaseException as error:
                problem = f"{type(error).__name__}: {error}"
                raise
            finally:
                self.team.batches.close()
                self._end(status, problem)
        return Outcome(self.step, self.samples, self.seconds, self.means, self.metrics)

    def _end(self, status: EndStatus, problem: str | None) -> None:
        """Tell every observer. What fails while it is told never hides the `problem` that ended training."""
        told = [self._tell_end(observer, status, problem) for observer in self.observers]
        failed = [error for error in told if error is not None]
        for secondary in failed if problem is not None else failed[1:]:
            print(f"warning: at the run's end: {type(secondary).__name__}: {secondary}", file=sys.stderr)
        if failed and problem is None:
            raise failed[0]

    def _tell_end(self, observer: Observer, status: EndStatus, problem: str | None) -> Exception | None:
        try:
            observer.ended(self, status, problem)
        except Exception as error:
            return error
        return None

    def _loop(self, stop: StopRequest) -> None:
        train = self.train
        before = self.seconds
        started = time.monotonic()
        finished = self._finished()
        if self.step == 0:
            self.preview()
        elif self._lacks_evaluation(finished):
            self.evaluate()
            self.seconds = before + time.monotonic() - started
        while not finished:
            if self.step == train.adversarial_start:
                self.team.estimator.begin(self.experiment.generator)
            self._meter.add(self.step, iterate(self.team, self.step))
            self.step += 1
            self.seconds = before + time.monotonic() - started
            stopped, finished = self._ends(stop)
            if stopped or finished or self.step % train.log_every == 0:
                self.log()
            saving = self._is_due(train.checkpoint_every)
            evaluating = self._is_due(train.eval_every)
            if finished or stopped or self._is_due(train.preview_every):
                self.preview()
            if saving or evaluating or stopped or finished:
                self.log()  # a checkpoint must not hold a step that nobody has looked at
                self.save()
            if evaluating or (finished and self.run):
                self.evaluate()
            self.seconds = before + time.monotonic() - started
            if stopped:
                number = stop.received or 15
                raise Interrupted(f"stopped by signal {number} at step {self.step}", signal_number=number)

    def _lacks_evaluation(self, finished: bool) -> bool:
        """Whether the step gone on from was to be evaluated, and was not: the checkpoint comes first."""
        if not (self.run and (finished or self._is_due(self.train.eval_every))):
            return False
        lacks = self.world.main and not any(
            record["kind"] == "eval" and record["step"] == self.step for record in self.run.records()
        )
        return self.world.agree(lacks)[0]

    def _is_due(self, every: int) -> bool:
        return every > 0 and self.step % every == 0

    def _finished(self) -> bool:
        steps, minutes = self.train.steps, self.train.minutes
        return (steps is not None and self.step >= steps) or (minutes is not None and self.seconds >= 60 * minutes)

    def _ends(self, stop: StopRequest) -> tuple[bool, bool]:
        """Whether a signal, and whether the end of training, stops the loop after this step; the same on every rank."""
        stopped, finished = stop.received is not None, self._finished()
        if self.world.size == 1:
            return stopped, finished
        last = self.train.steps is not None and self.step >= self.train.steps
        if last or self.step % AGREE_EVERY == 0:
            stopped, finished = self.world.agree(stopped, finished)
            return stopped, finished
        return False, False

    def log(self) -> None:
        """Read the interval's figures: the one moment at which the device is waited for."""
        reading = self._meter.read(self.world)
        if reading.bad_step is not None:
            self._diverged(reading.bad_step, reading.bad_names)
        if not reading.means:
            return
        self.means = reading.means
        for observer in self.observers:
            observer.logged(self, reading.means)
        for text in self._dead.warnings(reading.means):
            self._warn(text)

    def _diverged(self, step: int, names: Sequence[str]) -> None:
        written = "nowhere: there is no run directory"
        if self.run:
            place = self.run.path / f"diverged-rank{self.world.rank}.json"
            first = self.team.first_batch(step)
            turns = self.team.first_batch(step + 1) - first
            described: dict[str, Any] = {
                "step": step,
                "figures": list(names),
                "batches": list(range(first, first + turns)),
            }
            if isinstance(self.experiment.data, Dataset):
                described["indices"] = [self.team.batches.indices(number).tolist() for number in described["batches"]]
            place.write_text(json.dumps(described) + "\n", encoding="utf-8")
            written = str(place)
        raise diverged(step, names, written)

    def _warn(self, text: str) -> None:
        if self.world.main:
            for observer in self.observers:
                observer.warned(self, text)

    # --- looking -----------------------------------------------------------------------------------------------------

    def preview(self) -> Path | None:
        """Write what the averaged generator makes of the run's fixed latents. Rank 0; None without a run or writer."""
        if not (self.run and self.world.main and self.experiment.writer):
            return None
        batch, columns = self.draw_preview()
        warning = self._watch_diversity().warning(batch.sample) if self.step else None
        path = self.experiment.writer.preview(
            batch.map(Tensor.cpu), self.run.samples / f"{self.step:08d}", columns=columns
        )
        for observer in self.observers:
            observer.previewed(self, path)
        if warning:
            self._warn(warning)
        return path

    @torch.no_grad()
    def draw_preview(self) -> tuple[Batch, int]:
        """The preview's samples, on the device, and its number of columns. Latents and conditions never change."""
        count, conditions = self.experiment.preview, self.experiment.conditions
        rng = Random(mix(self.seed, "preview"), self.device)
        condition, columns = conditions.grid(count) if conditions else (None, max(1, round(count**0.5)))
        if condition is not None:
            condition = tree_map(lambda leaf: leaf.to(self.device), condition)
            count = len(tree_leaves(condition)[0])
        network = self.sampling_network
        was_training = network.training
        network.eval()
        latent = self.experiment.generator.latent(count, rng=rng)
        draw = network(latent, condition)
        network.train(was_training)
        return Batch(draw.sample, condition, draw.mask), columns

    def _watch_diversity(self) -> Diversity:
        if self._diversity is None:
            self._diversity = Diversity(self.team.parts(self.step, 0)[0].batch.sample)
        return self._diversity

    def evaluate(self) -> dict[str, float]:
        """Ask the observers for an evaluation's figures. Rank 0 measures, the others wait."""
        if self.world.main:
            self.metrics = {}
            for observer in self.observers:
                self.metrics |= observer.evaluate(self)
            if self.run and self.metrics:
                self.run.append("eval", self.step, self.metrics)
                self.run.set_status("running", step=self.step, seconds=self.seconds, metrics=self.metrics)
            warning = self._best.judge(self.step, self.metrics) if self._best else None
            if warning:
                self._warn(warning)
            for observer in self.observers:
                observer.evaluated(self)
        self.world.wait()
        return self.metrics

    # --- keeping -----------------------------------------------------------------------------------------------------

    def save(self) -> Path | None:
        """Write a checkpoint. Rank 0 writes, the others wait; None without a run."""
        path = None
        if self.run and self.world.main:
            kept = {name: part.state_dict() for name, part in self._observer_parts().items()}
            for name, state in kept.items():
                checkpoint.check_kept(name, state)
            path = checkpoint.write_checkpoint(
                self.run,
                self.step,
                networks=self._networks(),
                optimizers={
                    "generator": self.team.generator_updater.optimizer.state_dict(),
                    "critic": self.team.critic_updater.optimizer.state_dict(),
                    "observers": kept,
                },
                facts=dict(self.experiment.data.facts),
                state={
                    "seconds": self.seconds,
                    "samples": self.samples,
                    "seed": self.seed,
                    "world": self.world.size,
                    "versions": versions(),
                },
            )
            checkpoint.prune(self.run, keep=self.train.keep)
            for observer in self.observers:
                observer.saved(self, path)
        self.world.wait()
        return path

    def restore(self, path: Path) -> None:
        """Go on from a checkpoint, on every rank. Raises CheckpointError when it is damaged, another model's or other
        data's."""
        state = checkpoint.read_state(path)
        checkpoint.check_facts(path, self.experiment.data)
        checkpoint.check_readers(path, self.experiment.data, state, self.world.size)
        for name, network in self._networks().items():
            checkpoint.read_network_(path, name, network)
        optimizers = checkpoint.read_optimizers(path)
        self.team.generator_updater.optimizer.load_state_dict(optimizers["generator"])
        self.team.critic_updater.optimizer.load_state_dict(optimizers["critic"])
        for name, part in self._observer_parts().items():
            if name in optimizers["observers"]:
                part.load_state_dict(optimizers["observers"][name])
        self.step, self.seconds = state["step"], state["seconds"]
        if self.run and self.world.main:
            self.run.rewind(self.step)
            if self._best:
                self._best.recall()

    def _networks(self) -> dict[str, nn.Module]:
        networks = modules_of(self.experiment)
        if self.team.average is not None:
            networks["generator_ema"] = self.team.average.network
        return networks

    def _figures(self) -> set[str] | None:
        """The figures that evaluations will give; None where an observer's are not known before."""
        each = [observer.measures(self) for observer in self.observers]
        known = [figures for figures in each if figures is not None]
        return set().union(*known) if len(known) == len(each) else None

    def _observer_parts(self) -> dict[str, Any]:
        parts: dict[str, Any] = {}
        for observer in self.observers:
            parts |= observer.parts(self)
        return parts
