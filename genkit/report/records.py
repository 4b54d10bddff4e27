"""Curves from ``metrics.jsonl``: which figures a run logged, and their values over the steps."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from genkit.schedules import Ramp, value_at

POINTS = 800
"""Points of a curve that the page holds; longer ones are drawn by the lowest and highest value of each stretch."""

RESERVED = frozenset({"step", "kind", "samples", "seconds"})


@dataclass(frozen=True)
class Curve:
    """One figure of one run."""

    steps: tuple[float, ...]
    values: tuple[float | None, ...]
    """None where the figure was not finite."""
    floors: tuple[float | None, ...] = ()
    """What other real samples got at the same evaluations; empty where none was measured."""
    measured: int = 0
    """How many values were logged: more than are here when the curve was thinned."""


@dataclass(frozen=True)
class Records:
    """What ``metrics.jsonl`` holds."""

    training: Mapping[str, Curve] = field(default_factory=dict)
    """Figures of log intervals by name, ``penalty share`` and ``samples per second`` among them."""
    metrics: Mapping[str, Curve] = field(default_factory=dict)
    """Figures of evaluations by name."""
    scores: Sequence[Mapping[str, Any]] = ()
    """The last evaluation: name, title, value, floor, better, protocol of each figure, as far as the run kept them."""
    scored_at: int | None = None
    """Its step."""
    warnings: Sequence[tuple[int, str]] = ()
    """Step and text."""
    damaged: int = 0
    """Lines that could not be read."""


def read_records(path: Path, *, penalties: Mapping[str, Any] | None = None) -> Records:
    """The records of a ``metrics.jsonl``, of this version or an older one; a missing file is an empty one.

    Args:
        path: the file.
        penalties: the config's, for the weights that the penalty share needs.
    """
    records, damaged = _lines(path)
    training: dict[str, tuple[list[float], list[float | None]]] = {}
    metrics: dict[str, tuple[list[float], list[float | None]]] = {}
    floors: dict[tuple[str, int], float | None] = {}
    scores: Sequence[Mapping[str, Any]] = ()
    scored_at: int | None = None
    plain: Mapping[str, Any] = {}
    warnings: list[tuple[int, str]] = []
    before: Mapping[str, Any] | None = None
    for record in records:
        step, kind = int(record["step"]), record.get("kind")
        if kind == "train":
            values = {**_numbers(record), **_derived(record, before, penalties or {})}
            _add(training, step, values)
            before = record
        elif kind == "eval":
            plain, scored_at = _numbers(record), step
            _add(metrics, step, plain)
        elif kind == "scores" and isinstance(record.get("scores"), list):
            scores = [one for one in record["scores"] if isinstance(one, dict) and "name" in one]
            floors |= {(str(one["name"]), step): _number(one.get("floor")) for one in scores}
        elif kind == "warning":
            warnings.append((step, str(record.get("text", ""))))
    known = {str(one["name"]): one for one in scores}
    last = [
        {**known.get(name, {"title": name.replace("_", " ")}), "name": name, "value": plain[name]} for name in plain
    ]
    return Records(
        {name: _curve(*series) for name, series in training.items()},
        {
            name: _curve(steps, values, [floors.get((name, int(step))) for step in steps])
            for name, (steps, values) in metrics.items()
        },
        last,
        scored_at,
        warnings,
        damaged,
    )


def _lines(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The records in order, and how many lines are none. A last line without its end is still being written."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return [], 0
    records: list[dict[str, Any]] = []
    damaged = 0
    for line in text.splitlines(keepends=True):
        if not line.endswith("\n") or not line.strip():
            continue
        try:
            record = json.loads(line)
            int(record["step"])
        except (ValueError, TypeError, KeyError):
            damaged += 1
        else:
            records.append(record)
    return records, damaged


def _derived(
    record: Mapping[str, Any], before: Mapping[str, Any] | None, penalties: Mapping[str, Any]
) -> dict[str, float | None]:
    """The rate since the record before, and the weighted penalties' share in the critic's loss plus penalties."""
    derived: dict[str, float | None] = {}
    samples, seconds = record.get("samples"), record.get("seconds")
    if isinstance(samples, int | float) and isinstance(seconds, int | float):
        since = (0, 0) if before is None else (before.get("samples", 0), before.get("seconds", 0))
        if seconds > since[1] and samples > since[0]:
            derived["samples per second"] = (samples - since[0]) / (seconds - since[1])
    weighted = [
        weight_at(penalties[name].get("weight"), samples or 0) * abs(value)
        for name, value in ((key.removeprefix("penalty/"), record[key]) for key in record if key.startswith("penalty/"))
        if isinstance(penalties.get(name), Mapping) and _number(value) is not None
    ]
    loss = _number(record.get("loss/critic"))
    if weighted and loss is not None:
        derived["penalty share"] = sum(weighted) / (sum(weighted) + abs(loss) + 1e-12)
    return derived


def weight_at(weight: Any, samples: float) -> float:
    """A weight as ``config.yaml`` holds it, a number or the keys of a ramp, after `samples` samples."""
    if isinstance(weight, Mapping):
        return value_at(Ramp(**weight), samples)
    return float(weight or 0.0)


def _numbers(record: Mapping[str, Any]) -> dict[str, float | None]:
    return {
        key: _number(value)
        for key, value in record.items()
        if key not in RESERVED and isinstance(value, int | float) and not isinstance(value, bool)
    }


def _number(value: Any) -> float | None:
    """A finite number; None for anything else, which JSON in a page has no word for."""
    return float(value) if isinstance(value, int | float) and math.isfinite(value) else None


def _add(
    series: dict[str, tuple[list[float], list[float | None]]], step: int, values: Mapping[str, float | None]
) -> None:
    for name, value in values.items():
        steps, known = series.setdefault(name, ([], []))
        steps.append(step)
        known.append(value)


def _curve(steps: Sequence[float], values: Sequence[float | None], floors: Sequence[float | None] = ()) -> Curve:
    kept = list(thin(values, POINTS))
    return Curve(
        tuple(steps[i] for i in kept),
        tuple(values[i] for i in kept),
        tuple(floors[i] for i in kept) if any(floor is not None for floor in floors) else (),
        len(values),
    )


def thin(values: Sequence[float | None], most: int) -> Iterable[int]:
    """Which of the values to keep, at most about `most`: of each stretch the lowest and the highest, and both ends."""
    if len(values) <= most:
        return range(len(values))
    stretches = most // 2
    kept = {0, len(values) - 1}
    for number in range(stretches):
        first, last = number * len(values) // stretches, (number + 1) * len(values) // stretches
        finite = [i for i in range(first, last) if values[i] is not None]
        kept |= (
            {min(finite, key=lambda i: values[i] or 0.0), max(finite, key=lambda i: values[i] or 0.0)}
            if finite
            else {first}
        )
    return sorted(kept)
