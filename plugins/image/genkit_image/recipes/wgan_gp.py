"""`image.wgan_gp`: Gulrajani, Ahmed, Arjovsky, Dumoulin and Courville 2017. Needs no torch to be read.

L_D = E[D(f)] - E[D(r)] + λ E[(‖∇D(x̂)‖ - 1)²] with x̂ between r and f, L_G = -E[D(f)].
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import genkit
from genkit import Ema, Model, Optim, Optimizer, Part, Ramp, RecipeConfig, Train

if TYPE_CHECKING:
    from genkit import Experiment

BATCH, STEPS = 64, 100_000
DATA = Part("image.digits", resolution=32)
CRITIC: dict[str, Any] = {"widths": (128, 128), "flat": (128, 128), "normalisation": "none", "pooling": "mean"}
NETS = Model(
    generator=Part("image.resnet_generator", widths=(128, 128, 128, 128)), critic=Part("image.resnet_critic", **CRITIC)
)
TRAIN = Train(batch_size=BATCH, steps=STEPS, critic_steps=5)
ADAM = Optimizer(lr=Ramp(start=2e-4, end=0.0, over=STEPS * BATCH, shape="linear"), betas=(0.0, 0.9))
OPTIM = Optim(generator=ADAM, critic=ADAM)
NO_AVERAGE = Ema(half_life=None)


@dataclass(frozen=True, kw_only=True)
class WGANGPRecipe(RecipeConfig):
    """WGAN-GP on square images that can be halved as often as there are widths. The defaults are the authors' for 32
    pixels, but for labels, which are projected here and classified there; the learning rate falls to 0 in the 100,000
    steps, so set its ramp along with them."""

    data: Part = DATA
    """What to learn from."""
    model: Model = NETS
    """The two players."""
    objective: Part = Part("wasserstein")
    """The adversarial loss, by name."""
    penalties: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"wgan_gp": {"weight": 10.0}})
    """Gradient and other penalties of the critic, by name."""
    train: Train = TRAIN
    """How long, how large and how the loop runs."""
    optim: Optim = OPTIM
    """One optimiser for each network."""
    ema: Ema = NO_AVERAGE
    """The paper samples from the last weights; set a half-life for an average."""
    metrics: tuple[Part, ...] = (Part("image.frechet"), Part("image.precision_recall"))
    """What an evaluation measures."""


def build(config: WGANGPRecipe) -> Experiment:
    """The experiment: residual nets without batch norm in the critic, the Wasserstein loss, the gradient penalty."""
    from genkit_image.combinations import checked

    return checked(genkit.assemble(config))


CONSTANT = {"lr": 1e-4, "betas": [0.0, 0.9]}

PRESETS: Mapping[str, Mapping[str, Any]] = {
    # For a laptop: our own values, none of the paper's.
    "small": {
        "model": {
            "generator": {"name": "image.resnet_generator", "widths": [64] * 4},
            "critic": {"name": "image.resnet_critic", **CRITIC, "widths": [64, 64], "flat": [64]},
        },
        "train": {"batch_size": 32, "steps": 10_000},
        "optim": {"generator": CONSTANT, "critic": CONSTANT},
    },
    "cifar10": {
        "data": {"name": "image.hub", "path": "uoft-cs/cifar10", "held_out_split": "test", "resolution": 32},
    },
    # gan_64x64.py of the authors' code: layer norm and a rate that stays. Their critic has a convolution before the
    # blocks, and a weight for each place of the last map of 4x4, which ours averages.
    "images64": {
        "data": {"name": "image.folder", "resolution": 64, "channels": "rgb", "labels": "none"},
        "model": {
            "generator": {"name": "image.resnet_generator", "widths": [512, 512, 256, 128, 64]},
            "critic": {
                "name": "image.resnet_critic",
                "widths": [128, 256, 512, 512],
                "flat": [],
                "normalisation": "layer",
                "pooling": "mean",
            },
        },
        "train": {"batch_size": 64, "steps": 200_000, "critic_steps": 5},
        "optim": {"generator": CONSTANT, "critic": CONSTANT},
    },
}
"""The authors' runs, and one for a laptop. At 32 pixels their generator sees twice the critic's batch, ours as much."""
