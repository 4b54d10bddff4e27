"""`audio.drums`: one-shots by class, from noise. Needs no torch to be read.

RpGAN + R1 + R2 (Huang et al. 2024) between a generator that works at the rate of frames and small critics of spectra.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import genkit
from genkit import Ema, Model, Optim, Optimizer, Part, Ramp, RecipeConfig, Train

if TYPE_CHECKING:
    from genkit import Experiment

# 97 clips are few: each is heard at five speeds, a semitone and a half either way.
DATA = Part("audio.drums", speeds=[0.92, 0.96, 1.0, 1.04, 1.08])
# Half the frames of the nets' own defaults, and critics that look as often: twice the steps in the same time.
NETS = Model(
    generator=Part("audio.frames", hop=256),
    critic=Part("audio.frames_critic", ffts=[1024, 256], overlap=2, gain=500.0, layers=5),
)
TRAIN = Train(
    batch_size=16,
    minutes=30.0,
    compile="off",
    log_every=50,
    preview_every=500,
    checkpoint_every=500,
    eval_samples=960,
)
ADAM = Optimizer(lr=Ramp(start=8e-4, end=1e-4, over=40_000), betas=(0.0, 0.99))
OPTIM = Optim(generator=ADAM, critic=ADAM)
AVERAGE = Ema(half_life=2_000.0)
# The penalties differentiate the sum of a row's ten logits by some 100,000 numbers of its spectra: at 0.02 the critic
# was always right within forty steps, at 0.3 kinds were told apart less well (one short run each: a hint, no finding).
LAZY = {"weight": 0.1, "every": 4}


@dataclass(frozen=True, kw_only=True)
class DrumsRecipe(RecipeConfig):
    """A class-conditional GAN for short sounds."""

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
    metrics: tuple[Part, ...] = (
        Part("audio.frechet"),
        Part("audio.label_agreement"),
        Part("audio.nearest"),
        Part("audio.silence"),
    )
    """What an evaluation measures."""
    preview: int = 48
    """Samples in a preview: eight of each kind."""


def build(config: DrumsRecipe) -> Experiment:
    """The experiment: the generator of frames, critics of spectra, RpGAN + R1 + R2."""
    return genkit.assemble(config)


PRESETS: Mapping[str, Mapping[str, Any]] = {
    # A user's own one-shots, in folders by kind; it lacks nothing but `data.path`.
    "folder": {
        "data": {
            "name": "audio.folder",
            "rate": 22_050,
            "length": 16_384,
            "crop": "start",
            "short": "silence",
            "fade": 1024,
            "sampling": "clips",
            "speeds": [0.92, 0.96, 1.0, 1.04, 1.08],
        },
        "metrics": ["audio.nearest", "audio.silence"],  # the embedded classifier knows the embedded drums' kinds alone
    },
}
"""What is learnt, where it is not the drums that come with the package."""
