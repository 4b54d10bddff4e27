"""``genkit new-plugin``."""

from __future__ import annotations

from pathlib import Path

import click

from genkit import scaffold


@click.command("new-plugin")
@click.argument("name")
@click.option("--modality", required=True, metavar="NAME", help="What its samples are called: `demo` of `demo.hello`.")
@click.option(
    "--template",
    type=click.Choice(scaffold.TEMPLATES),
    default="blank",
    show_default=True,
    help="What its samples are like to begin with.",
)
@click.option("--out", type=click.Path(path_type=Path), help="A directory, new or empty. Default: NAME.")
def new_plugin(name: str, modality: str, template: str, out: Path | None) -> None:
    """Write a plugin of your own to begin with: a distribution that installs, passes its tests and trains as it is.

    \b
    genkit new-plugin genkit-demo --modality demo --template waveform
    pip install -e genkit-demo
    genkit run demo.hello --steps 50
    """
    target = scaffold.new_plugin(name, modality, template=template, out=out)
    click.echo(str(target))
    click.echo(
        f"next: pip install -e {target}\n      genkit check-plugin {name}\n      genkit run {modality}.hello",
        err=True,
    )
