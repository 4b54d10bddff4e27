"""Inception-v3 with the weights that published FIDs are measured with, through torch-fidelity (extra ``inception``)."""

from __future__ import annotations

import hashlib
import importlib.metadata
import pickle
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor

from genkit import Batch, ConfigError, DataError, Extractor, PluginError
from genkit_image.writers import to_bytes

DOWNLOAD = "download"
"""What `weights` says when the file is to be fetched."""


class Inception(Extractor):
    """Features of Inception-v3 as torch-fidelity computes them, of pictures of any size, grey ones as RGB.

    Args:
        weights: the file, or ``download``: nothing is fetched otherwise.
        layer: ``2048``, before the last layer, or ``logits_unbiased``, 1,008 logits without their biases.
        where: the metric's option, for errors.

    Raises PluginError without torch-fidelity, ConfigError without weights, DataError when they can not be read.
    """

    name = "inception-v3"

    def __init__(self, weights: str | None, *, layer: Literal["2048", "logits_unbiased"], where: str) -> None:
        module = _torch_fidelity(where)
        if weights is None:
            raise ConfigError(
                "inception needs its weights, and fetches none unasked",
                where=where,
                fix=f"weights: {Path(module.URL_INCEPTION_V3).name} as a path, or weights: {DOWNLOAD} (91 MiB of "
                f"{module.URL_INCEPTION_V3})",
            )
        path = _fetched(module.URL_INCEPTION_V3) if weights == DOWNLOAD else Path(weights).expanduser()
        digest = _checked(path)
        try:
            self.net = module.FeatureExtractorInceptionV3(self.name, [layer], feature_extractor_weights_path=str(path))
        except (RuntimeError, TypeError) as error:
            raise DataError(f"{path}: holds other weights than torch-fidelity's Inception-v3", where=where) from error
        package = importlib.metadata.version("torch-fidelity")
        self.version = f"torch-fidelity {package}, {layer}, sha256 {digest[:12]}, 8-bit input"

    def __call__(self, batch: Batch) -> Tensor:
        """Features [B, D]."""
        images = to_bytes(batch.sample).to(batch.sample.device)
        self.net = self.net.to(images.device)
        with torch.no_grad():
            features: Tensor = self.net(images.expand(-1, 3, -1, -1))[0]
        return features


def _torch_fidelity(where: str) -> Any:
    try:
        from torch_fidelity import feature_extractor_inceptionv3
    except (ImportError, RuntimeError) as error:  # RuntimeError: a torchvision that is not torch's
        raise PluginError(
            f"inception needs the package torch-fidelity ({error})",
            where=where,
            fix='pip install "genkit-gan-image[inception]"',
        ) from error
    return feature_extractor_inceptionv3


def _fetched(url: str) -> Path:
    """The file of a URL in torch's own store, fetched when it is not there. Its name ends in its hash."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name
    if path.is_file():
        return path
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        torch.hub.download_url_to_file(url, str(path), hash_prefix=path.stem.rpartition("-")[2])
    except (OSError, RuntimeError) as error:
        raise DataError(f"{url}: can not be fetched ({error})", fix="fetch it elsewhere, and give its path") from error
    return path


def _checked(path: Path) -> str:
    """The SHA-256 of a file of weights. Raises DataError unless it holds tensors alone.

    torch-fidelity unpickles whatever a file says; what passes here can make it do nothing but hold tensors.
    """
    try:
        torch.load(path, map_location="meta", weights_only=True)
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        raise DataError(f"{path}: holds no weights that can be read ({error})") from error
