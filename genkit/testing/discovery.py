"""Where plugins import torch before anything asks them to.

Run as a module in a fresh interpreter, ``python -m genkit.testing.discovery PLUGIN...`` prints one JSON object: at
which stage torch was imported first, and by which line; null where it was not.
"""

from __future__ import annotations

import contextlib
import json
import sys
import traceback
from collections.abc import Sequence
from typing import Any


class Watch:
    """A finder that finds nothing and remembers who asked for torch first."""

    def __init__(self) -> None:
        self.stage = "discovery"
        self.found: dict[str, str] | None = None

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: Any = None) -> None:
        """Called by each import of a module that is not loaded yet."""
        if name == "torch" and self.found is None:
            frames = [frame for frame in traceback.extract_stack()[:-1] if "importlib" not in frame.filename]
            last = frames[-1]
            self.found = {"stage": self.stage, "where": f"{last.filename}:{last.lineno}", "line": last.line or ""}


def main() -> None:
    """Discovery, listings and configs of the plugins named, as commands that list do it."""
    watch = Watch()
    sys.meta_path.insert(0, watch)
    with contextlib.redirect_stdout(sys.stderr):
        from genkit.catalog import catalog
        from genkit.config import resolve_config
        from genkit.errors import GenkitError
        from genkit.plugins import configure_plugins, plugins
        from genkit.schema import schema

        configure_plugins(only=sys.argv[1:])
        plugins()
        watch.stage = "`genkit plugins` and `genkit recipes`"
        found = catalog()
        for offers in (found.recipes, found.models, found.datasets, found.objectives, found.metrics):
            for name, spec in offers.items():
                watch.stage = f"the config of `{name}`"
                with contextlib.suppress(GenkitError):  # what can not be imported is another check's
                    found.config_class(spec)
        for name, recipe in found.recipes.items():
            watch.stage = f"`genkit config {name}`"
            with contextlib.suppress(GenkitError):
                schema(recipe)
                resolve_config(recipe, values=recipe.smoke)
    print(json.dumps(watch.found))


if __name__ == "__main__":
    main()
