"""The command ``genkit``: its global options, its table of commands, and the one place where errors end."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from genkit import __version__
from genkit.cli import faults
from genkit.cli.completion import complete_plugin
from genkit.cli.lazy import LazyGroup
from genkit.specs import CommandSpec

TABLE = {
    "run": ("genkit.cli.training:run", "Train a recipe."),
    "resume": ("genkit.cli.training:resume", "Go on with a run."),
    "sample": ("genkit.cli.sampling:sample", "Draw samples from a run."),
    "eval": ("genkit.cli.sampling:evaluate", "Measure a run against held-out data."),
    "inspect": ("genkit.cli.viewing:inspect", "Look at what a run has learnt."),
    "export": ("genkit.cli.exporting:export", "Write a run's generator in another format."),
    "report": ("genkit.cli.report:report", "Write a page that shows a run, or several side by side."),
    "runs": ("genkit.cli.listings:runs", "List the runs in a directory."),
    "recipes": ("genkit.cli.listings:recipes", "List the recipes."),
    "models": ("genkit.cli.listings:models", "List the generators and critics."),
    "datasets": ("genkit.cli.listings:datasets", "List the datasets."),
    "data": ("genkit.cli.data:data", "Look at your files, or lay them out, before training."),
    "config": ("genkit.cli.configuration:config", "Print a recipe's config, with the docs of every key."),
    "plugins": ("genkit.cli.listings:plugins", "List the plugins and their state."),
    "bench": ("genkit.cli.bench:bench", "Measure what plugins offer to measure."),
    "new-plugin": ("genkit.cli.scaffolding:new_plugin", "Write a plugin of your own to begin with."),
    "check-plugin": ("genkit.cli.checking:check_plugin", "Check that a plugin keeps to the contract."),
    "doctor": ("genkit.cli.doctor:doctor", "Look for what is wrong with the installation."),
    "completion": ("genkit.cli.completion:completion", "Print a shell's completion script."),
}


@dataclass
class Options:
    """The global options of one invocation."""

    debug: bool = False
    blocked: tuple[str, ...] = ()
    strict: bool = False


class Genkit(LazyGroup):
    """The root of all commands."""

    def offered(self) -> Mapping[str, CommandSpec]:
        from genkit.catalog import catalog

        offered: dict[str, CommandSpec] = {}
        for name, spec in catalog().commands.items():
            if name in self.table:
                plugin = catalog().commands.plugin(name).name
                click.echo(f"warning: plugin `{plugin}`: its command `{name}` can not replace genkit's own", err=True)
            else:
                offered[name] = spec
        return offered

    def main(self, args: Sequence[str] | None = None, **kwargs: Any) -> Any:  # type: ignore[override]
        options = Options()
        kwargs = {**kwargs, "prog_name": "genkit", "standalone_mode": False, "obj": options}
        faults.log_to(None)
        try:
            ended = super().main(args, **kwargs)
            sys.stdout.flush()
        except BrokenPipeError:
            # Whoever read our output has gone: the rest goes nowhere, and that is no error of ours.
            with contextlib.suppress(OSError, ValueError):
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(1)
        except (Exception, KeyboardInterrupt) as error:
            sys.exit(faults.report(error, debug=options.debug))
        sys.exit(ended if isinstance(ended, int) else 0)


def _configure(ctx: click.Context, param: click.Parameter, value: Any) -> None:
    """Options that decide which plugins load take effect before anything asks for plugins, help and completion too."""
    from genkit.plugins import configure_plugins

    options = ctx.ensure_object(Options)
    if param.name == "debug":
        options.debug = value
    elif param.name == "no_plugin":
        options.blocked = value
    else:
        options.strict = value
    configure_plugins(blocked=options.blocked, strict=options.strict)


@click.command(cls=Genkit, table=TABLE, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--debug", is_flag=True, is_eager=True, expose_value=False, callback=_configure, help="Show tracebacks.")
@click.option(
    "--no-plugin",
    multiple=True,
    metavar="NAME",
    is_eager=True,
    expose_value=False,
    callback=_configure,
    shell_complete=complete_plugin,
    help="Do without a plugin, which is then not imported; may be repeated.",
)
@click.option(
    "--strict-plugins",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_configure,
    help="Stop at the first plugin that can not be used.",
)
@click.version_option(__version__, "--version", prog_name="genkit")
def main() -> None:
    """Train, sample and measure generative adversarial networks, of every modality there is a plugin for.

    \b
    genkit run image.handwriting      train a recipe
    genkit sample RUN --count 16      draw from what it learnt
    """
