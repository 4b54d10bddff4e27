"""A network of the user's own, from a file, as an extractor of features or as a classifier."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn

from genkit.errors import ConfigError, PluginError
from genkit.inspection import Extractor
from genkit.interfaces import Batch


class SavedNetwork(Extractor):
    """A network saved with ``torch.export`` (.pt2) or as TorchScript: samples to features [B, D].

    Args:
        path: the file; its name, without suffix, is the extractor's, and its hash the version.
        prepare: samples as the modality's files would hold them, so that what these lose does not score.
        stored: what that is, such as ``8-bit``; it stands in the version.

    Raises PluginError when the file can not be loaded.
    """

    def __init__(self, path: Path, *, prepare: Callable[[Tensor], Tensor], stored: str) -> None:
        self.prepare = prepare
        self.name = path.stem
        self.version = f"sha256 {hashlib.sha256(path.read_bytes()).hexdigest()[:12]}, {stored} input"
        try:
            if path.suffix == ".pt2":
                self.net: nn.Module = torch.export.load(path).module()
            else:
                self.net = torch.jit.load(path, map_location="cpu").eval()
        except Exception as error:  # both loaders raise many things on a file that is not theirs
            raise PluginError(f"{path}: is no network saved with torch.export or as TorchScript ({error})") from error

    def __call__(self, batch: Batch) -> Tensor:
        """Features [B, D]. Raises PluginError when the network gives another number of rows."""
        self.net = self.net.to(batch.sample.device)
        with torch.no_grad():
            features = self.net(self.prepare(batch.sample))
        if not isinstance(features, Tensor) or len(features) != len(batch.sample):
            raise PluginError(f"{self.name}: gave no tensor of {len(batch.sample)} rows of features")
        return features.flatten(1)


def saved_network(
    file: str, *, where: str, known: Sequence[str], prepare: Callable[[Tensor], Tensor], stored: str
) -> SavedNetwork:
    """The network that a metric's option names where it is none of the modality's own.

    Args:
        file: what the option says.
        where: the option, such as ``metrics.extractor``.
        known: the names that it could have been.
        prepare, stored: see `SavedNetwork`.

    Raises ConfigError when there is no such file, PluginError when it can not be loaded.
    """
    path = Path(file).expanduser()
    if not path.is_file():
        raise ConfigError(f"{file!r} is neither {', '.join(known)} nor a file", where=where)
    return SavedNetwork(path, prepare=prepare, stored=stored)
