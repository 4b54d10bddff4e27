"""Settings of the parts. Free of torch, so that configs are checked and listed without it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class MixtureConfig:
    """A mixture of Gaussians."""

    examples: int = 100_000
    """Points to learn from."""
    held_out: int = 10_000
    """Further points, drawn after those, that training never sees."""
    seed: int = 0
    """Which points are drawn."""


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig:
    """An MLP from a latent to a point."""

    latent: int = 2
    """Dimensions of the latent, z ~ N(0, I)."""
    width: int = 128
    """Units in a hidden layer."""
    depth: int = 4
    """Hidden layers."""


@dataclass(frozen=True, kw_only=True)
class CriticConfig:
    """An MLP from a point to a logit."""

    width: int = 128
    """Units in a hidden layer."""
    depth: int = 3
    """Hidden layers."""


@dataclass(frozen=True, kw_only=True)
class ModesConfig:
    """Mode coverage."""

    threshold: float = 3.0
    """Standard deviations from the nearest mode within which a sample is of high quality."""
