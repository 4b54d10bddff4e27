"""Options. Free of torch."""

from dataclasses import dataclass, replace

from genkit import Model, Part, Train
from genkit_audio.models.config import VocosConfig as VocosConfig
from genkit_audio.recipes.vocoder import TRAIN, VocoderRecipe

FP32 = replace(TRAIN, precision="fp32")  # the head's complex numbers know no bf16


@dataclass(frozen=True, kw_only=True)
class PeriodsConfig:
    """``MultiPeriodDiscriminator``."""

    periods: tuple[int, ...] = (2, 3, 5, 7, 11)
    """Samples in a row, one number a sub-critic."""


@dataclass(frozen=True, kw_only=True)
class Speech(VocoderRecipe):
    """The embedded prompts and all of `audio.vocoder`, but for the networks."""

    data: Part = Part("audio.prompts", mel={"preset": "small-16k", "centre": False}, length=8192)
    model: Model = Model(generator=Part("vocos.vocos", width=256, hidden=768), critic=Part("vocos.periods"))
    train: Train = FP32
