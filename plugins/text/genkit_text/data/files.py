"""`text.lines` and `text.jsonl`: a user's own files."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from genkit import DataError
from genkit_text.data.config import JsonlConfig, LinesConfig
from genkit_text.data.corpus import Corpus, build
from genkit_text.data.text import Text


def open_lines(config: LinesConfig) -> Text:
    """The lines of a file, or of a folder's .txt files in the order of their names.

    Raises DataError when nothing is there, or a file is not UTF-8.
    """
    path = Path(config.path).expanduser()
    files = [path]
    if path.is_dir():
        files = sorted(one for one in path.rglob("*") if one.name.endswith((".txt", ".txt.gz")) and one.is_file())
        if not files:
            raise DataError(f"{path}: has no .txt files", where="data.path")
    texts = [line for file in files for line in read_lines(file)]
    corpus = Corpus(source="text.lines", name=path.name, licence="yours", texts=texts, unit="lines")
    return build(corpus, config, pack=config.pack)


def open_jsonl(config: JsonlConfig) -> Text:
    """The objects of a JSON Lines file. Its first one decides whether it holds texts, with or without labels, or pairs;
    of pairs a label is not read.

    Raises DataError, naming the line, for what is no JSON object or lacks a key.
    """
    path = Path(config.path).expanduser()
    corpus = read_jsonl(path, labels=config.labels == "auto", source="text.jsonl", licence="yours")
    return build(corpus, config, pack=config.pack)


def read_lines(path: Path) -> list[str]:
    """The lines of a UTF-8 file, gzipped or not, without their ends. Raises DataError, naming the byte that is none."""
    try:
        content = path.read_bytes()
        if content.startswith(b"\x1f\x8b"):
            content = gzip.decompress(content)
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or error
        raise DataError(f"{path}: can not be read ({reason})", where="data.path") from error
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: is not UTF-8: byte {error.start:,} is 0x{content[error.start]:02x}",
            where="data.path",
            fix=f"iconv -f LATIN1 -t UTF-8 {path} > utf8.txt, where LATIN1 is what the file is written in",
        ) from error
    lines = text.removeprefix("\ufeff").split("\n")
    return [line.removesuffix("\r") for line in (lines if lines[-1] else lines[:-1])]


def read_jsonl(
    path: Path,
    *,
    labels: bool,
    source: str,
    licence: str,
    name: str | None = None,
    label_key: str = "label",
    unit: str | None = None,
) -> Corpus:
    """The objects of a JSON Lines file as a corpus. Blank lines count as empty texts. Raises DataError."""
    kind: tuple[str, ...] = ()
    columns: dict[str, list[str]] = {}
    numeric = True
    for where, row in _objects(path):
        if not kind:
            kind = ("prompt", "response") if "prompt" in row else ("text",)
            kind += (label_key,) if labels and kind == ("text",) and label_key in row else ()
            columns = {key: [] for key in kind}
        for key in kind:
            value = row.get(key, "") if not row else _value(row, key, where, number=key == label_key)
            numeric &= key != label_key or isinstance(value, int) or not row
            columns[key].append(str(value))
    if not kind:
        raise DataError(f"{path}: is empty", where="data.path")
    tags = columns.get(label_key)
    texts = columns["response" if "prompt" in kind else "text"]
    classes = None
    if tags is not None:
        named = {tag for tag, text in zip(tags, texts, strict=True) if text.strip()}
        classes = sorted(named, key=lambda tag: (int(tag) if numeric else 0, tag))
    return Corpus(
        source=source,
        name=name or path.name,
        licence=licence,
        texts=texts,
        prompts=columns.get("prompt"),
        labels=tags,
        classes=classes,
        unit=unit or ("pairs" if "prompt" in kind else "texts"),
    )


def _objects(path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Each line's place and its object; an empty one for a blank line once there was another."""
    begun = False
    for number, line in enumerate(read_lines(path), 1):
        where = f"{path}, line {number:,}"
        if not line.strip():
            if begun:
                yield where, {}
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{where}: is not JSON ({error})", where="data.path") from error
        if not isinstance(row, dict) or not row:
            raise DataError(f"{where}: is no object with keys", where="data.path")
        begun = True
        yield where, row


def _value(row: Mapping[str, Any], key: str, where: str, *, number: bool) -> str | int:
    if key not in row:
        raise DataError(
            f"{where}: has no {key!r}; its keys are {', '.join(map(repr, row))}",
            where="data.path",
            fix='{"text": ...}, {"text": ..., "label": ...} or {"prompt": ..., "response": ...} on each line',
        )
    value = row[key]
    if number and isinstance(value, int):
        return int(value)
    if not isinstance(value, str):
        raise DataError(f"{where}: {key!r} is {json.dumps(value)[:40]}, not a string", where="data.path")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{where}: {key!r} holds half of a character, {value[error.start]!r}", where="data.path"
        ) from error
    return value
