"""Networks that turn images into features, by name or from a file."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from importlib.resources import as_file, files
from typing import Any

import torch
import torch.nn.functional as F
from safetensors import safe_open
from torch import Tensor

from genkit import Batch, ConfigError, Extractor, evaluation
from genkit_image.metrics.inception import Inception
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


class LeNetLogits(LeNetDigits):
    """The 10 logits of the embedded digit classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.version = f"{self.version}, logits"

    def __call__(self, batch: Batch) -> Tensor:
        self.net = self.net.to(batch.sample.device)
        with torch.no_grad():
            logits: Tensor = self.net(as_digits(as_written(batch.sample)))
        return logits


class RandomConv(Extractor):
    """The means of the maps of each layer of an untrained convolutional network, whose weights a fixed seed gives.

    Untrained networks see no objects, but they rank samples of pictures they were not made for without a prejudice
    (Naeem et al. 2020, section 3.2, use one where no trained network fits).

    Args:
        channels: of the pictures.
        size: their shorter side in pixels, which each layer halves. Under 16 the last layers, which would have no two
            pixels to look at, are left out, and the version says so.

    Raises ConfigError for pictures of a single pixel.
    """

    name = "random-conv"
    version = "1, seed 0, 8-bit input"
    widths = (32, 64, 128, 256)

    def __init__(self, channels: int, size: int = 16) -> None:
        if size < 2:
            raise ConfigError(
                "random-conv looks at pictures of 2 pixels a side or more",
                where="metrics.extractor",
                fix="the path of a network of your own",
            )
        depth = min(len(self.widths), size.bit_length() - 1)
        if depth < len(self.widths):
            self.version = f"{self.version}, {depth} of {len(self.widths)} layers"
        generator = torch.Generator().manual_seed(0)
        sizes = zip((channels, *self.widths[:-1]), self.widths, strict=True)
        self.weights = [
            torch.randn(out, into, 4, 4, generator=generator) * math.sqrt(2 / (into * 16)) for into, out in sizes
        ][:depth]

    def __call__(self, batch: Batch) -> Tensor:
        """Features [B, 480] of images; fewer of those under 16 pixels a side."""
        maps, means = as_written(batch.sample), []
        with torch.no_grad():
            for weight in self.weights:
                maps = F.leaky_relu(F.conv2d(maps, weight.to(maps.device), stride=2, padding=1), 0.2)
                means.append(maps.mean((2, 3)))
        return torch.cat(means, 1)


def open_extractor(name: str, facts: Mapping[str, Any], weights: str | None = None) -> Extractor:
    """The extractor that a metric's options name. Raises ConfigError on a name that is neither known nor a file."""
    channels, *sides = facts["shape"]
    if name == "inception":
        return Inception(weights, layer="2048", where="metrics.weights")
    _refuse_weights(weights, "metrics.extractor")
    if name == "auto":
        name = "lenet-digits" if channels == 1 and facts.get("labels") == DIGITS else "random-conv"
    if name == "lenet-digits":
        return LeNetDigits()
    if name == "random-conv":
        return RandomConv(channels, min(sides))
    return own_network(name, "metrics.extractor", "lenet-digits", "random-conv", "inception")


def open_classifier(name: str, weights: str | None = None) -> Extractor:
    """The classifier that a metric's options name, as an extractor of logits. Raises as `open_extractor`."""
    if name == "inception":
        return Inception(weights, layer="logits_unbiased", where="metrics.weights")
    _refuse_weights(weights, "metrics.classifier")
    if name == "lenet-digits":
        return LeNetLogits()
    return own_network(name, "metrics.classifier", "lenet-digits", "inception")


def _refuse_weights(weights: str | None, where: str) -> None:
    if weights is not None:
        raise ConfigError("weights are those of inception", where="metrics.weights", fix=f"{where}: inception")


def own_network(file: str, where: str, *known: str) -> evaluation.SavedNetwork:
    """A user's network, [B, C, H, W] in [-1, 1] to [B, D]. Raises as `genkit.evaluation.saved_network`."""
    return evaluation.saved_network(file, where=where, known=known, prepare=as_written, stored="8-bit")


def load_lenet() -> tuple[LeNet, dict[str, Any]]:
    """The embedded digit classifier on the CPU, frozen and in evaluation mode, and what its file says of it."""
    with as_file(files("genkit_image") / "assets" / WEIGHTS) as path, safe_open(path, framework="pt") as stored:
        weights = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (it is no dict)
        about = json.loads(stored.metadata()["about"])
    net = LeNet()
    net.load_state_dict(weights)
    return net.eval().requires_grad_(False), about
