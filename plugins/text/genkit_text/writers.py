"""Samples of text -> JSON Lines, and a page to read."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genkit import Batch, Writer
from genkit_text.facts import TextFacts

WIDTH = 100
"""Characters in a line of a preview."""


class TextWriter(Writer):
    """Writes tokens [B, L] as text, with their labels or prompts; bare token ids where the data has no tokenizer.

    Args:
        facts: the data's.
    """

    def __init__(self, facts: TextFacts) -> None:
        self.facts = facts

    def lines(self, batch: Batch) -> list[dict[str, Any]]:
        """An object a sample: ``text``, ``label`` and ``text``, ``prompt`` and ``response``, or the ids, ``tokens``."""
        text, tokens = self.facts.text, batch.sample
        if text is None:
            counted = [[True] * tokens.shape[1]] * len(tokens) if batch.mask is None else batch.mask.tolist()
            rows = zip(tokens.tolist(), counted, strict=True)
            return [
                {"tokens": [token for token, counts in zip(row, mask, strict=True) if counts]} for row, mask in rows
            ]
        found = text.decode_rows(tokens, batch.mask)
        if self.facts.prompt_length and batch.condition is not None:
            prompts = text.decode_prompts(batch.condition)
            return [{"prompt": prompt, "response": one} for prompt, one in zip(prompts, found, strict=True)]
        if self.facts.labels and batch.condition is not None:
            labels = [self.facts.labels[label] for label in batch.condition.tolist()]
            return [{"label": label, "text": one} for label, one in zip(labels, found, strict=True)]
        return [{"text": one} for one in found]

    def write(self, batch: Batch, directory: Path, *, stem: str = "sample") -> list[Path]:
        """One file, ``<stem>s.jsonl``, with an object a line as `lines` gives them."""
        directory.mkdir(parents=True, exist_ok=True)
        path = directory / f"{stem}s.jsonl"
        rows = [json.dumps(row, ensure_ascii=False) for row in self.lines(batch)]
        path.write_text("\n".join(rows) + "\n", encoding="utf-8")
        return [path]

    def preview(self, batch: Batch, path: Path, *, columns: int) -> Path:
        """One text file with the samples one below the other, under their label or prompt where they share one."""
        shown: list[str] = []
        above = None
        for row in self.lines(batch):
            *heads, (_, body) = row.items()
            if heads and heads != above:
                shown += ["", *(_wrapped(str(head), f"{name}: ") for name, head in heads)]
            above = heads
            content = body if isinstance(body, str) else " ".join(map(str, body))
            shown.append(_wrapped(content, "    - " if heads else "- "))
        path = path.with_name(f"{path.name}.txt")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\n".join(shown).lstrip("\n") + "\n", encoding="utf-8")
        return path


def build_writer(facts: Mapping[str, Any]) -> TextWriter:
    """The writer of text."""
    return TextWriter(TextFacts.of(facts))


def _wrapped(text: str, begin: str) -> str:
    """`text` behind `begin`, in lines of at most `WIDTH` characters; its own line breaks stay."""
    room = WIDTH - len(begin)
    lines = [part for line in text.split("\n") for part in textwrap.wrap(line, room) or [""]]
    return "\n".join((begin if not number else " " * len(begin)) + line for number, line in enumerate(lines)).rstrip()
