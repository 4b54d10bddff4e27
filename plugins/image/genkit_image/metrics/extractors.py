"""Networks that turn images into features, by name or from a file."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor, nn

from genkit import Batch, ConfigError, Extractor, PluginError
from genkit_image.metrics.lenet import WEIGHTS, LeNet, as_digits

DIGITS = [str(digit) for digit in range(10)]


def as_written(images: Tensor) -> Tensor:
    """Images as a PNG would hold them, float32 in [-1, 1] in steps of 1/127.5: what is clipped there must not score."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255) / 127.5 - 1


class LeNetDigits(Extractor):
    """The 84 features before the last layer of the embedded digit classifier."""

    name = "lenet-digits"

    def __init__(self) -> None:
        self.net, about = load_lenet()
        self.version = f"seed {about['seed']}, accuracy {about['accuracy']}, 8-bit input"

    def __call__(self, batch: Batch) -> Tensor:
        self.net = self.net.to(batch.sample.device)
        with torch.no_grad():
            return self.net.features(as_digits(as_written(batch.sample)))


class RandomConv(Extractor):
    """The means of the maps of each layer of an untrained convolutional network, whose weights a fixed seed gives.

    Untrained networks see no objects, but they rank samples of pictures they were not made for without a prejudice
    (Naeem et al. 2020, section 3.2, use one where no trained network fits).
    """

    name = "random-conv"
    version = "1, seed 0, 8-bit input"
    widths = (32, 64, 128, 256)

    def __init__(self, channels: int) -> None:
        generator = torch.Generator().manual_seed(0)
        sizes = zip((channels, *self.widths[:-1]), self.widths, strict=True)
        self.weights = [
            torch.randn(out, into, 4, 4, generator=generator) * math.sqrt(2 / (into * 16)) for into, out in sizes
        ]

    def __call__(self, batch: Batch) -> Tensor:
        """Features [B, 480] of images of at least 16 pixels a side."""
        maps, means = as_written(batch.sample), []
        with torch.no_grad():
            for weight in self.weights:
                maps = F.leaky_relu(F.conv2d(maps, weight.to(maps.device), stride=2, padding=1), 0.2)
                means.append(maps.mean((2, 3)))
        return torch.cat(means, 1)


class SavedNetwork(Extractor):
    """A network from a file of ``torch.export`` or TorchScript: [B, C, H, W] in [-1, 1] to [B, D].

    Args:
        path: the file. Raises PluginError when it can not be loaded.
    """

    def __init__(self, path: Path) -> None:
        self.name = path.stem
        self.version = f"sha256 {hashlib.sha256(path.read_bytes()).hexdigest()[:12]}, 8-bit input"
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


def open_extractor(name: str, facts: Mapping[str, Any]) -> Extractor:
    """The extractor that a metric's option names. Raises ConfigError on a name that is neither known nor a file."""
    channels = facts["shape"][0]
    if name == "auto":
        name = "lenet-digits" if channels == 1 and facts.get("labels") == DIGITS else "random-conv"
    if name == "lenet-digits":
        return LeNetDigits()
    if name == "random-conv":
        return RandomConv(channels)
    return SavedNetwork(network_file(name, "metrics.extractor", "lenet-digits, random-conv"))


def network_file(name: str, where: str, known: str) -> Path:
    """The file of a network. Raises ConfigError when there is none."""
    path = Path(name).expanduser()
    if not path.is_file():
        raise ConfigError(f"{name!r} is neither {known} nor a file", where=where)
    return path


def load_lenet() -> tuple[LeNet, dict[str, Any]]:
    """The embedded digit classifier on the CPU, frozen and in evaluation mode, and what its file says of it."""
    with as_file(files("genkit_image") / "assets" / WEIGHTS) as path, safe_open(path, framework="pt") as stored:
        weights = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (it is no dict)
        about = json.loads(stored.metadata()["about"])
    net = LeNet()
    net.load_state_dict(weights)
    return net.eval().requires_grad_(False), about
