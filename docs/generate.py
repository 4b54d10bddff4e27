"""Writes the generated part of cli.md, recipes.md and plugins.md; ``--check`` exits 1 where one is stale, writing none.

What stands above the marker of a page is written by hand and kept. The rest depends on the plugins of this repository
alone: not on the terminal, on paths, on what else is installed, or on torch, which is not imported.
"""

from __future__ import annotations

import ast
import dataclasses
import difflib
import importlib.util
import inspect
import json
import sys
import types
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

import click

from genkit import ExportSpec, Part, Ramp, RecipeConfig, RecipeSpec, Role, hookspecs
from genkit.catalog import Catalog, catalog
from genkit.cli.main import main as command
from genkit.errors import GenkitError
from genkit.fields import field_docs, fields_of, plain, plain_defaults
from genkit.plugins import configure_plugins
from genkit.specs import Spec
from genkit.testing.conformance import OF_PLUGINS, OF_RECIPES

DOCS = Path(__file__).resolve().parent
MARKER = "<!-- docs/generate.py writes what follows; `make docs` writes it anew. -->\n"
COLUMNS = 80
SHOWN_DIFF = 12  # lines of a stale page's difference: enough to see which key or option it is

# --- cli.md ----------------------------------------------------------------------------------------------------------


def cli_page() -> str:
    """The help of every command."""
    root = click.Context(command, info_name="genkit", terminal_width=COLUMNS, **command.context_settings)
    return "\n".join(help_of(command, root))


def help_of(one: click.Command, context: click.Context) -> Iterator[str]:
    """A command's help, then that of its commands."""
    yield f"## {context.command_path}\n\n```text\n{one.get_help(context)}\n```\n"
    if isinstance(one, click.Group):
        for name in one.list_commands(context):
            inner = one.get_command(context, name)
            if inner is not None and not inner.hidden:
                yield from help_of(inner, click.Context(inner, info_name=name, parent=context))


# --- recipes.md ------------------------------------------------------------------------------------------------------


def recipes_page() -> str:
    """Every recipe, every part that a config can name, and every export format."""
    found = catalog()
    sections = [
        *["## What every recipe has", table(rows(RecipeConfig, plain_defaults(RecipeConfig)))],
        *["## Ramps", inspect.getdoc(Ramp) or "", table(rows(Ramp, plain_defaults(Ramp)))],
        "## Recipes",
    ]
    for name, spec in found.recipes.items():
        tags = f" Tags: {', '.join(spec.tags)}." if spec.tags else ""
        sections += [f"### {name}", f"{spec.summary} Plugin: `{found.recipes.plugin(name).name}`.{tags}"]
        sections += recipe(found, spec)
    for title, offers, says in (
        ("Datasets", found.datasets, lambda spec: f"Licence: {spec.licence}. {_online(spec.offline)}"),
        ("Models", found.models, lambda spec: f"Role: {spec.role}."),
        ("Objectives, penalties and augmentations", found.objectives, lambda spec: f"Role: {spec.role}."),
        ("Metrics", found.metrics, lambda spec: f"Figures: {_figures(spec.better)}.{_needs(spec.needs)}"),
        ("Views", found.views, lambda spec: f"`genkit inspect RUN {spec.name}`, for runs of {spec.modality}."),
    ):
        sections.append(f"## {title}")
        for label, spec in offers.items():
            sections += [f"### {label}", f"{spec.summary} {says(spec)}", options(found, spec)]
    sections += ["## Export formats", "What `genkit export RUN --to FORMAT` writes, for runs of each modality."]
    lines = ["| format | modality | |", "| --- | --- | --- |", *map(_format, found.exports.values())]
    sections.append("\n".join(lines))
    return "\n\n".join(sections) + "\n"


def recipe(found: Catalog, spec: RecipeSpec) -> Iterator[str]:
    """A recipe's own keys and defaults, and its presets."""
    cls = found.config_class(spec)
    shared = {key: (kind, default) for key, kind, default, _ in rows(RecipeConfig, plain_defaults(RecipeConfig))}
    own = [row for row in rows(cls, plain_defaults(cls)) if shared.get(row[0]) != (row[1], row[2])]
    yield "Its own keys, and those whose default is another than [every recipe's](#what-every-recipe-has):"
    yield table(iter(own))
    for name, values in (found.load(spec, "presets") if spec.presets else {}).items():
        lines = "\n".join(f"{key}: {flow(value)}" for key, value in leaves(plain(values)))
        yield f"Preset `{name}`:\n\n```yaml\n{lines}\n```"


def options(found: Catalog, spec: Spec) -> str:
    """The table of a part's options."""
    cls = found.config_class(spec)
    return table(rows(cls, plain_defaults(cls))) if dataclasses.fields(cls) else "It has no options."


Row = tuple[str, str, str, str]
"""Key, type, default, documentation."""


def rows(cls: type, given: Mapping[str, Any], prefix: str = "") -> Iterator[Row]:
    """The keys of a config class whose plain defaults are `given`, those of the dataclasses inside it dotted."""
    hints, docs = get_type_hints(cls, include_extras=True), field_docs(cls)
    for key, field in fields_of(cls).items():
        if field.kind == "struct" and field.inner:
            inner = given.get(key)
            yield from rows(field.inner, inner if isinstance(inner, Mapping) else {}, f"{prefix}{key}.")
            continue
        kind = type_text(hints[key], field.role)
        default = f"`{flow(given[key])}`" if key in given else "required"
        yield f"{prefix}{key}", kind, default, docs.get(key, "").replace("``", "`")


def table(found: Iterator[Row]) -> str:
    """Rows as Markdown."""
    lines = ["| key | type | default | |", "| --- | --- | --- | --- |"]
    for key, *cells in found:
        escaped = (" ".join(cell.replace("|", "\\|").split()) for cell in cells)
        lines.append(f"| `{key}` | {' | '.join(escaped)} |")
    return "\n".join(lines)


def leaves(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """A preset's values under dotted keys; ramps and empty mappings stay whole."""
    for key, value in values.items():
        if isinstance(value, Mapping) and value and "over" not in value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def flow(value: Any) -> str:
    """A plain value as YAML on one line; what a ramp has by default is left out."""
    if isinstance(value, Mapping):
        if value.keys() >= {"start", "end", "over"}:
            usual = plain_defaults(Ramp)
            value = {key: item for key, item in value.items() if usual.get(key) != item}
        if value.keys() == {"name"}:
            return flow(value["name"])  # a part without options
        return "{" + ", ".join(f"{key}: {flow(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    if isinstance(value, str) and value and all(letter.isalnum() or letter in "._-/" for letter in value):
        return value
    return json.dumps(value, ensure_ascii=False)


# --- types -----------------------------------------------------------------------------------------------------------

WORDS = {
    bool: "true or false",
    int: "integer",
    float: "number",
    str: "text",
    Path: "path",
    type(None): "null",
    Any: "any value",
    Ramp: "[ramp](#ramps)",
}


def type_text(hint: Any, role: str | None = None) -> str:
    """A type in words."""
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is Annotated:
        marks = [mark for one in arguments[1:] for mark in getattr(one, "metadata", [one])]
        role = next((mark.name for mark in marks if isinstance(mark, Role)), role)
        return ", ".join([type_text(arguments[0], role), *limits(marks)])
    if origin in (Union, types.UnionType):
        each = [type_text(one, role) for one in arguments]
        return " or ".join(f"({one})" if ", " in one and one[0] not in "[`" else one for one in each)
    if origin is Literal:
        *first, last = (f"`{flow(value)}`" for value in arguments)
        return f"{', '.join(first)} or {last}" if first else last
    if hint is Part:
        return str(role)
    if role == "penalty":
        return "penalties by name"
    if origin in (tuple, list):
        members = [type_text(one, role) for one in arguments if one is not Ellipsis]
        if Ellipsis in arguments or origin is list:
            return f"list of {_whole(members[0])}"
        return f"[{', '.join(map(_whole, members))}]"
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return f"mapping of {type_text(arguments[0])} to {type_text(arguments[1])}"
    return WORDS[hint]


def limits(marks: list[Any]) -> Iterator[str]:
    """What pydantic's marks on a type allow."""
    for mark in marks:
        for attribute, sign in (("ge", "≥"), ("gt", ">"), ("le", "≤"), ("lt", "<")):
            if hasattr(mark, attribute):
                yield f"{sign} {flow(getattr(mark, attribute))}"
        if getattr(mark, "min_length", 0):
            yield f"at least {mark.min_length}"


def _whole(text: str) -> str:
    return f"({text})" if ", " in text or " or " in text else text


def _online(offline: bool) -> str:
    return "Never asks the network." if offline else "May ask the network."


def _figures(better: Mapping[str, str]) -> str:
    said = {"real": "as real is best", "lower": "lower is better", "higher": "higher is better"}
    return ", ".join(f"`{name}` ({said[way]})" for name, way in better.items())


def _format(spec: ExportSpec) -> str:
    return f"| `{spec.name}` | {spec.modality} | {spec.summary} |"


def _needs(needs: tuple[str, ...]) -> str:
    return f" Needs {', '.join(needs)}." if needs else ""


# --- plugins.md ------------------------------------------------------------------------------------------------------


def checks_page() -> str:
    """Every check of the conformance kit."""
    return (
        "\n\n".join(
            [
                "## The checks",
                "Of a distribution, once:",
                checks_table((name, inspect.getdoc(function) or "") for name, function in OF_PLUGINS.items()),
                "Of each of its recipes:",
                checks_table((name, docstring(where)) for name, where in OF_RECIPES.items()),
            ]
        )
        + "\n"
    )


def checks_table(checks: Iterator[tuple[str, str]]) -> str:
    """Checks as Markdown: the first paragraph of what each says of itself."""
    told = [
        (name, " ".join(said.partition("\n\n")[0].split()).replace("``", "`").replace("|", "\\|"))
        for name, said in checks
    ]
    return "\n".join(["| check | passes when |", "| --- | --- |", *(f"| `{name}` | {said} |" for name, said in told)])


def docstring(where: str) -> str:
    """The docstring of the function that ``package.module:name`` names; the module needs torch and is not imported."""
    module, _, name = where.partition(":")
    spec = importlib.util.find_spec(module)
    assert spec is not None
    assert spec.origin is not None
    tree = ast.parse(Path(spec.origin).read_text(encoding="utf-8"))
    (function,) = (one for one in tree.body if isinstance(one, ast.FunctionDef) and one.name == name)
    return ast.get_docstring(function) or ""


# --- hooks.md, which is written by hand ------------------------------------------------------------------------------


def hook_headings() -> dict[str, str]:
    """For each hook, the heading that must introduce it: its exact arguments."""
    hooks = {name: hook for name, hook in vars(hookspecs).items() if name.startswith("genkit_")}
    return {name: f"### `{name}({', '.join(inspect.signature(hook).parameters)})`" for name, hook in hooks.items()}


def undocumented(page: str) -> list[str]:
    """The headings of hooks that `page` lacks, and those it has of hooks that are not."""
    stand = [line for line in page.splitlines() if line.startswith("### `genkit_")]
    wanted = hook_headings().values()
    return [f"lacks the line {line!r}" for line in wanted if line not in stand] + [
        f"has the line {line!r} of no hook" for line in stand if line not in wanted
    ]


# --- the pages -------------------------------------------------------------------------------------------------------

PAGES: Mapping[str, Callable[[], str]] = {"cli.md": cli_page, "recipes.md": recipes_page, "plugins.md": checks_page}


def pages() -> dict[str, tuple[str, str]]:
    """Each generated page: what it is and what it should be. Raises ValueError for a page without the marker."""
    plugins = Path(__file__).parents[1] / "plugins"
    ours = [name for name in ("image", "text", "audio") if (plugins / name / f"genkit_{name}/plugin.py").is_file()]
    configure_plugins(only=[*ours, "points"], strict=True)
    found = {}
    for name, write in PAGES.items():
        before = (DOCS / name).read_text(encoding="utf-8")
        head, marker, _ = before.partition(MARKER)
        if not marker:
            raise ValueError(f"docs/{name} has no line {MARKER.strip()}")
        found[name] = (before, f"{head}{marker}\n{write()}")
    return found


def stale() -> list[str]:
    """What is wrong with the pages, one text for each that is."""
    found = []
    for name, (is_, should_be) in pages().items():
        if is_ != should_be:
            lines = list(difflib.unified_diff(is_.splitlines(), should_be.splitlines(), "is", "should be", lineterm=""))
            more = [f"... {len(lines) - SHOWN_DIFF} lines more"] if len(lines) > SHOWN_DIFF else []
            found.append("\n".join([f"docs/{name} is stale: `make docs` writes it anew", *lines[:SHOWN_DIFF], *more]))
    hooks = undocumented((DOCS / "hooks.md").read_text(encoding="utf-8"))
    return found + [f"docs/hooks.md {fault}" for fault in hooks]


def main(arguments: list[str]) -> int:
    """``generate.py [--check]``: the exit code."""
    if arguments not in ([], ["--check"]):
        print("usage: generate.py [--check]", file=sys.stderr)
        return 2
    try:
        if arguments:
            faults = stale()
            print(*faults, sep="\n", end="\n" if faults else "", file=sys.stderr)
            return 1 if faults else 0
        for name, (_, should_be) in pages().items():
            (DOCS / name).write_text(should_be, encoding="utf-8")
    except (GenkitError, OSError, ValueError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
