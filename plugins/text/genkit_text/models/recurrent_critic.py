"""`text.lstm_critic`: a recurrent critic with a logit for each token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from genkit import Verdict
from genkit_text.facts import TextFacts
from genkit_text.models.config import LSTMCriticConfig
from genkit_text.models.critics import Reading, TokenCritic


class LSTMCritic(TokenCritic):
    """Embedding -> LSTM -> linear: logit t has read the prompt and the tokens up to t (as the critic of de Masson
    d'Autume et al. 2019, ScratchGAN).

    Args:
        config: its options.
        facts: the data's.
    """

    def __init__(self, config: LSTMCriticConfig, facts: TextFacts) -> None:
        super().__init__(facts, config.width)
        self.embedding = nn.Embedding(facts.vocabulary, config.width)
        between = config.dropout if config.layers > 1 else 0.0
        self.lstm = nn.LSTM(config.width, config.width, config.layers, batch_first=True, dropout=between)
        self.dropout = nn.Dropout(config.dropout)
        self.head = nn.Linear(config.width, 1)

    def forward(self, sample: Tensor, condition: Tensor | None = None, mask: Tensor | None = None) -> Verdict:
        """Logits [B, L] for tokens [B, L] or their embedding [B, L, E]."""
        hidden = self.dropout(self._states(self.read(sample, condition, mask)))
        return Verdict([self.head(hidden).squeeze(-1)], [[hidden]], mask)

    def _states(self, reading: Reading) -> Tensor:
        """[B, L, E]: the state after each token of the sample."""
        embedded, counted, before = reading
        embedded = self.dropout(embedded)
        if not before:
            states: Tensor = self.lstm(embedded)[0]
            return states
        # Padding goes from the start of each row to its end, where no state that is wanted has read it.
        padding = (~counted[:, :before]).sum(1, keepdim=True)
        places = torch.arange(embedded.shape[1], device=embedded.device)
        states = self.lstm(_rows(embedded, (places + padding) % embedded.shape[1]))[0]
        return _rows(states, places[before:] - padding)


def _rows(values: Tensor, places: Tensor) -> Tensor:
    """values[b, places[b, t]] as [B, T, E]."""
    return values.gather(1, places[:, :, None].expand(-1, -1, values.shape[2]))


def build_lstm_critic(config: LSTMCriticConfig, facts: Mapping[str, Any]) -> LSTMCritic:
    """The critic for the data that `facts` describe."""
    return LSTMCritic(config, TextFacts.of(facts))
