"""A command group whose commands are imported when they are invoked, and not when they are listed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import click

from genkit.errors import PluginError, UsageError
from genkit.specs import BenchmarkSpec, CommandSpec, resolve

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem


class LazyGroup(click.Group):
    """A group that lists its commands from a table.

    Args:
        table: name -> (import string of the click command, one sentence), in the order in which help shows them.
    """

    def __init__(self, *args: Any, table: Mapping[str, tuple[str, str]] | None = None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.table = table or {}

    def offered(self) -> Mapping[str, CommandSpec | BenchmarkSpec]:
        """The commands that plugins add."""
        return {}

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [*self.table, *self.offered()]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name in self.table:
            command: click.Command = resolve(self.table[cmd_name][0])
            return command
        spec = self.offered().get(cmd_name)
        return None if spec is None else _load(spec)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if not ctx.resilient_parsing and not name.startswith("-") and self.get_command(ctx, name) is None:
            self.refuse(ctx, name)
        return super().resolve_command(ctx, args)

    def refuse(self, ctx: click.Context, name: str) -> None:
        """Raise the error for a name that is no command."""
        from genkit.plugins import suggestion

        raise UsageError(
            f"there is no command `{ctx.command_path} {name}`{suggestion(name, self.list_commands(ctx))}",
            fix=f"`{ctx.command_path} --help` lists the commands",
        )

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        offered = {name: spec.summary for name, spec in self.offered().items()}
        for title, rows in (
            ("Commands", [(name, summary) for name, (_, summary) in self.table.items()]),
            ("Plugin commands", list(offered.items())),
        ):
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        from click.shell_completion import CompletionItem

        from genkit.cli.completion import quietly

        summaries = {name: summary for name, (_, summary) in self.table.items()}
        none: dict[str, str] = {}
        summaries |= quietly(lambda: {name: spec.summary for name, spec in self.offered().items()}, none)
        found = [CompletionItem(name, help=text) for name, text in summaries.items() if name.startswith(incomplete)]
        return found + click.Command.shell_complete(self, ctx, incomplete)


def _load(spec: CommandSpec | BenchmarkSpec) -> click.Command:
    from genkit.catalog import catalog

    command = catalog().load(spec, "command")
    if not isinstance(command, click.Command):
        status = catalog().plugin_of(spec)
        raise PluginError(
            f"plugin `{status.name if status else '?'}`: `{spec.command}` is no click command",
            where=status.source if status else None,
        )
    return command
