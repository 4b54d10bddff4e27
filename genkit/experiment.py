"""The contract, whole: what a recipe builds and the trainer is given."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import nn

from genkit.inspection import Conditions, Metric, Writer
from genkit.interfaces import Augment, Critic, Dataset, Estimator, Generator, Objective, Penalty, StreamedDataset, Term
from genkit.settings import Optim


@dataclass
class Experiment:
    """What a recipe builds from its config; the only thing the trainer is given."""

    generator: Generator
    critic: Critic
    data: Dataset | StreamedDataset
    objective: Objective
    penalties: Mapping[str, Penalty] = field(default_factory=dict)
    terms: Sequence[Term] = ()
    """Non-adversarial generator losses: mel L1, feature matching, likelihood."""
    estimator: Estimator | None = None
    """None: `Pathwise`."""
    augment: Augment | None = None
    optim: Optim | Mapping[str, Callable[[list[nn.Parameter]], torch.optim.Optimizer]] = field(default_factory=Optim)
    """Settings for Adam, or functions under ``generator`` and ``critic`` that make an optimiser from parameters."""
    metrics: Sequence[Metric] = ()
    conditions: Conditions | None = None
    """None for an unconditional generator."""
    writer: Writer | None = None
    preview: int = 64
    """Samples in a preview."""
