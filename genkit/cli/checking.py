"""``genkit check-plugin``: whether a plugin keeps to the contract, and what cures it where it does not."""

from __future__ import annotations

import sys
from dataclasses import asdict

import click

from genkit.cli.output import print_json

COLOURS = {"pass": "green", "skip": "yellow", "fail": "red"}


@click.command("check-plugin")
@click.argument("distribution")
@click.option("--limit", default=300.0, show_default=True, metavar="SECONDS", help="How long one check may take.")
@click.option("--only", multiple=True, metavar="CHECK", help="Run this check alone; may be repeated.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def check_plugin(ctx: click.Context, distribution: str, limit: float, only: tuple[str, ...], as_json: bool) -> None:
    """Check the plugins of an installed DISTRIBUTION: one line a check, with the cure of what fails.

    Exit code 1 when a check fails.
    """
    from genkit.testing.isolation import check_plugin as run_checks

    if limit <= 0:
        raise click.BadParameter("it must be more than 0", param_hint="--limit")
    results = []
    for result in run_checks(distribution, limit=limit, only=only):
        results.append(result)
        if not as_json:
            status = click.style(result.status, fg=COLOURS[result.status])
            line = f"{status}  {result.check:<17}  {result.subject}"
            click.echo(f"{line}: {result.detail}" if result.detail else line)
            if result.cure:
                click.echo(f"{'':<25}fix: {result.cure}")
            sys.stdout.flush()
    if as_json:
        print_json([asdict(result) for result in results])
    failed = sum(result.status == "fail" for result in results)
    if failed:
        click.echo(f"{failed} of {len(results)} checks failed", err=True)
        ctx.exit(1)
