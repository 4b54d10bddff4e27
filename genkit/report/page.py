"""The page itself: contents in, one HTML file out, whose policy forbids every request."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import cache as cached
from pathlib import Path
from typing import Any

from genkit import __version__
from genkit.report.contents import Contents, read_contents
from genkit.report.figures import figures
from genkit.report.previews import Cache, Medium
from genkit.runs import write_atomically

BUDGET = 22_000_000
"""Bytes that previews may take in one page, over all its runs: what else is there fits well below 25 MB."""

TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Written:
    """A page that was written."""

    path: Path
    size: int
    """Bytes."""
    runs: tuple[Path, ...]
    previews: int
    """How many previews it shows."""
    problems: tuple[str, ...]
    """What was wrong with the runs, as the page says it."""


def write_report(runs: Sequence[Path], out: Path | None = None, *, cache: Cache | None = None) -> Written:
    """Write the report of a run, or of several side by side.

    Args:
        runs: the run directories.
        out: the file; None: ``report.html`` in the first of them.
        cache: kept between calls of one process, so that a preview is made small once.

    Raises UsageError when one is no run directory, and OSError when the file can not be written.
    """
    contents = [read_contents(path, budget=BUDGET // len(runs), cache=cache) for path in runs]
    out = out or Path(runs[0]) / "report.html"
    out.parent.mkdir(parents=True, exist_ok=True)
    page = render(contents)
    write_atomically(out, page)
    return Written(
        out,
        len(page.encode()),
        tuple(one.path for one in contents),
        sum(len(one.previews.shown) for one in contents),
        tuple(problem for one in contents for problem in one.problems),
    )


def render(contents: Sequence[Contents]) -> str:
    """The page as text."""
    style, script = (_source(name) for name in ("report.css", "report.js"))
    media: list[Medium] = []
    previews = [_frames(one, media) for one in contents]
    page: str = (
        _environment()
        .get_template("report.html")
        .render(
            version=__version__,
            written=datetime.now(timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
            runs=contents,
            titles=_titles(contents),
            previews=previews,
            media=media,
            figures=figures([one.records for one in contents]),
            scores=_scores(contents),
            settings=_settings(contents),
            data=_beside([(*one.data, ("licence", one.licence or "not known")) for one in contents]),
            environments=_beside([one.environment for one in contents]),
            style=style,
            script=script,
            style_hash=_hash(style),
            script_hash=_hash(script),
        )
    )
    return page


def _titles(contents: Sequence[Contents]) -> list[str]:
    """Names of the runs, with their directory where two have the same."""
    names = [one.name for one in contents]
    return [name if names.count(name) == 1 else str(one.path) for name, one in zip(names, contents, strict=True)]


def _frames(one: Contents, media: list[Medium]) -> list[dict[str, Any]]:
    """The run's previews, each naming the media of the page that show it. `media` grows by them."""
    frames = []
    for preview in one.previews.shown:
        numbers = range(len(media), len(media) + len(preview.media))
        media += preview.media
        parts = [
            {"id": number, "kind": medium.kind, "type": medium.type, "name": medium.name}
            | ({"width": medium.width, "height": medium.height} if medium.width else {})
            | ({} if medium.data else {"note": medium.note})
            | ({"label": medium.label} if medium.label else {})
            for number, medium in zip(numbers, preview.media, strict=True)
        ]
        frames.append({"step": preview.step, "parts": parts})
    return frames


def _scores(contents: Sequence[Contents]) -> dict[str, Any]:
    """The last evaluations: a row for each figure that any run has, a cell for each run; and the protocols."""
    tables = [{str(score["name"]): score for score in one.records.scores} for one in contents]
    names = dict.fromkeys(name for table in tables for name in table)
    rows = []
    for name in names:
        cells = [table.get(name) for table in tables]
        some = next(cell for cell in cells if cell is not None)
        rows.append({"title": some.get("title", name), "better": some.get("better"), "cells": cells})
    protocols: list[dict[str, list[str]]] = []
    for table in tables:
        protocols.append({})
        for score in table.values():
            if score.get("protocol"):
                text = json.dumps(score["protocol"], indent=1, ensure_ascii=False)
                protocols[-1].setdefault(text, []).append(str(score["title"]))
    titles = _titles(contents)
    without = [title for title, table, known in zip(titles, tables, protocols, strict=True) if table and not known]
    return {"rows": rows, "protocols": protocols, "without": without}


def _beside(tables: Sequence[Sequence[tuple[str, str]]]) -> dict[str, list[str]]:
    """Tables of several runs as one: each key with a cell for each run."""
    known = [dict(table) for table in tables]
    return {
        key: [table.get(key, "") for table in known] for key in dict.fromkeys(key for table in known for key in table)
    }


def _settings(contents: Sequence[Contents]) -> list[dict[str, Any]]:
    """The configs: a row for each key that any run has, a cell for each run."""
    tables = [{setting.key: setting for setting in one.settings} for one in contents]
    rows = []
    for key in dict.fromkeys(key for table in tables for key in table):
        cells = [table.get(key) for table in tables]
        values = {cell.value if cell else None for cell in cells}
        known = dict.fromkeys(cell.default for cell in cells if cell and cell.default is not None)
        rows.append(
            {
                "key": key,
                "cells": cells,
                "default": ", or ".join(known) if known else None,
                "differs": len(values) > 1 or any(cell and cell.differs for cell in cells),
            }
        )
    return rows


@cached
def _source(name: str) -> str:
    return (TEMPLATES / name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    """What a content security policy knows an inline script or style by."""
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


@cached
def _environment() -> Any:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"clock": _clock, "number": _number}
    return environment


def _clock(seconds: float) -> str:
    """``1 h 02 min``, ``4 min 10 s``, ``9 s``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min" if hours else f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


def _number(value: float | None) -> str:
    return "not finite" if value is None else f"{value:.4g}"
