"""``genkit completion`` and what completes names. Nothing here imports torch."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable, Mapping
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, TypeVar

import click

from genkit.errors import GenkitError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

    from genkit.specs import RecipeSpec

T = TypeVar("T")

SHELLS = ("bash", "zsh", "fish")


def quietly(ask: Callable[[], T], otherwise: T) -> T:
    """What `ask` returns, or `otherwise`: while a person types, no warning or error may land on the terminal."""
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            return ask()
        except GenkitError:
            return otherwise


def complete_recipe(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The recipes whose names begin with `incomplete`."""
    from click.shell_completion import CompletionItem

    from genkit.catalog import catalog

    nothing: Mapping[str, RecipeSpec] = {}
    recipes = quietly(lambda: catalog().recipes, nothing)
    return [CompletionItem(name, help=spec.summary) for name, spec in recipes.items() if name.startswith(incomplete)]


def complete_plugin(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """The installed plugins whose names begin with `incomplete`."""
    from click.shell_completion import CompletionItem

    from genkit.plugins import GROUP

    names = sorted({point.name for point in entry_points(group=GROUP)})
    return [CompletionItem(name) for name in names if name.startswith(incomplete)]


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands, options and recipes.

    \b
    bash: eval "$(genkit completion bash)" in ~/.bashrc
    zsh:  eval "$(genkit completion zsh)" in ~/.zshrc
    fish: genkit completion fish > ~/.config/fish/completions/genkit.fish
    """
    from click.shell_completion import get_completion_class

    completer = get_completion_class(shell)
    assert completer is not None, "click completes these three shells"
    click.echo(completer(ctx.find_root().command, {}, "genkit", "_GENKIT_COMPLETE").source())
