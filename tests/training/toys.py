"""A toy experiment that exercises the whole trainer in milliseconds: two Gaussians in the plane."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

import genkit
from genkit.adversarial.objectives import RelativisticPaired
from genkit.adversarial.penalties import R1, R2


class Points(genkit.Dataset):
    """Two labelled Gaussians; `resident` says whether it can be held at once."""

    def __init__(self, count: int = 256, *, resident: bool = True, jitter: float = 0.0) -> None:
        source = torch.Generator().manual_seed(7)
        self.labels = torch.arange(count) % 2
        self.points = torch.randn(count, 2, generator=source) * 0.1 + self.labels[:, None] * 2.0 - 1.0
        self.facts = {"labels": ["left", "right"], "label_counts": [count // 2, count - count // 2], "shape": [2]}
        self.jitter = jitter
        self._resident = resident

    def __len__(self) -> int:
        return len(self.points)

    def read(self, index: int) -> Any:
        return self.points[index], self.labels[index]

    def resident(self) -> Any:
        return (self.points, self.labels) if self._resident else None

    def prepare(self, stored: Any, *, rng: genkit.Random) -> genkit.Batch:
        points, labels = stored
        points = points.to(torch.get_default_dtype())
        return genkit.Batch(points + self.jitter * rng.normal(len(points), 2), labels)


class Generator(genkit.Generator):
    def __init__(self, width: int = 16, dropout: float = 0.0) -> None:
        super().__init__()
        self.label = nn.Embedding(2, 4)
        self.body = nn.Sequential(nn.Linear(6, width), nn.LeakyReLU(0.2), nn.Dropout(dropout), nn.Linear(width, 2))

    def latent(self, count: int, *, rng: genkit.Random) -> Tensor:
        return rng.normal(count, 2)

    def forward(self, latent: Tensor, condition: Any = None) -> genkit.Draw:
        return genkit.Draw(self.body(torch.cat([latent, self.label(condition)], 1)))


class Critic(genkit.Critic):
    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.label = nn.Embedding(2, 4)
        self.body = nn.Sequential(nn.Linear(6, width), nn.LeakyReLU(0.2), nn.Linear(width, 1))

    def forward(self, sample: Any, condition: Any = None, mask: Tensor | None = None) -> genkit.Verdict:
        return genkit.Verdict([self.body(torch.cat([sample, self.label(condition)], 1))])


def experiment(**changes: Any) -> genkit.Experiment:
    """A conditional experiment; the same weights every time, also of a network given as the function that makes it."""
    networks = {}
    for role, usual in (("generator", Generator), ("critic", Critic)):
        torch.manual_seed(3)
        made = changes.pop(role, usual)
        networks[role] = made if isinstance(made, nn.Module) else made()
    parts: dict[str, Any] = {
        **networks,
        "data": Points(),
        "objective": RelativisticPaired(),
        "penalties": {"r1": R1(0.1), "r2": R2(0.1, every=2)},
        "conditions": genkit.Labels(["left", "right"]),
        "optim": genkit.Optim(generator=genkit.Optimizer(lr=2e-3), critic=genkit.Optimizer(lr=2e-3)),
        "preview": 8,
    }
    return genkit.Experiment(**(parts | changes))
