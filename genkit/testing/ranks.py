"""The check that two processes train as one does, and what each of them runs.

Run as a module, once for each rank: ``python -m genkit.testing.ranks FOLDER RECIPE...``.
"""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from genkit.testing.environment import child_environment
from genkit.testing.outcome import CheckFailure, CheckSkipped, as_failure
from genkit.testing.recipe import Recipe
from genkit.training.distributed import World, join
from genkit.training.phases import iterate
from genkit.training.trainer import Trainer

CURE = (
    "draw latents and noise from `rng`, which knows the rows of this process; means over the batch belong into the "
    "objective, and sums over processes are GeneratorTurn.total's"
)


def two_train_as_one(recipe: Recipe) -> None:
    """After two iterations in float64 the weights of two processes are those of one with the whole batch. Networks
    with batch norm, which is each process's own, are left out."""
    outcome = compare([recipe.name])[recipe.name]
    if outcome is None:
        raise CheckSkipped("batch norm takes its statistics of each process's own rows")
    if isinstance(outcome, CheckFailure):
        raise outcome


def compare(recipes: Sequence[str], *, seconds: float | None = None) -> dict[str, CheckFailure | bool | None]:
    """Train recipes in one process and in two, all at once.

    Args:
        recipes: their names.
        seconds: how long to wait; None: as long as it takes.

    Returns for each True where the weights agree, None where batch norm keeps them from it, else what is wrong. Recipes
    after one that raises are not reached, and not among the keys.
    """
    with tempfile.TemporaryDirectory(prefix="genkit-check-") as folder:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        shared = {**child_environment(), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
        places = [Path(folder) / place for place in ("1-0", "2-0", "2-1")]
        started = []
        for place in places:
            place.mkdir()
            size, _, rank = place.name.partition("-")
            started.append(
                subprocess.Popen(
                    [sys.executable, "-m", "genkit.testing.ranks", str(place), *recipes],
                    env={**shared, "WORLD_SIZE": size, "RANK": rank, "LOCAL_RANK": "0"},
                    stdout=subprocess.DEVNULL,
                )
            )
        try:
            for one in started:
                if one.wait(timeout=seconds):
                    break  # the others may wait for it for ever
        except subprocess.TimeoutExpired:
            pass
        finally:
            for one in started:
                one.kill()
                one.wait()
        found = [{file.stem: torch.load(file, weights_only=True) for file in place.iterdir()} for place in places]
    outcomes: dict[str, CheckFailure | bool | None] = {}
    for name in recipes:
        given = [one.get(name) for one in found]
        error = next((one for one in given if isinstance(one, str)), None)
        if error is not None:
            outcomes[name] = CheckFailure(error, CURE)
        elif any(one is None for one in given):
            outcomes[name] = CheckFailure("a process ended, or did not end, before the weights were there", CURE)
            break
        else:
            outcomes[name] = verdict(given)
    return outcomes


def verdict(given: Sequence[Any]) -> CheckFailure | bool | None:
    """Whether the weights of one process and of two agree: those of the one, of rank 0 and of rank 1; as `compare`."""
    alone, first, second = given
    if not alone:
        return None
    if not all(torch.equal(here, there) for here, there in zip(first, second, strict=True)):
        return CheckFailure("two processes end with different weights", CURE)
    worst = max(
        float(((one - here).abs() / (1e-9 + 1e-6 * one.abs())).max()) if one.numel() else 0.0
        for one, here in zip(alone, first, strict=True)
    )
    if not worst <= 1:
        return CheckFailure(f"two processes do not train as one does: {worst:.1e} times the tolerance of 1e-6", CURE)
    return True


def weights(recipe: Recipe, world: World) -> list[Tensor]:
    """The weights after one iteration before the adversary's start, where there is one, and one after; none of a recipe
    with batch norm."""
    config = recipe.config(**{"train.precision": "fp32", "train.workers": 0})
    experiment = recipe.build(config)
    parts = [*experiment.generator.modules(), *experiment.critic.modules()]
    if any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in parts):
        return []
    for part in parts:
        if isinstance(part, nn.Dropout):
            part.p = 0.0  # what networks draw themselves is each process's own too
    trainer = Trainer(experiment, config.train, ema=config.ema, device="cpu", seed=1, world=world)
    start = config.train.adversarial_start
    for step in sorted({max(0, start - 1), start}):
        iterate(trainer.team, step)
    networks = (experiment.generator, experiment.critic)
    return [parameter.detach().clone() for network in networks for parameter in network.parameters()]


def main() -> None:
    """One rank: the weights of each recipe, or what it raised, as a file of its name."""
    folder, *names = sys.argv[1:]
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    world = join("cpu")
    for name in names:
        found: list[Tensor] | str
        try:
            found = weights(Recipe(name), world)
        except Exception as error:
            found = as_failure(error, CURE).what
        temporary = Path(folder).with_name(f"{Path(folder).name}.tmp")
        torch.save(found, temporary)
        os.replace(temporary, Path(folder) / f"{name}.pt")
        if isinstance(found, str):
            sys.exit(1)
    world.leave()


if __name__ == "__main__":
    main()
