"""`audio.wavegan`: Donahue, McAuley and Puckette 2019 (arXiv 1802.04208), as published. Needs no torch to be read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import genkit
from genkit import Ema, Model, Optim, Optimizer, Part, RecipeConfig, Train

if TYPE_CHECKING:
    from genkit import Experiment

DATA = Part("audio.drums", rate=16_000, length=16_384, labels=False)
NETS = Model(generator=Part("audio.wavegan"), critic=Part("audio.wavegan_critic"))
TRAIN = Train(batch_size=64, critic_steps=5, steps=200_000, precision="fp32")  # appendix D, table 7
ADAM = Optimizer(lr=1e-4, betas=(0.5, 0.9))
OPTIM = Optim(generator=ADAM, critic=ADAM)
NO_AVERAGE = Ema(half_life=None)


@dataclass(frozen=True, kw_only=True)
class WaveGANRecipe(RecipeConfig):
    """WaveGAN on waveforms of 16·4ⁿ samples or twice as many; about a second at 16 kHz by default."""

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
    metrics: tuple[Part, ...] = (Part("audio.frechet"), Part("audio.nearest"), Part("audio.silence"))
    """What an evaluation measures."""
    preview: int = 24
    """Samples in a preview."""


def build(config: WaveGANRecipe) -> Experiment:
    """The experiment: both nets, the Wasserstein loss with its gradient penalty."""
    return genkit.assemble(config)


PRESETS: Mapping[str, Mapping[str, Any]] = {
    "32768": {"data": {"length": 32_768}},
    "65536": {"data": {"length": 65_536}},
}
