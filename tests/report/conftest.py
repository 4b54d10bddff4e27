"""The run directories are written by a module that stands beside these tests."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Writes a run directory of a name, `first` if none is given; see `rundirs.write_run`."""
    from rundirs import write_run

    return lambda name="first", **more: write_run(tmp_path / name, **more)
