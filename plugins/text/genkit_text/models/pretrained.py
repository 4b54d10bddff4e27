"""`text.causal_lm` and `text.pretrained_critic`: any causal language model of transformers, as either player."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genkit import Generator, Verdict
from genkit_text.facts import TextFacts
from genkit_text.models.config import CausalLMConfig, PretrainedCriticConfig
from genkit_text.models.critics import TokenCritic, embedded
from genkit_text.models.language import Decoder, LanguageGenerator, drawing
from genkit_text.models.pretrained_source import open_model

if TYPE_CHECKING:
    from transformers import Cache, PreTrainedModel


@dataclass
class Reading:
    """What a model has read of each row, and what is known of the tokens to come."""

    cache: Cache
    read: int
    positions: Tensor
    """[B or 1, P + room]"""
    mask: Tensor | None
    """[B, 1, 1, P + room], added to the attention of the tokens to come; None without padding."""
    label: Tensor | None


class PretrainedDecoder(Decoder):
    """A causal language model. Logits of ids that the tokenizer does not have are cut off.

    The mask over keys is made here: transformers' own looks at its values, for which a device has to be waited.

    Args:
        model: with its head.
        facts: the data's.
    """

    def __init__(self, model: PreTrainedModel, facts: TextFacts) -> None:
        super().__init__()
        self.model = model
        self.vocabulary = facts.vocabulary
        self.label_embedding = None
        if facts.labels and not facts.prompt_length:
            self.label_embedding = nn.Embedding(len(facts.labels), embedding_width(model))
            nn.init.zeros_(self.label_embedding.weight)  # the model starts as it came

    def forward(
        self, tokens: Tensor, mask: Tensor | None = None, label: Tensor | None = None, *, keep: int | None = None
    ) -> Tensor:
        inputs = self._embed(tokens, label)
        found = self.model(
            inputs_embeds=inputs,
            attention_mask=attention(mask, inputs),
            position_ids=positions(mask, inputs),
            use_cache=False,
            logits_to_keep=keep or 0,  # 0: all
        )
        logits: Tensor = found.logits[..., : self.vocabulary]
        return logits

    def begin(self, tokens: Tensor, mask: Tensor | None, label: Tensor | None, *, room: int) -> tuple[Tensor, Reading]:
        from genkit_text.models.key_values import key_values

        inputs = self._embed(tokens, label)
        count = inputs.shape[1]
        places = positions(mask, inputs, room)
        to_come = None
        if mask is not None:
            allowed = F.pad(mask, (0, room), value=True)[:, None, None]
            to_come = torch.zeros_like(allowed, dtype=inputs.dtype).masked_fill(~allowed, torch.finfo(inputs.dtype).min)
        reading = Reading(key_values(count + room), count, places, to_come, label)
        return self._next(inputs, attention(mask, inputs), places[:, :count], reading), reading

    def step(self, token: Tensor, state: Reading) -> tuple[Tensor, Reading]:
        at = state.read
        state.read += 1
        mask = None if state.mask is None else state.mask[..., : at + 1]
        inputs = self._embed(token[:, None], state.label)
        return self._next(inputs, mask, state.positions[:, at : at + 1], state), state

    def _next(self, inputs: Tensor, mask: Tensor | None, places: Tensor, reading: Reading) -> Tensor:
        found = self.model(
            inputs_embeds=inputs,
            attention_mask=mask,
            position_ids=places,
            past_key_values=reading.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        logits: Tensor = found.logits[:, -1, : self.vocabulary]
        return logits

    def _embed(self, tokens: Tensor, label: Tensor | None) -> Tensor:
        found = embedded(self.model.get_input_embeddings(), tokens, self.vocabulary)
        if self.label_embedding is not None and label is not None:
            found = found + self.label_embedding(label)[:, None].to(found.dtype)
        return found


class PretrainedCritic(TokenCritic):
    """A causal language model without its head reads prompt and sample; a linear layer reads the state after the last
    token that counts. One logit a row.

    Args:
        model: without its head.
        facts: the data's.
    """

    def __init__(self, model: PreTrainedModel, facts: TextFacts) -> None:
        super().__init__(facts, embedding_width(model))
        self.model = model
        self.head = nn.Linear(model.config.get_text_config().hidden_size, 1)
        if self.label is not None:
            nn.init.zeros_(self.label.weight)

    @property
    def embedding(self) -> nn.Module:  # type: ignore[override]
        """The model's own."""
        found: nn.Module = self.model.get_input_embeddings()
        return found

    def forward(self, sample: Tensor, condition: Tensor | None = None, mask: Tensor | None = None) -> Verdict:
        """Logits [B, 1] for tokens [B, L] or their embedding [B, L, E]."""
        inputs, counted, before = self.read(sample, condition, mask)
        found = self.model(
            inputs_embeds=inputs,
            attention_mask=attention(counted, inputs),
            position_ids=positions(counted, inputs),
            use_cache=False,
        )
        last = before + counted[:, before:].sum(1) - 1
        states = found.last_hidden_state
        state = states.gather(1, last[:, None, None].expand(-1, 1, states.shape[2])).squeeze(1)
        state = state.to(self.head.weight.dtype)
        return Verdict([self.head(state)], [[state]])


def embedding_width(model: PreTrainedModel) -> int:
    """How many numbers stand for a token at the model's input."""
    table = model.get_input_embeddings().weight
    assert isinstance(table, Tensor), "an embedding has a table"
    return table.shape[1]


def attention(mask: Tensor | None, inputs: Tensor) -> Tensor:
    """[B or 1, 1, T, T]: 0 where a token of `inputs` [B, T, E] may look, and the least number where it may not: at what
    comes after it, and where `mask` [B, T] is False. Each looks at itself, since attention to nothing has no value.

    It is added, not a choice, because that is what every attention of transformers takes.
    """
    length = inputs.shape[1]
    seen = torch.ones(length, length, dtype=torch.bool, device=inputs.device).tril()[None]
    if mask is not None:
        seen = seen & (mask[:, None] | torch.eye(length, dtype=torch.bool, device=inputs.device))
    least = torch.finfo(inputs.dtype).min
    return torch.zeros_like(seen, dtype=inputs.dtype).masked_fill(~seen, least)[:, None]


def positions(mask: Tensor | None, inputs: Tensor, room: int = 0) -> Tensor:
    """[B or 1, T + room]: the place of each token of `inputs` [B, T, E] and of `room` more, counted from the first
    where `mask` [B, T] is True."""
    length = inputs.shape[1] + room
    if mask is None:
        return torch.arange(length, device=inputs.device)[None]
    return (F.pad(mask, (0, room), value=True).cumsum(1) - 1).clamp(min=0)


def build_causal_lm(config: CausalLMConfig, facts: Mapping[str, Any]) -> LanguageGenerator:
    """The generator of ``text.causal_lm``. Facts that hold a `language_model` are a checkpoint's: it is built from that
    config, and its weights come from the checkpoint.

    Raises what `open_model` raises.
    """
    known = TextFacts.of(facts)
    reads = max(known.prompt_length, 1) + known.length - 1
    model = open_model(config, known, reads=reads, head=True, where="model.generator", stored=known.language_model)
    return drawing(PretrainedDecoder(model, known), known, relaxation=config.relaxation, tau=config.tau)


def build_pretrained_critic(config: PretrainedCriticConfig, facts: Mapping[str, Any]) -> PretrainedCritic:
    """The critic of ``text.pretrained_critic``. Raises what `open_model` raises."""
    known = TextFacts.of(facts)
    reads = known.prompt_length + known.length
    return PretrainedCritic(open_model(config, known, reads=reads, head=False, where="model.critic"), known)


def language_model_facts(generator: Generator) -> dict[str, Any] | None:
    """The config of the transformers model that `generator` is, as JSON, for the dataset's facts; None when it is none.

    With it in ``facts["language_model"]`` a run can be sampled from without the folder that the model came from.
    """
    decoder = getattr(generator, "decoder", None)
    if not isinstance(decoder, PretrainedDecoder):
        return None
    described: dict[str, Any] = decoder.model.config.to_dict()
    described.pop("transformers_version", None)
    described.pop("dtype", None)
    return described
