"""What the terminal is told of a run, on systems that differ."""

from __future__ import annotations

import importlib
import sys
from types import SimpleNamespace

import pytest
import torch

import genkit


def test_progress_is_told_where_nobody_counts_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, where Python has no `resource`."""
    monkeypatch.setitem(sys.modules, "resource", None)
    monkeypatch.delitem(sys.modules, "genkit.cli.progress", raising=False)
    progress = importlib.import_module("genkit.cli.progress")
    trainer = SimpleNamespace(
        step=5,
        train=genkit.Train(steps=10),
        device=torch.device("cpu"),
        experiment=SimpleNamespace(penalties={}),
    )
    assert progress.memory(trainer) is None
    named = [name for name, _ in progress.PlainView(progress.Console()).rows(trainer, {"loss/critic": 1.0})]
    assert named[:3] == ["step", "samples/s", "critic loss"]
    assert "memory" not in named


def test_memory_is_shown_where_it_is_known() -> None:
    pytest.importorskip("resource", reason="this system does not count a process's memory")
    from genkit.cli.progress import memory

    used = memory(SimpleNamespace(device=torch.device("cpu")))
    assert used is not None
    assert used > 2**20
