"""Run directories written by hand: what a report reads, without training anything."""

from __future__ import annotations

import base64
import json
import math
import struct
import wave
import zlib
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

CONFIG = """\
recipe: {recipe}
seed: 3
preset: null
data:
  name: points.ring8
model:
  generator:
    name: points.mlp
penalties:
  r1:
    weight: 0.5
    every: 4
train:
  batch_size: 8
"""


def png(width: int, height: int, *, seed: int = 0, noisy: bool = False) -> bytes:
    """A grey picture: noise, which nothing makes smaller, or one level a row."""
    rng = Random(seed)
    rows = b"".join(
        b"\0" + (rng.randbytes(width) if noisy else bytes([(row + seed) % 256]) * width) for row in range(height)
    )

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    packed = zlib.compress(rows, 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def write_sound(path: Path, seconds: float = 0.5, rate: int = 8000) -> None:
    """A tone of 440 Hz, 16 bits."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate)
        tone = (int(9000 * math.sin(2 * math.pi * 440 * n / rate)) for n in range(int(seconds * rate)))
        file.writeframes(b"".join(struct.pack("<h", one) for one in tone))


def train_record(step: int, **more: Any) -> dict[str, Any]:
    """A log interval's line."""
    figures = {"loss/critic": 1.0 + 1 / step, "loss/generator": 0.5, "critic/accuracy": 0.6, "penalty/r1": 2.0}
    return {"step": step, "kind": "train", "samples": 8 * step, "seconds": 0.1 * step, **figures, **more}


def score(name: str, value: float, floor: float | None) -> dict[str, Any]:
    """A figure of an evaluation, as `Score.as_json` has it."""
    protocol = {"extractor": "lenet", "fake": {"split": "generated", "count": 200}}
    title = f"Fréchet distance ({name})"
    return {"name": name, "title": title, "value": value, "floor": floor, "better": "lower", "protocol": protocol}


def embedded(page: str, media_type: str) -> list[bytes]:
    """The files of this type that a page holds in its own elements."""
    pieces = page.split(f"data:{media_type};base64,")[1:]
    return [base64.b64decode(piece.split('"', 1)[0]) for piece in pieces]


def write_run(
    path: Path,
    *,
    recipe: str = "points.ring8",
    status: str = "done",
    records: list[dict[str, Any]] | None = None,
    samples: Mapping[str, bytes] | None = None,
) -> Path:
    """A run directory."""
    (path / "samples").mkdir(parents=True)
    facts = path / "checkpoints" / "100" / "facts.json"
    facts.parent.mkdir(parents=True)
    facts.write_text(json.dumps({"modality": "points", "labels": ["a", "b"], "label_counts": [3, 4]}))
    (facts.parent / "state.json").write_text("{}")
    (path / "config.yaml").write_text(CONFIG.format(recipe=recipe))
    environment = {"versions": {"torch": "2.15"}, "plugins": {"gone": "gone-distribution 2.0"}, "device": "cpu (x)"}
    environment["command"] = ["genkit", "run", recipe, "--out", "a place"]  # type: ignore[assignment]
    (path / "environment.json").write_text(json.dumps(environment))
    (path / "status.json").write_text(json.dumps({"status": status, "step": 100, "seconds": 75.0, "metrics": {}}))
    known = records if records is not None else [train_record(step) for step in range(10, 101, 10)]
    (path / "metrics.jsonl").write_text("".join(json.dumps(record) + "\n" for record in known))
    for file, data in (samples or {}).items():
        (path / "samples" / file).write_bytes(data)
    return path
