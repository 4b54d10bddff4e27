"""What the toy plugin's import strings name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import click

import genkit
from genkit.settings import DatasetPart, MetricPart, Scheduled

PRESETS = {
    "small": {"train": {"batch_size": 8}, "model.generator.width": 4, "penalties": {"r1": {"weight": 3.0}}},
    "typo": {"train": {"bach_size": 8}},
}


@dataclass(frozen=True, kw_only=True)
class Norm:
    kind: Literal["batch", "group"] = "batch"
    eps: float = 1e-5


@dataclass(frozen=True, kw_only=True)
class Net:
    """A network."""

    width: int = 16
    """Units in a layer."""
    norm: Norm = Norm(eps=1e-3)
    """How activations are normalised."""
    slope: Scheduled = 0.2


@dataclass(frozen=True, kw_only=True)
class Deep(Net):
    depth: int


@dataclass(frozen=True, kw_only=True)
class Dots:
    count: int = 100
    """How many dots."""
    held_out: float = 0.1

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ValueError("a dataset without dots")


@dataclass(frozen=True, kw_only=True)
class Folder:
    root: Path
    """Where the files are."""
    label: str = "none"
    sizes: tuple[int, ...] = (8, 8)
    aliases: Mapping[str, str] = field(default_factory=lambda: {"a": "b"})


@dataclass(frozen=True, kw_only=True)
class Pull:
    weight: Scheduled = 1.0
    every: int = 1


@dataclass(frozen=True, kw_only=True)
class Score:
    neighbours: int = 5


@dataclass(frozen=True, kw_only=True)
class Plain(genkit.RecipeConfig):
    """The toy recipe's config."""

    data: DatasetPart = genkit.Part("toy.dots", held_out=0.2)
    model: genkit.Model = genkit.Model(
        generator=genkit.Part("toy.net"), critic=genkit.Part("toy.net", norm={"kind": "group"})
    )
    penalties: Mapping[str, Mapping[str, object]] = field(
        default_factory=lambda: {"r1": {"weight": 0.5, "every": 4}, "r2": {"weight": 0.5}}
    )
    metrics: tuple[MetricPart, ...] = (genkit.Part("toy.score"),)
    temperature: float = 1.0
    """A setting of this recipe's own."""


def build_recipe(config):
    return config


def describe(config, *args):
    return config, *args


def needs_an_extra(config, facts):
    import an_extra_that_nobody_has  # noqa: F401


@click.command()
def bench() -> None:
    """Time a toy."""
    click.echo("42 toys a second")


@click.command()
@click.option("--name", default="you")
def greet(name: str) -> None:
    """Say hello."""
    click.echo(f"hello {name}")


@click.command()
def fail() -> None:
    """Fail."""
    raise ZeroDivisionError("no toys to share")
