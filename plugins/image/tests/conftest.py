"""Pictures of every odd kind, made by the tests."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

Make = Callable[..., Image.Image]


@pytest.fixture
def gradient() -> Make:
    """A picture of `mode` whose brightness grows from left (0) to right (255)."""

    def make(mode: str = "RGB", width: int = 40, height: int = 30) -> Image.Image:
        ramp = np.tile(np.linspace(0, 255, width), (height, 1))
        if mode == "I;16":
            return Image.fromarray((ramp * 257).astype(np.uint16))
        if mode == "F":
            return Image.fromarray((ramp / 255).astype(np.float32))
        return Image.fromarray(ramp.round().astype(np.uint8)).convert(mode)

    return make


@pytest.fixture
def as_file() -> Callable[..., io.BytesIO]:
    """A picture as the bytes of a file."""

    def write(image: Image.Image, kind: str = "PNG", **options: object) -> io.BytesIO:
        file = io.BytesIO()
        image.save(file, kind, **options)
        return io.BytesIO(file.getvalue())

    return write


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two classes of three coloured pictures each, of different sizes."""
    for label, colour in (("cats", (200, 30, 30)), ("dogs", (30, 30, 200))):
        (tmp_path / "pictures" / label).mkdir(parents=True)
        for index in range(3):
            Image.new("RGB", (20 + 5 * index, 30), colour).save(tmp_path / "pictures" / label / f"{index}.png")
    return tmp_path / "pictures"
