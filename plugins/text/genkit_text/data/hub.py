"""`text.hub`: datasets of the Hugging Face hub, or saved to a folder by `datasets`. Needs the extra ``hub``."""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

import torch

from genkit import Batch, ConfigError, DataError, PluginError, Random, StreamedDataset
from genkit_text.data.config import HubConfig
from genkit_text.data.corpus import Corpus, Rows, build, is_held_out, spread
from genkit_text.data.text import Stored, Text, as_batch
from genkit_text.facts import BINDING
from genkit_text.tokenization import Tokenizer


class StreamedText(StreamedDataset):
    """Texts of a stream, made into rows while training.

    What did not fit is counted in the first examples alone: a stream has no end to say it at.

    Args:
        table: an ``IterableDataset`` of the package `datasets`.
        config: the dataset's.
        first: the dataset of the stream's first examples, whose facts and tokenizer this one has too.
    """

    binding = BINDING

    def __init__(self, table: Any, config: HubConfig, first: Text) -> None:
        self.table = table
        self.config = config
        self.first = first
        self.facts = first.facts
        self.tokenizer = Tokenizer.from_facts(first.facts["tokenizer"])

    def examples(self, *, seed: int, epoch: int, shard: int, shards: int) -> Iterator[Stored]:
        """Rows as `genkit_text.data.text.Stored`; packed, windows of the texts of this reader alone."""
        from datasets.distributed import split_dataset_by_node

        part = self._shuffled(split_dataset_by_node(self.table, rank=shard, world_size=shards), f"{seed} {epoch}")
        rows = Rows(self.tokenizer, self.config.length, self.facts.get("prompt_length", 0), pack=self.config.pack)
        stream: list[int] = []
        for text, prompt in self._kept(part):
            if not self.config.pack:
                yield rows.one(text, prompt)
                continue
            stream += [*self.tokenizer.encode(text), self.tokenizer.eos]
            while len(stream) >= self.config.length:
                yield {"tokens": torch.tensor(stream[: self.config.length], dtype=torch.int32)}
                del stream[: self.config.length]

    def prepare(self, stored: Stored, *, rng: Random) -> Batch:
        """As `Text.prepare`."""
        return as_batch(stored)

    def held_out(self) -> Text | None:
        return self.first.held_out()

    def summary(self) -> Mapping[str, Any]:
        about = self.first.summary()
        kept = ("name", "length", "vocabulary", "held out", "licence")
        return {"examples": "streamed", **{key: about[key] for key in kept}}

    def _shuffled(self, table: Any, seed: str) -> Iterator[Mapping[str, Any]]:
        """The rows of a table, each swapped with one of the last `buffer` before it goes out.

        The package's own shuffling draws other numbers in a loader's process than outside of one.
        """
        draw = random.Random(seed)
        held: list[Mapping[str, Any]] = []
        for row in table:
            if len(held) < self.config.buffer:
                held.append(row)
                continue
            chosen = draw.randrange(len(held))
            held[chosen], row = row, held[chosen]
            yield row
        draw.shuffle(held)
        yield from held

    def _kept(self, table: Iterable[Mapping[str, Any]]) -> Iterator[tuple[str, str | None]]:
        """The texts, and prompts, that are neither empty nor held out."""
        share = 0.0 if self.config.held_out_split is not None else self.config.held_out
        for row in table:
            text, prompt = _read(row, self.config)
            if text and (prompt is None or prompt) and not is_held_out(prompt or text, share):
                yield text, prompt


def open_hub(config: HubConfig) -> Text | StreamedText:
    """The texts or pairs of ``config.split``, and those of ``config.held_out_split`` to evaluate on.

    Raises PluginError without the package `datasets`, DataError when the dataset, split or column is not there,
    ConfigError when the options do not go together.
    """
    if config.label is not None and (config.prompt is not None or config.streaming):
        what = "prompts" if config.prompt is not None else "streaming"
        raise ConfigError(f"labels do not go with {what}", where="data.label", fix="--set data.label=null")
    table = _table(config, config.split)
    if config.limit is not None:
        table = table.take(config.limit) if config.streaming else table.select(spread(range(len(table)), config.limit))
    corpus = _corpus(table, config)
    if config.held_out_split is not None:
        corpus = _with_held_out(corpus, _corpus(_table(config, config.held_out_split), config))
    text = build(corpus, replace(config, limit=None), pack=config.pack)
    return StreamedText(table, config, text) if config.streaming else text


def _table(config: HubConfig, split: str) -> Any:
    try:
        import datasets
    except ImportError as error:
        raise PluginError(
            "text.hub needs the package `datasets`", where="data.name", fix='pip install "genkit-gan-text[hub]"'
        ) from error
    folder = Path(config.path).expanduser()
    saved = folder.is_dir() and ((folder / "dataset_dict.json").exists() or (folder / "state.json").exists())
    try:
        if not saved:
            return datasets.load_dataset(config.path, config.subset, split=split, streaming=config.streaming)
        found = datasets.load_from_disk(str(folder))
        found = found[split] if isinstance(found, datasets.DatasetDict) else found
        return found.to_iterable_dataset() if config.streaming else found
    except KeyError as error:
        raise DataError(f"{config.path}: has no split {error}", where="data.split") from error
    except (OSError, ValueError, RuntimeError) as error:  # no such name, no network, no such split or subset
        raise DataError(f"{config.path}: can not be loaded ({error})", where="data.path") from error


def _corpus(table: Any, config: HubConfig) -> Corpus:
    """The texts of a table; of a stream, the first ones."""
    rows = islice(table, config.sample) if config.streaming else table
    read = [_read(row, config) for row in rows]
    labels = classes = None
    if config.label is not None:
        labels, classes = _labels(table, config.label, config)
    return Corpus(
        source="text.hub",
        name=config.path,
        licence="yours",
        texts=[text for text, _ in read],
        prompts=None if config.prompt is None else [prompt or "" for _, prompt in read],
        labels=labels,
        classes=classes,
        unit="texts" if config.prompt is None else "pairs",
    )


def _labels(table: Any, column: str, config: HubConfig) -> tuple[list[str], list[str]]:
    """The label of each row, and the names of all: those of a ClassLabel, else what there is, numbers in their order.

    Raises DataError for rows without a label, and for a column that holds neither words nor whole numbers.
    """
    found = [_value(row, column, "label", config) for row in table]
    names = getattr((table.features or {}).get(column), "names", None)  # of a ClassLabel
    missing = sum(one is None or (names is not None and one < 0) for one in found)  # -1: the label is withheld
    if missing:
        raise DataError(
            f"{config.path}: {missing:,} of {len(found):,} rows have no label",
            where="data.label",
            fix="--set data.label=null",
        )
    if names is not None:
        return [names[one] for one in found], list(names)
    if not all(isinstance(one, str | int) for one in found):
        raise DataError(
            f"{config.path}: its column {column!r} holds neither words nor whole numbers", where="data.label"
        )
    return [str(one) for one in found], [str(one) for one in sorted(set(found))]


def _with_held_out(train: Corpus, test: Corpus) -> Corpus:
    """Both as one corpus, the second one held out. Raises DataError when its labels are others."""
    if not set(test.classes or ()) <= set(train.classes or ()):
        more = ", ".join(sorted(set(test.classes or ()) - set(train.classes or ())))
        raise DataError(f"{train.name}: only the split that is held out has the labels {more}", where="data.label")

    def both(first: Sequence[str] | None, second: Sequence[str] | None) -> list[str] | None:
        return None if first is None or second is None else [*first, *second]

    return replace(
        train,
        texts=[*train.texts, *test.texts],
        prompts=both(train.prompts, test.prompts),
        labels=both(train.labels, test.labels),
        held_out=[False] * len(train) + [True] * len(test),
    )


def _read(row: Mapping[str, Any], config: HubConfig) -> tuple[str, str | None]:
    """The text and the prompt of a row; a missing value is an empty text."""
    found = []
    for key, column in (("text", config.text), ("prompt", config.prompt)):
        value = None if column is None else _value(row, column, key, config)
        if not isinstance(value, str | None):
            raise DataError(f"{config.path}: its column {column!r} does not hold texts", where=f"data.{key}")
        found.append((value or "").strip())
    return found[0], None if config.prompt is None else found[1]


def _value(row: Mapping[str, Any], column: str, key: str, config: HubConfig) -> Any:
    if column not in row:
        raise DataError(
            f"{config.path}: has no column {column!r}; it has {', '.join(row)}",
            where=f"data.{key}",
            fix=f"--set data.{key}=COLUMN",
        )
    return row[column]
