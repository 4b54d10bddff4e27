"""Lists of recordings: CSV with a header, or JSON Lines, whose paths count from the list's own place."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from genkit import DataError
from genkit_audio.data.clips import Clip
from genkit_audio.data.files import FileSource

NAMES = {
    "path": ("path", "file_name", "file", "audio"),
    "label": ("label", "class"),
    "start": ("start",),
    "stop": ("stop", "end"),
    "text": ("text", "transcription", "sentence"),
}
"""What the columns may be called."""


def read_list(path: Path) -> list[Clip]:
    """The clips that a list names; where no row has a label, no clip has one.

    Raises DataError, naming the list and its line, when a row is odd or its recording is not there.
    """
    clips = []
    for line, row in _rows(path):
        where = f"{path}:{line}"
        key = _value(row, "path")
        if key is None:
            raise DataError(f"{where}: names no recording", where="data.path", fix="give each row a `path`")
        source = FileSource(str(path.parent), str(key))
        if not Path(source.name).is_file():
            raise DataError(f"{where}: there is no file {source.name}", where="data.path")
        start, stop = _seconds(row, "start", where), _seconds(row, "stop", where)
        if stop is not None and stop <= (start or 0.0):
            raise DataError(f"{where}: the part of {key} from {start or 0.0:g} to {stop:g} seconds is empty")
        label, text = _value(row, "label"), _value(row, "text")
        clips.append(
            Clip(
                source,
                label=None if label is None else str(label),
                start=start or 0.0,
                stop=stop,
                text=None if text is None else str(text),
            )
        )
        if (label is None) != (clips[0].label is None):
            raise DataError(f"{where}: rows with a label and without one", where="data.labels")
    return clips


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """The number of the line and the row."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            if path.suffix.lower() == ".jsonl":
                yield from _json_rows(path, file)
                return
            header = file.readline()
            file.seek(0)
            mark = max("\t|;,", key=header.count)  # the comma, where there is one column
            # Bars part words that people have written, with lone quotes in them.
            rows = csv.DictReader(file, delimiter=mark, quoting=csv.QUOTE_NONE if mark == "|" else csv.QUOTE_MINIMAL)
            for row in rows:
                yield rows.line_num, {(name or "").strip().lower(): value for name, value in row.items()}
    except OSError as error:
        raise DataError(f"{path}: can not be opened ({error.strerror or error})", where="data.path") from error
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"{path}: is no list in UTF-8 ({error})", where="data.path") from error


def _json_rows(path: Path, file: Iterator[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(file, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise DataError(f"{path}:{number}: is no JSON ({error})", where="data.path") from error
        if not isinstance(row, Mapping):
            raise DataError(f"{path}:{number}: is no JSON object", where="data.path")
        yield number, row


def _value(row: Mapping[str, Any], column: str) -> Any:
    """What a row has in a column; None for nothing, and for an empty text."""
    for name in NAMES[column]:
        found = row.get(name)
        if found is not None and found != "":
            return found
    return None


def _seconds(row: Mapping[str, Any], column: str, where: str) -> float | None:
    found = _value(row, column)
    if found is None:
        return None
    try:
        seconds = float(found)
    except (TypeError, ValueError):
        seconds = math.nan
    if not (math.isfinite(seconds) and seconds >= 0):
        raise DataError(f"{where}: its {column}, {found!r}, is no number of seconds", where="data.path")
    return seconds
