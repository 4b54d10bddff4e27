"""`image.mixture` and `image.stacked`: what `genkit bench image` trains. Needs no torch to be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import genkit
from genkit import Ema, Model, Optim, Optimizer, Part, Ramp, RecipeConfig, Train

if TYPE_CHECKING:
    from genkit import Experiment

POINTS_BATCH, POINTS_STEPS = 128, 10_000
POINTS_SEEN = POINTS_BATCH * POINTS_STEPS
PERCEPTRONS = Model(generator=Part("image.perceptron_generator"), critic=Part("image.perceptron_critic"))
POINTS_TRAIN = Train(
    batch_size=POINTS_BATCH,
    steps=POINTS_STEPS,
    precision="fp32",  # the same arithmetic on every machine: it is a benchmark
    compile="off",
    log_every=500,
    preview_every=2000,
    checkpoint_every=5000,
    eval_samples=2500,  # as PacGAN evaluates
)
POINTS_ADAM = Optimizer(lr=Ramp(start=2e-3, end=1e-4, over=POINTS_SEEN), betas=(0.0, 0.99))
POINTS_OPTIM = Optim(generator=POINTS_ADAM, critic=POINTS_ADAM)


def _penalties() -> dict[str, dict[str, Any]]:
    """R1 and R2 at every fourth critic update, their weight falling as the modes sharpen."""
    return {name: {"weight": Ramp(start=0.5, end=0.002, over=POINTS_SEEN), "every": 4} for name in ("r1", "r2")}


@dataclass(frozen=True, kw_only=True)
class MixtureRecipe(RecipeConfig):
    """Narrow Gaussians in the plane: PacGAN's data and measures, between two small perceptrons."""

    data: Part = Part("image.ring8")
    """What to learn from: image.ring8 or image.grid25."""
    model: Model = PERCEPTRONS
    """The two players."""
    objective: Part = Part("rpgan")
    """The adversarial loss, by name."""
    penalties: Mapping[str, Mapping[str, Any]] = field(default_factory=_penalties)
    """Gradient and other penalties of the critic, by name."""
    train: Train = POINTS_TRAIN
    """How long, how large and how the loop runs."""
    optim: Optim = POINTS_OPTIM
    """One optimiser for each network."""
    ema: Ema = Ema(half_life=100_000.0)
    """The average of the generator's weights, which is what samples are drawn from."""
    metrics: tuple[Part, ...] = (Part("image.modes"),)
    """What an evaluation measures."""
    preview: int = 2500
    """Points in a preview."""


STACKED_BATCH, STACKED_STEPS = 64, 16_000
# At half the width the red digit was learnt and the others were not: 920 modes after 5,000 steps, where these had 996
# after 2,000.
STACKED_NETS = Model(
    generator=Part("image.small_generator", width=64, latent=128), critic=Part("image.small_critic", width=48)
)
STACKED_TRAIN = Train(
    batch_size=STACKED_BATCH,
    steps=STACKED_STEPS,
    precision="fp32",
    compile="off",
    log_every=200,
    preview_every=4000,
    checkpoint_every=2000,
    eval_samples=26_000,  # as PacGAN evaluates
)
STACKED_ADAM = Optimizer(
    lr=Ramp(start=1e-3, end=1e-4, over=STACKED_BATCH * STACKED_STEPS, warmup=5_000), betas=(0.0, 0.99)
)
STACKED_OPTIM = Optim(generator=STACKED_ADAM, critic=STACKED_ADAM)
LAZY = {"weight": 1.0, "every": 4}  # at a weight of 0.1 the critic was right every time from step 400 on


@dataclass(frozen=True, kw_only=True)
class StackedRecipe(RecipeConfig):
    """StackedMNIST on the embedded digits: 1,000 modes, RpGAN + R1 + R2 between two small residual nets."""

    data: Part = Part("image.stacked_digits")
    """What to learn from."""
    model: Model = STACKED_NETS
    """The two players."""
    objective: Part = Part("rpgan")
    """The adversarial loss, by name."""
    penalties: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"r1": LAZY, "r2": LAZY})
    """Gradient and other penalties of the critic, by name."""
    train: Train = STACKED_TRAIN
    """How long, how large and how the loop runs."""
    optim: Optim = STACKED_OPTIM
    """One optimiser for each network."""
    ema: Ema = Ema(half_life=10_000.0)
    """The average of the generator's weights, which is what samples are drawn from."""
    metrics: tuple[Part, ...] = (Part("image.modes"),)
    """What an evaluation measures."""


def build(config: RecipeConfig) -> Experiment:
    """The experiment, every part by its name in the catalog."""
    from genkit_image.combinations import checked

    return checked(genkit.assemble(config))
