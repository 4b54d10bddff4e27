"""A recipe's config: its defaults, under a preset, under files, under ``--set``; checked, every problem at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from io import StringIO
from pathlib import Path
from typing import Any

from genkit.catalog import catalog
from genkit.errors import ConfigError, PluginError
from genkit.fields import Penalties, field_docs, fields_of, plain
from genkit.layers import file_layer, overrides_layer, read_config_file, values_layer
from genkit.resolution import Resolution
from genkit.schema import schema
from genkit.settings import DataConfig, Part, RecipeConfig
from genkit.specs import DatasetSpec, RecipeSpec
from genkit.validation import shown

__all__ = [
    "RESUMABLE", "difference", "read_config_file", "resolve_config", "resolve_data", "schema", "seed_in", "to_dict",
    "to_yaml",
]  # fmt: skip

RESUMABLE = frozenset(
    f"train.{key}"
    for key in (
        "steps", "minutes", "log_every", "preview_every", "checkpoint_every", "eval_every", "eval_samples", "keep",
        "keep_best", "workers", "resident",
    )
)  # fmt: skip
"""What may change when a run is resumed, because the mathematics does not depend on it."""


def resolve_config(
    spec: RecipeSpec,
    *,
    files: Sequence[Path] = (),
    overrides: Sequence[str] = (),
    values: Mapping[str, Any] | None = None,
) -> RecipeConfig:
    """The config of a recipe: its defaults <- preset <- `files` <- `values` <- `overrides`.

    Args:
        spec: the recipe.
        files: YAML files, the later over the earlier; their keys ``recipe`` and ``seed`` are no settings (`seed_in`
            reads the seed).
        overrides: ``a.b=v``, the value in YAML.
        values: nested values; keys of the first level may be dotted.

    A layer that names another part drops the options that earlier layers gave it. The preset is the one that the last
    layer to name one names.

    Raises ConfigError with every problem, PluginError when a part's plugin can not be used.
    """
    offers = catalog()
    layers = [file_layer(Path(path)) for path in files]
    for layer in layers:
        named = layer.values.get("recipe", spec.name)
        if named != spec.name:
            raise ConfigError(
                f"this is a config of the recipe `{named}`, not of `{spec.name}`", where=layer.place(("recipe",))
            )
    if values:
        layers.append(values_layer(values, "values"))
    set_layer, problems = overrides_layer(overrides, penalties=offers.objectives.names("penalty"))
    layers.append(set_layer)
    cls: type = offers.config_class(spec)
    if not issubclass(cls, RecipeConfig):
        raise PluginError(
            f"the config of the recipe `{spec.name}`, {spec.config}, is no subclass of genkit.RecipeConfig"
        )
    presets: Mapping[str, Mapping[str, Any]] = offers.load(spec, "presets") if spec.presets else {}
    fix = f"`genkit config {spec.name}` shows every key"
    resolution = Resolution(offers, cls, name=spec.name, presets=presets, problems=problems, fix=fix)
    config: RecipeConfig = resolution.of(layers)
    return replace(config, penalties=Penalties(config.penalties, resolution.removed))


def seed_in(files: Sequence[Path]) -> int | None:
    """The seed that a config file names, the later over the earlier; None where none does.

    Raises ConfigError for one that is no whole number.
    """
    seed: int | None = None
    for layer in (file_layer(Path(path)) for path in files):
        given = layer.values.get("seed")
        if given is None:
            continue
        if isinstance(given, bool) or not isinstance(given, int):
            raise ConfigError(
                f"a seed is a whole number, and this is {shown(given)}", where=layer.place(("seed",)), fix="seed: 0"
            )
        seed = given
    return seed


def resolve_data(spec: DatasetSpec, *, values: Mapping[str, Any], overrides: Sequence[str] = ()) -> Part:
    """A dataset with its options: its defaults <- `values` <- `overrides`, which may begin with ``data.``.

    Raises ConfigError with every problem.
    """
    offers = catalog()
    prefixed = [one if one.startswith("data.") else f"data.{one}" for one in overrides]
    set_layer, problems = overrides_layer(prefixed)
    layers = [values_layer({"data": {"name": spec.name, **values}}, "command line"), set_layer]
    fix = f"docs/recipes.md has every key of {spec.name}"
    resolution = Resolution(offers, DataConfig, name=spec.name, presets={}, problems=problems, fix=fix)
    config: DataConfig = resolution.of(layers)
    return config.data


def to_dict(config: RecipeConfig) -> dict[str, Any]:
    """A config as nested plain values, as YAML holds them."""
    values: dict[str, Any] = plain(config)
    return values


def difference(old: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What changed from one nested mapping to another, a line each: ``optim.critic.lr: 0.0002 -> 0.0003``."""
    before, after = dict(_flat(old)), dict(_flat(new))

    def shown(values: Mapping[str, Any], key: str) -> str:
        return _scalar(values[key]) if key in values else "(none)"

    # A penalty that was taken out is null in one and missing in the other.
    changed = [key for key in dict.fromkeys([*before, *after]) if before.get(key) != after.get(key)]
    return [f"{key}: {shown(before, key)} -> {shown(after, key)}" for key in changed]


def to_yaml(config: RecipeConfig, *, comments: bool = False) -> str:
    """A config as YAML that `resolve_config` reads back to an equal one.

    Args:
        comments: put each key's docstring above it.
    """
    return "\n".join(_lines(plain(config), type(config) if comments else None, "")) + "\n"


# --- YAML ------------------------------------------------------------------------------------------------------------


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    flat: list[tuple[str, Any]] = []
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            flat += _flat(value, f"{prefix}{key}.")
        else:
            flat.append((f"{prefix}{key}", plain(value)))
    return flat


def _lines(values: Mapping[str, Any], cls: type | None, indent: str) -> list[str]:
    """YAML lines, with the docs of the fields of `cls`; without a class there are no comments."""
    lines: list[str] = []
    fields = fields_of(cls) if cls else {}
    docs = field_docs(cls) if cls else {}
    for key, value in values.items():
        lines += [f"{indent}# {line}".rstrip() for line in docs.get(key, "").splitlines()]
        field = fields.get(key)
        if isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            lines += [f"{indent}{_scalar(key)}:", *(f"{indent}  - {_scalar(item)}" for item in value)]
            continue
        if not isinstance(value, Mapping) or not value:
            lines.append(f"{indent}{_scalar(key)}: {_scalar(value)}")
            continue
        lines.append(f"{indent}{_scalar(key)}:")
        if field and field.kind == "penalties":
            for name, options in value.items():
                lines += _penalty_lines(name, options, f"{indent}  ")
            continue
        # The keys of a ramp say what they are; their docs under every rate would drown the rest.
        inner = field.inner if field and field.kind == "struct" else None
        if field and field.kind == "part":
            inner = _part_class(field.role or "", value["name"])
        lines += _lines(value, inner, f"{indent}  ")
    return lines


def _penalty_lines(name: str, options: Mapping[str, Any] | None, indent: str) -> list[str]:
    if not options:
        return [f"{indent}{_scalar(name)}: {_scalar(options)}"]
    return [f"{indent}{_scalar(name)}:", *_lines(options, _part_class("penalty", name), f"{indent}  ")]


def _part_class(role: str, name: str) -> type:
    return catalog().config_class(catalog().part(role, name))


def _scalar(value: Any) -> str:
    """A value in YAML on one line."""
    from ruamel.yaml import YAML

    yaml = YAML(typ="safe", pure=True)
    yaml.default_flow_style = True
    yaml.width = 10**6
    out = StringIO()
    yaml.dump(value, out)
    return out.getvalue().removesuffix("\n").removesuffix("...").rstrip("\n")
