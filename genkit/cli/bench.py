"""``genkit bench``: what plugins offer to measure."""

from __future__ import annotations

from collections.abc import Mapping

import click

from genkit.cli.lazy import LazyGroup
from genkit.specs import BenchmarkSpec


class Benchmarks(LazyGroup):
    """The benchmarks of all plugins."""

    def offered(self) -> Mapping[str, BenchmarkSpec]:
        from genkit.catalog import catalog

        return catalog().benchmarks

    def refuse(self, ctx: click.Context, name: str) -> None:
        from genkit.catalog import catalog

        catalog().benchmark(name)  # raises: unknown, or its plugin can not be used

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        super().format_commands(ctx, formatter)
        if not self.offered():
            with formatter.section("Commands"):
                formatter.write_text("No plugin offers a benchmark.")


@click.command(cls=Benchmarks)
def bench() -> None:
    """Measure something that a plugin offers to measure."""
