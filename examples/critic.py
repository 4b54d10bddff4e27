"""A critic of one's own, in the place of a recipe's, and a term that compares its features."""

from __future__ import annotations

import argparse
from dataclasses import replace

import torch
from torch import nn

import genkit
from genkit_points.recipes import Ring8


class Waves(genkit.Critic):
    """Points [N, 2] to logits [N, 1], from sines and cosines of them: a narrow mode is easier seen so."""

    def __init__(self):
        super().__init__()
        self.register_buffer("rates", torch.linspace(1, 8, 8))  # a buffer: it moves to the device with the net
        self.hidden = nn.Sequential(nn.Linear(32, 64), nn.SiLU())
        self.last = nn.Linear(64, 1)

    def forward(self, sample, condition=None, mask=None):
        angles = (sample[:, :, None] * self.rates).flatten(1)
        features = self.hidden(torch.cat([angles.sin(), angles.cos()], 1))
        return genkit.Verdict([self.last(features)], [[features]])


asked = argparse.ArgumentParser(description=__doc__)
asked.add_argument("--steps", type=int, default=2000, help="generator updates")
steps = asked.parse_args().steps

config = Ring8()
experiment = replace(genkit.assemble(config, critic=Waves()), terms=[genkit.terms.FeatureMatching(weight=0.1)])
train = replace(config.train, steps=steps, log_every=min(steps, 500))
trainer = genkit.Trainer(experiment, train, ema=config.ema, device="cpu")
trainer.fit()
print({name: round(value, 4) for name, value in trainer.means.items() if name.startswith(("loss/", "term/"))})
