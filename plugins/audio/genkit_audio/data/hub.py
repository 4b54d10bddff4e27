"""`audio.hub`: datasets of the Hugging Face hub, or saved to a folder by `datasets`. Needs the extra ``hub``."""

from __future__ import annotations

import hashlib
import os
import random
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import IO, Any

from genkit import Batch, ConfigError, DataError, PluginError, Random, StreamedDataset
from genkit_audio.data.clips import Clip, each, measure
from genkit_audio.data.config import HubConfig
from genkit_audio.data.corpus import Corpus, build, check, fraction, spread
from genkit_audio.data.files import BytesSource, FileSource, Source
from genkit_audio.data.parts import Part
from genkit_audio.data.sounds import Sounds, Stored
from genkit_audio.data.windows import Cut
from genkit_audio.facts import BINDING


@dataclass(frozen=True)
class TableSource:
    """A recording in a row of a table, read from it each time."""

    table: Any
    column: str
    row: int
    title: str
    by_row: bool = False
    """Whether its name is not its own."""

    @property
    def name(self) -> str:
        return f"{self.title}, row {self.row}"

    @cached_property
    def key(self) -> str:
        """Read once, since the row's content comes with it."""
        key = self._stored().key
        return f"{key}, row {self.row}" if self.by_row else key

    def open(self) -> str | IO[bytes]:
        return self._stored().open()

    def version(self) -> str:
        """That of its file, or of its content."""
        return self._stored().version()

    def _stored(self) -> Source:
        return _source(self.table[self.row][self.column], self.name)


class StreamedSounds(StreamedDataset):
    """Recordings of a stream, cut into windows while training.

    What was changed or left out is counted in the first recordings alone: a stream has no end to say it at.

    Args:
        table: an ``IterableDataset`` of the package `datasets` whose recordings are not decoded.
        column: where they are.
        config: the dataset's.
        first: the dataset of the stream's first recordings, whose facts this one has too.
    """

    binding = BINDING

    def __init__(self, table: Any, column: str, config: HubConfig, first: Sounds) -> None:
        self.table, self.column, self.config, self.first = table, column, config, first
        self.facts = first.facts
        self._cut = Cut(config.length, config.crop, config.short, config.fade)

    def examples(self, *, seed: int, epoch: int, shard: int, shards: int) -> Iterator[Stored]:
        """Windows as `Stored`, each swapped with one of the last `buffer` before it goes out."""
        from datasets.distributed import split_dataset_by_node

        draw = random.Random(f"{seed} {epoch}")
        held: list[Stored] = []
        for window in self._windows(split_dataset_by_node(self.table, rank=shard, world_size=shards)):
            if len(held) < self.config.buffer:
                held.append(window)
                continue
            chosen = draw.randrange(len(held))
            held[chosen], window = window, held[chosen]
            yield window
        draw.shuffle(held)
        yield from held

    def prepare(self, stored: Stored, *, rng: Random) -> Batch:
        """As `Sounds.prepare`."""
        return self.first.prepare(stored, rng=rng)

    def held_out(self) -> Sounds | None:
        return self.first.held_out()

    def summary(self) -> Mapping[str, Any]:
        about = self.first.summary()
        return {
            "examples": "streamed",
            **{key: about[key] for key in ("name", "rate", "length", "held out", "licence")},
        }

    def _windows(self, table: Any) -> Iterator[Stored]:
        """All windows of the recordings that are not held out."""
        for row in table:
            try:
                clip = _clip(row[self.column], self.config)
                if clip.held_out:
                    continue
                measured = measure(clip, self.facts["rate"])
                check([measured], self.config, self.facts["rate"])
                part = Part([measured], self._cut, replace(self.config, skip_broken=False), in_memory=True)
            except DataError as error:
                if not self.config.skip_broken:
                    raise
                print(f"left out: {error.what}", file=sys.stderr)
                continue
            if len(part):
                whole = part.sounds(self.facts, weights=None, name="", licence="")
                yield from (whole.read(index) for index in range(len(whole)))


def open_hub(config: HubConfig) -> Sounds | StreamedSounds:
    """The recordings of ``config.split``, and those of ``config.held_out_split`` to evaluate on.

    Raises PluginError without the package `datasets`, DataError when the dataset, split or column is not there,
    ConfigError when the options do not go together.
    """
    if config.streaming:
        return _open_stream(config)
    return build(find_hub(config), replace(config, limit=None))


def find_hub(config: HubConfig) -> Corpus:
    """The clips of both splits, held out as the config says; of a stream, the first ones."""
    if config.streaming:
        return _first(*_recordings(config, config.split), config)
    clips = _clips(config, config.split, None if config.held_out_split is None else False)
    if config.held_out_split is not None:
        clips += _clips(config, config.held_out_split, True)
        known = {clip.label for clip in clips if not clip.held_out}
        more = sorted({str(clip.label) for clip in clips} - {str(label) for label in known})
        if more:
            raise DataError(
                f"{config.path}: only the split that is held out has the labels {', '.join(more)}", where="data.label"
            )
    return Corpus(source="audio.hub", name=config.path, licence="yours", clips=clips)


def _open_stream(config: HubConfig) -> StreamedSounds:
    refused = {
        "cache": config.cache is not None,
        "held_out_split": config.held_out_split is not None,
        "label": config.label not in ("auto", "none"),
        "sampling": config.sampling != "duration",
        "speeds": set(config.speeds) != {1.0},
    }
    for option in [option for option, given in refused.items() if given]:
        raise ConfigError(f"`{option}` does not go with streaming", where=f"data.{option}")
    table, column = _recordings(config, config.split)
    first = build(_first(table, column, config), replace(config, limit=None))
    table = table if config.limit is None else table.take(config.limit)
    return StreamedSounds(table, column, config, first)


def _first(table: Any, column: str, config: HubConfig) -> Corpus:
    """The first recordings of a stream."""
    count = min(config.sample, config.limit or config.sample)
    rows = (row[column] for row in islice(table, count))
    clips, empty = each(lambda value: _clip(value, config), list(rows), skip_broken=config.skip_broken)
    said = {"rows without a recording left out": len(empty)}
    return Corpus(source="audio.hub", name=config.path, licence="yours", clips=clips, said=said)


def _clip(value: Any, config: HubConfig) -> Clip:
    """A recording of a stream, which is held out by its name and content alone: others of its name may come later."""
    source = _source(value, config.path)
    name = f"{source.key} {source.version()}" if isinstance(source, BytesSource) else source.key
    return Clip(source, held_out=fraction(name) < config.held_out)


def _clips(config: HubConfig, split: str, held_out: bool | None) -> list[Clip]:
    table, column = _recordings(config, split)
    label = _label_column(table, config)
    labels = None if label is None else table[label]
    names = None if label is None else getattr(table.features[label], "names", None)  # of a ClassLabel
    alone = table.select_columns([column])
    keys = [None if path is None else _key(path) for path in _paths(alone, column)]
    often = Counter(keys)
    clips = []
    for row in spread(len(table), config.limit):
        by_row = keys[row] is not None and often[keys[row]] > 1
        source = TableSource(alone, column, row, f"{config.path} ({split})", by_row)
        own = None if labels is None else _label(labels[row], names, source.name)
        clips.append(Clip(source, label=own, held_out=held_out))
    return clips


def _paths(table: Any, column: str) -> Iterator[str | None]:
    """The path of each recording, where it has one; their bytes are not read."""
    for batch in table.with_format("arrow").iter(1_000):
        for chunk in batch[column].chunks:
            yield from chunk.field("path").to_pylist()


def _label(value: Any, names: Sequence[str] | None, row: str) -> str:
    """A cell of the column of labels, as a name."""
    if value is None or (names is not None and not 0 <= value < len(names)):
        raise DataError(
            f"{row}: has no label" + ("" if value is None else f", but {value}"),
            where="data.label",
            fix="--set data.label=none, or leave such rows out of the dataset",
        )
    return str(value) if names is None else names[value]


def _recordings(config: HubConfig, split: str) -> tuple[Any, str]:
    """A split whose recordings are not decoded, and their column."""
    try:
        import datasets
    except ImportError as error:
        raise PluginError(
            "audio.hub needs the package `datasets`", where="data.name", fix='pip install "genkit-gan-audio[hub]"'
        ) from error
    folder = Path(config.path).expanduser()
    saved = folder.is_dir() and ((folder / "dataset_dict.json").exists() or (folder / "state.json").exists())
    try:
        if saved:
            found = datasets.load_from_disk(str(folder))
            table = found[split] if isinstance(found, datasets.DatasetDict) else found
            table = table.to_iterable_dataset() if config.streaming else table
        else:
            table = datasets.load_dataset(config.path, config.subset, split=split, streaming=config.streaming)
    except KeyError as error:
        raise DataError(f"{config.path}: has no split {error}", where="data.split") from error
    except (OSError, ValueError, RuntimeError) as error:  # no such name, no network, no such split or subset
        raise DataError(f"{config.path}: can not be loaded ({error})", where="data.path") from error
    features = table.features or {}
    sounds = [name for name, feature in features.items() if isinstance(feature, datasets.Audio)]
    if config.audio is None and len(sounds) != 1:
        raise DataError(
            f"{config.path}: {len(sounds)} of its columns, {', '.join(features) or 'not known'}, hold recordings",
            where="data.audio",
            fix="--set data.audio=COLUMN",
        )
    column = config.audio or sounds[0]
    if column not in features:
        raise DataError(f"{config.path}: has no column {column!r}; it has {', '.join(features)}", where="data.audio")
    if column not in sounds:
        raise DataError(f"{config.path}: its column {column!r} does not hold recordings", where="data.audio")
    return table.cast_column(column, datasets.Audio(decode=False)), column


def _label_column(table: Any, config: HubConfig) -> str | None:
    import datasets

    if config.label == "none":
        return None
    if config.label != "auto":
        if config.label not in table.features:
            raise DataError(f"{config.path}: has no column {config.label!r}", where="data.label")
        return config.label
    found = [name for name, feature in table.features.items() if isinstance(feature, datasets.ClassLabel)]
    return found[0] if len(found) == 1 else None


def _source(value: Any, name: str) -> Source:
    """What a cell of a column of recordings holds: their bytes, or where they are."""
    content, path = (value or {}).get("bytes"), (value or {}).get("path")
    if content is not None:
        key = path or hashlib.blake2b(content, digest_size=16).hexdigest()
        return BytesSource(f"{name} ({os.path.basename(path)})" if path else name, key, content)
    if not path:
        raise DataError(f"{name}: has a row without a recording", where="data.audio")
    return FileSource(str(Path(path).parents[_key(path).count("/")]), _key(path))


def _key(path: str) -> str:
    """The last three parts of a path, which it has wherever the dataset lies."""
    place = Path(path)
    return "/".join(place.relative_to(place.anchor).parts[-3:])
