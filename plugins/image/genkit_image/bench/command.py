"""``genkit bench image``."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from genkit import DivergedError, UsageError
from genkit_image.bench.protocols import PROTOCOLS, VARIANTS, Protocol
from genkit_image.bench.trials import as_json, markdown, planned, run_trials


@click.command()
@click.argument("tests", nargs=-1, metavar="[ring8|grid25|stacked]...")
@click.option(
    "--recipe", help="Any recipe that makes pictures of the data's shape. Default: image.mixture or image.stacked."
)
@click.option("--seeds", default="0", show_default=True, help="Seeds, separated by commas.")
@click.option(
    "--variant",
    "variants",
    multiple=True,
    metavar="NAME[:K=V,K=V]",
    help="A row of the table: recipe (as it is), non_saturating (without penalties), or a name of your own with "
    "settings, such as hinge:objective=hinge; may be repeated.  [default: recipe]",
)
@click.option("--set", "overrides", multiple=True, metavar="K=V", help="Set a config key of every run.")
@click.option("--steps", type=click.IntRange(min=1), help="Steps of each run. Default: the recipe's own end.")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), help="Or minutes.")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Runs at once, a thread each.")
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("runs/bench-image"),
    show_default=True,
    help="For the runs, where those that are there go on, and for table.md.",
)
@click.option("--json", "as_json_", is_flag=True, help="Print everything as JSON.")
def cover(
    tests: tuple[str, ...],
    recipe: str | None,
    seeds: str,
    variants: tuple[str, ...],
    overrides: tuple[str, ...],
    steps: int | None,
    minutes: float | None,
    jobs: int,
    out: Path,
    as_json_: bool,
) -> None:
    """How many of the modes of its data does a generator find? By PacGAN's protocol (Lin et al. 2018).

    ring8 and grid25 are Gaussians in the plane, stacked three digits in one picture: 8, 25 and 1,000 modes. Without a
    name, all three. Exit code 4 when a run diverged; the table is then of the others.
    """
    if steps is not None and minutes is not None:
        raise UsageError("both --steps and --minutes say how long to train", fix="give one of them")
    protocols = chosen(tests)
    rows = [variant(one) for one in variants or ("recipe",)]
    if len({name for name, _ in rows}) != len(rows):
        raise UsageError("a variant is named twice", where="--variant")
    numbers = numbered(seeds)
    trials = [
        one
        for protocol in protocols
        for one in planned(
            protocol, dict(rows), numbers, out, recipe=recipe, overrides=overrides, steps=steps, minutes=minutes
        )
    ]
    ended = run_trials(trials, jobs=jobs, say=lambda line: click.echo(line, err=True))
    each = [(one, [end for end in ended if end.trial.protocol == one.name]) for one in protocols]
    table = "\n".join(markdown(one, ends) for one, ends in each)
    out.mkdir(parents=True, exist_ok=True)
    (out / "table.md").write_text(table, encoding="utf-8")
    if as_json_:
        click.echo(json.dumps({one.name: as_json(one, ends) for one, ends in each}))
    else:
        click.echo(table, nl=False)
    diverged = [one for one in ended if one.failed is not None]
    if diverged:
        raise DivergedError(
            f"{len(diverged)} of {len(ended)} runs diverged",
            where=", ".join(one.trial.place for one in diverged),
            fix="`genkit report RUN` shows where; a lower learning rate or stronger penalties may hold it",
        )


def chosen(names: Sequence[str]) -> list[Protocol]:
    """The protocols of these names, all where there is none. Raises UsageError."""
    unknown = [name for name in names if name not in PROTOCOLS]
    if unknown:
        raise UsageError(f"there is no test `{unknown[0]}`", fix=f"choose of {', '.join(PROTOCOLS)}")
    return [PROTOCOLS[name] for name in dict.fromkeys(names or PROTOCOLS)]


def variant(given: str) -> tuple[str, tuple[str, ...]]:
    """A row's name and settings. Raises UsageError."""
    name, colon, settings = given.partition(":")
    if not colon:
        if name not in VARIANTS:
            raise UsageError(
                f"there is no variant `{name}`",
                where="--variant",
                fix=f"choose of {', '.join(VARIANTS)}, or give its settings: {name}:objective=hinge",
            )
        return name, tuple(VARIANTS[name])
    if name in VARIANTS or not name.replace("_", "").replace("-", "").isalnum():
        raise UsageError(f"{name!r} can not name a variant", where="--variant", fix="letters, digits, - and _")
    return name, tuple(one for one in settings.split(",") if one)


def numbered(given: str) -> list[int]:
    """Seeds from text. Raises UsageError."""
    try:
        seeds = [int(one) for one in given.split(",")]
    except ValueError as error:
        raise UsageError(f"{given!r} are no seeds", where="--seeds", fix="write them as 0,1,2") from error
    if len(set(seeds)) != len(seeds):
        raise UsageError("a seed is given twice", where="--seeds")
    return seeds
