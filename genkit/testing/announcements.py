"""Checks of what a distribution announces. Nothing here imports torch, but for what import strings lead to."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from genkit.catalog import catalog
from genkit.config import resolve_config, schema, to_dict, to_yaml
from genkit.errors import GenkitError
from genkit.fields import field_docs, fields_of, plain_defaults
from genkit.plugins import ITEMS
from genkit.specs import (
    BenchmarkSpec,
    CommandSpec,
    DatasetSpec,
    ExportSpec,
    MetricSpec,
    ModelSpec,
    RecipeSpec,
    Spec,
    ViewSpec,
    WriterSpec,
    resolve,
)
from genkit.testing.distribution import Subject
from genkit.testing.environment import child_environment
from genkit.testing.outcome import CheckFailure, as_failure

CALLED: Mapping[tuple[type, str], tuple[str, ...]] = {
    (RecipeSpec, "build"): ("config",),
    (RecipeSpec, "restore"): ("config", "facts"),
    (ModelSpec, "build"): ("config", "facts"),
    (DatasetSpec, "open"): ("config",),
    (DatasetSpec, "inspect"): ("config", "picture"),
    (DatasetSpec, "prepare"): ("config", "out"),
    (MetricSpec, "build"): ("config", "facts"),
    (WriterSpec, "build"): ("facts",),
    (WriterSpec, "conditions"): ("facts",),
    (ExportSpec, "export"): ("sampler", "out"),
    (ViewSpec, "draw"): ("config", "subject", "path"),
}
"""What the function behind an import string is called with."""
STRINGS = (
    "config",
    "build",
    "open",
    "restore",
    "presets",
    "inspect",
    "prepare",
    "conditions",
    "stream",
    "export",
    "draw",
    "command",
)
"""The fields of specs that are import strings."""
SENTENCE = re.compile(r"\w.*[.!?](\s*\([^()]+\))?\s*$", re.DOTALL)
"""A sentence, and perhaps its source in brackets."""
NO_LICENCE = frozenset({"", "?", "-", "none", "unknown", "todo", "tbd", "licence", "license"})


def imports_without_torch(subject: Subject) -> None:
    """Discovery, every listing, every config and its schema do without torch, in a fresh interpreter."""
    ended = subprocess.run(
        [sys.executable, "-m", "genkit.testing.discovery", *subject.plugins],
        capture_output=True,
        text=True,
        env=child_environment(),
        check=False,
    )
    if ended.returncode:
        said = ended.stderr.strip().splitlines()
        raise CheckFailure(f"discovery failed: {said[-1] if said else ended.returncode}", "see the check `hooks`")
    found = json.loads(ended.stdout)
    if found is not None:
        raise CheckFailure(
            f"torch is imported at {found['stage']}, by {found['where']}: `{found['line']}`",
            "name what needs torch by an import string in a spec, and keep plugin.py, the recipes' module and the "
            "configs in modules that do not import it; under `if TYPE_CHECKING:` it is free",
        )


def hooks_are_known(subject: Subject) -> None:
    """Each plugin loads, each of its hooks has a name and arguments that genkit calls, and each registration hook
    returns what it should."""
    for status in subject.statuses():
        if status.state == "broken":
            raise CheckFailure(
                f"plugin `{status.name}` is broken: {status.error}",
                "genkit.hookspecs lists the hooks with their arguments; a function of another name must not be marked "
                "with @genkit.hookimpl",
            )


def specs_resolve(subject: Subject) -> None:
    """Every import string leads to what its spec says: a config dataclass, a function that takes what genkit calls it
    with, a command; and every name is ``modality.name``, offered once."""
    mine = subject.distribution
    for line in catalog().conflicts():
        if mine in line:
            raise CheckFailure(line, "begin every name with the modality, or another word of your own")
    for spec in subject.specs():
        name = described(spec)
        if isinstance(spec, RecipeSpec | ModelSpec | DatasetSpec | MetricSpec) and "." not in spec.name.strip("."):
            raise CheckFailure(f"{name} has no modality in its name", "call it `modality.name`, as in `image.r3gan`")
        for attribute in STRINGS:
            if getattr(spec, attribute, None) is not None:
                _resolves(spec, attribute, name)


def _resolves(spec: Spec, attribute: str, name: str) -> None:
    string = getattr(spec, attribute)
    cure = f"let `{attribute}` of {name} be `package.module:attribute` of something that can be imported"
    try:
        found = resolve(string)
    except ModuleNotFoundError as error:
        needed = spec.needs if isinstance(spec, MetricSpec) else ()
        if needed:
            return  # what an extra brings is not installed here, and the spec says so
        raise as_failure(error, cure) from error
    except Exception as error:
        failure = as_failure(error, cure)
        raise CheckFailure(f"`{string}` can not be imported: {failure.what}", cure) from error
    if attribute == "config":
        catalog().config_class(spec)
    elif attribute == "presets":
        if not isinstance(found, Mapping):
            raise CheckFailure(f"`{string}` is no mapping of presets", "let it be {name: {key: value}}")
    elif attribute == "command":
        if not isinstance(found, click.Command):
            raise CheckFailure(f"`{string}` is no click command", "mark the function with @click.command()")
    else:
        _can_be_called(found, string, CALLED.get((type(spec), attribute)))


def _can_be_called(found: Any, string: str, arguments: tuple[str, ...] | None) -> None:
    if not callable(found):
        raise CheckFailure(f"`{string}` is a {type(found).__name__}, which can not be called", "name a function")
    if arguments is None:
        return
    try:
        inspect.signature(found).bind(*arguments)
    except TypeError as error:
        raise CheckFailure(
            f"`{string}` is called with ({', '.join(arguments)}) and does not take that: {error}",
            f"let its positional arguments be ({', '.join(arguments)})",
        ) from error


def described(spec: Spec) -> str:
    """A spec as errors name it: ``the critic points.mlp``."""
    kind = getattr(spec, "role", "") if not isinstance(spec, ExportSpec | ViewSpec) else ""
    kind = kind or type(spec).__name__.removesuffix("Spec").lower()
    return f"the {kind} `{getattr(spec, 'name', getattr(spec, 'modality', ''))}`"


def configs_are_documented(subject: Subject) -> None:
    """Every config class has a docstring, and every field of it one that stands under the field."""
    undocumented = []
    for spec in subject.specs():
        if not hasattr(spec, "config"):
            continue
        for cls in _config_classes(catalog().config_class(spec)):
            place = f"{cls.__module__}.{cls.__qualname__}"
            if not (cls.__doc__ or "").strip() or (cls.__doc__ or "").startswith(f"{cls.__name__}("):
                undocumented.append(place)  # dataclasses make a signature of a missing docstring
            docs = field_docs(cls)
            undocumented += [f"{place}.{field}" for field in fields_of(cls) if not docs.get(field, "").strip()]
    if undocumented:
        raise CheckFailure(
            f"without a docstring: {', '.join(dict.fromkeys(undocumented))}",
            'write a string literal under the field, """What it is, in which unit.""": `genkit config` shows it',
        )


def _config_classes(cls: type) -> Iterator[type]:
    """A config class and the dataclasses within it, but for genkit's own."""
    if cls.__module__.partition(".")[0] == "genkit":
        return
    yield cls
    for field in fields_of(cls).values():
        if field.inner is not None:
            yield from _config_classes(field.inner)


def hooks_are_documented(subject: Subject) -> None:
    """The plugin's module says what it is, every spec has a summary of one sentence, every run hook a docstring, every
    command a help text for itself and each option, every setting of sampling a line."""
    missing = []
    for status in subject.statuses():
        target = subject.targets[status.name]
        if not (resolve(target.partition(":")[0]).__doc__ or "").strip():
            missing.append(f"the module {target}")
        run_hooks = [getattr(resolve(target), hook) for hook in status.hooks if hook not in ITEMS]
        missing += [f"the hook {hook.__name__}" for hook in run_hooks if not (hook.__doc__ or "").strip()]
    for spec in subject.specs():
        name = described(spec)
        if hasattr(spec, "summary") and not SENTENCE.search(spec.summary):
            missing.append(f"the summary of {name}, one sentence with its full stop")
        if isinstance(spec, CommandSpec | BenchmarkSpec):
            missing += _undocumented_options(resolve(spec.command), name)
        if isinstance(spec, WriterSpec):
            missing += [f"the setting `{key}` of {name}" for key, text in spec.sampling.items() if not text.strip()]
    if missing:
        raise CheckFailure(f"not documented: {', '.join(missing)}", "one sentence each: listings and --help show it")


def _undocumented_options(command: Any, name: str) -> list[str]:
    if not isinstance(command, click.Command):
        return []  # another check's
    options = [one for one in command.params if isinstance(one, click.Option)]
    missing = [f"the option {one.opts[0]} of {name}" for one in options if not one.help and not one.hidden]
    return missing if command.help else [f"the help of {name}", *missing]


def data_licences_are_stated(subject: Subject) -> None:
    """Every dataset says under which licence its data is."""
    without = [
        described(spec)
        for spec in subject.specs()
        if isinstance(spec, DatasetSpec) and spec.licence.strip().lower() in NO_LICENCE
    ]
    if without:
        raise CheckFailure(
            f"no licence is stated for the data of {', '.join(without)}",
            'DatasetSpec(licence=...): an SPDX name such as "CC0-1.0", "yours" for a user\'s own files, or a sentence '
            "on why none is needed",
        )


# --- one recipe ------------------------------------------------------------------------------------------------------


def schema_is_valid(name: str) -> None:
    """A recipe's schema is JSON and has every key; its smoke config resolves and is read back from YAML as it was; each
    of its presets fits."""
    spec = catalog().recipe(name)
    described_keys = json.loads(json.dumps(schema(spec)))["properties"]
    lacking = sorted(set(fields_of(catalog().config_class(spec))) - set(described_keys))
    if lacking:
        raise CheckFailure(f"the schema of `{name}` lacks {', '.join(lacking)}", "report this as a bug of genkit")
    try:
        config = resolve_config(spec, values=spec.smoke)
    except GenkitError as error:
        raise as_failure(error, "let RecipeSpec.smoke hold keys of the recipe's config") from error
    again = _read_back(spec, to_yaml(config))
    if to_dict(again) != to_dict(config):
        raise CheckFailure(
            f"the config of `{name}` is not read back from YAML as it was written",
            "use fields of plain types: numbers, text, paths, tuples, mappings, dataclasses of these",
        )
    for preset in resolve(spec.presets) if spec.presets else ():
        preset_fits(name, preset)


def preset_fits(name: str, preset: str) -> None:
    """A preset lays over its recipe's defaults and lacks nothing but the paths of a user's own files."""
    spec = catalog().recipe(name)
    values = catalog().load(spec, "presets")[preset]
    named = values.get("data", {}) if isinstance(values, Mapping) else {}
    needed = {}
    if isinstance(named, Mapping) and "name" in named:
        cls = catalog().config_class(catalog().part("dataset", named["name"]))
        given = {*plain_defaults(cls), *named}
        needed = {f"data.{field}": "files" for field in fields_of(cls) if field not in given}
    try:
        chosen = resolve_config(spec, values={"preset": preset, **needed}).preset
    except GenkitError as error:
        raise as_failure(error, f"let the preset `{preset}` hold keys of the recipe's config") from error
    if chosen != preset:
        raise CheckFailure(f"the preset `{preset}` of `{name}` does not stay chosen", "report this as a bug of genkit")


def _read_back(spec: RecipeSpec, text: str) -> Any:
    with tempfile.TemporaryDirectory(prefix="genkit-check-") as folder:
        file = Path(folder) / "config.yaml"
        file.write_text(text, encoding="utf-8")
        return resolve_config(spec, files=[file])
