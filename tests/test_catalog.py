"""The catalog: what there is, and a useful answer about what is not."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

import genkit
from genkit.catalog import build_part, catalog
from genkit.errors import ConfigError, PluginError, UnknownNameError
from genkit.plugins import configure_plugins, plugins


@pytest.fixture
def toy(distributions):
    distributions.add_toy()
    return catalog()


def test_every_kind_is_listed_with_its_plugin(toy):
    assert list(toy.recipes) == ["toy.plain"]
    assert list(toy.datasets) == ["toy.dots", "toy.folder"]
    assert list(toy.metrics) == ["toy.score"]
    assert list(toy.writers) == ["toy"]
    assert list(toy.benchmarks) == ["toy"]
    assert toy.recipes.plugin("toy.plain").source == "toy-distribution 2.0"
    assert toy.plugin_of(toy.recipe("toy.plain")).name == "toy"
    assert catalog() is toy


def test_a_generator_and_a_critic_may_share_a_name(toy):
    assert list(toy.models) == ["toy.deep", "toy.net (critic)", "toy.net (generator)"]
    assert toy.part("generator", "toy.net").role == "generator"
    assert toy.part("critic", "toy.net").role == "critic"


@pytest.mark.parametrize(
    ("ask", "answer"),
    [
        (lambda c: c.recipe("toy.plane"), "there is no recipe `toy.plane`; did you mean `toy.plain`?"),
        (lambda c: c.recipe("plain"), "there is no recipe `plain`; did you mean `toy.plain`?"),
        (lambda c: c.recipe("zebra"), "there is no recipe `zebra`"),
        (lambda c: c.part("dataset", "toy.dot"), "there is no dataset `toy.dot`; did you mean `toy.dots`?"),
        (lambda c: c.part("critic", "toy.deep"), "the generator `toy.deep` is no critic"),
        (lambda c: c.part("penalty", "hinge"), "the objective `hinge` is no penalty"),
        (lambda c: c.part("objective", "hing"), "there is no objective `hing`; did you mean `hinge`?"),
        (lambda c: c.writer("tory"), "there is no writer `tory`; did you mean `toy`?"),
    ],
)
def test_an_unknown_name_is_answered_with_a_known_one(toy, ask, answer):
    with pytest.raises(UnknownNameError) as caught:
        ask(toy)
    assert caught.value.what == answer
    assert caught.value.exit_code == 2


def test_an_unknown_name_says_how_to_find_the_known_ones(toy):
    with pytest.raises(UnknownNameError, match="`genkit recipes` lists what there is"):
        toy.recipe("zebra")
    with pytest.raises(UnknownNameError, match=r"choose one of lecam, r1, r1_fd, r2, toy.pull, wgan_gp"):
        toy.part("penalty", "zebra")


def test_a_recipe_of_a_broken_plugin_shows_that_plugins_error(distributions):
    distributions.add("snow-dist", {"snow": "snow_module"}, modules={"snow_module": "import no_flakes"})
    with pytest.raises(PluginError, match="plugin `snow` is broken: ModuleNotFoundError: No module named 'no_flakes'"):
        catalog().recipe("snow.man")


def test_a_recipe_of_a_blocked_plugin_says_so(distributions):
    distributions.add_toy()
    configure_plugins(blocked=["toy"])
    with pytest.raises(PluginError, match="plugin `toy` is blocked: --no-plugin names it"):
        catalog().recipe("toy.plain")


def test_a_modality_of_ours_that_is_not_installed_names_its_distribution(toy):
    with pytest.raises(PluginError, match=r"pip install genkit-gan-audio") as caught:
        toy.recipe("audio.vocos")
    assert caught.value.exit_code == 3
    with pytest.raises(PluginError, match=r"pip install genkit-gan-text"):
        toy.writer("text")


def test_a_plugin_that_fails_in_one_hook_offers_nothing(distributions):
    def failing():
        raise RuntimeError("later")

    spec = genkit.RecipeSpec(name="half.one", summary="", config="m:C", build="m:b")
    half = SimpleNamespace(
        genkit_recipes=genkit.hookimpl(lambda: [spec]),
        genkit_models=genkit.hookimpl(failing),
    )
    plugins().register("half", half)
    assert list(catalog().recipes) == []
    with pytest.raises(PluginError, match="plugin `half` is broken: genkit_models: RuntimeError: later"):
        catalog().recipe("half.one")


def test_two_plugins_with_one_spec_name_are_both_named(distributions, capsys):
    distributions.add_toy()
    dots = genkit.DatasetSpec(
        name="toy.dots", modality="toy", summary="", config="m:C", open="m:o", offline=True, licence="CC0-1.0"
    )
    plugins().register(
        "other", SimpleNamespace(genkit_datasets=genkit.hookimpl(lambda: [dots])), distribution="other-dist"
    )
    found = catalog()
    assert list(found.datasets) == ["toy.folder"]
    assert "`toy.dots` is offered more than once" in capsys.readouterr().err
    with pytest.raises(PluginError, match=r"other \(other-dist \) and toy \(toy-distribution 2.0\)"):
        found.part("dataset", "toy.dots")
    assert found.conflicts()


def test_a_new_plugin_makes_a_new_catalog(toy):
    spec = genkit.RecipeSpec(name="late.one", summary="", config="m:C", build="m:b")
    plugins().register("late", SimpleNamespace(genkit_recipes=genkit.hookimpl(lambda: [spec])))
    assert list(catalog().recipes) == ["late.one", "toy.plain"]


def test_a_part_is_built_from_its_typed_config(toy):
    config, facts = build_part("critic", genkit.Part("toy.net", width=3, norm={"kind": "group"}), {"labels": 2})
    assert (config.width, config.norm.kind, config.norm.eps) == (3, "group", 1e-5)
    assert facts == {"labels": 2}
    (config,) = build_part("penalty", genkit.Part("toy.pull", weight={"start": 1.0, "end": 0.0, "over": 10}))
    assert config.weight == genkit.Ramp(start=1.0, end=0.0, over=10.0)


def test_options_that_do_not_fit_are_refused(toy):
    with pytest.raises(ConfigError) as caught:
        build_part("dataset", genkit.Part("toy.dots", cont=3, held_out="much"))
    assert caught.value.problems == (
        "held_out: expected a number, got 'much'",
        "cont: unknown key; did you mean `count`?",
    )
    with pytest.raises(ConfigError, match="root: it is needed and was not given"):
        build_part("dataset", genkit.Part("toy.folder"))


def test_a_missing_extra_names_the_plugin_and_what_to_install(toy):
    with pytest.raises(
        PluginError, match=r"plugin `toy`: the metric `toy.score` can not be used: .*an_extra"
    ) as caught:
        build_part("metric", genkit.Part("toy.score"), {})
    assert caught.value.fix == "pip install toy-extra"


def test_an_import_string_that_leads_nowhere_names_the_plugin(distributions):
    specs = [
        genkit.DatasetSpec(
            name=f"lost.{i}", modality="lost", summary="", config=config, open="m:o", offline=True, licence="CC0-1.0"
        )
        for i, config in enumerate(("no_such_module:C", "toy_parts:Nothing", "toy_parts:PRESETS"))
    ]
    plugins().register("lost", SimpleNamespace(genkit_datasets=genkit.hookimpl(lambda: specs)))
    with pytest.raises(PluginError, match="plugin `lost`: `no_such_module:C` can not be imported"):
        build_part("dataset", genkit.Part("lost.0"))
    with pytest.raises(PluginError, match="plugin `lost`: `toy_parts:Nothing` can not be imported: AttributeError"):
        build_part("dataset", genkit.Part("lost.1"))
    with pytest.raises(PluginError, match="is not a dataclass"):
        build_part("dataset", genkit.Part("lost.2"))
