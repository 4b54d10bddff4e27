"""The layers a config is made of: YAML files, values given in Python, ``--set``. Each knows where a key stands."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any

from genkit.errors import ConfigError
from genkit.fields import plain

Where = tuple[str, ...]

RESERVED = ("recipe", "seed")
"""Top-level keys of a config file that are no settings: a run's ``config.yaml`` holds them. Another recipe's file is
refused; the seed is the run's where the command names none."""


@dataclass(frozen=True)
class Layer:
    """Values that are laid over those of the layers before."""

    label: str
    """Such as ``config.yaml``, ``--set``, ``preset small``; empty for the recipe's own defaults."""
    values: Mapping[str, Any]
    """Nested plain values."""
    lines: Mapping[Where, int] = field(default_factory=dict)
    """The line of each key, counted from 1, where the layer is a file."""

    def place(self, where: Where) -> str:
        """Label and line of a key, such as ``config.yaml:7``."""
        return f"{self.label}:{self.lines[where]}" if where in self.lines else self.label


@dataclass(frozen=True)
class Typed:
    """A scalar from the command line: what YAML reads in it, and what was typed, for fields that hold text."""

    value: Any
    text: str


def read_config_file(path: Path) -> dict[str, Any]:
    """The values of a YAML 1.2 file (``1e-4`` is a number, ``no`` is text), its reserved keys among them.

    Raises ConfigError naming file and line when it can not be read, is no YAML, has a key twice or is no mapping.
    """
    return dict(file_layer(path).values)


def file_layer(path: Path) -> Layer:
    """The layer a YAML file makes. Raises as `read_config_file`."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import MarkedYAMLError, YAMLError

    try:
        text = Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ConfigError(f"the config file {path} can not be read: {reason}") from error
    try:
        values = YAML(typ="safe", pure=True).load(text)
        tree = YAML(typ="safe", pure=True).compose(StringIO(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        what = " ".join(str(error.problem or error.context).split())
        raise ConfigError(
            f"the config file {path} is not valid YAML: {what}", where=f"{path}:{mark.line + 1}" if mark else str(path)
        ) from error
    except (YAMLError, ValueError) as error:
        raise ConfigError(f"the config file {path} is not valid YAML: {' '.join(str(error).split())}") from error
    if values is None:
        values = {}
    if not isinstance(values, Mapping):
        raise ConfigError(f"the config file {path} does not hold a mapping of keys to values", where=f"{path}:1")
    try:
        return Layer(str(path), plain(values), dict(_lines(tree, ())))
    except RecursionError as error:
        raise ConfigError(f"the config file {path} has an alias that contains itself") from error


def values_layer(values: Mapping[str, Any], label: str) -> Layer:
    """The layer that nested values make; a key of the first level may be dotted, such as ``train.steps``."""
    nested: dict[str, Any] = {}
    for key, value in values.items():
        put(nested, tuple(str(key).split(".")), plain(value))
    return Layer(label, nested)


def overrides_layer(overrides: Sequence[str], *, penalties: Collection[str] = ()) -> tuple[Layer, list[str]]:
    """The layer that ``a.b=v`` settings make, in any order, and what is wrong with those that can not be read.

    Args:
        overrides: the settings; values are YAML, and text where YAML can not read them (``*.png``).
        penalties: names of penalties, which may hold dots.
    """
    nested: dict[str, Any] = {}
    problems: list[str] = []
    for override in overrides:
        key, equals, text = override.partition("=")
        where = tuple(part.strip() for part in key.split("."))
        if not equals or not all(where):
            problems.append(f"--set {override}: expected key=value, such as train.steps=1000")
            continue
        if where[0] == "penalties":
            where = _join_name(where, penalties)
        put(nested, where, _read(text))
    return Layer("--set", nested), problems


def put(tree: dict[str, Any], where: Where, value: Any) -> None:
    """Set the value at `where`. A part's name and its options may come one after the other, in either order."""
    for step in where[:-1]:
        below = tree.get(step)
        if not isinstance(below, dict):
            name = below.value if isinstance(below, Typed) else below
            below = {"name": name} if isinstance(name, str) else {}
            tree[step] = below
        tree = below
    last = where[-1]
    there = tree.get(last)
    if isinstance(there, dict) and isinstance(value, Mapping):
        for key, item in value.items():
            put(there, (key,), item)
    elif isinstance(there, dict) and isinstance(value.value if isinstance(value, Typed) else value, str):
        there["name"] = value
    else:
        tree[last] = value


def _read(text: str) -> Any:
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    try:
        value = YAML(typ="safe", pure=True).load(text)
    except (YAMLError, ValueError):
        return text
    return plain(value) if isinstance(value, Mapping | list) else Typed(value, text.strip())


def _join_name(where: Where, names: Collection[str]) -> Where:
    for length in range(len(where) - 1, 0, -1):
        name = ".".join(where[1 : 1 + length])
        if name in names:
            return (where[0], name, *where[1 + length :])
    return where


def _lines(node: Any, where: Where) -> Iterator[tuple[Where, int]]:
    from ruamel.yaml.nodes import MappingNode, SequenceNode

    if isinstance(node, MappingNode):
        for key, value in node.value:
            inner = (*where, str(key.value))
            yield inner, key.start_mark.line + 1
            yield from _lines(value, inner)
    elif isinstance(node, SequenceNode):
        for index, value in enumerate(node.value):
            inner = (*where, str(index))
            yield inner, value.start_mark.line + 1
            yield from _lines(value, inner)
