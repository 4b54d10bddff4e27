"""``genkit data inspect | prepare``: a user's files, in the hands of the plugin that reads them. Imports no torch."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from genkit.cli.lazy import LazyGroup
from genkit.cli.output import cell, print_json

if TYPE_CHECKING:
    from genkit.specs import DatasetSpec

TABLE = {
    "inspect": ("genkit.cli.data:inspect", "Look at a dataset: what it holds, what is wrong, with a picture."),
    "prepare": ("genkit.cli.data:prepare", "Lay files out anew, so that training reads them fast."),
}
RULE = """GIVEN is a dataset's name, such as audio.drums, or a path. A path is read by the dataset that nearly all
its files are for, by their names; where there is no such one, --modality or --dataset says which. What is no path
here, such as a name on the hub, needs --dataset. Any option of the dataset can be given as --NAME VALUE too:
--resolution 64 is --set resolution=64."""

LOOKED_AT = 20_000
"""Files below a path whose names are looked at."""
CLEAR = 0.9
"""From this share of the files on that any dataset reads, a path is taken to be for the one that reads them."""
WIDE = 100
"""Characters in a line beyond which a mapping goes on below, one key a line."""
Hook = Literal["inspect", "prepare"]
OPEN = {"ignore_unknown_options": True}
"""What makes click leave options that it does not know among the arguments."""


@click.command(cls=LazyGroup, table=TABLE)
def data() -> None:
    """Look at your files, or lay them out, before training."""


dataset_option = click.option("--dataset", metavar="NAME", help="The dataset that reads GIVEN, such as audio.folder.")
modality_option = click.option("--modality", metavar="NAME", help="The modality that reads GIVEN, such as audio.")
set_option = click.option(
    "--set", "overrides", multiple=True, metavar="K=V", help="Set a key of the dataset, as for run: data.rate=16000."
)
given_argument = click.argument("given", nargs=-1, required=True, type=click.UNPROCESSED, metavar="GIVEN")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command(
    help=f"Look at a dataset: what it holds, what is wrong with it and what to do.\n\n{RULE}", context_settings=OPEN
)
@given_argument
@dataset_option
@modality_option
@set_option
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE.png",
    help="The picture. Default: <name>-inspect.png in the current directory.",
)
@json_option
def inspect(
    given: tuple[str, ...],
    dataset: str | None,
    modality: str | None,
    overrides: tuple[str, ...],
    out: Path | None,
    as_json: bool,
) -> None:
    """``genkit data inspect``."""
    from genkit.errors import UsageError

    asked, settings = _split(given)
    picture = out or Path(f"{Path(asked).expanduser().resolve().name}-inspect.png")
    if picture.suffix.lower() != ".png":
        raise UsageError(f"{picture} does not end in .png", where="--out", fix="name a PNG file")
    _answer(_called("inspect", asked, dataset, modality, (*overrides, *settings), picture), as_json=as_json)


@click.command(
    help=f"Lay files out anew, so that training reads them fast, or at all.\n\n{RULE}", context_settings=OPEN
)
@given_argument
@dataset_option
@modality_option
@set_option
@click.option("--out", type=click.Path(path_type=Path), required=True, help="The new folder.")
@json_option
def prepare(
    given: tuple[str, ...],
    dataset: str | None,
    modality: str | None,
    overrides: tuple[str, ...],
    out: Path,
    as_json: bool,
) -> None:
    """``genkit data prepare``."""
    from genkit.errors import UsageError

    if out.exists():
        raise UsageError(f"{out} is there already", where="--out", fix="choose another place, or remove it")
    asked, settings = _split(given)
    _answer(_called("prepare", asked, dataset, modality, (*overrides, *settings), out), as_json=as_json)


def _split(given: Sequence[str]) -> tuple[str, list[str]]:
    """What is to be looked at, and ``--NAME VALUE`` or ``--NAME=VALUE`` as ``NAME=VALUE``. Raises UsageError."""
    from genkit.errors import UsageError

    asked, settings, waiting = [], [], iter(given)
    for one in waiting:
        if not one.startswith("--"):
            asked.append(one)
            continue
        name, equals, value = one.removeprefix("--").partition("=")
        if not equals:
            following = next(waiting, None)
            if following is None:
                raise UsageError(f"{one} has no value", where=one, fix=f"{one} VALUE")
            value = following
        settings.append(f"{name.replace('-', '_')}={value}")
    if len(asked) != 1:
        raise UsageError(f"one dataset or path is asked for, not {len(asked)}", where=" ".join(given))
    return asked[0], settings


def _called(
    hook: Hook, given: str, dataset: str | None, modality: str | None, overrides: tuple[str, ...], place: Path
) -> Mapping[str, Any]:
    """What the hook of the dataset that `given` means returns."""
    from genkit.catalog import catalog
    from genkit.config import resolve_data

    spec, values = _meant(hook, given, dataset, modality)
    part = resolve_data(spec, values=values, overrides=overrides)
    found: Mapping[str, Any] = catalog().call(spec, hook, part.options, place)
    return found


def _meant(hook: Hook, given: str, dataset: str | None, modality: str | None) -> tuple[DatasetSpec, Mapping[str, str]]:
    """The dataset that is asked for, and the options that `given` makes. Raises UsageError."""
    from genkit.catalog import catalog
    from genkit.errors import UsageError
    from genkit.plugins import suggestion

    offers = catalog().datasets
    able = {name: spec for name, spec in offers.items() if getattr(spec, hook) is not None}
    named = dataset or (given if given in offers else None)
    if named is not None:
        catalog().part("dataset", named)  # raises: unknown, or its plugin can not be used
        if named not in able:
            _refuse(hook, f"{named} has no `{hook}`", able)
        if modality not in (None, able[named].modality):
            raise UsageError(f"{named} is a dataset of {able[named].modality}, not of {modality}", where="--modality")
        if dataset is None:
            return able[named], {}
        if not _takes_path(able[named]):
            raise UsageError(f"{dataset} reads no path", where="--dataset", fix=f"`genkit data {hook} {dataset}`")
        return able[named], {"path": given}
    if not able or (modality is not None and modality not in {spec.modality for spec in able.values()}):
        _refuse(hook, f"no installed plugin can {hook} {modality or 'data'}", able)
    if not Path(given).expanduser().exists():
        raise UsageError(
            f"{given} is neither a dataset nor a path that is there{suggestion(given, able)}",
            fix="`genkit datasets` lists the datasets",
        )
    candidates = [
        name for name, spec in able.items() if modality in (None, spec.modality) and spec.offline and _takes_path(spec)
    ]
    if not candidates:
        raise UsageError(f"no dataset reads {given}", fix=f"say which: --dataset {' or '.join(able)}")
    return able[candidates[0] if len(candidates) == 1 else _clearest(given, able, candidates)], {"path": given}


def _clearest(given: str, able: Mapping[str, DatasetSpec], candidates: Sequence[str]) -> str:
    """The dataset that nearly all files below `given` are for. Raises UsageError when there is none."""
    from genkit.errors import UsageError

    path = Path(given).expanduser()
    counts = dict.fromkeys(candidates, 0)
    total = 0
    for file in islice(_files(path), LOOKED_AT):
        readers = [name for name in candidates if file.lower().endswith(able[name].endings or ("\0",))]
        total += bool(readers)
        for name in readers:
            counts[name] += 1
    readers = [name for name, count in counts.items() if count >= CLEAR * total] if total else []
    if len(readers) != 1:
        among = {name: count for name, count in counts.items() if count} or dict.fromkeys(candidates)
        words = [f"{name} ({count} files)" if count else name for name, count in among.items()]
        raise UsageError(
            f"{given} could be read by {' or '.join(words)}", fix=f"say which: --dataset {' or '.join(among)}"
        )
    if counts[readers[0]] < total:
        rest = total - counts[readers[0]]
        click.echo(f"{given}: taken for {readers[0]}; {rest} of {total} files are for other datasets", err=True)
    return readers[0]


def _files(path: Path) -> Iterator[str]:
    """The names of the files below a path, or its own."""
    if path.is_file():
        yield path.name
    for _, below, names in os.walk(path):
        below[:] = sorted(name for name in below if not name.startswith("."))
        yield from (name for name in names if not name.startswith("."))


def _refuse(hook: Hook, why: str, able: Mapping[str, DatasetSpec]) -> None:
    """Raises UsageError naming what has the hook."""
    from genkit.errors import UsageError

    modalities: dict[str, list[str]] = {}
    for name, spec in able.items():
        modalities.setdefault(spec.modality, []).append(name)
    known = "; ".join(f"{modality}: {', '.join(names)}" for modality, names in modalities.items())
    raise UsageError(why, fix=f"datasets with `{hook}`: {known}" if known else f"no installed plugin offers `{hook}`")


def _takes_path(spec: DatasetSpec) -> bool:
    from genkit.catalog import catalog
    from genkit.fields import fields_of

    return "path" in fields_of(catalog().config_class(spec))


def _answer(found: Mapping[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(found)
    else:
        for line in _lines(found):
            click.echo(line)


def _lines(found: Mapping[str, Any], indent: str = "") -> Iterator[str]:
    """One line a key; what holds more than numbers and words goes on below, indented."""
    for key, value in found.items():
        name = f"{indent}{key}:"
        nested = isinstance(value, Mapping) and any(isinstance(one, Mapping | list) for one in value.values())
        if isinstance(value, Mapping) and (nested or len(cell(value)) > WIDE):
            yield name
            yield from _lines(value, f"{indent}  ")
        elif isinstance(value, list | tuple) and not all(isinstance(one, int | float) for one in value):
            yield name
            yield from (f"{indent}  - {cell(one)}" for one in value)
        else:
            yield f"{name} {cell(value) if value not in ({}, [], None) else 'none'}"
