"""Texts -> rows of tokens: which are left out, which held out, how they are cut, and what is said of it."""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor

from genkit import ConfigError, DataError
from genkit_text.data.config import PairsConfig, TextConfig
from genkit_text.data.text import Stored, Text
from genkit_text.tokenization import KINDS, UNKNOWN, Tokenizer, load_tokenizer, train_tokenizer

PROMPTS = 256
"""Prompts kept in the facts, for sampling without one."""


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Texts as they were read."""

    source: str
    """The dataset's name in the catalog; it begins what is said on stderr."""
    name: str
    licence: str
    texts: Sequence[str]
    """The texts, or the responses to the prompts."""
    prompts: Sequence[str] | None = None
    labels: Sequence[str] | None = None
    classes: Sequence[str] | None = None
    """The names of the labels, in their order."""
    held_out: Sequence[bool] | None = None
    """Which of them are held out; None: the config's share, by their texts."""
    unit: str = "texts"
    """What an example is called."""

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, chosen: Sequence[int]) -> Corpus:
        """The corpus with these of its examples."""

        def of(column: Sequence[Any] | None) -> list[Any] | None:
            return None if column is None else [column[i] for i in chosen]

        return replace(
            self,
            texts=[self.texts[i] for i in chosen],
            prompts=of(self.prompts),
            labels=of(self.labels),
            held_out=of(self.held_out),
        )


def build(corpus: Corpus, config: TextConfig, *, pack: bool = False, tokenizer: Tokenizer | None = None) -> Text:
    """The dataset of a corpus. What was cut or left out is said in one line on stderr, and in the summary.

    Args:
        corpus: the texts.
        config: the dataset's; a `PairsConfig` where there are prompts.
        pack: cut one stream of all texts into windows instead of giving each text a row.
        tokenizer: an existing one; None makes the one that the config names.

    Raises DataError when nothing is left to train on, ConfigError when the options do not go together.
    """
    _check(corpus, config, pack)
    texts, prompts = ([one.strip() for one in column or ()] for column in (corpus.texts, corpus.prompts))
    corpus = replace(corpus, texts=texts, prompts=None if corpus.prompts is None else prompts)
    kept = [i for i, text in enumerate(texts) if text and (corpus.prompts is None or prompts[i])]
    empty = len(texts) - len(kept)
    corpus = corpus.take(spread(kept, config.limit))
    if not len(corpus):
        raise DataError(f"{corpus.name}: has no {corpus.unit}" + (f", only {empty} empty ones" if empty else ""))
    apart = corpus.held_out
    if apart is None:
        apart = [is_held_out(key, config.held_out) for key in corpus.prompts or corpus.texts]
    train = corpus.take([i for i, out in enumerate(apart) if not out])
    rest = corpus.take([i for i, out in enumerate(apart) if out])
    if not len(train):
        raise DataError(
            f"{corpus.name}: all of its {len(corpus)} {corpus.unit} are held out",
            where="data.held_out",
            fix="--set data.held_out=0, or bring more data",
        )
    tokenizer = tokenizer or make_tokenizer(config, [*(train.prompts or []), *train.texts])
    facts, classes = facts_of(tokenizer, config, train, pack)
    rows = Rows(tokenizer, config.length, facts.get("prompt_length", 0), pack=pack)
    made = rows.make(train, classes)
    if not len(made["tokens"]):
        raise DataError(
            f"{corpus.name}: its {rows.tokens:,} tokens do not fill one row of {config.length}", where="data.length"
        )
    test = rows.make(rest, classes) if len(rest) else {}
    _say(corpus, rows, empty)
    about: dict[str, Any] = {"facts": facts, "licence": corpus.licence}
    held_out = Text(test, name=f"{corpus.name}, held out", **about) if len(test.get("tokens", ())) else None
    said = {f"empty {corpus.unit} left out": empty, **rows.summary(corpus.unit)}
    return Text(made, name=corpus.name, said=said, held_out=held_out, **about)


def spread(chosen: Sequence[int], limit: int | None) -> Sequence[int]:
    """At most `limit` of `chosen`, evenly over all of it: files are often sorted."""
    if limit is None or limit >= len(chosen):
        return chosen
    return [chosen[i * len(chosen) // limit] for i in range(limit)]


def is_held_out(key: str, share: float) -> bool:
    """Whether the example with this key, its prompt or its text, is held out. It depends on the key alone, so that
    equal ones are on one side."""
    if not share:
        return False
    digest = hashlib.blake2b(key.encode(errors="replace"), digest_size=8).digest()
    return int.from_bytes(digest, "little") < share * 2**64


def make_tokenizer(config: TextConfig, texts: Sequence[str]) -> Tokenizer:
    """The tokenizer that the config names, trained on `texts` when it is not a path.

    Raises ConfigError when the config's vocabulary is not that of a tokenizer that was read from a path.
    """
    if config.tokenizer in KINDS:
        found = train_tokenizer(cast(Any, config.tokenizer), texts, config.vocabulary)
    else:
        found = load_tokenizer(config.tokenizer)
        if config.vocabulary not in (None, found.vocabulary):
            raise ConfigError(
                f"a vocabulary of {config.vocabulary} does not go with {config.tokenizer}: it has {found.vocabulary}",
                where="data.vocabulary",
                fix="--set data.vocabulary=null",
            )
    template = config.template if isinstance(config, PairsConfig) else None
    if template is not None:
        found = Tokenizer(found.backend, found.bos, found.eos, found.pad, template)
    return found


def facts_of(
    tokenizer: Tokenizer, config: TextConfig, train: Corpus, pack: bool
) -> tuple[dict[str, Any], Sequence[str] | None]:
    """The facts, as `TextFacts` reads them, and the labels' names. Packed rows have no end: their `eos` is None."""
    facts: dict[str, Any] = {
        "modality": "text",
        "name": train.name,
        "vocabulary": tokenizer.vocabulary,
        "length": config.length,
        "bos": tokenizer.bos,
        "eos": None if pack else tokenizer.eos,
        "pad": tokenizer.pad,
        "tokenizer": tokenizer.to_facts(),
    }
    if train.labels is not None:
        facts |= {"labels": train.classes, "label_counts": [train.labels.count(one) for one in train.classes or ()]}
    if train.prompts is not None and isinstance(config, PairsConfig):
        some = list(dict.fromkeys(train.prompts))
        facts |= {"prompt_length": config.prompt_length, "prompts": some[:: max(1, len(some) // PROMPTS)][:PROMPTS]}
    return facts, train.classes


class Rows:
    """Makes rows of tokens from texts, and counts what did not fit.

    Args:
        tokenizer: how.
        length: tokens in a row.
        prompt_length: tokens in a row of prompts; 0 when there are none.
        pack: whether all texts are one stream.

    Raises ConfigError when the prompt's template leaves no room for a prompt.
    """

    def __init__(self, tokenizer: Tokenizer, length: int, prompt_length: int = 0, *, pack: bool = False) -> None:
        self.tokenizer, self.length, self.prompt_length, self.pack = tokenizer, length, prompt_length, pack
        self.tokens = self.cut = self.cut_prompts = self.dropped = self.unknown = 0
        self._unknown_token = tokenizer.backend.token_to_id(UNKNOWN)
        frame = len(tokenizer.prompt_tokens("", 0))
        if prompt_length and frame >= prompt_length:
            raise ConfigError(
                f"the template alone has {frame} tokens, and a row of prompts {prompt_length}",
                where="data.prompt_length",
                fix=f"more than {frame}",
            )

    def make(self, corpus: Corpus, classes: Sequence[str] | None) -> Stored:
        """All rows of a corpus."""
        encoded = self.tokenizer.encode_all(corpus.texts)
        if self.pack:
            return {"tokens": self._windows(encoded)}
        rows = [self._row(ids) for ids in encoded]
        made = {
            "tokens": torch.tensor([row for row, _ in rows], dtype=torch.int32),
            "length": torch.tensor([length for _, length in rows], dtype=torch.int32),
        }
        if classes is not None and corpus.labels is not None:
            number = {name: i for i, name in enumerate(classes)}
            made["label"] = torch.tensor([number[label] for label in corpus.labels], dtype=torch.int64)
        if corpus.prompts is not None:
            made["prompt"] = torch.tensor(self._prompts(corpus.prompts), dtype=torch.int32)
        return made

    def one(self, text: str, prompt: str | None) -> Stored:
        """One row, as `Stored`, of an example that comes alone."""
        row, length = self._row(self.tokenizer.encode(text))
        made = {"tokens": torch.tensor(row, dtype=torch.int32), "length": torch.tensor(length, dtype=torch.int32)}
        if prompt is not None:
            made["prompt"] = torch.tensor(self._prompts([prompt])[0], dtype=torch.int32)
        return made

    def summary(self, unit: str) -> dict[str, Any]:
        """What a report says of what did not fit."""
        said: dict[str, Any] = {"tokens left over": self.dropped} if self.pack else {f"{unit} cut": self.cut}
        if self.prompt_length:
            said["prompts cut"] = self.cut_prompts
        if self.unknown:
            said["unknown tokens"] = f"{self.unknown / self.tokens:.2%}"
        return said

    def _row(self, ids: Sequence[int]) -> tuple[list[int], int]:
        """A row and how many of its tokens count. A text that does not fit with its end is cut and has none."""
        self._count(ids)
        whole = [*ids, self.tokenizer.eos]
        if len(whole) > self.length:
            self.cut += 1
            return list(ids[: self.length]), self.length
        return whole + [self.tokenizer.pad] * (self.length - len(whole)), len(whole)

    def _prompts(self, texts: Sequence[str]) -> list[list[int]]:
        """Rows of prompts, padded on their left; a long prompt loses its end."""
        first, spaces, last = self.tokenizer.around
        room = self.prompt_length - len(first) - len(last)
        rows = []
        for own in self.tokenizer.encode_all([spaces + text for text in texts]):
            self.cut_prompts += len(own) > room
            rows.append([self.tokenizer.pad] * (room - len(own)) + [*first, *own[:room], *last])
        return rows

    def _windows(self, encoded: Sequence[Sequence[int]]) -> Tensor:
        """All texts as one stream, each with its end, in windows [N, L]; what does not fill one is dropped."""
        for ids in encoded:
            self._count(ids)
        stream = torch.tensor([token for ids in encoded for token in (*ids, self.tokenizer.eos)], dtype=torch.int32)
        count = len(stream) // self.length
        self.dropped += len(stream) - count * self.length
        return stream[: count * self.length].view(count, self.length)

    def _count(self, ids: Sequence[int]) -> None:
        self.tokens += len(ids)
        if self._unknown_token is not None:
            self.unknown += ids.count(self._unknown_token)


def _check(corpus: Corpus, config: TextConfig, pack: bool) -> None:
    if pack and (corpus.prompts is not None or corpus.labels is not None):
        what = "pairs" if corpus.prompts is not None else "labels"
        raise ConfigError(f"{corpus.source}: texts with {what} can not be packed", where="data.pack")
    if corpus.prompts is None and isinstance(config, PairsConfig) and config.template is not None:
        raise ConfigError(f"{corpus.source}: these texts have no prompts for a template", where="data.template")


def _say(corpus: Corpus, rows: Rows, empty: int) -> None:
    """One line on stderr when texts were cut or left out; none when all is as expected."""
    total = f"{len(corpus):,}"
    lines = []
    if rows.cut:
        lines.append(f"{rows.cut:,} of {total} {corpus.unit} were longer than {rows.length} tokens and were cut")
    if rows.cut_prompts:
        lines.append(
            f"{rows.cut_prompts:,} of {total} prompts were longer than {rows.prompt_length} tokens and lost their end"
        )
    if empty:
        lines.append(f"{empty:,} empty {corpus.unit} were left out")
    if lines:
        print(f"{corpus.source}: {'; '.join(lines)}", file=sys.stderr)
