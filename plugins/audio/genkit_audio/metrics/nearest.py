"""Whether samples are copies of training clips."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from genkit import Batch, DataError, Extractor, Metric, Samples, evaluation
from genkit_audio.data.sounds import Sounds
from genkit_audio.facts import AudioFacts
from genkit_audio.mel import MelSpectrogram
from genkit_audio.melspec import MelSpec
from genkit_audio.metrics.config import NearestConfig
from genkit_audio.metrics.specs import FIGURES
from genkit_audio.metrics.waves import as_written, choose

BANDS, SHIFT, LOWEST_DB = 40, 3, -60.0
RIVALS = 2000
"""Training clips whose own nearest neighbour is looked for, at most."""
BLOCK_NUMBERS = 2**22
"""Numbers of spectrograms held at once."""


class LogMel(Extractor):
    """A clip's log-mel in dB of its loudest point, down to -60 dB, in 40 bands and frames of about 12 ms: [B, F · 40].
    A copy at another level has the same; silence is -60 dB throughout.

    Args:
        rate: of the waveforms, Hz.
    """

    name = "log-mel"
    version = "1, 40 bands, 60 dB, 16-bit input"

    def __init__(self, rate: int) -> None:
        hop = 2 ** round(math.log2(rate * 0.012))
        self.spec = MelSpec(rate, 4 * hop, hop, 4 * hop, BANDS, 0.0, None, None, "htk", 2, "log10", 1e-10, True)
        self.mel = MelSpectrogram(self.spec)

    def __call__(self, batch: Batch) -> Tensor:
        """Features [B, F · 40]."""
        waves = as_written(batch.sample)
        length = max(waves.shape[-1], self.spec.fft)
        waves = F.pad(waves, (0, length - waves.shape[-1] + -length % self.spec.hop))
        level = 10 * self.mel.to(waves.device)(waves).transpose(1, 2)
        loudest = level.amax((1, 2), keepdim=True)
        silent = loudest <= 10 * math.log10(self.spec.floor)
        return torch.where(silent, LOWEST_DB, (level - loudest).clamp(min=LOWEST_DB)).flatten(1)


def nearest_distances(clips: Tensor, others: Tensor, *, recordings: tuple[Tensor, Tensor] | None = None) -> Tensor:
    """The distance [N] from each of `clips` to the nearest of `others`, in dB root mean square, when the clip may be
    moved by up to three frames.

    Args:
        clips: `LogMel` features [N, F · 40].
        others: the same [M, F · 40].
        recordings: which recording each of `clips` [N] and of `others` [M] is of; those of one are not compared.
    """
    found = []
    for start in range(0, len(clips), max(1, BLOCK_NUMBERS // clips.shape[1])):
        rows = clips[start : start + max(1, BLOCK_NUMBERS // clips.shape[1])]
        best = rows.new_full((len(rows), len(others)), math.inf)
        for shift in range(-SHIFT, SHIFT + 1):
            # centred, so that the squares that cancel are small
            best = torch.minimum(best, torch.cdist(moved(rows, shift) - LOWEST_DB / 2, others - LOWEST_DB / 2))
        if recordings is not None:
            ours, theirs = recordings
            best[ours[start : start + len(rows), None] == theirs] = math.inf
        found.append(best.amin(1))
    return torch.cat(found) / math.sqrt(clips.shape[1])


def moved(features: Tensor, frames: int) -> Tensor:
    """`LogMel` features [N, F · 40] of clips that begin some frames later, or earlier, with silence beside them."""
    return F.pad(features, (frames * BANDS, -frames * BANDS), value=LOWEST_DB)


class Nearest(Metric):
    """The share of samples that are nearer to a training clip than nearly all training clips are to those of other
    recordings, and the median distance as a ratio of that between training clips.

    Clips of one recording, or of one at several speeds, may be copies of each other and are not compared. Where the
    data are one recording, or do not tell, each clip counts as one. Data that are cropped by chance are compared window
    by window, each from its beginning (`genkit.Dataset.still`).

    Args:
        rate: of the data, Hz.
        quantile: a copy is nearer than this share of the training clips are to one of another recording.
    """

    reference: Literal["held-out", "train"] = "train"
    better = FIGURES["nearest"]

    def __init__(self, rate: int, *, quantile: float = 0.01) -> None:
        self.extractor, self.quantile = LogMel(rate), quantile

    def __call__(self, real: Samples, fake: Samples) -> dict[str, float]:
        """The figures; `real` is the training data. Raises DataError when that is one clip, or of another length."""
        training, samples = real.features(self.extractor), fake.features(self.extractor)
        if len(training) < 2:
            raise DataError("audio.nearest compares training clips with each other, and there is one")
        if training.shape[1] != samples.shape[1]:
            raise DataError("audio.nearest compares samples with training clips, and they differ in length")
        rivals = torch.tensor(choose(len(training), RIVALS, 0))
        known = recordings_of(real)
        between = nearest_distances(training[rivals], training, recordings=(known[rivals], known))
        distances = nearest_distances(samples, training)
        copies = distances <= torch.quantile(between, self.quantile)
        ratio = distances.median() / between.median().clamp(min=1e-6)
        return {"nearest_copies": float(copies.double().mean()), "nearest_ratio": float(ratio)}

    def protocol(self) -> dict[str, Any]:
        return {
            "nearest": f"log-mel, {BANDS} bands, {-LOWEST_DB:g} dB below each clip's loudest point, "
            f"moved by up to {SHIFT} frames of {self.extractor.spec.hop} samples",
            "nearest_copies": f"nearer than the {self.quantile:.1%} quantile of the distances of {RIVALS} training "
            "clips, or all of fewer, to their nearest one of another recording",
            "nearest_ratio": "median distance over that of training clips",
        }


def recordings_of(samples: Samples) -> Tensor:
    """Which recording each clip is of, int64 [N]; each of its own, where the data are one, or do not tell."""
    if isinstance(samples, evaluation.RealSamples) and isinstance(samples.data, Sounds):
        found = samples.data.recordings[samples.indices]
        if bool((found != found[0]).any()):
            return found
    return torch.arange(samples.count)


def build_nearest(config: NearestConfig, facts: Mapping[str, Any]) -> Nearest:
    """Whether samples are copies of training clips."""
    return Nearest(AudioFacts.of(facts).rate, quantile=config.quantile)
