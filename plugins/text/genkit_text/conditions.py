"""What can be asked of a generator of text: a label, or a prompt."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genkit import Conditions, ConfigError, Labels, Random, UsageError
from genkit_text.facts import TextFacts
from genkit_text.tokenization import Tokenizer


class Prompts(Conditions):
    """Prompts, int64 [B, P]. Without one, those that the data's facts keep are drawn.

    Args:
        tokenizer: how a prompt becomes tokens.
        length: P.
        known: prompts of the data.
    """

    paired = True

    def __init__(self, tokenizer: Tokenizer, length: int, known: Sequence[str]) -> None:
        self.tokenizer = tokenizer
        self.length = length
        rows = [tokenizer.prompt_tokens(text, length) for text in known]
        self._bank = torch.tensor([[tokenizer.pad] * (length - len(row)) + row for row in rows], dtype=torch.int64)

    def draw(self, count: int, *, rng: Random) -> Tensor:
        """Prompts of the data, each as likely as the others. Raises UsageError when none were kept."""
        bank = self._kept()
        return bank.to(rng.device)[rng.integers(0, len(bank), count)]

    def grid(self, count: int) -> tuple[Tensor, int]:
        """Each of the data's prompts twice, or four times where there is room, one prompt a row."""
        columns = 4 if count >= 16 else 2 if count >= 4 else 1
        rows = math.ceil(count / columns)
        bank = self._kept()
        return bank[torch.arange(rows) % len(bank)].repeat_interleave(columns, 0)[:count], columns

    def parse(self, given: Mapping[str, Any], count: int) -> Tensor:
        """One row a sample of ``prompt``, a text or a list of texts, which are taken in turn."""
        unknown = sorted(set(given) - {"prompt"})
        if unknown or "prompt" not in given:
            raise UsageError(
                f"this generator takes the condition `prompt`, not {', '.join(unknown) or 'nothing'}",
                where="--condition",
                fix="--condition prompt=TEXT",
            )
        asked = [given["prompt"]] if isinstance(given["prompt"], str) else given["prompt"]
        if not isinstance(asked, Sequence) or not asked or not all(isinstance(one, str) for one in asked):
            raise UsageError("the condition `prompt` is a text or a list of texts", where="--condition prompt")
        rows = torch.tensor([self.tokenizer.encode_prompt(text, self.length) for text in asked])
        return rows[torch.arange(count) % len(rows)]

    def describe(self, condition: Tensor) -> Any:
        """The prompts' texts, an array of strings [B]."""
        return np.array(self.tokenizer.decode_prompts(condition))

    def _kept(self) -> Tensor:
        if not len(self._bank):
            raise UsageError("no prompts were kept from the data", fix="--condition prompt=TEXT")
        return self._bank


def conditions(facts: Mapping[str, Any]) -> Conditions | None:
    """What a generator trained on data with these facts takes. Raises ConfigError for prompts without a tokenizer."""
    found = TextFacts.of(facts)
    if found.prompt_length:
        if found.text is None:
            raise ConfigError("the data has prompts and no tokenizer", where="data")
        return Prompts(found.text, found.prompt_length, found.prompts)
    if found.labels:
        return Labels(found.labels, facts.get("label_counts"))
    return None
