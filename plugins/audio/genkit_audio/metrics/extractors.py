"""Networks that turn waveforms into features, by name or from a file, and the Fréchet distance between them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from genkit import Batch, ConfigError, Extractor, PluginError, evaluation
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


class SavedNetwork(Extractor):
    """A network from a file of ``torch.export`` or TorchScript: waveforms [B, T] of the data's rate to [B, D].

    Args:
        path: the file. Raises PluginError when it can not be loaded.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        self.version = f"sha256 {hashlib.sha256(path.read_bytes()).hexdigest()[:12]}, 16-bit input"
        try:
            if path.suffix == ".pt2":
                self.net: nn.Module = torch.export.load(path).module()
            else:
                self.net = torch.jit.load(path, map_location="cpu").eval()
        except Exception as error:  # both loaders raise many things on a file that is not theirs
            raise PluginError(f"{path}: is no network saved with torch.export or as TorchScript ({error})") from error

    def __call__(self, batch: Batch) -> Tensor:
        self.net = self.net.to(batch.sample.device)
        with torch.no_grad():
            features = self.net(as_written(batch.sample))
        if not isinstance(features, Tensor) or len(features) != len(batch.sample):
            raise PluginError(f"{self.name}: gave no tensor of {len(batch.sample)} rows of features")
        return features.flatten(1)


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
    return SavedNetwork(network_file(name, "metrics.extractor", f"{DRUMS}, {AiSfx.name}, {Resemblyzer.name}"))


def network_file(name: str, where: str, known: str) -> Path:
    """The file of a network. Raises ConfigError when there is none."""
    path = Path(name).expanduser()
    if not path.is_file():
        raise ConfigError(f"{name!r} is neither {known} nor a file", where=where)
    return path


def build_frechet(config: FrechetConfig, facts: Mapping[str, Any]) -> evaluation.Frechet:
    """Fréchet distance in the extractor's features."""
    return evaluation.Frechet(open_extractor(config.extractor, AudioFacts.of(facts).rate))
