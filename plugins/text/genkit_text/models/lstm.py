"""A recurrent network over tokens."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from genkit_text.facts import TextFacts
from genkit_text.models.config import LSTMConfig
from genkit_text.models.language import Decoder, LanguageGenerator, drawing

State = tuple[tuple[Tensor, Tensor], Tensor | None]


class LSTMDecoder(Decoder):
    """LSTM (Hochreiter and Schmidhuber 1997) over embedded tokens. Padding before a prompt is read as zeros.

    Args:
        vocabulary: token ids.
        width: size of embeddings and hidden states.
        layers: recurrent layers.
        labels: how many labels a row can have; their embeddings are added to each token's.
        tied: let output weights be the embeddings.
    """

    def __init__(self, vocabulary: int, *, width: int, layers: int, labels: int = 0, tied: bool = False) -> None:
        super().__init__()
        self.vocabulary = vocabulary
        self.embedding = nn.Embedding(vocabulary, width)
        self.label_embedding = nn.Embedding(labels, width) if labels else None
        self.recurrent = nn.LSTM(width, width, layers, batch_first=True)
        self.head = nn.Linear(width, vocabulary)
        nn.init.normal_(self.embedding.weight, std=width**-0.5)
        if tied:
            self.head.weight = self.embedding.weight

    def forward(
        self, tokens: Tensor, mask: Tensor | None = None, label: Tensor | None = None, *, keep: int | None = None
    ) -> Tensor:
        seen, _ = self.recurrent(self._embed(tokens, mask, self._label(label)))
        return self.head(seen if keep is None else seen[:, -keep:])

    def begin(self, tokens: Tensor, mask: Tensor | None, label: Tensor | None, *, room: int) -> tuple[Tensor, State]:
        given = self._label(label)
        seen, state = self.recurrent(self._embed(tokens, mask, given))
        return self.head(seen[:, -1]), (state, given)

    def step(self, token: Tensor, state: State) -> tuple[Tensor, State]:
        hidden, given = state
        seen, hidden = self.recurrent(self._embed(token[:, None], None, given), hidden)
        return self.head(seen[:, 0]), (hidden, given)

    def _label(self, label: Tensor | None) -> Tensor | None:
        return None if self.label_embedding is None or label is None else self.label_embedding(label)[:, None]

    def _embed(self, tokens: Tensor, mask: Tensor | None, label: Tensor | None) -> Tensor:
        embedded = tokens @ self.embedding.weight if tokens.is_floating_point() else self.embedding(tokens)
        if label is not None:
            embedded = embedded + label
        return embedded if mask is None else torch.where(mask[..., None], embedded, torch.zeros_like(embedded))


def build_lstm(config: LSTMConfig, facts: Mapping[str, Any]) -> LanguageGenerator:
    """The generator of ``text.lstm``."""
    known = TextFacts.of(facts)
    decoder = LSTMDecoder(
        known.vocabulary,
        width=config.width,
        layers=config.layers,
        labels=len(known.labels),
        tied=config.tied,
    )
    return drawing(decoder, known, relaxation=config.relaxation, tau=config.tau)
