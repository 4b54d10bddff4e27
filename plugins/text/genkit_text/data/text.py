"""Rows of tokens as a genkit dataset, wherever the texts come from."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from genkit import Batch, DataError, Dataset, Random
from genkit_text.facts import BINDING

Stored = dict[str, Tensor]
"""``tokens`` int32 [L]; ``length`` int32 [], where rows may end early; ``label`` int64 [] and ``prompt`` int32 [P],
where there are any. Once collated all have a batch dimension."""


class Text(Dataset):
    """Rows of tokens, in memory, with their labels or prompts.

    Args:
        stored: all rows.
        facts: see `genkit_text.facts.TextFacts`; in a row, what comes after a text's end is their `pad`.
        name, licence: what a report says.
        said: what else a report says: how many texts were cut, how many left out.
        held_out: rows that training never sees.

    Raises DataError when there is no row.
    """

    binding = BINDING

    def __init__(
        self,
        stored: Stored,
        *,
        facts: Mapping[str, Any],
        name: str,
        licence: str,
        said: Mapping[str, Any] | None = None,
        held_out: Text | None = None,
    ) -> None:
        if len(stored["tokens"]) == 0:
            raise DataError(f"{name}: there is no text to train on", where="data")
        self.stored = stored
        self.facts = facts
        self.name, self.licence, self.said, self._held_out = name, licence, dict(said or {}), held_out

    def __len__(self) -> int:
        return len(self.stored["tokens"])

    def read(self, index: int) -> Stored:
        """One row, as `Stored`."""
        return {name: leaf[index] for name, leaf in self.stored.items()}

    def resident(self) -> Stored:
        """All rows."""
        return self.stored

    def prepare(self, stored: Stored, *, rng: Random) -> Batch:
        """Tokens int64 [B, L] and their mask [B, L]; the condition is labels [B] or prompts [B, P], int64, or None."""
        return as_batch(stored)

    def held_out(self) -> Text | None:
        return self._held_out

    def summary(self) -> Mapping[str, Any]:
        tokens = self.stored["tokens"].numel() if "length" not in self.stored else int(self.stored["length"].sum())
        return {
            "name": self.name,
            "examples": len(self),
            "tokens": tokens,
            "length": self.facts["length"],
            "vocabulary": self.facts["vocabulary"],
            **({"classes": len(self.facts["labels"])} if self.facts.get("labels") else {}),
            **self.said,
            "held out": 0 if self._held_out is None else len(self._held_out),
            "licence": self.licence,
        }


def as_batch(stored: Stored) -> Batch:
    """Stored rows as the critic sees them; see `Text.prepare`."""
    tokens = stored["tokens"].long()
    mask = None
    if "length" in stored:
        mask = torch.arange(tokens.shape[1], device=tokens.device) < stored["length"][:, None]
    condition = stored["prompt"].long() if "prompt" in stored else stored.get("label")
    return Batch(tokens, condition, mask)
