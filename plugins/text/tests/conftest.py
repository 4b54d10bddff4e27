"""Texts, tokenizers and model folders, made by the tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from genkit_text.tokenization import Tokenizer, train_tokenizer

LINES = [f"The {size} {animal} {verb} the {thing}." for size in ("big", "small", "old")
         for animal in ("cat", "dog", "bird") for verb in ("sees", "likes") for thing in ("house", "tree")]  # fmt: skip


@pytest.fixture
def lines() -> list[str]:
    """36 different short sentences."""
    return list(LINES)


@pytest.fixture
def words() -> Tokenizer:
    """A tokenizer of words that knows `lines`."""
    return train_tokenizer("words", LINES)


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., str]:
    """Writes lines, or objects as JSON, to a file and returns its path."""

    def write(*rows: object, name: str = "data.txt", end: str = "\n") -> str:
        texts = [row if isinstance(row, str) else json.dumps(row) for row in rows]
        (tmp_path / name).write_text("".join(text + end for text in texts), encoding="utf-8", newline="")
        return str(tmp_path / name)

    return write
