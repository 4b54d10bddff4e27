"""Copies of examples/genkit-points with a fault in them, as distributions that exist for one test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

POINTS = Path(__file__).parents[2] / "examples" / "genkit-points" / "genkit_points"
Edit = tuple[str, str, str]
"""A file, what stands in it once or more, and what stands there instead of the first."""


@pytest.fixture
def faulty(distributions: Any) -> Callable[..., str]:
    """Installs the copy with these edits, under a modality and a name of its own. Returns its distribution's name."""

    def install(*edits: Edit, requires: tuple[str, ...] = ()) -> str:
        package = distributions.path / "genkit_faulty"
        package.mkdir()
        for source in POINTS.glob("*.py"):
            text = source.read_text(encoding="utf-8")
            for file, old, new in edits:
                if file == source.name:
                    assert old in text, f"{file} has no {old!r}"
                    text = text.replace(old, new, 1)
            text = text.replace("genkit_points", "genkit_faulty").replace('"points', '"faulty')
            (package / source.name).write_text(text, encoding="utf-8")
        distributions.add("genkit-faulty", {"faulty": "genkit_faulty.plugin"}, requires=requires)
        return "genkit-faulty"

    return install
