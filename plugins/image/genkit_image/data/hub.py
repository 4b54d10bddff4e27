"""`image.hub`: datasets of the Hugging Face hub, or saved to a folder by `datasets`. Needs the extra ``hub``."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from genkit import DataError, PluginError
from genkit_image.data.config import HubConfig
from genkit_image.data.images import Images
from genkit_image.data.loading import Source, load_images


@dataclass(frozen=True)
class RowSource:
    """A picture in a row of a table."""

    table: Any  # datasets.Dataset, whose package is an extra
    row: int
    column: str
    title: str

    @property
    def key(self) -> str:
        return f"{self.title}[{self.row}]"

    @property
    def name(self) -> str:
        return self.key

    def open(self) -> IO[bytes]:
        stored: Mapping[str, Any] | None = self.table[self.row][self.column]
        if stored is None or (stored["bytes"] is None and stored["path"] is None):
            raise DataError(f"{self.name}: has no picture")
        return io.BytesIO(stored["bytes"]) if stored["bytes"] is not None else open(stored["path"], "rb")


def open_hub(config: HubConfig) -> Images:
    """The pictures of ``config.split``, and those of ``config.held_out_split`` to evaluate on.

    Raises PluginError without the package `datasets`, DataError when the dataset, split or column is not there.
    """
    table = _table(config, config.split)
    column = _picture_column(table, config)
    label = _label_column(table, config)
    sources, labels, classes = _rows(table, config.split, column, label)
    held_out = None
    if config.held_out_split is not None:
        test = _table(config, config.held_out_split)
        more, more_labels, more_classes = _rows(test, config.held_out_split, column, label)
        if more_classes != classes:
            raise DataError(f"{config.path}: the splits {config.split} and {config.held_out_split} name other labels")
        held_out = [False] * len(sources) + [True] * len(more)
        sources += more
        labels = labels + more_labels if labels is not None and more_labels is not None else None
    return load_images(sources, labels, classes, config, name=config.path, held_out=held_out)


def _table(config: HubConfig, split: str) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise PluginError(
            "image.hub needs the package `datasets`", where="data.name", fix='pip install "genkit-gan-image[hub]"'
        ) from error
    folder = Path(config.path).expanduser()
    saved = folder.is_dir() and ((folder / "dataset_dict.json").exists() or (folder / "state.json").exists())
    try:
        found = (
            datasets.load_from_disk(str(folder))
            if saved
            else datasets.load_dataset(config.path, config.subset, split=split)
        )
        if isinstance(found, datasets.DatasetDict):
            return found[split]
    except KeyError as error:
        raise DataError(f"{config.path}: has no split {error}", where="data.split") from error
    except (OSError, ValueError, RuntimeError) as error:  # no such name, no network, no such split or subset
        raise DataError(f"{config.path}: can not be loaded ({error})", where="data.path") from error
    return found


def _picture_column(table: Any, config: HubConfig) -> str:
    import datasets

    columns = [name for name, feature in table.features.items() if isinstance(feature, datasets.Image)]
    if config.image is not None and config.image in columns:
        return config.image
    if config.image is None and len(columns) == 1:
        return columns[0]
    raise DataError(
        f"{config.path}: its columns of pictures are {', '.join(columns) or 'none'}",
        where="data.image",
        fix=f"--set data.image={columns[0]}" if columns else None,
    )


def _label_column(table: Any, config: HubConfig) -> str | None:
    import datasets

    if config.label == "none":
        return None
    columns = [name for name, feature in table.features.items() if isinstance(feature, datasets.ClassLabel)]
    if config.label == "auto":
        return columns[0] if len(columns) == 1 else None
    if config.label not in table.features:
        raise DataError(f"{config.path}: has no column {config.label!r}", where="data.label")
    return config.label


def _rows(
    table: Any, split: str, column: str, label: str | None
) -> tuple[list[Source], list[int] | None, list[str] | None]:
    """One source a row, with the rows' labels and their names."""
    import datasets

    pictures = table.select_columns([column]).cast_column(column, datasets.Image(decode=False))
    sources: list[Source] = [RowSource(pictures, row, column, split) for row in range(len(table))]
    if label is None:
        return sources, None, None
    values = list(table[label])
    feature = table.features[label]
    if isinstance(feature, datasets.ClassLabel):
        if min(values, default=0) < 0:  # what `datasets` gives rows whose label is withheld
            raise DataError(f"{split}: rows without a label", where="data.label", fix="--set data.label=none")
        return sources, [int(value) for value in values], list(feature.names)
    classes = sorted(set(values))
    number = {value: label for label, value in enumerate(classes)}
    return sources, [number[value] for value in values], [str(value) for value in classes]
