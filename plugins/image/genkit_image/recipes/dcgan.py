"""`image.dcgan`: Radford, Metz and Chintala 2016, as published. Needs no torch to be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import genkit
from genkit import Ema, Model, Optim, Optimizer, Part, RecipeConfig, Train

if TYPE_CHECKING:
    from genkit import Experiment

DATA = Part("image.digits", resolution=64)
NETS = Model(generator=Part("image.dcgan_generator"), critic=Part("image.dcgan_critic"))
TRAIN = Train(batch_size=128, steps=25_000)
ADAM = Optimizer(lr=2e-4, betas=(0.5, 0.999))  # section 4: the suggested 1e-3 and 0.9 were unstable
OPTIM = Optim(generator=ADAM, critic=ADAM)
NO_AVERAGE = Ema(half_life=None)


@dataclass(frozen=True, kw_only=True)
class DCGANRecipe(RecipeConfig):
    """DCGAN on any square images of 8 pixels a side or more."""

    data: Part = DATA
    """What to learn from."""
    model: Model = NETS
    """The two players."""
    objective: Part = Part("non_saturating")
    """The adversarial loss, by name."""
    train: Train = TRAIN
    """How long, how large and how the loop runs."""
    optim: Optim = OPTIM
    """One optimiser for each network."""
    ema: Ema = NO_AVERAGE
    """The paper samples from the last weights; set a half-life for an average."""
    metrics: tuple[Part, ...] = (Part("image.frechet"), Part("image.precision_recall"))
    """What an evaluation measures."""


def build(config: DCGANRecipe) -> Experiment:
    """The experiment: both nets, the non-saturating loss, no penalty."""
    from genkit_image.combinations import checked

    return checked(genkit.assemble(config))
