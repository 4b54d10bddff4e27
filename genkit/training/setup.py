"""From an experiment to a team on a device: moved, broadcast, averaged, compiled."""

from __future__ import annotations

from typing import cast

import torch
from torch import nn

from genkit.adversarial.estimators import Pathwise
from genkit.adversarial.judging import Look, compiles_with_gradient, look
from genkit.experiment import Experiment
from genkit.settings import Ema, Train
from genkit.training.distributed import World
from genkit.training.ema import Average
from genkit.training.loader import Batches
from genkit.training.optimizers import updaters
from genkit.training.precision import Precision, channels_last_
from genkit.training.team import Team


def set_up(
    experiment: Experiment,
    train: Train,
    ema: Ema,
    *,
    seed: int,
    device: torch.device,
    precision: Precision,
    world: World,
) -> Team:
    """Move the experiment's modules to the device, give every rank rank 0's weights, and open the data.

    Raises ConfigError or DataError when the data does not fit the settings.
    """
    estimator = experiment.estimator or Pathwise()
    modules = [*modules_of(experiment).values(), estimator]
    for module in modules:
        module.to(device)
    for network in (experiment.generator, experiment.critic):
        channels_last_(network)
        network.train()
    world.broadcast_(modules)
    average = Average(experiment.generator, ema) if ema.half_life is not None else None
    generator_updater, critic_updater = updaters(
        experiment.optim,
        experiment.generator,
        experiment.critic,
        clip_generator=train.clip_generator,
        clip_critic=train.clip_critic,
    )
    batches = Batches(experiment.data, train, seed=seed, rows=world.rows(train.batch_size), device=device)
    # A compiled forward keeps running statistics for its backward, and the next forward would write to them.
    compiled_critic = precision.compile and compiles_with_gradient(experiment.critic)
    if precision.compile:
        experiment.generator.compile()
    return Team(
        experiment=experiment,
        estimator=estimator,
        train=train,
        seed=seed,
        world=world,
        precision=precision,
        batches=batches,
        generator_updater=generator_updater,
        critic_updater=critic_updater,
        average=average,
        look=cast("Look", torch.compile(look)) if compiled_critic else look,
    )


def modules_of(experiment: Experiment) -> dict[str, nn.Module]:
    """What of an experiment has a state to move, share and keep: the two networks, and all else under ``parts``."""
    rest = nn.ModuleDict(
        {
            "penalties": nn.ModuleDict(dict(experiment.penalties)),
            "terms": nn.ModuleList(experiment.terms),
            "estimator": experiment.estimator or nn.Module(),
            "augment": experiment.augment or nn.Module(),
        }
    )
    return {"generator": experiment.generator, "critic": experiment.critic, "parts": rest}
