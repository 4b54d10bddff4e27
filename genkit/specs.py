"""What a plugin announces: frozen descriptions whose import strings are resolved only when the thing is used.

Nothing here imports torch. An import string reads ``"package.module:attribute"``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pkgutil import resolve_name
from types import MappingProxyType
from typing import Any, Literal

Better = Literal["lower", "higher", "real"]
"""Which direction of a figure is better; ``real``: the nearer to what real samples get. Where nonsense or repetition
can pass what real samples get, as with diversity or copying, neither more nor less is better."""


def figures(*, lower: Sequence[str] = (), higher: Sequence[str] = (), real: Sequence[str] = ()) -> Mapping[str, Better]:
    """A metric's figures by the direction that is better: what `MetricSpec.better` and ``Metric.better`` hold."""
    directions: dict[str, Better] = {}
    directions |= dict.fromkeys(lower, "lower")
    directions |= dict.fromkeys(higher, "higher")
    directions |= dict.fromkeys(real, "real")
    return MappingProxyType(directions)


def resolve(import_string: str) -> Any:
    """The object an import string names. Raises ImportError or AttributeError as Python does."""
    return resolve_name(import_string)


@dataclass(frozen=True, kw_only=True)
class RecipeSpec:
    """A recipe: a config and the function that builds an experiment from it."""

    name: str
    """``modality.recipe``."""
    summary: str
    """One sentence for listings."""
    config: str
    """Import string of the config dataclass (a module free of torch), a subclass of `genkit.RecipeConfig`."""
    build: str
    """Import string of ``build(config) -> Experiment``."""
    restore: str | None = None
    """Import string of ``restore(config, facts) -> Sampler parts`` for recipes that the core's own way does not fit."""
    presets: str | None = None
    """Import string of ``{preset name: nested mapping of config values}``."""
    smoke: Mapping[str, Any] = field(default_factory=dict)
    """Dotted config overrides that make a run of two steps cheap, for tests and the conformance kit."""
    tags: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ModelSpec:
    """A generator or a critic that recipes can name in ``model.generator`` and ``model.critic``."""

    name: str
    role: Literal["generator", "critic"]
    modality: str
    summary: str
    config: str
    """Import string of its config dataclass (torch-free)."""
    build: str
    """Import string of ``build(config, facts) -> Module``; `facts` are the dataset's."""


@dataclass(frozen=True, kw_only=True)
class DatasetSpec:
    """A dataset that recipes can name in ``data.name``."""

    name: str
    modality: str
    summary: str
    config: str
    open: str
    """Import string of ``open(config) -> Dataset``."""
    offline: bool
    """True when opening it never touches the network."""
    licence: str
    """Licence of the data, or ``"yours"`` for a user's own files."""
    endings: tuple[str, ...] = ()
    """How the names of files that it reads end, in lower case, such as ``.png``. By these ``genkit data`` finds, among
    the datasets with the option ``path``, the one that a path is for."""
    inspect: str | None = None
    """Import string of ``inspect(config, picture) -> mapping``, behind ``genkit data inspect``: what the data is like,
    as JSON, broken files among it, and what could be done about it under ``advice``, one line each. `picture` is the
    path of a .png that shows some of it, whose folder may be missing; where it was drawn, ``picture`` names it.
    Raises DataError when there is nothing to look at.

    A dataset of a user's files has the option ``path``, which is what the command is given."""
    prepare: str | None = None
    """Import string of ``prepare(config, out) -> mapping``, behind ``genkit data prepare``: lays the data out anew in
    the folder `out`, which does not exist yet, so that a dataset reads it faster, or at all. It changes nothing else,
    and leaves all of `out` behind or nothing. The mapping, as JSON, says what was done, and under ``settings`` what a
    config is to say, such as ``{"data.path": "out"}``. Raises DataError."""


@dataclass(frozen=True, kw_only=True)
class ObjectiveSpec:
    """An objective, a penalty or an augmentation that a config can name."""

    name: str
    role: Literal["objective", "penalty", "augment"]
    summary: str
    config: str
    build: str
    """Import string of ``build(config) -> Objective | Penalty | Augment``."""


@dataclass(frozen=True, kw_only=True)
class MetricSpec:
    """A metric that recipes of a modality can name in ``metrics``."""

    name: str
    modality: str
    summary: str
    better: Mapping[str, Better]
    """Each figure the metric returns, and which direction is better: lower, higher or as real."""
    config: str
    build: str
    """Import string of ``build(config, facts) -> Metric``."""
    needs: tuple[str, ...] = ()
    """Distributions beyond the plugin's own requirements, such as an extra's."""


@dataclass(frozen=True, kw_only=True)
class WriterSpec:
    """Turns samples of a modality into files."""

    modality: str
    build: str
    """Import string of ``build(facts) -> Writer``."""
    conditions: str | None = None
    """Import string of ``conditions(facts) -> Conditions | None``; without it the core reads labels from the facts."""
    sampling: Mapping[str, str] = field(default_factory=dict)
    """What a person may set when samples are drawn (`Generator.sampling`), each with a line of help: ``temperature``
    becomes ``genkit sample --temperature``. A name that the command has itself, such as ``seed``, is refused."""
    stream: str | None = None
    """Import string of ``stream(sampler, ...) -> iterator``, behind ``Sampler.stream``: a sample piece by piece."""


@dataclass(frozen=True, kw_only=True)
class ExportSpec:
    """A format that a modality's generators can be exported to, behind ``genkit export RUN --to NAME``."""

    name: str
    """What ``--to`` takes."""
    modality: str
    summary: str
    export: str
    """Import string of ``export(sampler, out) -> list of paths``; `out` is a path that does not exist yet."""

    @property
    def role(self) -> str:
        """What tells formats of one name apart."""
        return self.modality


@dataclass(frozen=True, kw_only=True)
class ViewSpec:
    """A way to look at what a run has learnt, behind ``genkit inspect RUN NAME``, such as an interpolation, or the
    training examples nearest to samples."""

    name: str
    modality: str
    summary: str
    config: str
    """Import string of the config dataclass (torch-free) of what a person may set."""
    draw: str
    """Import string of ``draw(config, subject, path) -> list of paths``: writes files whose names begin with that of
    `path`, which has no suffix; `subject` is a `genkit.Subject`. Raises UsageError where a run can not be looked at so.
    """

    @property
    def role(self) -> str:
        """What tells views of one name apart."""
        return self.modality


@dataclass(frozen=True, kw_only=True)
class BenchmarkSpec:
    """Something to measure, behind ``genkit bench NAME``."""

    name: str
    summary: str
    command: str
    """Import string of a click command."""


@dataclass(frozen=True, kw_only=True)
class CommandSpec:
    """A command that a plugin adds to ``genkit``; it cannot shadow one of the core's."""

    name: str
    summary: str
    command: str
    """Import string of a click command."""


@dataclass(frozen=True, kw_only=True)
class Check:
    """One line of ``genkit doctor``."""

    name: str
    status: Literal["ok", "warning", "error"]
    detail: str
    fix: str | None = None


Spec = (
    RecipeSpec
    | ModelSpec
    | DatasetSpec
    | ObjectiveSpec
    | MetricSpec
    | WriterSpec
    | ExportSpec
    | ViewSpec
    | BenchmarkSpec
    | CommandSpec
)
