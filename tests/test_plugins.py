"""The loader: every plugin gets its state alone, and the others work."""

from __future__ import annotations

import sys
from types import SimpleNamespace

import pytest

import genkit
from genkit.errors import PluginError, UnknownNameError
from genkit.plugins import Plugins, configure_plugins, load_plugins, plugins

GOOD = """
import genkit
@genkit.hookimpl
def genkit_recipes():
    return [genkit.RecipeSpec(name="{name}.one", summary="One.", config="m:C", build="m:b")]
"""


def states(found: Plugins) -> dict[str, list[str]]:
    by_name: dict[str, list[str]] = {}
    for status in found.statuses:
        by_name.setdefault(status.name, []).append(status.state)
    return by_name


def recipe_names(found: Plugins) -> list[str]:
    return [spec.name for _, spec in found.collect("genkit_recipes")]


def test_core_objectives_come_through_the_same_door(distributions):
    found = load_plugins()
    core = found.statuses[0]
    assert (core.name, core.distribution, core.version) == ("core", "genkit-gan", genkit.__version__)
    assert core.hooks == ("genkit_objectives",)
    names = [spec.name for status, spec in found.collect("genkit_objectives") if status is core]
    assert {"rpgan", "hinge", "r1", "wgan_gp"} <= set(names)


def test_each_plugin_fails_alone(distributions, capsys):
    distributions.add("good-dist", {"good": "good_module"}, modules={"good_module": GOOD.format(name="good")})
    distributions.add("raises-dist", {"raises": "raising"}, modules={"raising": "raise OSError('no such library')"})
    distributions.add("exits-dist", {"exits": "exiting"}, modules={"exiting": "import sys; sys.exit(3)"})
    distributions.add("gone-dist", {"gone": "no_such_module"})
    distributions.add("zlast-dist", {"zlast": "zlast_module"}, modules={"zlast_module": GOOD.format(name="zlast")})
    found = load_plugins()
    assert states(found) == {
        "core": ["ok"], "exits": ["broken"], "gone": ["broken"], "good": ["ok"], "raises": ["broken"], "zlast": ["ok"],
    }  # fmt: skip
    assert recipe_names(found) == ["good.one", "zlast.one"]
    raises = found.status("raises")
    assert raises.error == "OSError: no such library"
    assert "raising.py" in raises.traceback
    lines = capsys.readouterr().err.splitlines()
    assert "warning: plugin `raises` (raises-dist 1.0) is broken: OSError: no such library" in lines
    assert len(lines) == 3


def test_misspelt_hook_breaks_its_plugin_and_names_the_right_one(distributions):
    source = "import genkit\n@genkit.hookimpl\ndef genkit_recipies(): return []\n"
    distributions.add("misspelt-dist", {"misspelt": "misspelt_module"}, modules={"misspelt_module": source})
    distributions.add("good-dist", {"good": "good_module"}, modules={"good_module": GOOD.format(name="good")})
    found = load_plugins()
    assert found.status("misspelt").error == "there is no hook `genkit_recipies`; did you mean `genkit_recipes`?"
    assert recipe_names(found) == ["good.one"]


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("def genkit_recipes(): return []", "`genkit_recipes` is not marked with @genkit.hookimpl"),
        ("import genkit\n@genkit.hookimpl\ndef genkit_recipes(when): return []", "when"),
        ("import genkit\n@genkit.hookimpl(wrapper=True)\ndef genkit_recipes():\n    return (yield)", "hook wrapper"),
        ("hello = 1", "it implements no hook of genkit"),
    ],
)
def test_a_hook_that_can_not_be_called_breaks_its_plugin(distributions, source, error):
    distributions.add("wrong-dist", {"wrong": "wrong_module"}, modules={"wrong_module": source})
    status = load_plugins().status("wrong")
    assert status.state == "broken"
    assert error in status.error


def test_two_distributions_with_one_name_are_both_named_and_neither_loads(distributions):
    distributions.add("first-dist", {"twin": "twin_a"}, modules={"twin_a": "raise AssertionError('imported')"})
    distributions.add("second-dist", {"twin": "twin_b"}, version="3.1", modules={"twin_b": "raise AssertionError"})
    distributions.add("good-dist", {"good": "good_module"}, modules={"good_module": GOOD.format(name="good")})
    found = load_plugins()
    assert states(found) == {"core": ["ok"], "good": ["ok"], "twin": ["duplicate", "duplicate"]}
    for status in found.statuses:
        if status.name == "twin":
            assert "first-dist 1.0" in status.error
            assert "second-dist 3.1" in status.error
    assert not {"twin_a", "twin_b"} & set(sys.modules)


def test_the_name_core_is_taken(distributions):
    distributions.add("core-dist", {"core": "core_module"}, modules={"core_module": GOOD.format(name="core")})
    found = load_plugins()
    assert [(status.distribution, status.state) for status in found.statuses] == [
        ("core-dist", "duplicate"),
        ("genkit-gan", "ok"),
    ]
    assert recipe_names(found) == []


@pytest.mark.parametrize("line", ["genkit-gan>=99", "Genkit_Gan (>=99)", "genkit.gan[dev]==0.0.1 ; python_version>'3'"])
def test_an_unmet_requirement_is_seen_before_import(distributions, line):
    source = "raise AssertionError('imported')"
    distributions.add("new-dist", {"new": "new_module"}, requires=["numpy", line], modules={"new_module": source})
    status = load_plugins().status("new")
    assert status.state == "incompatible"
    assert f"genkit-gan {genkit.__version__}" in status.error
    assert "new_module" not in sys.modules


@pytest.mark.parametrize(
    "line", ["genkit-gan>=0.0.1", "genkit-gan-image>=99", "genkit-gan>=99 ; extra == 'later'", "genkit>=99"]
)
def test_a_requirement_that_is_met_or_not_about_the_core_loads(distributions, line):
    modules = {"fine_module": GOOD.format(name="fine")}
    distributions.add("fine-dist", {"fine": "fine_module"}, requires=[line], modules=modules)
    assert load_plugins().status("fine").state == "ok"


def test_blocked_plugins_are_not_imported(distributions):
    for name in ("one", "two"):
        modules = {f"{name}_module": GOOD.format(name=name)}
        distributions.add(f"{name}-dist", {name: f"{name}_module"}, modules=modules)
    assert states(load_plugins(blocked=["one"])) == {"core": ["ok"], "one": ["blocked"], "two": ["ok"]}
    assert "one_module" not in sys.modules
    assert states(load_plugins(only=["one"])) == {"core": ["ok"], "one": ["ok"], "two": ["blocked"]}
    assert states(load_plugins(only=[])) == {"core": ["ok"], "one": ["blocked"], "two": ["blocked"]}


def test_blocking_acts_before_a_duplicate_is_one(distributions):
    for name in ("a", "b"):
        distributions.add(f"{name}-dist", {"twin": f"twin_{name}"})
    assert states(load_plugins(blocked=["twin"]))["twin"] == ["blocked", "blocked"]


def test_environment_variables_are_read_once_for_the_process(distributions, monkeypatch):
    distributions.add("one-dist", {"one": "one_module"}, modules={"one_module": GOOD.format(name="one")})
    monkeypatch.setenv("GENKIT_PLUGINS", "")
    first = plugins()
    assert states(first)["one"] == ["blocked"]
    assert plugins() is first
    configure_plugins(only=["one"])
    assert states(plugins())["one"] == ["ok"]
    assert plugins() is not first


def test_names_that_are_not_installed_are_refused(distributions):
    distributions.add("one-dist", {"points3": "one_module"}, modules={"one_module": GOOD.format(name="one")})
    with pytest.raises(PluginError, match="not installed: `point3`; did you mean `points3`"):
        load_plugins(only=["point3"])
    with pytest.raises(UnknownNameError, match="no plugin `point3`; did you mean `points3`"):
        load_plugins(blocked=["point3"])
    with pytest.raises(UnknownNameError, match="genkit itself"):
        load_plugins(blocked=["core"])


def test_strict_stops_at_the_first_that_fails(distributions, monkeypatch):
    distributions.add("raises-dist", {"raises": "raising"}, modules={"raising": "raise OSError('no such library')"})
    monkeypatch.setenv("GENKIT_STRICT_PLUGINS", "1")
    with pytest.raises(PluginError, match=r"`raises` is broken: OSError: no such library") as caught:
        plugins()
    assert caught.value.where == "raises-dist 1.0"
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("returned", "error"),
    [
        (lambda: 1 / 0, "genkit_recipes: ZeroDivisionError: division by zero"),
        (lambda: None, "genkit_recipes: it returned None where an iterable of RecipeSpec is expected"),
        (lambda: ["toy.plain"], "genkit_recipes: it returned 'toy.plain' where a RecipeSpec is expected"),
    ],
)
def test_a_registration_hook_that_fails_breaks_its_plugin_alone(distributions, returned, error):
    distributions.add("good-dist", {"good": "good_module"}, modules={"good_module": GOOD.format(name="good")})
    found = load_plugins()
    found.register("bad", SimpleNamespace(genkit_recipes=genkit.hookimpl(lambda: returned())))
    assert recipe_names(found) == ["good.one"]
    assert found.status("bad").state == "broken"
    assert found.status("bad").error == error


def test_a_run_hook_that_raises_names_plugin_and_hook(distributions, capsys):
    distributions.add_toy()
    found = load_plugins()
    assert found.notify("genkit_evaluate", run=None, step=3) == [("toy", {"toys": 3.0})]
    assert found.notify("genkit_step_end", run=None, step=3, metrics={}) == []
    with pytest.raises(PluginError, match="plugin `toy` failed in genkit_step_end: RuntimeError: lost at step 3"):
        found.notify("genkit_step_end", run=None, step=3, metrics={"explode": 1.0})
    found.notify("genkit_step_end", tolerant=True, run=None, step=4, metrics={"explode": 1.0})
    assert capsys.readouterr().err == "warning: plugin `toy` failed in genkit_step_end: RuntimeError: lost at step 4\n"


def test_what_a_plugin_prints_at_import_stays_off_stdout(distributions, capsys):
    source = "print('welcome')\n" + GOOD.format(name="loud")
    distributions.add("loud-dist", {"loud": "loud_module"}, modules={"loud_module": source})
    load_plugins()
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "welcome\n"
