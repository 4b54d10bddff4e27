"""``genkit plugins | recipes | models | datasets | runs``: what there is. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from genkit.cli.output import print_rows

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


@click.command()
@click.option("--verbose", "-v", is_flag=True, help="Show each plugin's hooks, and where a broken one failed.")
@as_json_option
def plugins(verbose: bool, as_json: bool) -> None:
    """List the plugins and their state: ok, blocked, incompatible, duplicate or broken."""
    from genkit.catalog import catalog

    statuses = catalog().plugins.statuses  # the catalog has called every hook that can break one
    rows = [
        {
            "name": status.name,
            "state": status.state,
            "distribution": status.distribution,
            "version": status.version,
            "hooks": list(status.hooks),
            "error": status.error,
        }
        | ({"traceback": status.traceback} if verbose else {})
        for status in statuses
    ]
    columns = ["name", "state", "distribution", "version", *(["hooks"] if verbose else []), "error"]
    print_rows(rows, columns, as_json=as_json, nothing="no plugins")
    if verbose and not as_json:
        for status in statuses:
            if status.traceback:
                click.echo(f"\n{status.name} ({status.source}):\n{status.traceback.rstrip()}")


@click.command()
@as_json_option
def recipes(as_json: bool) -> None:
    """List the recipes that `genkit run` trains."""
    from genkit.catalog import catalog

    offers = catalog().recipes
    rows = [
        {"recipe": name, "summary": spec.summary, "tags": list(spec.tags), **_source(offers.plugin(name))}
        for name, spec in offers.items()
    ]
    nothing = "no recipes: no plugin that offers one is installed (pip install genkit-gan-image)"
    print_rows(rows, ["recipe", "summary", "plugin"], as_json=as_json, nothing=nothing)


@click.command()
@as_json_option
def models(as_json: bool) -> None:
    """List the generators and critics that recipes can name."""
    from genkit.catalog import catalog

    offers = catalog().models
    rows = [
        {
            "model": spec.name,
            "role": spec.role,
            "modality": spec.modality,
            "summary": spec.summary,
            **_source(offers.plugin(label)),
        }
        for label, spec in offers.items()
    ]
    print_rows(rows, ["model", "role", "summary", "plugin"], as_json=as_json, nothing="no models")


@click.command()
@as_json_option
def datasets(as_json: bool) -> None:
    """List the datasets that recipes can name."""
    from genkit.catalog import catalog

    offers = catalog().datasets
    rows = [
        {
            "dataset": name,
            "modality": spec.modality,
            "summary": spec.summary,
            "offline": spec.offline,
            "licence": spec.licence,
            **_source(offers.plugin(name)),
        }
        for name, spec in offers.items()
    ]
    columns = ["dataset", "summary", "offline", "licence", "plugin"]
    print_rows(rows, columns, as_json=as_json, nothing="no datasets")


@click.command()
@click.argument("directory", type=click.Path(path_type=Path), required=False)
@as_json_option
def runs(directory: Path | None, as_json: bool) -> None:
    """List the runs in a directory (default: runs)."""
    from genkit.errors import UsageError
    from genkit.runs import list_runs

    if directory is not None and not directory.is_dir():
        raise UsageError(f"there is no directory {directory}", fix="name the directory that holds your runs")
    root = directory or Path("runs")
    rows = [
        {
            "run": str(summary.path),
            "recipe": summary.recipe,
            "status": summary.status,
            "step": summary.step,
            "seconds": round(summary.seconds, 3),
            "metrics": dict(summary.metrics),
        }
        for summary in list_runs(root)
    ]
    columns = ["run", "recipe", "status", "step", "seconds", "metrics"]
    print_rows(rows, columns, as_json=as_json, nothing=f"no runs in {root}")


def _source(status: Any) -> Mapping[str, str]:
    return {"plugin": status.name, "distribution": status.distribution, "version": status.version}
