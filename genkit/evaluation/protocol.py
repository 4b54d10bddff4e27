"""A score and the protocol it was measured under; neither goes anywhere without the other."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from genkit.specs import Better

TITLES = {
    "frechet": "Fréchet distance",
    "kernel": "Kernel distance",
    "precision": "Precision",
    "recall": "Recall",
    "density": "Density",
    "coverage": "Coverage",
    "authenticity": "Authenticity",
    "classifier_score": "Classifier score",
}
"""What the core's figures are called in print."""


@dataclass(frozen=True)
class Score:
    """One figure of an evaluation."""

    name: str
    """As the metric names it; ``figure[extractor]`` for a distance between features."""
    value: float
    """Of the generated samples against the reference."""
    floor: float | None
    """The same figure for other real samples against the reference; None when there are none."""
    better: Better
    """Which direction is better."""
    protocol: Mapping[str, Any] = field(default_factory=dict)
    """What the figure depends on: extractor and version, samples, splits, seeds, genkit's version."""

    @property
    def title(self) -> str:
        """The name in print: ``frechet[lenet-digits]`` is "Fréchet distance (lenet-digits)"."""
        figure = re.fullmatch(r"(\w+)\[(.+)\]", self.name)
        if figure is None:
            return self.name.replace("_", " ")
        return f"{TITLES.get(figure[1], figure[1].replace('_', ' '))} ({figure[2]})"

    def as_json(self) -> dict[str, Any]:
        """The score as JSON-ready values."""
        return {
            "name": self.name,
            "title": self.title,
            "value": self.value,
            "floor": self.floor,
            "better": self.better,
            "protocol": dict(self.protocol),
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Score:
        """The score that `as_json` gave these values of."""
        return cls(values["name"], values["value"], values["floor"], values["better"], values["protocol"])

    def __str__(self) -> str:
        floor = "no second real set" if self.floor is None else f"real against real {self.floor:.4g}"
        best = "as real is best" if self.better == "real" else f"{self.better} is better"
        return f"{self.title}: {self.value:.4g} ({floor}; {best})"
