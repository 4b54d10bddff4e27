"""`image.handwriting`: digits by class on two CPU cores in five minutes. Needs no torch to be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import genkit
from genkit import Ema, Model, Optim, Optimizer, Part, Ramp, RecipeConfig, Train

if TYPE_CHECKING:
    from genkit import Experiment

DATA = Part("image.digits")
NETS = Model(generator=Part("image.small_generator"), critic=Part("image.small_critic"))
TRAIN = Train(
    batch_size=64,
    minutes=5.0,
    precision="fp32",  # bf16 gave a sixth more steps with AVX512-BF16; what it does to the digits is not known
    compile="off",
    log_every=100,
    preview_every=1000,
    checkpoint_every=2000,
)
# At 2e-3 without the warm-up agreement rose and fell again, at 3e-3 the generator was lost at once. A machine that does
# not reach 400,000 samples in its five minutes stops on the way down, where the average is nearly as good.
ADAM = Optimizer(lr=Ramp(start=1.5e-3, end=1e-4, over=400_000, warmup=5_000), betas=(0.0, 0.99))
OPTIM = Optim(generator=ADAM, critic=ADAM)
AVERAGE = Ema(half_life=10_000.0)
LAZY = {"weight": 1.0, "every": 4}  # at every second step it was no better


@dataclass(frozen=True, kw_only=True)
class HandwritingRecipe(RecipeConfig):
    """A class-conditional GAN for small pictures: RpGAN + R1 + R2 between two small residual nets."""

    data: Part = DATA
    """What to learn from."""
    model: Model = NETS
    """The two players."""
    objective: Part = Part("rpgan")
    """The adversarial loss, by name."""
    penalties: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"r1": LAZY, "r2": LAZY})
    """Gradient and other penalties of the critic, by name."""
    train: Train = TRAIN
    """How long, how large and how the loop runs."""
    optim: Optim = OPTIM
    """One optimiser for each network."""
    ema: Ema = AVERAGE
    """The average of the generator's weights, which is what samples are drawn from."""
    metrics: tuple[Part, ...] = (Part("image.agreement"), Part("image.frechet"), Part("image.precision_recall"))
    """What an evaluation measures."""
    preview: int = 80
    """Samples in a preview: eight of each digit."""


def build(config: HandwritingRecipe) -> Experiment:
    """The experiment: both small nets, RpGAN + R1 + R2."""
    from genkit_image.combinations import checked

    return checked(genkit.assemble(config))
