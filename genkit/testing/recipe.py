"""A recipe at the size its plugin calls cheap, ready to be checked."""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
import weakref
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch.utils._pytree import tree_map

from genkit.catalog import catalog
from genkit.config import resolve_config
from genkit.errors import GenkitError
from genkit.experiment import Experiment
from genkit.inference import Sampler, SamplerParts
from genkit.interfaces import Batch
from genkit.session import RunResult, run
from genkit.settings import RecipeConfig
from genkit.specs import RecipeSpec
from genkit.testing.outcome import CheckFailure, as_failure
from genkit.training.observers import EndStatus, Observer
from genkit.training.trainer import Trainer

STEPS = 4
"""Steps of the run that others are compared with."""
DRAWN = 5
"""Samples that are compared."""
SEED = 3
"""Their seed."""


class Recipe:
    """A recipe with the config overrides of its `RecipeSpec.smoke`.

    Args:
        name: its name in the catalog.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def __str__(self) -> str:
        return self.name

    @property
    def spec(self) -> RecipeSpec:
        """Its spec, from the catalog of the moment."""
        return catalog().recipe(self.name)

    def config(self, **more: Any) -> RecipeConfig:
        """Its config. Raises CheckFailure when its smoke overrides do not fit.

        Args:
            more: dotted keys laid over the smoke overrides.
        """
        try:
            return resolve_config(self.spec, values={**self.spec.smoke, **more})
        except GenkitError as error:
            raise as_failure(error, "let RecipeSpec.smoke hold keys of the recipe's config") from error

    def build(self, config: RecipeConfig | None = None, *, seed: int = 0) -> Experiment:
        """What it builds from a config, after torch was seeded. Raises CheckFailure when it can not.

        Args:
            config: None takes its own.
            seed: of torch's global source.
        """
        torch.manual_seed(seed)
        cure = "`build(config)` must return a genkit.Experiment; genkit.assemble(config) is the usual way to one"
        try:
            built = catalog().load(self.spec, "build")(config or self.config())
        except Exception as error:
            failure = as_failure(error, cure)
            raise CheckFailure(f"building it raised {failure.what}", failure.cure) from error
        if not isinstance(built, Experiment):
            raise CheckFailure(f"`{self.spec.build}` returned {type(built).__name__}", cure)
        return built

    def trainer(self, device: str = "cpu", **more: Any) -> Trainer:
        """A trainer of a fresh experiment, in fp32 on the CPU, that keeps nothing and reads its data in this process.

        Args:
            device: ``cpu`` or ``meta``.
            more: as for `config`.
        """
        config = self.config(**{"train.precision": "fp32", "train.compile": "off", "train.workers": 0, **more})
        return Trainer(self.build(config), config.train, ema=config.ema, device=device, seed=1)

    @cached_property
    def whole(self) -> Whole:
        """A run of `STEPS` steps that was never stopped, made when first asked for."""
        kept = Keeps()
        folder = tempfile.mkdtemp(prefix="genkit-check-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        result = self.run(Path(folder) / "whole", steps=STEPS, observers=[kept])
        return Whole(result, kept.sample)

    def run(
        self, out: Path, *, steps: int, observers: Sequence[Observer] = (), workers: int | None = None
    ) -> RunResult:
        """A run of some steps on the CPU, its data read by loaders.

        Args:
            out: its directory.
            steps: how many.
            observers: who is told.
            workers: loader processes; None: as many as the config says.
        """
        often = {"train.checkpoint_every": 2, "train.eval_samples": 16, "train.resident": "off"}
        values = {**self.spec.smoke, **often, **({} if workers is None else {"train.workers": workers})}
        return run(self.name, steps=steps, out=out, values=values, device="cpu", observers=observers)


@dataclasses.dataclass(frozen=True)
class Whole:
    """A run that was never stopped."""

    result: RunResult
    """Its directory goes when the `Recipe` does."""
    sample: Batch
    """What its averaged generator drew before the process forgot it."""


class Keeps(Observer):
    """Draws from the network that samples are drawn from when training ends."""

    sample: Batch

    def ended(self, trainer: Trainer, status: EndStatus, error: str | None) -> None:
        if status != "done":
            return
        experiment = trainer.experiment
        network: Any = trainer.sampling_network
        was_training = network.training
        parts = SamplerParts(network, experiment.conditions, experiment.writer)
        drawn = Sampler(parts, facts=experiment.data.facts).sample(DRAWN, seed=SEED)
        self.sample = drawn.map(torch.clone)
        network.train(was_training)


def copied(tree: Any) -> Any:
    """A copy of a pytree of tensors, without graph."""
    return tree_map(lambda leaf: leaf.detach().clone(), tree)
