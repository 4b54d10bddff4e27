"""A dataset of one's own, in the place of a recipe's."""

from __future__ import annotations

import argparse
from dataclasses import replace

import torch

import genkit
from genkit_points.recipes import Ring8


class Spiral(genkit.Dataset):
    """Points [N, 2] along two turns, drawn from a seed."""

    def __init__(self, examples, seed):
        rng = genkit.Random(seed)
        angle = 4 * torch.pi * rng.uniform(examples).sqrt()
        self.points = torch.stack([angle.cos(), angle.sin()], 1) * angle[:, None] / 12 + 0.01 * rng.normal(examples, 2)
        self.facts = {"shape": [2], "seed": seed}  # what networks need to know of the data, as JSON

    def __len__(self):
        return len(self.points)

    def read(self, index):
        return self.points[index]

    def resident(self):
        return self.points  # all at once, as they fit; without this they are read one by one

    def prepare(self, stored, *, rng):
        return genkit.Batch(stored.to(torch.get_default_dtype()))


asked = argparse.ArgumentParser(description=__doc__)
asked.add_argument("--steps", type=int, default=2000, help="generator updates")
steps = asked.parse_args().steps

config = Ring8()
experiment = replace(genkit.assemble(config), data=Spiral(20_000, seed=0), metrics=())
train = replace(config.train, steps=steps, log_every=min(steps, 500))
trainer = genkit.Trainer(experiment, train, ema=config.ema, device="cpu")
trainer.fit()
points = trainer.draw_preview()[0].sample
print(f"{len(points)} points, {points.norm(dim=1).mean():.3f} from the middle on average")
