"""`image.hub`: datasets of the Hugging Face hub, or saved to a folder by `datasets`. Needs the extra ``hub``."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any

from genkit import ConfigError, DataError, PluginError
from genkit_image.data.collection import Collection, Source, listed, number_labels
from genkit_image.data.config import HubConfig
from genkit_image.data.images import Images
from genkit_image.data.loading import load_images
from genkit_image.data.streaming import StreamedPictures, open_stored, open_stream


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
        return open_stored(self.table[self.row][self.column], self.name)


def open_hub(config: HubConfig) -> Images | StreamedPictures:
    """The pictures of ``config.split``, and those of ``config.held_out_split`` to evaluate on.

    Raises PluginError without the package `datasets`, DataError when the dataset, split or column is not there,
    ConfigError when the options do not go together.
    """
    if not config.streaming:
        return load_images(find_hub(config), config)
    table = _table(config, config.split)
    column, label = _picture_column(table, config), _label_column(table, config)
    return open_stream(_undecoded(table, column), column, label, config, _streamed_held_out(config))


def find_hub(config: HubConfig) -> Collection:
    """The pictures of both splits with their labels, not yet read. Raises as `open_hub`."""
    if config.streaming:
        raise ConfigError(
            "a stream is not gone through as a whole", where="data.streaming", fix="--set data.streaming=false"
        )
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
    return Collection(config.path, sources, labels, classes, held_out)


def _streamed_held_out(config: HubConfig) -> Images | None:
    """The first pictures of the split that is held out, as a stream gives them."""
    if config.held_out_split is None:
        return None
    import datasets

    stream = _table(config, config.held_out_split)
    column, label = _picture_column(stream, config), _label_column(stream, config)
    rows = _undecoded(stream, column).take(config.held_out_limit)
    table = datasets.Dataset.from_list(list(rows), features=rows.features)
    sources, labels, classes = _rows(table, config.held_out_split, column, label)
    name = f"{config.path}, held out"
    return load_images(Collection(name, sources, labels, classes), replace(config, held_out=0.0, flip=False))


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
        if saved:
            found = datasets.load_from_disk(str(folder))
            table = found[split] if isinstance(found, datasets.DatasetDict) else found
            return table.to_iterable_dataset() if config.streaming else table
        return datasets.load_dataset(
            config.path, config.subset, split=split, revision=config.revision, streaming=config.streaming
        )
    except KeyError as error:
        raise DataError(f"{config.path}: has no split {error}", where="data.split") from error
    except (OSError, ValueError, RuntimeError) as error:  # no such name, no network, no such split or subset
        raise DataError(f"{config.path}: can not be loaded ({error})", where="data.path") from error


def _picture_column(table: Any, config: HubConfig) -> str:
    import datasets

    features = table.features or {}  # a stream may not say
    columns = [str(name) for name, feature in features.items() if isinstance(feature, datasets.Image)]
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

    pictures = _undecoded(table.select_columns([column]), column)
    sources: list[Source] = [RowSource(pictures, row, column, split) for row in range(len(table))]
    if label is None:
        return sources, None, None
    values = list(table[label])
    feature = table.features[label]
    if isinstance(feature, datasets.ClassLabel):
        missing = [f"{split}[{row}]" for row, value in enumerate(values) if value is None or value < 0]
        if missing:  # -1 is what `datasets` gives rows whose label is withheld
            raise DataError(f"rows without a label: {listed(missing)}", where="data.label", fix="--set data.label=none")
        return sources, [int(value) for value in values], list(feature.names)
    return sources, *number_labels(values, [source.name for source in sources], "data.label")


def _undecoded(table: Any, column: str) -> Any:
    """The table with pictures as they are stored."""
    import datasets

    return table.cast_column(column, datasets.Image(decode=False))
