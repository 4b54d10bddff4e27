"""``genkit data prepare`` for pictures: decoded once, so that `image.folder` reads them without decoding."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from genkit import UsageError
from genkit_image.data.config import FolderConfig, LabelledConfig
from genkit_image.data.inspection import find
from genkit_image.data.prepared import is_prepared, lay_out


def prepare(config: LabelledConfig, out: Path) -> dict[str, Any]:
    """Decode the pictures of a dataset into the folder `out`, each as training would see it.

    Returns: ``pictures``, how many were written; ``small``, how many of them were enlarged; ``left_out``, each broken
        file with its reason; ``other_files``, files that are no pictures; ``bytes``; ``settings``.

    Raises DataError when no picture can be read or `out` can not be written, UsageError for a folder that is prepared
    already.
    """
    if isinstance(config, FolderConfig) and is_prepared(Path(config.path).expanduser()):
        raise UsageError(f"{config.path} is prepared already", fix="prepare the files it was made of")
    collection = find(config)
    laid = lay_out(collection, config, out)
    settings: dict[str, Any] = {
        "data.name": "image.folder",
        "data.path": str(out),
        "data.resolution": config.resolution,
    }
    plain = FolderConfig(path="")
    if config.fit != plain.fit:
        settings["data.fit"] = config.fit
    if config.background != plain.background:
        settings["data.background"] = list(config.background)
    return {
        "pictures": laid.pictures,
        "shape": [laid.decode.channels, config.resolution, config.resolution],
        "small": laid.small,
        "left_out": {name: what.removeprefix(f"{name}: ") for name, what in laid.left_out.items()},
        "other_files": dict(collection.others),
        "bytes": laid.bytes,
        "settings": settings,
    }
