"""PESQ and STOI: speech beside the real clip of the same condition, by the standards' own implementations."""

from __future__ import annotations

import math
import warnings
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

import numpy as np

from genkit import Metric, PluginError, Samples, evaluation
from genkit_audio.facts import AudioFacts
from genkit_audio.metrics.config import PesqConfig, StoiConfig
from genkit_audio.metrics.specs import FIGURES
from genkit_audio.metrics.waves import Waves, choose, read_aligned, resample

INSTALL = 'pip install "genkit-gan-audio[speech]"'
WIDE, NARROW = 16000, 8000
STOI_SAMPLES = 256 + 30 * 128


class _ClipByClip(Metric):
    """The mean over clips that can be measured, and the share of those that can not: a silent clip, on either side, is
    left out and counted. The mean is left out, too, where no clip can be measured.

    Args:
        rate: of the data, Hz.
        at: the rate the clips are measured at.
        clips, seed: how many are measured, and what their choice depends on.
    """

    name: str

    def __init__(self, rate: int, at: int, *, clips: int, seed: int) -> None:
        self.rate, self.at, self.clips, self.seed = rate, at, clips, seed

    @abstractmethod
    def measure(self, real: Waves, fake: Waves) -> float | None:
        """The score of one clip [T], or None where there is none."""

    def __call__(self, real: Samples, fake: Samples) -> dict[str, float]:
        """The figures. Raises DataError unless the sets are aligned."""
        if isinstance(fake, evaluation.RealSamples):
            return {}
        pair = read_aligned(real, fake)
        chosen = choose(len(pair[0]), self.clips, self.seed)
        ours, theirs = (resample(waves[chosen], self.rate, self.at).numpy() for waves in pair)
        scores = [self.measure(r, f) if r.any() and f.any() else None for r, f in zip(ours, theirs, strict=True)]
        kept = [score for score in scores if score is not None and math.isfinite(score)]
        figures = {f"{self.name}_left_out": 1 - len(kept) / len(scores)}
        return {self.name: sum(kept) / len(kept), **figures} if kept else figures

    def protocol(self) -> dict[str, Any]:
        return {
            "rate": f"{self.at} Hz" + ("" if self.at == self.rate else f", resampled from {self.rate} Hz"),
            "clips": f"{self.clips}, or all of a smaller set, chosen by seed {self.seed}",
            "left_out": "clips without enough speech to measure, on either side",
        }


class Pesq(_ClipByClip):
    """PESQ (ITU-T P.862.2 at 16 kHz, P.862 at 8 kHz), 1 to 4.64."""

    better = FIGURES["pesq"]
    name = "pesq"

    def __init__(self, rate: int, *, clips: int = 64, seed: int = 0) -> None:
        try:
            import pesq  # type: ignore[import-untyped]
        except ImportError as error:
            raise PluginError("audio.pesq needs the package pesq", fix=INSTALL) from error
        super().__init__(rate, WIDE if rate >= WIDE else NARROW, clips=clips, seed=seed)
        self.pesq, self.failed = pesq.pesq, pesq.PesqError

    def measure(self, real: Waves, fake: Waves) -> float | None:
        try:
            return float(self.pesq(self.at, real, fake, "wb" if self.at == WIDE else "nb"))
        except self.failed:  # no utterance is found, or the clip is too short
            return None

    def protocol(self) -> dict[str, Any]:
        return {**super().protocol(), "pesq": "wide band, P.862.2" if self.at == WIDE else "narrow band, P.862"}


class Stoi(_ClipByClip):
    """Short-time objective intelligibility (Taal et al. 2011), or its extended form (Jensen and Taal 2016); up to 1."""

    better = FIGURES["stoi"]
    name = "stoi"

    def __init__(self, rate: int, *, extended: bool = False, clips: int = 64, seed: int = 0) -> None:
        try:
            import pystoi  # type: ignore[import-untyped]
        except ImportError as error:
            raise PluginError("audio.stoi needs the package pystoi", fix=INSTALL) from error
        super().__init__(rate, 10000, clips=clips, seed=seed)
        self.stoi, self.extended = pystoi.stoi, extended

    def measure(self, real: Waves, fake: Waves) -> float | None:
        with warnings.catch_warnings():
            warnings.simplefilter("error", RuntimeWarning)  # it warns of too little speech and gives 1e-5
            try:
                return float(self.stoi(*map(_long_enough, (real, fake)), self.at, extended=self.extended))
            except RuntimeWarning:
                return None

    def protocol(self) -> dict[str, Any]:
        return {**super().protocol(), "stoi": "extended" if self.extended else "plain"}


def _long_enough(wave: Waves) -> Waves:
    """The clip with silence after it where it has not the 30 frames that STOI needs: pystoi fails on less than one, and
    says so of silence."""
    return np.pad(wave, (0, max(0, STOI_SAMPLES - len(wave))))


def build_pesq(config: PesqConfig, facts: Mapping[str, Any]) -> Pesq:
    """PESQ. Raises PluginError without the package."""
    return Pesq(AudioFacts.of(facts).rate, clips=config.clips, seed=config.seed)


def build_stoi(config: StoiConfig, facts: Mapping[str, Any]) -> Stoi:
    """STOI. Raises PluginError without the package."""
    return Stoi(AudioFacts.of(facts).rate, extended=config.extended, clips=config.clips, seed=config.seed)
