"""One rank of test_distributed: two iterations of several experiments in float64, gradients written to a file."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1] / "fakes"))

import torch
from toys import Points, experiment
from words_parts import CausalCritic, ChainData, ChainGenerator

import genkit
from genkit.adversarial.estimators import ScoreFunction
from genkit.adversarial.objectives import Hinge, NonSaturating, RelativisticPaired, Wasserstein
from genkit.adversarial.penalties import R1, R2, LeCam, WassersteinGradientPenalty
from genkit.training.distributed import World, join
from genkit.training.phases import iterate
from genkit.training.trainer import Trainer


def words(**options: Any) -> dict[str, Any]:
    """Sentences of many lengths, a critic of each word, and a score function with these options."""
    return {
        "generator": lambda: ChainGenerator(ends=0),
        "critic": CausalCritic,
        "data": ChainData(ends=0),
        "objective": NonSaturating(),
        "penalties": {},
        "terms": [genkit.terms.Likelihood(0.3)],
        "estimator": ScoreFunction(**options),
    }


CASES: dict[str, Any] = {
    "rpgan+r1+r2": lambda: {"objective": RelativisticPaired(), "penalties": {"r1": R1(0.1), "r2": R2(0.1)}},
    "wgan_gp": lambda: {"objective": Wasserstein(), "penalties": {"gp": WassersteinGradientPenalty()}},
    "hinge+lecam": lambda: {"objective": Hinge(), "penalties": {"lecam": LeCam(0.1)}},
    "words, position baseline": lambda: words(entropy=0.1),
    "words, group baseline": lambda: words(baseline="group", standardise=True),
}


def gradients(world: World) -> dict[str, list[torch.Tensor]]:
    """The gradients of the second iteration of each case, on this rank after they were reduced."""
    found = {}
    for name, made in CASES.items():
        group = 4 if "group" in name else 1
        settings = genkit.Train(batch_size=16, steps=2, log_every=10, samples_per_condition=group)
        parts = {"data": Points(jitter=0.1)} | made()
        of = Trainer(experiment(**parts), settings, seed=5, device="cpu", world=world)
        for step in range(2):
            iterate(of.team, step)
        team = of.team
        found[name] = [g.clone() for one in (team.critic_updater, team.generator_updater) for g in one.gradients()]
    return found


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.set_default_dtype(torch.float64)
    world = join("cpu")
    torch.save(gradients(world), f"{sys.argv[1]}/rank{world.rank}.pt")
    world.leave()
