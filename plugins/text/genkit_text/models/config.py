"""Options of the generators and critics of text. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

Relaxation = Literal["none", "straight_through", "gumbel"]


# --- generators ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class LSTMConfig:
    """``text.lstm``."""

    width: int = 256
    """Size of embeddings and hidden states."""
    layers: int = 1
    """Recurrent layers."""
    tied: bool = False
    """Let the output weights be the embeddings."""
    relaxation: Relaxation = "none"
    """none: tokens, for policy gradients; straight_through and gumbel: relaxed one-hots that gradients pass through."""
    tau: float = 1.0
    """Temperature of the relaxation's softmax."""


@dataclass(frozen=True, kw_only=True)
class TransformerConfig:
    """``text.transformer``."""

    width: int = 192
    """Size of embeddings and residual stream."""
    layers: int = 4
    """Blocks."""
    heads: int = 6
    """Attention heads; width / heads must be even."""
    hidden: int | None = None
    """Width of the feed-forward layers; null: 8/3 of the width, rounded up to a multiple of 32."""
    tied: bool = True
    """Let the output weights be the embeddings."""
    dropout: float = 0.0
    """On the residual branches. Above 0, sampling and log-probabilities disagree in training."""
    relaxation: Relaxation = "none"
    """none: tokens, for policy gradients; straight_through and gumbel: relaxed one-hots that gradients pass through."""
    tau: float = 1.0
    """Temperature of the relaxation's softmax."""


# --- critics ---------------------------------------------------------------------------------------------------------

Count = Annotated[int, Field(ge=1)]
Counts = Annotated[tuple[Count, ...], Field(min_length=1)]
Share = Annotated[float, Field(ge=0, lt=1)]


@dataclass(frozen=True, kw_only=True)
class LSTMCriticConfig:
    """``text.lstm_critic``: a logit for each token."""

    width: Count = 128
    """Size of embeddings and hidden states."""
    layers: Count = 1
    """Recurrent layers."""
    dropout: Share = 0.0
    """Share of the inputs of each layer and of the head that is left out in training."""


@dataclass(frozen=True, kw_only=True)
class TransformerCriticConfig:
    """``text.transformer_critic``."""

    per_token: bool = False
    """A logit for each token, from what came up to it; else one for each row, from the whole of it."""
    width: Count = 128
    """Size of embeddings and residual stream."""
    layers: Count = 2
    """Blocks."""
    heads: Count = 4
    """Attention heads; width / heads must be even."""
    dropout: Share = 0.0
    """Share of the embedding and of the residual branches that is left out in training."""


@dataclass(frozen=True, kw_only=True)
class CNNCriticConfig:
    """``text.cnn_critic``: one logit a row. The defaults are SeqGAN's (Yu et al. 2017) for rows of 20 tokens on."""

    width: Count = 64
    """Size of embeddings."""
    windows: Counts = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 20)
    """Tokens that each kind of filter sees."""
    filters: Counts = (100, 200, 200, 200, 200, 100, 100, 100, 100, 100, 160, 160)
    """How many filters of each kind."""
    dropout: Share = 0.25
    """Share of the highway layer's outputs that is left out in training."""


# --- pretrained ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class LoRAConfig:
    """Low-rank adapters (Hu et al. 2022): they alone train. Needs the extra ``lora``."""

    rank: Count = 8
    """Rank of each adapter."""
    alpha: Annotated[float, Field(gt=0)] = 16.0
    """An adapter's output is scaled by alpha / rank."""
    dropout: Share = 0.0
    """On what an adapter reads. Sampling and log-probabilities then disagree in training: 0 for policy gradients."""
    targets: tuple[str, ...] | None = None
    """Names of the linear layers that get one, such as q_proj; null: those that peft chooses for the architecture."""


@dataclass(frozen=True, kw_only=True)
class PretrainedConfig:
    """A transformers model: exactly one of `path`, `hub` and `config`."""

    path: str | None = None
    """A folder that ``save_pretrained`` wrote, weights in safetensors. The network is not touched."""
    hub: str | None = None
    """A model's name on the Hugging Face hub. Only this lets the network be used."""
    config: Mapping[str, Any] | None = None
    """A transformers config to start from scratch with: ``{model_type: gpt2, n_layer: 2, ...}``. The vocabulary and the
    special tokens are the data's."""
    lora: LoRAConfig | None = None
    """Adapters; null: all weights train."""
    dtype: Literal["fp32", "bf16"] = "fp32"
    """What the weights are kept in. Adapters, labels and heads are fp32; Adam loses small steps of bf16 weights."""


@dataclass(frozen=True, kw_only=True)
class CausalLMConfig(PretrainedConfig):
    """``text.causal_lm``. The model's own dropout is switched off, so that sampling and log-probabilities agree."""

    relaxation: Relaxation = "none"
    """none: tokens, for policy gradients; straight_through and gumbel: relaxed one-hots that gradients pass through."""
    tau: float = 1.0
    """Temperature of the relaxation's softmax."""


@dataclass(frozen=True, kw_only=True)
class PretrainedCriticConfig(PretrainedConfig):
    """``text.pretrained_critic``: one logit a row, from the last token that counts. Without dropout."""
