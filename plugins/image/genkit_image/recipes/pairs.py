"""`image.pairs`: from one picture of a pair to the other (Isola, Zhu, Zhou and Efros 2017, pix2pix).

L_G = -E log D(x, G(x)) + 100 E|y - G(x)|, with a critic of patches. What is not the paper's: R1 in the place of batch
norm, residual blocks, and a latent where the paper has dropout. Needs no torch to be read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import genkit
from genkit import ConfigError, Ema, Model, Optim, Optimizer, Part, RecipeConfig, Train
from genkit_image.recipes.reconstruct import Losses

if TYPE_CHECKING:
    from genkit import Experiment

DATA = Part("image.outlines")
NETS = Model(generator=Part("image.reconstruct_generator"), critic=Part("image.patch_critic", layers=2, width=32))
TRAIN = Train(batch_size=16, steps=50_000, preview_every=500)
ADAM = Optimizer(lr=2e-4, betas=(0.5, 0.999))  # the paper's, section 3.3
OPTIM = Optim(generator=ADAM, critic=ADAM)
AVERAGE = Ema(half_life=5_000.0)
LOSSES = Losses(reconstruction=100.0, feature_matching=0.0)


@dataclass(frozen=True, kw_only=True)
class PairsRecipe(RecipeConfig):
    """pix2pix on pairs of pictures. The defaults suit small pictures; the preset `pix2pix` those of 256 pixels."""

    data: Part = DATA
    """What to learn from; `image.paired` reads two folders."""
    model: Model = NETS
    """The two players."""
    objective: Part = Part("non_saturating")
    """The adversarial loss, by name."""
    penalties: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"r1": {"weight": 0.1, "every": 8}})
    """Gradient and other penalties of the critic, by name."""
    losses: Losses = LOSSES
    """The generator's other losses. The paper's 100 is of pictures in [-1, 1], as here."""
    train: Train = TRAIN
    """How long, how large and how the loop runs."""
    optim: Optim = OPTIM
    """One optimiser for each network."""
    ema: Ema = AVERAGE
    """The average of the generator's weights, which is what samples are drawn from."""
    metrics: tuple[Part, ...] = (Part("image.reconstruction"), Part("image.frechet"))
    """What an evaluation measures."""
    preview: int = 16
    """Pictures in a preview, each with what it was made of and what it was."""


def build(config: PairsRecipe) -> Experiment:
    """The experiment. Raises ConfigError when the data are no pairs, or a part makes nothing of them."""
    from genkit_image.combinations import checked
    from genkit_image.known import starts_from_pictures
    from genkit_image.restoration import check_models, losses_of

    experiment = genkit.assemble(config)
    if not starts_from_pictures(experiment.data.facts):
        raise ConfigError(
            f"{config.data.name} has no pairs of pictures",
            where="data",
            fix="--set data='{name: image.paired, path: FOLDER}'; image.reconstruct makes pairs of single pictures",
        )
    check_models(experiment, config)
    experiment.terms = losses_of(config.losses)
    return checked(experiment)


PRESETS: Mapping[str, Mapping[str, Any]] = {
    # 70x70 patches, batches of one and 64 channels are the paper's (section 3.3 and appendix 6.1) for 256 pixels.
    "pix2pix": {
        "model": {
            "generator": {"name": "image.reconstruct_generator", "width": 64, "widest": 512},
            "critic": {"name": "image.patch_critic", "layers": 3, "width": 64},
        },
        "train": {"batch_size": 1},
    },
}
