"""Runs checks one after the other and says what became of each: ``python -m genkit.testing.child`` of `isolation`.

Arguments: the distribution, a recipe of it or nothing, seconds for one check, the names of checks. It writes a JSON
object a line to what was its stdout; what plugins print goes to stderr.
"""

from __future__ import annotations

import dataclasses
import faulthandler
import json
import os
import sys
from importlib import import_module
from typing import Any

from genkit.errors import PluginError
from genkit.testing.conformance import OF_RECIPES, plugin_checks, recipe_checks
from genkit.testing.distribution import find


def main() -> None:
    """All checks asked for."""
    distribution, recipe, limit, *names = sys.argv[1:]
    with os.fdopen(os.dup(1), "w", encoding="utf-8") as out:
        os.dup2(2, 1)

        def say(**what: Any) -> None:
            out.write(json.dumps(what) + "\n")
            out.flush()

        def begin() -> None:
            faulthandler.dump_traceback_later(float(limit), exit=True)

        if recipe:
            for name in names:
                import_module(OF_RECIPES[name].partition(":")[0])  # torch's own seconds are nobody's fault
        say(begin=True)
        begin()
        subject = find(distribution)
        try:
            subject.require()
        except PluginError as error:
            say(error=error.what, where=error.where, fix=error.fix)
            return
        for check in recipe_checks(recipe, names) if recipe else plugin_checks(subject, names):
            begin()
            say(result=dataclasses.asdict(check.result()))
        if not recipe:
            say(recipes=subject.recipes())
        say(done=True)


if __name__ == "__main__":
    main()
