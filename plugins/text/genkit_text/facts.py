"""What models, metrics, writers and conditions read from a text dataset's facts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from genkit import ConfigError
from genkit_text.tokenization import Tokenizer

BINDING = ("vocabulary", "tokenizer", "eos", "labels", "prompt_length")
"""Facts that networks are made for: see `genkit.Dataset.binding`."""


@dataclass(frozen=True)
class TextFacts:
    """The facts of a text dataset."""

    vocabulary: int
    """How many token ids there are."""
    length: int
    """Tokens in a row of samples, the end included."""
    bos: int
    """The token before the first of a sample; it also ends a prompt."""
    eos: int | None
    """The token that ends a sample; None when every sample has `length` tokens."""
    pad: int
    """What fills a row: after the end of a sample, before the start of a prompt."""
    tokenizer: Mapping[str, Any] | None = None
    """`Tokenizer.to_facts`; None when the data are bare token ids."""
    labels: tuple[str, ...] = ()
    """The name of each label; a condition is then int64 [B]."""
    prompt_length: int = 0
    """Tokens in a row of prompts, `bos` at its end included; a condition is then int64 [B, prompt_length]."""
    prompts: tuple[str, ...] = ()
    """Some of the data's prompts, for sampling without one."""
    language_model: Mapping[str, Any] | None = None
    """The config of the transformers model that the generator is, so that it can be built again without its folder."""

    @cached_property
    def text(self) -> Tokenizer | None:
        """The tokenizer; None when the data are bare token ids."""
        return None if self.tokenizer is None else Tokenizer.from_facts(self.tokenizer)

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> TextFacts:
        """Read a dataset's facts. Raises ConfigError when they are not those of text."""
        if facts.get("modality") != "text":
            raise ConfigError(f"this part is for text; the data's modality is {facts.get('modality')!r}", where="data")
        known = {name: facts[name] for name in cls.__dataclass_fields__ if facts.get(name) is not None}
        known |= {name: tuple(known[name]) for name in ("labels", "prompts") if name in known}
        return cls(**{"eos": None, **known})
