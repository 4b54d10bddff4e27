"""Two iterations of every installed recipe, in float64: what a rank of two, and a process alone, must agree on.

Run as a script by tests/test_recipes.py, once for each rank: ``recipe_ranks.py FILE``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator

import torch
from torch import Tensor, nn

from genkit.catalog import catalog
from genkit.config import resolve_config
from genkit.specs import resolve
from genkit.training.distributed import World, join
from genkit.training.phases import iterate
from genkit.training.trainer import Trainer


def weights(world: World) -> Iterator[tuple[str, list[Tensor]]]:
    """Each recipe's weights after one iteration before the adversary's start, where there is one, and one after."""
    for name, spec in sorted(catalog().recipes.items()):
        config = resolve_config(spec, values={**spec.smoke, "train.precision": "fp32", "train.workers": 0})
        torch.manual_seed(0)
        experiment = resolve(spec.build)(config)
        parts = [*experiment.generator.modules(), *experiment.critic.modules()]
        if any(isinstance(part, nn.modules.batchnorm._BatchNorm) for part in parts):
            continue  # batch norm is each device's own
        for part in parts:
            if isinstance(part, nn.Dropout):
                part.p = 0.0  # and so are the numbers of dropout
        trainer = Trainer(experiment, config.train, ema=config.ema, device="cpu", seed=1, world=world)
        start = config.train.adversarial_start
        for step in sorted({max(0, start - 1), start}):
            iterate(trainer.team, step)
        networks = (experiment.generator, experiment.critic)
        yield name, [parameter.detach().clone() for network in networks for parameter in network.parameters()]


def main() -> None:
    """One rank."""
    torch.set_default_dtype(torch.float64)
    torch.set_num_threads(1)
    world = join("cpu")
    torch.save(dict(weights(world)), sys.argv[1])
    world.leave()


if __name__ == "__main__":
    main()
