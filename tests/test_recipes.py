"""What holds for every recipe of every installed plugin: genkit.testing's checks."""

from __future__ import annotations

import pytest

from genkit.catalog import catalog
from genkit.specs import resolve
from genkit.testing import PluginCheck, recipe_checks
from genkit.testing.announcements import preset_fits
from genkit.testing.conformance import OF_RECIPES
from genkit.testing.ranks import compare

RECIPES = sorted(catalog().recipes)
ELSEWHERE = {
    "two-ranks": "all recipes share three processes below",
    "smoke-run": "a process a recipe: `genkit check-plugin` has it",
    "compiled": "three seconds a recipe: likewise",
}
"""Checks that are too dear to be run here for each recipe, and where they are."""


def checks() -> list[PluginCheck]:
    wanted = [name for name in OF_RECIPES if name not in ELSEWHERE]
    return [check for recipe in RECIPES for check in recipe_checks(recipe, wanted)]


def presets() -> list[tuple[str, str]]:
    found = []
    for name in RECIPES:
        spec = catalog().recipe(name)
        found += [(name, preset) for preset in (resolve(spec.presets) if spec.presets else {})]
    return found


@pytest.mark.parametrize("check", checks(), ids=str)
def test_a_recipe_keeps_to_the_contract(check: PluginCheck) -> None:
    check.run()


def test_two_processes_train_every_recipe_as_one_does() -> None:
    """After two iterations in float64 the weights are those of one process with the whole batch."""
    found = compare(RECIPES, seconds=280)
    assert {name: outcome for name, outcome in found.items() if outcome is not True} == {"image.dcgan": None}
    assert set(found) == set(RECIPES)


@pytest.mark.parametrize(("name", "preset"), presets())
def test_a_preset_fits_its_recipe(name: str, preset: str) -> None:
    preset_fits(name, preset)
