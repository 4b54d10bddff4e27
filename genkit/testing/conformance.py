"""The checks by name, and those of one distribution. Nothing here imports torch until a check of a recipe runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from time import monotonic
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from genkit.errors import UsageError
from genkit.plugins import suggestion
from genkit.specs import resolve
from genkit.testing import announcements
from genkit.testing.distribution import Subject, find
from genkit.testing.outcome import CheckFailure, CheckSkipped, Result, as_failure

if TYPE_CHECKING:
    from genkit.testing.recipe import Recipe

OF_PLUGINS = MappingProxyType(
    {
        "hooks": announcements.hooks_are_known,
        "torch-free": announcements.imports_without_torch,
        "specs": announcements.specs_resolve,
        "config-docs": announcements.configs_are_documented,
        "hook-docs": announcements.hooks_are_documented,
        "licence": announcements.data_licences_are_stated,
    }
)
"""Checks of a distribution, by name, in the order in which they run."""

OF_RECIPES = MappingProxyType(
    {
        "schema": "genkit.testing.announcements:schema_is_valid",
        "build": "genkit.testing.players:builds",
        "inputs": "genkit.testing.players:leaves_inputs_alone",
        "meta": "genkit.testing.players:runs_on_meta",
        "three-steps": "genkit.testing.players:three_steps",
        "second-derivative": "genkit.testing.players:penalties_differentiate_twice",
        "data-order": "genkit.testing.data:order_is_a_function_of_the_seed",
        "writer": "genkit.testing.files:writer_files_open",
        "resume": "genkit.testing.files:resumes",
        "sampling": "genkit.testing.files:samples_come_back",
        "compiled": "genkit.testing.players:compiles",
        "two-ranks": "genkit.testing.ranks:two_train_as_one",
        "smoke-run": "genkit.testing.files:runs_under_the_command",
    }
)
"""Checks of each recipe, by name, in the order in which they run: functions of a `Recipe`, by import string."""

FIRST = ("hooks", "build")
"""A failure of these leaves nothing for the checks after them to look at."""
CURE = "read the line that is named, and what `{check}` checks: docs/plugins.md, or genkit.testing's docstrings"


@dataclass(frozen=True)
class PluginCheck:
    """One named check of a distribution or of one of its recipes."""

    name: str
    """As in `OF_PLUGINS` or `OF_RECIPES`."""
    subject: str
    """The distribution or the recipe."""
    function: Callable[[], None] = field(compare=False, repr=False)
    """Raises CheckFailure or CheckSkipped."""

    def __str__(self) -> str:
        return f"{self.name}-{self.subject}"

    def run(self) -> None:
        """Run it in this process. Raises CheckFailure with what is wrong and what cures it, CheckSkipped with why there
        is nothing to check. Whatever else a plugin raises becomes a CheckFailure."""
        try:
            self.function()
        except (CheckFailure, CheckSkipped):
            raise
        except Exception as error:
            raise as_failure(error, CURE.format(check=self.name)) from error

    def result(self) -> Result:
        """What became of it."""
        start = monotonic()
        try:
            self.run()
        except CheckFailure as failure:
            return Result(self.name, self.subject, "fail", failure.what, failure.cure, monotonic() - start)
        except CheckSkipped as skipped:
            return Result(self.name, self.subject, "skip", skipped.why, "", monotonic() - start)
        return Result(self.name, self.subject, "pass", "", "", monotonic() - start)


def checks_of(distribution: str, *, only: Sequence[str] = ()) -> list[PluginCheck]:
    """The checks of an installed distribution, for ``pytest.mark.parametrize``::

        @pytest.mark.parametrize("check", checks_of("genkit-demo"), ids=str)
        def test_the_plugin_conforms(check):
            check.run()

    Args:
        distribution: its name, as pip knows it.
        only: names of checks; none means all.

    Loads the plugins, not torch. A plugin that is broken has the checks of its recipes left out: `hooks` says why.

    Raises UsageError when the distribution is not installed, has no plugin, or `only` names no check; PluginError when
    its plugin is blocked, needs another genkit, or shares its name with another.
    """
    subject = find(distribution)
    subject.require()
    wanted = chosen(only)
    checks = plugin_checks(subject, wanted)
    for recipe in subject.recipes():
        checks += recipe_checks(recipe, wanted)
    return checks


def plugin_checks(subject: Subject, wanted: Sequence[str]) -> list[PluginCheck]:
    """The checks of a distribution as a whole."""
    return [
        PluginCheck(name, subject.distribution, partial(function, subject))
        for name, function in OF_PLUGINS.items()
        if name in wanted
    ]


def recipe_checks(recipe: str, wanted: Sequence[str] = tuple(OF_RECIPES)) -> list[PluginCheck]:
    """The checks of one recipe. They share a `Recipe`, so that a run that several of them look at is made once."""
    shared = _Shared(recipe)
    return [PluginCheck(name, recipe, partial(shared.call, name)) for name in OF_RECIPES if name in wanted]


def chosen(only: Sequence[str]) -> tuple[str, ...]:
    """The names of the checks that `only` names, all when it names none. Raises UsageError for a name there is not."""
    known = (*OF_PLUGINS, *OF_RECIPES)
    for name in only:
        if name not in known:
            raise UsageError(
                f"there is no check `{name}`{suggestion(name, known)}", fix=f"the checks are: {', '.join(known)}"
            )
    return tuple(name for name in known if not only or name in only)


class _Shared:
    """A recipe that is made when its first check runs."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.recipe: Recipe | None = None

    def call(self, check: str) -> None:
        function: Any = resolve(OF_RECIPES[check])
        if check == "schema":
            function(self.name)
            return
        if self.recipe is None:
            from genkit.testing.recipe import Recipe

            self.recipe = Recipe(self.name)
        function(self.recipe)
