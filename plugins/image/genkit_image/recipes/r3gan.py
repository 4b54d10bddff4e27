"""`image.r3gan`: relativistic pairing with zero-centred gradient penalties on both sides (Huang et al. 2024).

L_D = E[softplus(D(f) - D(r))] + γ/2 E[‖∇D(r)‖² + ‖∇D(f)‖²], L_G = E[softplus(D(r) - D(f))]. Needs no torch to be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import genkit
from genkit import Ema, Model, Optim, Optimizer, Part, Ramp, RecipeConfig, Train

if TYPE_CHECKING:
    from genkit import Experiment

DATA = Part("image.digits", resolution=32)
NETS = Model(generator=Part("image.r3gan_generator"), critic=Part("image.r3gan_critic"))
TRAIN = Train(batch_size=64, steps=100_000)
ADAM = Optimizer(lr=2e-4, betas=(0.0, 0.99))
OPTIM = Optim(generator=ADAM, critic=ADAM)
AVERAGE = Ema(half_life=20_000.0)


@dataclass(frozen=True, kw_only=True)
class R3GANRecipe(RecipeConfig):
    """R3GAN on square images of 4·2^k pixels a side. The presets are the paper's; the defaults suit one small GPU."""

    data: Part = DATA
    """What to learn from."""
    model: Model = NETS
    """The two players."""
    objective: Part = Part("rpgan")
    """The adversarial loss, by name."""
    penalties: Mapping[str, Mapping[str, Any]] = field(
        default_factory=lambda: {"r1": {"weight": 1.0}, "r2": {"weight": 1.0}}
    )
    """Both penalties with one weight, gamma. The paper's goes from 0.05 (32 pixels, varied) to 150 (256 pixels, faces):
    it grows faster than the number of pixels, so look at the share of the penalties in the log."""
    train: Train = TRAIN
    """How long, how large and how the loop runs."""
    optim: Optim = OPTIM
    """One optimiser for each network."""
    ema: Ema = AVERAGE
    """The average of the generator's weights, which is what samples are drawn from."""
    metrics: tuple[Part, ...] = (Part("image.frechet"), Part("image.kernel"), Part("image.precision_recall"))
    """What an evaluation measures."""


def build(config: R3GANRecipe) -> Experiment:
    """The experiment: both nets of residual blocks, RpGAN + R1 + R2."""
    from genkit_image.combinations import checked

    return checked(genkit.assemble(config))


def published(
    data: dict[str, Any],
    *,
    widths: list[int],
    groups: list[int],
    batch: int,
    burn_in: float,
    gamma: float,
    half_life: float,
    images: float,
    augment: float,
) -> dict[str, Any]:
    """The paper's schedules, all of them cosine ramps over `burn_in` images: learning rate 2e-4 to 5e-5, β₂ 0.9 to
    0.99, γ to a tenth, EMA half-life from 0, the probability of augmentation from 0 to `augment`; and no other ramp-up
    of the average."""

    def ramp(start: float, end: float) -> Ramp:
        return Ramp(start=start, end=end, over=burn_in)

    adam = {"lr": ramp(2e-4, 5e-5), "betas": [0.0, ramp(0.9, 0.99)]}
    net = {"widths": widths, "groups": groups, "blocks": 2}
    penalty = {"weight": ramp(gamma, gamma / 10), "every": 1}
    return {
        "data": data,
        "model": {
            "generator": {"name": "image.r3gan_generator", **net, "latent": 64, "embedding": 64},
            "critic": {"name": "image.r3gan_critic", **net},
        },
        "objective": "rpgan",
        "penalties": {"r1": penalty, "r2": penalty},
        "augment": {
            "name": "image.ada",
            "target": None,
            "probability": ramp(0.0, augment),
            **dict.fromkeys(("brightness", "contrast", "luma_flip", "hue", "saturation"), 0.5),
            "cutout": 1.0,
        },
        "train": {"batch_size": batch, "steps": round(images / batch)},
        "optim": {"generator": adam, "critic": adam},
        "ema": {"half_life": ramp(0.0, half_life), "rampup": None},
    }


def _folder(resolution: int, labels: str) -> dict[str, Any]:
    return {"name": "image.folder", "resolution": resolution, "channels": "rgb", "flip": True, "labels": labels}


_DENSE = {"widths": [64, 64, 32, 16], "groups": [1, 1, 1, 1], "blocks": 1, "expansion": 1}

PRESETS: Mapping[str, Mapping[str, Any]] = {
    # For a laptop: our own values, none of the paper's. On a CPU dense convolutions of few channels are faster than
    # grouped ones of many: a step took 0.20 s of a core, where the paper's shape (64, 64, 64, 32 in groups, twice as
    # wide inside) took 0.55 s, and after the same minute samples were nearer to Fashion-MNIST.
    "small": {
        "model": {
            "generator": {"name": "image.r3gan_generator", **_DENSE},
            "critic": {"name": "image.r3gan_critic", **_DENSE},
        },
        "penalties": {"r1": {"every": 4}, "r2": {"every": 4}},
        "train": {"batch_size": 32, "steps": 20_000},
        "optim": {"generator": {"lr": 1e-3}, "critic": {"lr": 1e-3}},
        "ema": {"half_life": 5_000.0},
    },
    "cifar10": published(
        {"name": "image.hub", "path": "uoft-cs/cifar10", "held_out_split": "test", "resolution": 32, "flip": True},
        widths=[768] * 4,
        groups=[96] * 4,
        batch=512,
        burn_in=20e6,
        gamma=0.05,
        half_life=5e6,
        images=250e6,
        augment=0.55,
    ),
    # How many images the FFHQ runs saw is not published; 25 million is our choice.
    "ffhq64": published(
        _folder(64, "none"),
        widths=[768] * 4 + [384],
        groups=[96] * 4 + [48],
        batch=256,
        burn_in=20e6,
        gamma=2.0,
        half_life=0.5e6,
        images=25e6,
        augment=0.3,
    ),
    "ffhq256": published(
        _folder(256, "none"),
        widths=[768] * 4 + [384, 192, 96],
        groups=[96] * 4 + [48, 24, 12],
        batch=256,
        burn_in=20e6,
        gamma=150.0,
        half_life=0.5e6,
        images=25e6,
        augment=0.3,
    ),
    "imagenet32": published(
        _folder(32, "folders"),
        widths=[1536] * 4,
        groups=[96] * 4,
        batch=4096,
        burn_in=200e6,
        gamma=0.5,
        half_life=50e6,
        images=1000e6,
        augment=0.5,
    ),
    "imagenet64": published(
        _folder(64, "folders"),
        widths=[1536] * 5,
        groups=[96] * 5,
        batch=4096,
        burn_in=200e6,
        gamma=1.0,
        half_life=50e6,
        images=1000e6,
        augment=0.4,
    ),
}
"""The paper's runs, and one for a laptop."""
