"""Which charts the page has: one for each figure, a line in it for each run."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genkit.report.records import Curve, Records

FIRST = {
    "loss/critic": "Critic loss",
    "loss/generator": "Generator loss",
    "critic/accuracy": "Critic accuracy",
    "penalty share": "Penalties' share of the critic's loss",
    "samples per second": "Samples per second",
}
"""What a reader looks at first, in this order."""

SHARES = frozenset({"critic/accuracy", "penalty share"})
"""Figures between 0 and 1, which are drawn on that scale."""


def figures(runs: Sequence[Records]) -> dict[str, list[dict[str, Any]]]:
    """The charts by group: ``training``, ``metrics`` (where a run has several evaluations) and ``more``."""
    logged = dict.fromkeys(name for run in runs for name in run.training)
    measured = dict.fromkeys(name for run in runs for name in run.metrics)
    titles = {str(score["name"]): str(score["title"]) for run in runs for score in run.scores if "title" in score}
    several = [
        name for name in measured if any(len(run.metrics[name].steps) > 1 for run in runs if name in run.metrics)
    ]
    groups = {
        "training": [(name, title, [run.training for run in runs]) for name, title in FIRST.items() if name in logged],
        "metrics": [
            (name, titles.get(name, name.replace("_", " ")), [run.metrics for run in runs]) for name in several
        ],
        "more": [(name, name, [run.training for run in runs]) for name in sorted(logged) if name not in FIRST],
    }
    return {
        group: [
            {"name": name, "title": title, "share": name in SHARES, "lines": _lines(name, curves)}
            for name, title, curves in charts
        ]
        for group, charts in groups.items()
    }


def _lines(name: str, runs: Sequence[Mapping[str, Curve]]) -> list[dict[str, Any]]:
    """The lines of a chart, each with the number of its run."""
    return [
        {
            "run": number,
            "x": [round(step) for step in curves[name].steps],
            "y": [_short(value) for value in curves[name].values],
            "floor": [_short(value) for value in curves[name].floors],
            "measured": curves[name].measured,
        }
        for number, curves in enumerate(runs)
        if name in curves
    ]


def _short(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.5g}")
