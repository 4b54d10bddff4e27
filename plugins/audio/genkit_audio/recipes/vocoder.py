"""`audio.vocoder`: from a log-mel spectrogram to the waveform it was made of. Needs no torch to be read.

A spectral loss first; from `train.adversarial_start` on also the adversary and feature matching (Siuzdak 2023, Vocos).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import genkit
from genkit import Ema, Model, Optim, Optimizer, Part, Ramp, RecipeConfig, Scheduled, Train
from genkit_audio.models.config import CombinedConfig, VocosConfig

if TYPE_CHECKING:
    from genkit import Experiment

SCALES = ((5, 32), (10, 64), (20, 128), (40, 256), (80, 512), (160, 1024), (320, 2048))
"""Bands and window of each scale of DAC's mel loss (Kumar et al. 2023, section 3.4)."""
HEARD = 65_536
"""Samples in a held-out example: 3 to 4 seconds, of which what listeners would say is known."""
MEASURES = (Part("audio.mel_l1"), Part("audio.stft"), Part("audio.lsd"), Part("audio.pitch"))

# --- two CPU cores and 40 minutes ------------------------------------------------------------------------------------

# Two minutes of speech are learnt by heart: with one speed the mel distance of unheard prompts stood at 0.307 from step
# 2,000 on, that of heard ones fell to 0.134; with five speeds it was 0.227 at step 5,000 and falling (one run each).
SPEEDS = (0.88, 0.94, 1.0, 1.06, 1.12)
BATCH = 16
# What the losses of mels bring comes steadily and ever more slowly, what the adversary brings in its first thousand
# steps. After forty minutes, DistillMOS was 2.55 with it from step 3,000 on, 2.70 from 10,500 on and 2.83 from 12,500
# on; 2.65 and 2.68 without (docs/benchmarks.md).
WARM_UP, END = 12_500, 13_700
"""Steps of the losses of mels alone, which take a third as long as those after, and about how many there are in all."""
NETS = Model(
    generator=Part("audio.vocos", width=256, hidden=768, layers=6),
    critic=Part("audio.frames_critic", ffts=[1024, 512, 256], width=192),
)
# What the adversary brings depends on its share. From the same 4,500 steps (DistillMOS 2.58), after six more minutes as
# the generator's rate fell from 3e-4 to 2e-5: the losses of mels alone 2.63; the adversary beside mels of weight 45 and
# 15 2.64, of 15 and 5 2.68, of 5 and 1.5 2.72, whose DNSMOS was lower though, 2.57 instead of 2.68 (one run each, on
# eleven training prompts held out for this). These stand between the last two.
LOSSES = {"mel": 9.0, "multi_scale_mel": 3.0, "scales": ((20, 128), (80, 512), (160, 2048))}
TRAIN = Train(
    batch_size=BATCH,
    minutes=40.0,
    adversarial_start=WARM_UP,
    joint_critic_pass=True,
    reuse_fakes=True,  # a seventh of a step less; the published recipes look at one batch in both turns too
    compile="off",
    log_every=50,
    preview_every=1_000,
    checkpoint_every=500,
    eval_samples=64,
)
# What the adversary brings shows as the generator's rate falls: from one start, at 4e-4, DistillMOS was after 400 steps
# what it had been, 2.67, and rose to 2.76 as the rate fell to 2e-5 (one run on held-out training prompts).
FALLING = Ramp(start=1e-3, end=2e-5, over=END * BATCH, shape="linear")
OPTIM = Optim(
    generator=Optimizer(name="adamw", lr=FALLING, betas=(0.5, 0.99), weight_decay=0.01),
    critic=Optimizer(name="adamw", lr=4e-4, betas=(0.0, 0.99), weight_decay=0.01),
)
LAZY = {"weight": 0.03, "every": 4}


@dataclass(frozen=True, kw_only=True)
class Losses:
    """Weights of the generator's losses beside the adversarial one; 0 leaves one out."""

    mel: Scheduled = 45.0
    """L1 distance of log-mels."""
    full_band: bool = False
    """Let that loss hear up to half the rate, and not only as far as the data's mel: HiFi-GAN's ends at 8 kHz."""
    multi_scale_mel: Scheduled = 0.0
    """L1 distance of log-mels at several scales (Kumar et al. 2023, DAC)."""
    scales: tuple[tuple[int, int], ...] = SCALES
    """Bands and window of each of these scales."""
    multi_resolution_stft: Scheduled = 0.0
    """Spectral convergence and log magnitudes at three resolutions (Yamamoto et al. 2020)."""
    feature_matching: Scheduled = 1.0
    """L1 distance of the critic's feature maps, from `train.adversarial_start` on."""


@dataclass(frozen=True, kw_only=True)
class VocoderRecipe(RecipeConfig):
    """A vocoder by spectral losses and a critic of many parts. The defaults are `small-16k`, for two CPU cores."""

    data: Part = Part("audio.prompts", mel="small-16k", length=8_192, held_out_length=HEARD, speeds=SPEEDS)
    """What to learn from. Its `mel` is what the vocoder takes."""
    model: Model = NETS
    """The two players; any vocoder and any critic of waveforms will do."""
    objective: Part = Part("rpgan")
    """The adversarial loss, by name."""
    penalties: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: {"r1": LAZY, "r2": LAZY})
    """Gradient and other penalties of the critic, by name."""
    losses: Losses = Losses(**LOSSES)
    """The generator's other losses."""
    init: str | None = None
    """Start from the average of this genkit run, and from its critic where that is the same, or from this file of
    published weights: Vocos, HiFi-GAN, iSTFTNet or BigVGAN, as `model.generator` is one. It must stay where it is."""
    train: Train = TRAIN
    """How long, how large and how the loop runs. Until `train.adversarial_start` the critic rests."""
    optim: Optim = OPTIM
    """One optimiser for each network."""
    ema: Ema = Ema(half_life=2_000.0)
    """The average of the generator's weights, which is what samples are drawn from."""
    metrics: tuple[Part, ...] = MEASURES
    """What an evaluation measures."""
    preview: int = 8
    """Samples in a preview."""


def build(config: VocoderRecipe) -> Experiment:
    """The experiment: a spectral loss, then the critic too.

    Raises ConfigError when the generator is no vocoder or the data gives no mel, and what `start_from` raises.
    """
    from genkit_audio.fine_tuning import start_from
    from genkit_audio.models.vocoder import mel_of
    from genkit_audio.terms import spectral_terms

    experiment = genkit.assemble(config)
    experiment.terms = spectral_terms(config.losses, mel_of(experiment.data.facts))
    if config.init is not None:
        start_from(config.init, experiment)
    return experiment


def published(mel: str, *, full_band: bool) -> dict[str, Any]:
    """Vocos as its author trained it, on a folder of one's own recordings: a million steps, no warm-up, rates that fall
    to 0, levels of -6 to -1 dB, and each kind of critic its mean, that of bands a tenth."""
    adam = {"name": "adamw", "lr": Ramp(start=5e-4, end=0.0, over=16e6), "betas": (0.8, 0.9), "weight_decay": 0.01}
    return {
        "data": {
            "name": "audio.folder",
            "mel": mel,
            "length": 16_384,
            "held_out_length": HEARD,
            "held_out": 0.01,
            "loudness": "peak",
            "level_db": 0.0,
            "gain_db": (-6.0, -1.0),
        },
        "model": {
            "generator": {"name": "audio.vocos", **asdict(VocosConfig())},
            "critic": {"name": "audio.combined", **asdict(CombinedConfig(first_maps=False))},
        },
        "objective": {"name": "hinge", "clamp_generator": True},
        "penalties": {"r1": None, "r2": None},
        "losses": {"mel": 45.0, "full_band": full_band, "multi_scale_mel": 0.0},
        "train": {
            "batch_size": 16,
            "steps": 1_000_000,
            "minutes": None,
            "adversarial_start": 0,
            "compile": "auto",
            "preview_every": 10_000,
            "checkpoint_every": 10_000,
        },
        "optim": {"generator": adam, "critic": adam},
        "ema": {"half_life": None},
    }


PRESETS: Mapping[str, Mapping[str, Any]] = {
    "small-16k": {},  # the defaults
    "22k": published("hifigan-22k", full_band=True),
    "24k": published("vocos-24k", full_band=False),
}
