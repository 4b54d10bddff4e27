"""`image.sngan`: Miyato, Kataoka, Koyama and Yoshida 2018; labels as Miyato and Koyama 2018. Needs no torch to be read.

L_D = E[max(0, 1 - D(r))] + E[max(0, 1 + D(f))], L_G = -E[D(f)]; each weight of D is divided by its largest singular
value, so that no layer stretches anything.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import genkit
from genkit import Ema, Model, Optim, Optimizer, Part, Ramp, RecipeConfig, Train

if TYPE_CHECKING:
    from genkit import Experiment

BATCH, STEPS = 64, 50_000
DATA = Part("image.digits", resolution=32)
NETS = Model(generator=Part("image.resnet_generator"), critic=Part("image.resnet_critic"))
TRAIN = Train(batch_size=BATCH, steps=STEPS, critic_steps=5)
ADAM = Optimizer(lr=Ramp(start=2e-4, end=0.0, over=STEPS * BATCH, shape="linear"), betas=(0.0, 0.9))
OPTIM = Optim(generator=ADAM, critic=ADAM)
NO_AVERAGE = Ema(half_life=None)


@dataclass(frozen=True, kw_only=True)
class SNGANRecipe(RecipeConfig):
    """SNGAN on square images that can be halved as often as there are widths. The defaults are the authors' for 32
    pixels: the learning rate falls to 0 in the 50,000 steps, so set its ramp along with them."""

    data: Part = DATA
    """What to learn from."""
    model: Model = NETS
    """The two players."""
    objective: Part = Part("hinge")
    """The adversarial loss, by name."""
    train: Train = TRAIN
    """How long, how large and how the loop runs."""
    optim: Optim = OPTIM
    """One optimiser for each network."""
    ema: Ema = NO_AVERAGE
    """The paper samples from the last weights; set a half-life for an average."""
    metrics: tuple[Part, ...] = (Part("image.frechet"), Part("image.precision_recall"))
    """What an evaluation measures."""


def build(config: SNGANRecipe) -> Experiment:
    """The experiment: residual nets, the hinge loss, spectral norm in place of a penalty."""
    from genkit_image.combinations import checked

    return checked(genkit.assemble(config))


def published(
    data: dict[str, Any],
    *,
    generator: Sequence[int],
    critic: Sequence[int],
    flat: Sequence[int],
    batch: int,
    steps: int,
    falls: bool,
) -> dict[str, Any]:
    """A run of the papers; the learning rate `falls` to 0, or stays."""
    rate = Ramp(start=2e-4, end=0.0, over=steps * batch, shape="linear") if falls else 2e-4
    adam = {"lr": rate, "betas": [0.0, 0.9]}
    return {
        "data": data,
        "model": {
            "generator": {"name": "image.resnet_generator", "widths": list(generator), "latent": 128},
            "critic": {"name": "image.resnet_critic", "widths": list(critic), "flat": list(flat)},
        },
        "objective": "hinge",
        "train": {"batch_size": batch, "steps": steps, "critic_steps": 5},
        "optim": {"generator": adam, "critic": adam},
    }


def _folder(resolution: int, labels: str) -> dict[str, Any]:
    return {"name": "image.folder", "resolution": resolution, "channels": "rgb", "flip": True, "labels": labels}


PRESETS: Mapping[str, Mapping[str, Any]] = {
    # For a laptop: our own values, none of the papers'.
    "small": published(
        {"name": "image.digits", "resolution": 32},
        generator=[64] * 4,
        critic=[64, 64],
        flat=[64],
        batch=32,
        steps=10_000,
        falls=True,
    ),
    "cifar10": published(
        {"name": "image.hub", "path": "uoft-cs/cifar10", "held_out_split": "test", "resolution": 32},
        generator=[256] * 4,
        critic=[128, 128],
        flat=[128, 128],
        batch=64,
        steps=50_000,
        falls=True,
    ),
    # Networks as torch-mimicry 0.1.16 has them for 48 pixels, after the paper's table; the length is CIFAR-10's.
    "stl48": published(
        _folder(48, "none"),
        generator=[512, 256, 128, 64],
        critic=[64, 128, 256, 512],
        flat=[1024],
        batch=64,
        steps=50_000,
        falls=True,
    ),
    # The authors go on for a quarter as long, in which the learning rate falls to 0.
    "imagenet64": published(
        _folder(64, "folders"),
        generator=[1024, 512, 256, 128, 64],
        critic=[64, 128, 256, 512, 1024],
        flat=[],
        batch=64,
        steps=200_000,
        falls=False,
    ),
    # The authors go on for an eighth as long, in which the learning rate falls to 0; their batch is that of 4 GPUs.
    "imagenet128": published(
        _folder(128, "folders"),
        generator=[1024, 1024, 512, 256, 128, 64],
        critic=[64, 128, 256, 512, 1024],
        flat=[1024],
        batch=64,
        steps=400_000,
        falls=False,
    ),
}
"""The papers' runs, and one for a laptop. Their generators see twice the critic's batch, ours as much."""
