"""All that a run directory says, read for the report: it stands alone, whatever became of the recipe or its plugin."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genkit.catalog import catalog
from genkit.config import resolve_config, to_dict
from genkit.errors import GenkitError
from genkit.layers import RESERVED, read_config_file
from genkit.plugins import plugins
from genkit.report.previews import Cache, Previews, read_previews
from genkit.report.records import Records, read_records
from genkit.runs import Run, RunSummary, summarise

LONGEST_VALUE = 300
"""Characters of a value in a table; of what is longer the page says how long it is."""

ABSENT = "(none)"
"""What stands for a key that a config has not."""


@dataclass(frozen=True)
class Setting:
    """One key of the config."""

    key: str
    value: str
    default: str | None
    """What the recipe, with the run's preset, has there; None where that is not known."""

    @property
    def differs(self) -> bool:
        """Whether the run has another value than the recipe. A key that is not there has no other value than null."""
        return (
            self.default is not None and self.default != self.value and {self.default, self.value} != {ABSENT, "null"}
        )


@dataclass(frozen=True)
class Contents:
    """A run as the page shows it."""

    path: Path
    summary: RunSummary
    seed: int
    records: Records
    previews: Previews
    settings: tuple[Setting, ...] = ()
    environment: tuple[tuple[str, str], ...] = ()
    data: tuple[tuple[str, str], ...] = ()
    licence: str | None = None
    """Of the data; None where nobody knows."""
    problems: tuple[str, ...] = ()
    """What went wrong with the run, and what of it could not be read."""
    notes: tuple[str, ...] = field(default_factory=tuple)
    """What the reader is to know of this page."""

    @property
    def name(self) -> str:
        """What the page calls the run."""
        return self.path.name


def read_contents(path: Path, *, budget: int, cache: Cache | None = None) -> Contents:
    """Read a run directory: one in progress, a failed one, one whose plugin is gone, one of an older version.

    Args:
        path: the directory.
        budget: bytes that its previews may take in the page.
        cache: see `read_previews`.

    Raises UsageError when `path` is no run directory.
    """
    run = Run.open(path)
    summary = summarise(run)
    problems = _ended_badly(run, summary)
    config = _config(run, problems)
    environment = _environment(run, problems)
    defaults = _defaults(run, config, environment, problems)
    penalties = config.get("penalties")
    records = read_records(run.metrics, penalties=penalties if isinstance(penalties, Mapping) else {})
    if records.damaged:
        problems.append(f"{records.damaged} lines of metrics.jsonl can not be read and are left out.")
    previews = read_previews(run.samples, budget=budget, cache=cache)
    return Contents(
        path=run.path.resolve(),
        summary=summary,
        seed=run.seed,
        records=records,
        previews=previews,
        settings=_settings(config, defaults),
        environment=tuple(flat(environment | _as_typed(environment))),
        data=_data(run, config, problems),
        licence=_licence(config),
        problems=tuple(problems),
        notes=previews.notes,
    )


def flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested values as dotted keys and texts."""
    rows: list[tuple[str, str]] = []
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            rows += flat(value, f"{prefix}{key}.")
        else:
            rows.append((f"{prefix}{key}", shown(value)))
    return rows


def shown(value: Any) -> str:
    """A value on one line, as YAML and JSON have it; a long one by its length."""
    if isinstance(value, str):
        return value if len(value) <= LONGEST_VALUE else f"({len(value):,} characters)"
    text = json.dumps(value, ensure_ascii=False, default=str)
    if len(text) > LONGEST_VALUE and isinstance(value, list):
        return f"({len(value):,} values)"
    return text if len(text) <= LONGEST_VALUE else f"({len(text):,} characters)"


def _settings(config: Mapping[str, Any], defaults: Mapping[str, Any] | None) -> tuple[Setting, ...]:
    """The run's keys in their order, then those that only the recipe has."""
    own = dict(flat({key: value for key, value in config.items() if key not in RESERVED}))
    known = None if defaults is None else dict(flat(defaults))
    if known is None:
        return tuple(Setting(key, value, None) for key, value in own.items())
    return tuple(Setting(key, own.get(key, ABSENT), known.get(key, ABSENT)) for key in dict.fromkeys([*own, *known]))


def _config(run: Run, problems: list[str]) -> dict[str, Any]:
    try:
        return read_config_file(run.path / "config.yaml")
    except GenkitError as error:
        problems.append(f"The config can not be read: {error.what}.")
        return {}


def _environment(run: Run, problems: list[str]) -> dict[str, Any]:
    return _json(run.path / "environment.json", "the environment it was trained in", problems)


def _defaults(
    run: Run, config: Mapping[str, Any], environment: Mapping[str, Any], problems: list[str]
) -> dict[str, Any] | None:
    """The recipe's config under the run's preset; None, and a problem named, where it can not be had any more."""
    if run.recipe is None:
        return None
    try:
        spec = catalog().recipe(run.recipe)
        preset = config.get("preset")
        return to_dict(resolve_config(spec, values={"preset": preset} if preset else {}))
    except GenkitError as error:
        made_with = environment.get("plugins")
        gone = [
            f"{name} ({source})"
            for name, source in (made_with.items() if isinstance(made_with, Mapping) else ())
            if plugins().status(name) is None
        ]
        which = f" Plugins it was made with that are not installed: {', '.join(gone)}." if gone else ""
        problems.append(f"What the recipe itself says is not known: {error.what}.{which}")
        return None


def _as_typed(environment: Mapping[str, Any]) -> dict[str, str]:
    """The command as one would type it."""
    command = environment.get("command")
    return {"command": shlex.join(map(str, command))} if isinstance(command, list) else {}


def _data(run: Run, config: Mapping[str, Any], problems: list[str]) -> tuple[tuple[str, str], ...]:
    """The dataset's options, and its facts as the newest checkpoint keeps them."""
    given = config.get("data")
    options = given if isinstance(given, Mapping) else {}
    steps = run.steps()
    if not steps:
        return tuple(flat(options, "data."))
    facts = _json(run.checkpoints / str(steps[-1]) / "facts.json", "the facts of its data", problems)
    labels, counts = facts.get("labels"), facts.get("label_counts")
    if isinstance(labels, list) and isinstance(counts, list) and len(labels) == len(counts):
        facts = {key: value for key, value in facts.items() if key not in ("labels", "label_counts")}
        facts |= {
            "examples": sum(counts),
            "labels": ", ".join(f"{a} ({b})" for a, b in zip(labels, counts, strict=True)),
        }
    return (*flat(options, "data."), *flat(facts, "facts."))


def _licence(config: Mapping[str, Any]) -> str | None:
    given = config.get("data")
    name = given.get("name") if isinstance(given, Mapping) else None
    spec = catalog().datasets.find(str(name)) if name and str(name) in catalog().datasets else None
    return spec.licence if spec else None


def _ended_badly(run: Run, summary: RunSummary) -> list[str]:
    problems: list[str] = []
    if summary.status == "failed":
        last = [line for line in _log(run) if f"failed at step {summary.step}" in line]
        problems.append(f"The run failed: {last[-1].split(' ', 1)[1]}" if last else "The run failed.")
    elif summary.status == "interrupted":
        problems.append(f"The process that trained it is gone; it last logged step {summary.step:,}.")
    for path in sorted(run.path.glob("diverged-rank*.json")):
        found = _json(path, "where it diverged", problems)
        problems.append(f"Not finite at step {found.get('step')}: {shown(found.get('figures'))} ({path.name}).")
    return problems


def _log(run: Run) -> Sequence[str]:
    try:
        return (run.path / "log.txt").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ()


def _json(path: Path, what: str, problems: list[str]) -> dict[str, Any]:
    """The object a file holds; an empty one, and a problem named, where there is none."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no JSON"
        problems.append(f"{path.name} ({what}) can not be read: {reason}.")
        return {}
    return found if isinstance(found, dict) else {}
