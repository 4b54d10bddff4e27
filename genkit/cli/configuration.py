"""``genkit config``: what a recipe can be set to. Nothing here imports torch."""

from __future__ import annotations

from pathlib import Path

import click

from genkit.cli.completion import complete_recipe
from genkit.cli.output import print_json


@click.command()
@click.argument("recipe", shell_complete=complete_recipe)
@click.option("--config", type=click.Path(path_type=Path), help="A YAML file laid over the recipe's defaults.")
@click.option("--set", "overrides", multiple=True, metavar="K=V", help="Set a config key; may be repeated.")
@click.option("--diff", is_flag=True, help="Show only what differs from the recipe's defaults.")
@click.option("--schema", "as_schema", is_flag=True, help="Print the JSON schema, with the docs of every key.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def config(
    recipe: str, config: Path | None, overrides: tuple[str, ...], diff: bool, as_schema: bool, as_json: bool
) -> None:
    """Print a recipe's config, every key with its documentation."""
    from genkit.catalog import catalog
    from genkit.config import difference, resolve_config, schema, to_dict, to_yaml
    from genkit.errors import UsageError

    spec = catalog().recipe(recipe)
    if as_schema:
        if config or overrides or diff:
            raise UsageError("--schema describes the recipe, not one config of it", fix="leave out the other options")
        print_json(schema(spec))
        return
    resolved = resolve_config(spec, files=[config] if config else [], overrides=overrides)
    if diff:
        lines = difference(to_dict(resolve_config(spec)), to_dict(resolved))
        if as_json:
            print_json(lines)
        else:
            for line in lines:
                click.echo(line)
    elif as_json:
        print_json(to_dict(resolved))
    else:
        click.echo(f"# {spec.name}: {spec.summary}\n{to_yaml(resolved, comments=True)}", nl=False)
