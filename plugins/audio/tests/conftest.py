"""Sounds of every odd kind, made by the tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile
from numpy.typing import NDArray

Wave = NDArray[np.float32]


@pytest.fixture
def tone() -> Callable[..., Wave]:
    """A sine [T] of so many seconds."""

    def make(seconds: float = 1.0, rate: int = 16_000, hz: float = 440.0, level: float = 0.5) -> Wave:
        return (level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate)) / rate)).astype(np.float32)

    return make


@pytest.fixture
def noise() -> Callable[..., Wave]:
    """White noise [T] of so many samples."""

    def make(count: int, seed: int = 0, level: float = 0.2) -> Wave:
        return (level * np.random.default_rng(seed).standard_normal(count)).clip(-1, 1).astype(np.float32)

    return make


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Writes samples [T] or [T, C] below the test's folder, in the format that the name's suffix says."""

    def save(name: str, wave: Wave, rate: int = 16_000, **options: object) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, wave, rate, **options)
        return path

    return save


@pytest.fixture
def folder(save: Callable[..., Path], tone: Callable[..., Wave]) -> Path:
    """Two labels of three tones each, of 0.3, 0.6 and 0.9 seconds."""
    for label, hz in (("high", 2_000), ("low", 200)):
        for index in range(3):
            save(f"sounds/{label}/{index}.wav", tone(0.3 * (index + 1), 16_000, hz), 16_000)
    return save("sounds/high/0.wav", tone(0.3, 16_000, 2_000), 16_000).parent.parent
