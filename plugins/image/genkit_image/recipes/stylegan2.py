"""`image.stylegan2`: Karras et al. 2020, in plain torch operations. Needs no torch to be read.

L_D = E[softplus(-D(r))] + E[softplus(D(f))] + γ/2 E[‖∇D(r)‖²], L_G = E[softplus(-D(f))] + 2 E[(‖J_wᵀ y‖ - a)²]. The
gradient penalty runs at each 16th critic update, the path length at each 4th generator update.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

import genkit
from genkit import Ema, Model, Optim, Optimizer, Part, RecipeConfig, Scheduled, Train

if TYPE_CHECKING:
    from genkit import Experiment

DATA = Part("image.digits", resolution=32)
NETS = Model(generator=Part("image.stylegan2_generator"), critic=Part("image.stylegan2_critic"))
TRAIN = Train(batch_size=32, steps=100_000)
ADAM = Optimizer(lr=2.5e-3, betas=(0.0, 0.99))
OPTIM = Optim(generator=ADAM, critic=ADAM)
AVERAGE = Ema(half_life=10_000.0)


@dataclass(frozen=True, kw_only=True)
class PathLengthConfig:
    """Path-length regularisation (Karras et al. 2020, eq. 4)."""

    weight: Scheduled = 2.0
    """Its share in the generator's loss: a number or a ramp."""
    every: Annotated[int, Field(ge=1)] = 4
    """Run at each `every`-th generator update, with `every` times the weight."""
    shrink: Annotated[int, Field(ge=1)] = 2
    """Only each `shrink`-th row of the batch is looked at."""
    decay: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.99
    """Of the moving average of the lengths."""


@dataclass(frozen=True, kw_only=True)
class StyleGAN2Recipe(RecipeConfig):
    """StyleGAN2 on square images that can be halved as often as there are widths less one. For few pictures add
    ``--set augment=image.ada``."""

    data: Part = DATA
    """What to learn from."""
    model: Model = NETS
    """The two players."""
    objective: Part = Part("non_saturating")
    """The adversarial loss, by name."""
    penalties: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"r1": {"weight": 0.1, "every": 16}})
    """R1's weight is its gamma. A rule of thumb of the authors' later code: 0.0002 times the number of pixels, over the
    batch size."""
    path_length: PathLengthConfig | None = PathLengthConfig()
    """Path-length regularisation; null leaves it out."""
    train: Train = TRAIN
    """How long, how large and how the loop runs."""
    optim: Optim = OPTIM
    """One optimiser for each network."""
    ema: Ema = AVERAGE
    """The average of the generator's weights, which is what samples are drawn from."""
    metrics: tuple[Part, ...] = (Part("image.frechet"), Part("image.kernel"), Part("image.precision_recall"))
    """What an evaluation measures."""


def build(config: StyleGAN2Recipe) -> Experiment:
    """The experiment: both nets, the non-saturating loss, lazy R1, lazy path length."""
    from genkit_image.combinations import checked
    from genkit_image.terms import PathLength

    asked = config.path_length
    terms = [PathLength(asked.weight, asked.every, shrink=asked.shrink, decay=asked.decay)] if asked is not None else []
    return checked(genkit.assemble(config, terms=terms))


def published(
    data: dict[str, Any],
    *,
    widths: list[int],
    mapping: int,
    batch: int,
    gamma: float,
    half_life: float,
    images: float,
    group: int = 8,
    rampup: float | None = None,
) -> dict[str, Any]:
    """A run in the manner of the authors' code, with z and w of 512 numbers and a learning rate of 2.5e-3. Their
    regularised updates are steps of their own, ours part of the usual ones, so that the rates need no correction."""
    adam = {"lr": 2.5e-3, "betas": [0.0, 0.99]}
    return {
        "data": data,
        "model": {
            "generator": {
                "name": "image.stylegan2_generator",
                "widths": widths,
                "latent": 512,
                "style": 512,
                "mapping": mapping,
            },
            "critic": {"name": "image.stylegan2_critic", "widths": widths, "group": group},
        },
        "penalties": {"r1": {"weight": gamma, "every": 16}},
        "train": {"batch_size": batch, "steps": round(images / batch)},
        "optim": {"generator": adam, "critic": adam},
        "ema": {"half_life": half_life, "rampup": rampup},
    }


def _folder(resolution: int) -> dict[str, Any]:
    return {"name": "image.folder", "resolution": resolution, "channels": "rgb", "flip": True, "labels": "none"}


def _cifar10() -> dict[str, Any]:
    """Without path length and mixing of styles, as the authors' code has it for CIFAR-10; its critic has no shortcuts,
    ours has."""
    data = {"name": "image.hub", "path": "uoft-cs/cifar10", "held_out_split": "test", "resolution": 32}
    preset = published(
        data,
        widths=[512] * 4,
        mapping=2,
        batch=64,
        gamma=0.01,
        half_life=0.5e6,
        images=100e6,
        group=32,
        rampup=0.05,
    )
    preset["model"]["generator"]["mixing"] = 0.0
    return {**preset, "path_length": None}


PRESETS: Mapping[str, Mapping[str, Any]] = {
    # For a laptop: our own values, none of the authors'.
    "small": {
        "model": {
            "generator": {
                "name": "image.stylegan2_generator",
                "widths": [64, 64, 32, 16],
                "latent": 64,
                "style": 64,
                "mapping": 2,
            },
            "critic": {"name": "image.stylegan2_critic", "widths": [64, 64, 32, 16]},
        },
        "train": {"batch_size": 16, "steps": 20_000},
        "ema": {"half_life": 5_000.0},
    },
    "cifar10": _cifar10(),
    # 64 and 128 pixels: the 256-pixel nets without their last stages, and gamma by the rule of thumb.
    "images64": published(
        _folder(64), widths=[512] * 4 + [256], mapping=8, batch=64, gamma=0.0128, half_life=20e3, images=25e6
    ),
    "images128": published(
        _folder(128), widths=[512] * 4 + [256, 128], mapping=8, batch=64, gamma=0.0512, half_life=20e3, images=25e6
    ),
    "ffhq256": published(
        _folder(256), widths=[512] * 4 + [256, 128, 64], mapping=8, batch=64, gamma=1.0, half_life=20e3, images=25e6
    ),
}
"""At 32 and 256 pixels `cifar` and `paper256` of the authors' stylegan2-ada-pytorch, without its augmentation; two
between, and one for a laptop."""
