"""Small critics that several tests look at, handed out as fixtures."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genkit.interfaces import Critic, Tree, Verdict


class Points(Critic):
    """Two smooth sub-critics of vectors [B, D]: one logit a row, and three that count half."""

    weights: Tensor

    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.body = nn.Linear(width, 4)
        self.one = nn.Linear(4, 1)
        self.three = nn.Linear(4, 3)
        self.register_buffer("weights", torch.tensor([1.0, 0.5]))
        self.calls = 0

    def forward(self, sample: Tree, condition: Tree | None = None, mask: Tensor | None = None) -> Verdict:
        self.calls += 1
        hidden = torch.tanh(self.body(sample))
        if condition is not None:
            hidden = hidden + condition[:, None]
        one, three = self.one(torch.sin(hidden)).squeeze(1), self.three(hidden.square())
        return Verdict([one, three[:, None]], [[hidden], []], weights=self.weights)


class Tokens(Critic):
    """Attention over tokens [B, L], relaxed one-hots [B, L, V] or their embedding [B, L, E]; a logit a token."""

    def __init__(self, vocabulary: int = 5, width: int = 4) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.mixed = nn.Linear(width, 3 * width)
        self.head = nn.Linear(width, 1)

    def penalty_input(self, sample: Tree) -> Tensor:
        if sample.is_floating_point():
            return sample @ self.embedding.weight
        return self.embedding(sample)

    def forward(self, sample: Tree, condition: Tree | None = None, mask: Tensor | None = None) -> Verdict:
        embedded = sample if sample.is_floating_point() else self.penalty_input(sample)
        query, key, value = self.mixed(embedded)[:, None].chunk(3, -1)
        seen = None if mask is None else mask[:, None, None]
        mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=seen)[:, 0]
        return Verdict([self.head(torch.tanh(mixed)).squeeze(-1)], mask=mask)


class Pictures(Critic):
    """Strided convolutions over [B, 1, 8, 8] with a patch of logits, and a batch norm if it is asked for."""

    def __init__(self, batch_norm: bool = False) -> None:
        super().__init__()
        self.first = nn.Conv2d(1, 4, 3, stride=2, padding=1)
        self.norm = nn.BatchNorm2d(4) if batch_norm else nn.GroupNorm(2, 4)
        self.last = nn.Conv2d(4, 1, 3, stride=2, padding=1)

    def forward(self, sample: Tree, condition: Tree | None = None, mask: Tensor | None = None) -> Verdict:
        hidden = F.leaky_relu(self.norm(self.first(sample)), 0.2)
        return Verdict([self.last(hidden)], [[hidden]])


@pytest.fixture
def points() -> Callable[..., Critic]:
    torch.manual_seed(7)
    return Points


@pytest.fixture
def tokens() -> Callable[..., Critic]:
    torch.manual_seed(7)
    return Tokens


@pytest.fixture
def pictures() -> Callable[..., Critic]:
    torch.manual_seed(7)
    return Pictures
