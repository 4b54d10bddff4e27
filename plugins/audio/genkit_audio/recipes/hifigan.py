"""`audio.hifigan`: HiFi-GAN as its authors trained it (Kong, Kim and Bae 2020). Needs no torch to be read.

L_D = Σ E[(D(y) - 1)²] + E[D(ŷ)²], L_G = Σ E[(D(ŷ) - 1)²] + 2 Σ L1(features) + 45 L1(log-mels).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from genkit import Ema, Model, Optim, Optimizer, Part, Ramp, Train
from genkit_audio.models.config import HIFIGAN
from genkit_audio.recipes import vocoder
from genkit_audio.recipes.vocoder import HEARD, MEASURES, Losses, VocoderRecipe

STEPS, BATCH = 2_500_000, 16
EPOCHS = STEPS * BATCH / 12_950
"""Of one crop of each of LJSpeech's 12,950 clips: after each, the authors' rate is 0.999 times as high."""
FALLING = Ramp(start=2e-4, end=2e-4 * 0.999**EPOCHS, over=STEPS * BATCH, shape="exponential")
ADAM = Optimizer(name="adamw", lr=FALLING, betas=(0.8, 0.99), weight_decay=0.01)
OPTIM = Optim(generator=ADAM, critic=ADAM)
CRITIC = Part("audio.combined", multi_scale={}, multi_band=None, shares=None)
LENGTH = 8_192
DATA = Part("audio.prompts", mel="hifigan-22k", length=LENGTH, held_out_length=HEARD, allow_upsampling=True)
NETS = Model(generator=Part("audio.hifigan"), critic=CRITIC)
LOSSES = Losses(mel=45.0, full_band=True, feature_matching=2.0)
TRAIN = Train(
    batch_size=BATCH,
    steps=STEPS,
    joint_critic_pass=True,
    reuse_fakes=True,  # as the authors do
    preview_every=10_000,
    checkpoint_every=10_000,
    eval_samples=64,
)


@dataclass(frozen=True, kw_only=True)
class HiFiGANRecipe(VocoderRecipe):
    """HiFi-GAN with the critics of periods and of scales. The defaults are V1 on the embedded speech, brought to the
    rate of `hifigan-22k`; the presets v1, v2 and v3 want your own recordings of that rate: `data.path`."""

    data: Part = DATA
    """What to learn from. Its `mel` is what the vocoder takes."""
    model: Model = NETS
    """The two players; any vocoder and any critic of waveforms will do."""
    objective: Part = Part("least_squares", scale=1.0)
    """The adversarial loss, by name."""
    penalties: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Gradient and other penalties of the critic, by name."""
    losses: Losses = LOSSES
    """The generator's other losses."""
    train: Train = TRAIN
    """How long, how large and how the loop runs. The authors start the adversary at once."""
    optim: Optim = OPTIM
    """One optimiser for each network."""
    ema: Ema = Ema(half_life=None)
    """The authors keep no average; set a half-life for one."""
    metrics: tuple[Part, ...] = MEASURES
    """What an evaluation measures."""


build = vocoder.build


def published(variant: str) -> dict[str, Any]:
    """A variant on a folder of one's own recordings."""
    return {
        "data": {
            "name": "audio.folder",
            "mel": "hifigan-22k",
            "length": LENGTH,
            "held_out_length": HEARD,
            "loudness": "peak",
            "level_db": round(20 * math.log10(0.95), 4),
            "held_out": 0.01,
        },
        "model": {"generator": {"name": "audio.hifigan", **asdict(HIFIGAN[variant])}},
    }


PRESETS: Mapping[str, Mapping[str, Any]] = {variant: published(variant) for variant in HIFIGAN}
"""The published variants."""
