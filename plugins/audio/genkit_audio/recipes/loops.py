"""`audio.loops`: two to four seconds of music, from noise. Needs no torch to be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import genkit
from genkit import Ema, Model, Optim, Optimizer, Part, RecipeConfig, Train

if TYPE_CHECKING:
    from genkit import Experiment

DATA = Part("audio.prompts", length=32_768)  # speech, two seconds: what comes with the package and is long
NETS = Model(
    generator=Part("audio.frames", doublings=5, hop=256),
    critic=Part("audio.frames_critic", ffts=[2048, 512], overlap=2, layers=6),
)
TRAIN = Train(batch_size=16, steps=20_000, compile="off")
ADAM = Optimizer(lr=4e-4, betas=(0.0, 0.99))
OPTIM = Optim(generator=ADAM, critic=ADAM)
AVERAGE = Ema(half_life=5_000.0)
LAZY = {"weight": 0.1, "every": 4}


@dataclass(frozen=True, kw_only=True)
class LoopsRecipe(RecipeConfig):
    """A GAN for segments of longer sounds, each cut anew from its clip."""

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
    metrics: tuple[Part, ...] = (Part("audio.nearest"), Part("audio.silence"))
    """What an evaluation measures."""
    preview: int = 12
    """Samples in a preview."""


def build(config: LoopsRecipe) -> Experiment:
    """The experiment: the generator of frames, critics of spectra, RpGAN + R1 + R2."""
    return genkit.assemble(config)


PRESETS: Mapping[str, Mapping[str, Any]] = {
    # A user's own, which lacks nothing but `data.path`: three seconds, each label as one would hear a radio of it.
    "folder": {
        "data": {
            "name": "audio.folder",
            "rate": 22_050,
            "length": 65_536,
            "loudness": "peak",
            "sampling": "duration",
        },
        "model": {"generator": {"name": "audio.frames", "doublings": 6, "hop": 256, "width": 384, "hidden": 1024}},
    },
}
