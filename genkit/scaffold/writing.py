"""From templates to a directory: everything is rendered before anything is written, and appears at once."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from genkit import __version__
from genkit.errors import UsageError
from genkit.plugins import suggestion
from genkit.scaffold.names import Names

TEMPLATES = ("image", "sequence", "waveform", "vector", "blank")
"""What samples may be like to begin with."""

SOURCES = Path(__file__).parent / "templates"
SHARED = "common"
SUFFIX = ".j2"
PACKAGE = "package"
"""The directory that gets the package's name."""


def new_plugin(name: str, modality: str, *, template: str = "blank", out: str | Path | None = None) -> Path:
    """Write a plugin: a distribution that installs, conforms, and trains ``MODALITY.hello``, with no edit.

    Args:
        name: the distribution's; its package is the same with underscores.
        modality: what samples are called, before the dot in the names of recipes and parts.
        template: what samples are like: ``image`` [B, C, H, W], ``sequence`` (tokens [B, L]), ``waveform`` [B, T],
            ``vector`` [B, D], or ``blank``, the least of each part.
        out: the directory, new or empty; None: `name`, here.

    Returns the directory. Raises UsageError, with nothing written, for a name that is none or is taken, a template
    there is not, and a directory that holds something; OSError when it can not be written.
    """
    if template not in TEMPLATES:
        raise UsageError(
            f"there is no template {template!r}{suggestion(template, TEMPLATES)}",
            where="--template",
            fix=f"one of {', '.join(TEMPLATES)}",
        )
    names = Names.free(name, modality)
    target = Path(out) if out is not None else Path(name)
    if target.exists() and not (target.is_dir() and not any(target.iterdir())):
        raise UsageError(
            f"{target} {'is not empty' if target.is_dir() else 'is a file'}",
            where="NAME" if out is None else "--out",
            fix="--out takes a directory that is new or empty",
        )
    place(render(names, template), target)
    return target


def render(names: Names, template: str) -> dict[Path, str]:
    """The files of a plugin: path below its directory -> text."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(SOURCES, encoding="utf-8"),
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    values: dict[str, Any] = {
        "distribution": names.distribution,
        "package": names.package,
        "modality": names.modality,
        "template": template,
        "version": __version__,
    }
    # What the shared files say of a kind of sample: its words.j2 is no file of the plugin.
    values["words"] = environment.get_template(f"{template}/words{SUFFIX}").make_module(values)
    rendered = {}
    for part in (SHARED, template):
        for source in sorted((SOURCES / part).rglob(f"*{SUFFIX}")):
            inside = source.relative_to(SOURCES / part)
            if inside.name == f"words{SUFFIX}":
                continue
            path = Path(*(names.package if one == PACKAGE else one for one in inside.with_suffix("").parts))
            rendered[path] = environment.get_template(f"{part}/{inside.as_posix()}").render(values)
    return rendered


def place(files: Mapping[Path, str], target: Path) -> None:
    """Write `files` below `target`, which is new or empty: all of them, or, when one can not be written, none."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".genkit-", dir=target.parent) as workshop:
        made = Path(workshop) / "plugin"  # with the usual permissions, where the workshop is its owner's alone
        for path, text in files.items():
            (made / path).parent.mkdir(parents=True, exist_ok=True)
            (made / path).write_text(text, encoding="utf-8", newline="\n")
        if target.exists():
            target.rmdir()  # it was empty; fails where it no longer is
        shutil.move(made, target)
