"""What the critics of tokens share: the embedding that penalties differentiate by, and what stands before a sample."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

from genkit import Critic, UsageError
from genkit_text.facts import TextFacts
from genkit_text.models.language import prompt_mask


class Reading(NamedTuple):
    """What a critic reads of each row: the prompt, where there is one, and the sample after it."""

    embedded: Tensor
    """[B, P + L, E]"""
    counted: Tensor
    """[B, P + L], False at the padding before a prompt and after the end of a sample."""
    before: int
    """P, the tokens of prompt."""


class TokenCritic(Critic):
    """A critic that embeds tokens [B, L], or relaxed one-hots [B, L, V], and reads the embedding [B, L, E].

    Penalties are gradients with respect to that embedding of the sample. A label's embedding is added to each input; a
    prompt is embedded as the sample is, and stands before it.

    Args:
        facts: the data's.
        width: E.
    """

    embedding: nn.Module
    """Of tokens; a subclass brings it."""

    def __init__(self, facts: TextFacts, width: int) -> None:
        super().__init__()
        self.facts = facts
        self.label = nn.Embedding(len(facts.labels), width) if facts.labels and not facts.prompt_length else None

    def penalty_input(self, sample: Tensor) -> Tensor:
        """The embedding [B, L, E] of tokens [B, L] or of relaxed one-hots [B, L, V]."""
        return embedded(self.embedding, sample, self.facts.vocabulary)

    def read(self, sample: Tensor, condition: Tensor | None, mask: Tensor | None) -> Reading:
        """Put together what is to be read of tokens [B, L] or their embedding [B, L, E].

        Raises UsageError when the condition is not what the data has.
        """
        seen = sample if sample.is_floating_point() else self.penalty_input(sample)
        counted = mask if mask is not None else sample.new_ones(sample.shape[:2], dtype=torch.bool)
        require_condition(condition, self.facts)
        if self.label is not None:
            return Reading(seen + self.label(condition)[:, None], counted, 0)
        if condition is None:
            return Reading(seen, counted, 0)
        given = self.embedding(condition)
        present = prompt_mask(condition, self.facts.pad)
        return Reading(torch.cat([given, seen], 1), torch.cat([present, counted], 1), condition.shape[1])


def embedded(embedding: nn.Module, tokens: Tensor, vocabulary: int) -> Tensor:
    """The embedding [..., E] of tokens [...], or of relaxed ones [..., V], in the embedding's own dtype."""
    if not tokens.is_floating_point():
        found: Tensor = embedding(tokens)
        return found
    # What an embedding does beside looking up, such as to scale, it does to each row of its table.
    plain = type(embedding) is nn.Embedding
    table = embedding.weight if plain else embedding(torch.arange(vocabulary, device=tokens.device))
    assert isinstance(table, Tensor), "an embedding has a table"
    return (tokens.to(table.dtype) @ table[:vocabulary]).to(table.dtype)


def require_condition(condition: Tensor | None, facts: TextFacts) -> None:
    """Raise UsageError unless `condition` is what the data has: prompts [B, P], labels [B], or nothing."""
    wanted = 2 if facts.prompt_length else 1 if facts.labels else 0
    found = 0 if condition is None else condition.dim()
    if found != wanted:
        names = ("no condition", "labels [B]", "prompts [B, P]")
        got = list(condition.shape) if condition is not None else "none"
        raise UsageError(f"this critic takes {names[wanted]}; it was given {got}")
