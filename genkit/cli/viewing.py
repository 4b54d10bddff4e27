"""``genkit inspect``."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import click

from genkit.cli.output import print_json


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("view", required=False)
@click.option("--set", "overrides", multiple=True, metavar="K=V", help="Set an option of the view, such as rows=8.")
@click.option("--seed", type=int, default=0, show_default=True, help="Which latents; as for genkit sample.")
@click.option(
    "--condition", "conditions", multiple=True, metavar="K=V", help="What to ask for, such as label=7; may be repeated."
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    help="A folder. Default: RUN/samples, where the report shows it under the checkpoint's step.",
)
@click.option("--checkpoint", default="latest", show_default=True, help="A step, latest or best.")
@click.option(
    "--weights",
    type=click.Choice(["average", "raw"]),
    default="average",
    show_default=True,
    help="The EMA, or the generator as trained.",
)
@click.option("--device", help="cpu, cuda, cuda:1, mps. Default: the machine's accelerator.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written, or the views there are, as JSON.")
def inspect(
    run: Path,
    view: str | None,
    overrides: tuple[str, ...],
    seed: int,
    conditions: tuple[str, ...],
    out: Path | None,
    checkpoint: str,
    weights: Literal["average", "raw"],
    device: str | None,
    as_json: bool,
) -> None:
    """Look at what a run has learnt: interpolations, the nearest training examples, whatever its modality offers.

    Without a VIEW, those there are for the run are listed, with their options.
    """
    if view is None:
        _list(run, checkpoint, as_json)
        return
    from genkit import views
    from genkit.cli.sampling import asked_for

    written = views.inspect(
        run,
        view,
        out=out,
        checkpoint=checkpoint,
        weights=weights,
        device=device,
        seed=seed,
        condition=asked_for(conditions) or None,
        overrides=overrides,
    )
    paths = [str(path) for path in written]
    if as_json:
        print_json({"files": paths})
    else:
        click.echo("\n".join(paths))


def _list(run: Path, checkpoint: str, as_json: bool) -> None:
    """The views that the run's modality has. Reads no network."""
    import json

    from genkit.catalog import catalog
    from genkit.fields import field_docs, fields_of, plain_defaults
    from genkit.runs import Run

    facts = json.loads((Run.open(run).checkpoint(checkpoint) / "facts.json").read_text(encoding="utf-8"))
    modality = str(facts.get("modality"))
    found = [spec for spec in catalog().views.values() if spec.modality == modality]
    if as_json:
        print_json(
            [
                {"name": spec.name, "summary": spec.summary, "options": plain_defaults(catalog().config_class(spec))}
                for spec in found
            ]
        )
        return
    if not found:
        click.echo(f"No plugin offers a view of {modality}.")
    for spec in found:
        cls = catalog().config_class(spec)
        docs, defaults = field_docs(cls), plain_defaults(cls)
        click.echo(f"{spec.name}: {spec.summary}")
        for key in fields_of(cls):
            text = " ".join(docs.get(key, "").split())
            default = json.dumps(defaults[key], ensure_ascii=False) if key in defaults else "required"
            click.echo(f"  {key} ({default}): {text}")
