"""Networks that turn waveforms into features, by name or from a file, and the Fréchet distance between them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from genkit import Batch, Extractor, evaluation
from genkit_audio.facts import AudioFacts
from genkit_audio.metrics.aisfx import AiSfx
from genkit_audio.metrics.config import FrechetConfig
from genkit_audio.metrics.drum_classifier import SPEC, load_drum_classifier
from genkit_audio.metrics.resemblyzer import Resemblyzer
from genkit_audio.metrics.waves import as_written, resample

DRUMS = "drum-classifier"


class DrumFeatures(Extractor):
    """The 64 features before the last layer of the embedded drum classifier.

    Args:
        rate: of the waveforms, Hz.
    """

    name = DRUMS

    def __init__(self, rate: int) -> None:
        self.rate = rate
        self.net, about = load_drum_classifier()
        self.version = about_drums(about)

    def __call__(self, batch: Batch) -> Tensor:
        """Features [B, 64]."""
        waves = resample(as_written(batch.sample), self.rate, SPEC.rate)
        self.net = self.net.to(waves.device)
        with torch.no_grad():
            return self.net.features(waves)


def about_drums(about: Mapping[str, Any]) -> str:
    """The version of the embedded classifier, from what its file says of it."""
    accuracy = about["cross_validated_accuracy"]
    return f"seed {about['seed']}, cross-validated accuracy {accuracy}, {about['rate']} Hz, 16-bit input"


def open_extractor(name: str, rate: int) -> Extractor:
    """The extractor that a metric's option names. Raises ConfigError on a name that is neither known nor a file, and
    PluginError when a package is missing."""
    if name == DRUMS:
        return DrumFeatures(rate)
    if name == AiSfx.name:
        return AiSfx(rate)
    if name == Resemblyzer.name:
        return Resemblyzer(rate)
    return own_network(name, "metrics.extractor", DRUMS, AiSfx.name, Resemblyzer.name)


def own_network(file: str, where: str, *known: str) -> evaluation.SavedNetwork:
    """A user's network, waveforms [B, T] of the data's rate to [B, D]. Raises as `genkit.evaluation.saved_network`."""
    return evaluation.saved_network(file, where=where, known=known, prepare=as_written, stored="16-bit")


def build_frechet(config: FrechetConfig, facts: Mapping[str, Any]) -> evaluation.Frechet:
    """Fréchet distance in the extractor's features."""
    return evaluation.Frechet(open_extractor(config.extractor, AudioFacts.of(facts).rate))
