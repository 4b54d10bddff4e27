"""`text.transformer_critic`: an attention critic, with a logit for each token or for each row."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from genkit import ConfigError, Verdict
from genkit_text.facts import TextFacts
from genkit_text.models.config import TransformerCriticConfig
from genkit_text.models.critics import TokenCritic
from genkit_text.models.transformer import Block, rotations


class TransformerCritic(TokenCritic):
    """Embedding -> the blocks of `text.transformer` -> linear.

    With a logit for each token attention is causal: logit t has read the prompt and the tokens up to t. With a logit
    for each row it looks both ways, and the logit reads the mean over the sample's tokens that count. Positions are
    rotary (Su et al. 2021): only distances between tokens enter, so padding before a prompt moves nothing.

    Args:
        config: its options.
        facts: the data's.

    Raises ConfigError when the width does not part into heads of an even size.
    """

    rotation: Tensor

    def __init__(self, config: TransformerCriticConfig, facts: TextFacts) -> None:
        super().__init__(facts, config.width)
        if config.width % (2 * config.heads):
            raise ConfigError(
                f"a width of {config.width} does not part into {config.heads} heads of an even size",
                where="model.critic.heads",
            )
        self.embedding = nn.Embedding(facts.vocabulary, config.width)
        self.per_token = config.per_token
        hidden = -(-config.width * 8 // 96) * 32
        self.dropout = nn.Dropout(config.dropout)
        self.blocks = nn.ModuleList(
            Block(config.width, config.heads, hidden, config.dropout) for _ in range(config.layers)
        )
        self.norm = nn.RMSNorm(config.width)
        self.head = nn.Linear(config.width, 1)
        positions = rotations(facts.prompt_length + facts.length, config.width // config.heads)
        self.register_buffer("rotation", positions, persistent=False)

    def forward(self, sample: Tensor, condition: Tensor | None = None, mask: Tensor | None = None) -> Verdict:
        """Logits [B, L], or [B, 1], for tokens [B, L] or their embedding [B, L, E]."""
        x, counted, before = self.read(sample, condition, mask)
        seen = self._seen(counted)
        x = self.dropout(x)
        for block in self.blocks:
            x = block(x, self.rotation[:, : x.shape[1]], seen, None)
        x = self.norm(x)[:, before:]
        if self.per_token:
            return Verdict([self.head(x).squeeze(-1)], [[x]], mask)
        weight = counted[:, before:, None].to(x.dtype)
        pooled = (x * weight).sum(1) / weight.sum(1).clamp(min=1)
        return Verdict([self.head(pooled)], [[pooled]])

    def _seen(self, counted: Tensor) -> Tensor:
        """[B, 1, T, T], True where a query sees a key. Each sees itself, since attention to nothing has no value."""
        itself = torch.eye(counted.shape[1], dtype=torch.bool, device=counted.device)
        seen = counted[:, None, None] | itself
        return seen & torch.ones_like(itself).tril() if self.per_token else seen


def build_transformer_critic(config: TransformerCriticConfig, facts: Mapping[str, Any]) -> TransformerCritic:
    """The critic for the data that `facts` describe."""
    return TransformerCritic(config, TextFacts.of(facts))
