"""`text.cnn_critic`: the convolutional critic of SeqGAN."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genkit import ConfigError, Verdict
from genkit_text.facts import TextFacts
from genkit_text.models.config import CNNCriticConfig
from genkit_text.models.critics import TokenCritic


class CNNCritic(TokenCritic):
    """Convolutions of several widths over the embedding, the largest answer of each filter over time, a highway layer,
    dropout and a linear layer (Kim 2014; Yu et al. 2017, SeqGAN, appendix). One logit a row.

    Positions that do not count are zeros. Before a prompt stand as many zeros as the widest window has, so that
    padding adds no answer that was not there.

    Args:
        config: its options.
        facts: the data's.

    Raises ConfigError when windows and filters are not as many, or a window is longer than a row.
    """

    def __init__(self, config: CNNCriticConfig, facts: TextFacts) -> None:
        super().__init__(facts, config.width)
        self.embedding = nn.Embedding(facts.vocabulary, config.width)
        if len(config.windows) != len(config.filters):
            raise ConfigError(
                f"{len(config.windows)} windows and {len(config.filters)} numbers of filters",
                where="model.critic.filters",
                fix="give one number of filters for each window",
            )
        self.widest = max(config.windows)
        if self.widest > facts.length and not facts.prompt_length:
            fitting = [size for size in config.windows if size <= facts.length]
            raise ConfigError(
                f"a window of {self.widest} tokens is longer than the data's rows of {facts.length}",
                where="model.critic.windows",
                fix=f"--set model.critic.windows={fitting} --set model.critic.filters=...",
            )
        self.convolutions = nn.ModuleList(
            nn.Conv1d(config.width, count, size) for size, count in zip(config.windows, config.filters, strict=True)
        )
        self.highway = Highway(sum(config.filters))
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(sum(config.filters), 1)

    def forward(self, sample: Tensor, condition: Tensor | None = None, mask: Tensor | None = None) -> Verdict:
        """Logits [B, 1] for tokens [B, L] or their embedding [B, L, E]."""
        embedded, counted, before = self.read(sample, condition, mask)
        x = torch.where(counted[:, :, None], embedded, torch.zeros_like(embedded)).transpose(1, 2)
        if before:
            x = F.pad(x, (self.widest, 0))
        found = torch.cat([F.relu(convolution(x)).amax(2) for convolution in self.convolutions], 1)
        hidden = self.dropout(self.highway(found))
        return Verdict([self.head(hidden)], [[hidden]])


class Highway(nn.Module):
    """g φ(W x) + (1 - g) x with a gate g = σ(U x) that starts near closed (Srivastava et al. 2015)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.change, self.gate = nn.Linear(width, width), nn.Linear(width, width)
        nn.init.constant_(self.gate.bias, -2.0)

    def forward(self, x: Tensor) -> Tensor:
        """[B, width] to the same."""
        gate = torch.sigmoid(self.gate(x))
        return gate * F.relu(self.change(x)) + (1 - gate) * x


def build_cnn_critic(config: CNNCriticConfig, facts: Mapping[str, Any]) -> CNNCritic:
    """The critic for the data that `facts` describe."""
    return CNNCritic(config, TextFacts.of(facts))
