"""Listings: a table on a terminal, tab-separated lines elsewhere, JSON when asked for."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click


def print_json(value: Any) -> None:
    """One JSON value on stdout."""
    click.echo(json.dumps(value, indent=2, default=str))


def print_rows(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], *, as_json: bool, nothing: str) -> None:
    """Print a listing on stdout.

    Args:
        rows: what is listed; JSON shows all of it.
        columns: what the table shows.
        as_json: print JSON.
        nothing: what to say on stderr when there is nothing to list.
    """
    if as_json:
        print_json(list(rows))
    elif not rows:
        click.echo(nothing, err=True)
    elif sys.stdout.isatty():
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(*columns, box=None, header_style="bold", pad_edge=False)
        for row in rows:
            table.add_row(*(Text(cell(row[column])) for column in columns))
        Console().print(table)
    else:
        for row in rows:
            click.echo("\t".join(cell(row[column]) for column in columns))


def cell(value: Any) -> str:
    """A value on one line."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(
            f"{key} {item:.4g}" if isinstance(item, float) else f"{key} {item}" for key, item in value.items()
        )
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    return " ".join(str(value).split())
