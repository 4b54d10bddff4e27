"""The conformance kit: what holds for every plugin, as named checks.

From a shell::

    genkit check-plugin genkit-demo

In a plugin's own tests, where pytest shows each check as a test::

    from genkit.testing import checks_of

    @pytest.mark.parametrize("check", checks_of("genkit-demo"), ids=str)
    def test_the_plugin_conforms(check):
        check.run()

or without a file: ``pytest --genkit-plugin genkit-demo``.

Checks of the distribution: `hooks`, `torch-free`, `specs`, `config-docs`, `hook-docs`, `licence`. Checks of each of its
recipes, at the size of its `RecipeSpec.smoke`: `schema`, `build`, `inputs`, `meta`, `three-steps`, `second-derivative`,
`data-order`, `writer`, `resume`, `sampling`, `compiled`, `two-ranks`, `smoke-run`.

Importing this imports neither torch nor the rest of genkit, so that pytest may do it in every session.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genkit.testing.conformance import PluginCheck, checks_of, recipe_checks
    from genkit.testing.isolation import check_plugin
    from genkit.testing.outcome import CheckFailure, CheckSkipped, Result

_LAZY = {
    "CheckFailure": "genkit.testing.outcome",
    "CheckSkipped": "genkit.testing.outcome",
    "PluginCheck": "genkit.testing.conformance",
    "Result": "genkit.testing.outcome",
    "check_plugin": "genkit.testing.isolation",
    "checks_of": "genkit.testing.conformance",
    "recipe_checks": "genkit.testing.conformance",
}

__all__ = ["CheckFailure", "CheckSkipped", "PluginCheck", "Result", "check_plugin", "checks_of", "recipe_checks"]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        return getattr(import_module(_LAZY[name]), name)
    raise AttributeError(f"module 'genkit.testing' has no attribute {name!r}")
