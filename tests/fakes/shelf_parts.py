"""What the shelf plugin's import strings name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from genkit import DataError


@dataclass(frozen=True, kw_only=True)
class Files:
    path: str
    rate: int = 5
    label: str = "none"


@dataclass(frozen=True, kw_only=True)
class Made:
    rate: int = 5


def look(config, picture):
    """Says what it was given."""
    path = getattr(config, "path", None)
    if path is not None and not any(Path(path).iterdir()):
        raise DataError(f"{path}: is empty")
    return {
        "path": path,
        "rate": config.rate,
        "broken": [],
        "worst": {"mean": 0.5, "files": {"a_b.txt": 1}},
        "advice": ["read more"],
        "picture": str(picture),
    }


def bind(config, out):
    """One file of all."""
    out.mkdir()
    (out / "all.txt").write_text("".join(path.read_text() for path in sorted(Path(config.path).iterdir())))
    return {"files": 1, "settings": {"data.path": str(out)}}
