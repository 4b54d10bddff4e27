"""Our own plugins pass, and what can not be checked is refused with its cure."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from genkit import PluginError, UsageError
from genkit.testing import PluginCheck, checks_of
from genkit.testing.conformance import OF_PLUGINS, OF_RECIPES

OWN = ("genkit-gan-image", "genkit-gan-text", "genkit-gan-audio")


def points() -> list[PluginCheck]:
    """All checks of the distribution, and of one of its two recipes; tests/test_recipes.py has the other."""
    return [check for check in checks_of("genkit-points") if check.subject != "points.grid25"]


@pytest.mark.parametrize("check", points(), ids=str)
def test_the_example_plugin_conforms(check: PluginCheck) -> None:
    check.run()


def test_every_check_has_a_name_of_its_own() -> None:
    assert [check.name for check in points()] == [*OF_PLUGINS, *OF_RECIPES]


@pytest.mark.parametrize(
    "check", [check for own in OWN for check in checks_of(own, only=[*OF_PLUGINS, "schema"])], ids=str
)
def test_our_own_plugins_announce_themselves_as_they_should(check: PluginCheck) -> None:
    check.run()


# --- what can not be checked -----------------------------------------------------------------------------------------


def test_an_unknown_distribution_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match=r"there is no distribution `genkit-pionts`; did you mean `genkit-points`\?"):
        checks_of("genkit-pionts")
    with pytest.raises(UsageError, match="the plugin `points` comes from `genkit-points`"):
        checks_of("points")


def test_a_distribution_without_a_plugin_is_told_how_to_have_one() -> None:
    with pytest.raises(UsageError, match="the distribution `pluggy` has no plugin") as caught:
        checks_of("pluggy")
    assert "[project.entry-points.genkit]" in str(caught.value.fix)


def test_a_plugin_for_a_newer_genkit_is_refused(faulty: Callable[..., str]) -> None:
    with pytest.raises(PluginError, match="it needs genkit-gan>=99") as caught:
        checks_of(faulty(requires=("genkit-gan>=99",)))
    assert "pip install --upgrade genkit-gan" in str(caught.value.fix)


def test_an_unknown_check_is_answered_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="there is no check `licences`; did you mean `licence`"):
        checks_of("genkit-points", only=["licences"])
