"""``genkit report``."""

from __future__ import annotations

import json
from pathlib import Path

import click


@click.command()
@click.argument("runs", metavar="RUN...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path), help="The file. Default: report.html in the first run.")
@click.option("--open", "show", is_flag=True, help="Show it in the browser.")
@click.option("--json", "as_json", is_flag=True, help="Print what was written as JSON.")
def report(runs: tuple[Path, ...], out: Path | None, show: bool, as_json: bool) -> None:
    """Write a page that shows a run, or several side by side: curves, previews, metrics, config, data.

    The page is one file that needs no network. A run in progress, a failed one, and one whose plugin is not installed
    any more have a report too.
    """
    from genkit.report import write_report

    if out is not None and out.is_dir():
        out = out / "report.html"
    written = write_report(runs, out)
    if as_json:
        described = {
            "report": str(written.path),
            "bytes": written.size,
            "runs": [str(path) for path in written.runs],
            "previews": written.previews,
            "problems": list(written.problems),
        }
        click.echo(json.dumps(described))
    else:
        for problem in written.problems:
            click.echo(f"warning: {problem}", err=True)
        click.echo(str(written.path))
    if show and click.launch(str(written.path.resolve())) != 0:
        click.echo(f"warning: no browser could be started; open {written.path} yourself", err=True)
