"""How metrics read samples: as rows of tokens, as texts, as words."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from genkit import Batch, DataError, Samples
from genkit_text.facts import TextFacts

WORDS = "runs of letters and digits, inner apostrophes kept; any other sign by itself; case kept"
"""What `split_words` does, for protocols."""
_WORD = re.compile(r"\w+(?:['’]\w+)*|[^\w\s]")  # noqa: RUF001 (the typographic apostrophe is meant)

Item = TypeVar("Item")
_rows: WeakKeyDictionary[Samples, Batch] = WeakKeyDictionary()
"""The rows of each set that was read. A set is the same in every pass, and drawing it is what an evaluation costs."""


def split_words(text: str) -> list[str]:
    """The words of a text; see `WORDS`."""
    return _WORD.findall(text)


def read_rows(samples: Samples) -> Batch:
    """All samples of a set as one batch on the CPU."""
    if samples not in _rows:
        _rows[samples] = Batch.join([batch.map(Tensor.cpu) for batch in samples.batches()])
    return _rows[samples]


def choose(items: Sequence[Item], count: int, seed: int) -> list[Item]:
    """`count` of the items in their order, chosen by `seed`; all when there are no more."""
    if count >= len(items):
        return list(items)
    order = torch.randperm(len(items), generator=torch.Generator().manual_seed(seed))
    return [items[i] for i in order[:count].sort().values.tolist()]


class Reader:
    """Reads texts as the data's tokenizer writes them. Bare token ids read as their numbers with spaces between.

    Args:
        facts: the dataset's.
    """

    def __init__(self, facts: Mapping[str, Any]) -> None:
        self.facts = TextFacts.of(facts)

    def decode(self, tokens: Tensor, mask: Tensor | None) -> list[str]:
        """The texts of tokens [B, L]; the mask [B, L] is True where a token counts."""
        facts = self.facts
        if facts.text is not None:
            return facts.text.decode_rows(tokens, mask)
        kept = torch.ones_like(tokens, dtype=torch.bool) if mask is None else mask
        if facts.eos is not None:
            kept = kept & (tokens != facts.eos)
        return [" ".join(map(str, row[keep].tolist())) for row, keep in zip(tokens.cpu(), kept.cpu(), strict=True)]

    def texts(self, samples: Samples) -> list[str]:
        """The samples' texts."""
        rows = read_rows(samples)
        return self.decode(rows.sample, rows.mask)

    def words(self, samples: Samples) -> list[list[str]]:
        """The samples' words."""
        return [split_words(text) for text in self.texts(samples)]

    def prompts(self, samples: Samples) -> list[str]:
        """The prompts that the samples answer, without their template. Raises DataError when they answer none."""
        condition, facts = read_rows(samples).condition, self.facts
        if condition is None or not facts.prompt_length:
            raise DataError("this metric compares with the prompt, and the samples answer none")
        if facts.text is not None:
            return facts.text.decode_prompts(condition)
        return self.decode(condition, (condition != facts.pad) & (condition != facts.bos))

    def labels(self, samples: Samples) -> list[int]:
        """The label of each sample. Raises DataError when they have none."""
        condition = read_rows(samples).condition
        if condition is None or not self.facts.labels:
            raise DataError("this metric compares with the label asked for, and the samples have none")
        labels: list[int] = condition.tolist()
        return labels
