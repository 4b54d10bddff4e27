"""``genkit export``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Literal

import click


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--to", required=True, metavar="FORMAT", help="The format, such as hf for text.")
@click.option("--out", type=click.Path(path_type=Path), help="Where to write. Default: RUN/export/FORMAT.")
@click.option("--checkpoint", default="latest", show_default=True, help="A step, latest or best.")
@click.option(
    "--weights",
    type=click.Choice(["average", "raw"]),
    default="average",
    show_default=True,
    help="The EMA, or the generator as trained.",
)
@click.option("--json", "as_json", is_flag=True, help="Print the paths written as JSON.")
def export(
    run: Path, to: str, out: Path | None, checkpoint: str, weights: Literal["average", "raw"], as_json: bool
) -> None:
    """Write a run's generator in another format."""
    from genkit import exporting

    written = [str(path) for path in exporting.export(run, to, out=out, checkpoint=checkpoint, weights=weights)]
    click.echo(json.dumps({"files": written}) if as_json else "\n".join(written))
