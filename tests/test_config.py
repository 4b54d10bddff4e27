"""Config: layers, parts, problems, and what is shown of it all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import genkit
from genkit.catalog import catalog
from genkit.config import RESUMABLE, difference, read_config_file, resolve_config, schema, to_dict, to_yaml
from genkit.errors import ConfigError, PluginError


@pytest.fixture
def spec(distributions):
    distributions.add_toy()
    return catalog().recipe("toy.plain")


@pytest.fixture
def write(tmp_path):
    def write(text: str, name: str = "config.yaml") -> Path:
        path = tmp_path / name
        path.write_text(text)
        return path

    return write


def problems(spec, **layers) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        resolve_config(spec, **layers)
    assert caught.value.exit_code == 2
    return caught.value.problems


# --- layers ----------------------------------------------------------------------------------------------------------


def test_without_layers_the_recipe_stands_and_parts_have_all_their_options(spec):
    config = resolve_config(spec)
    assert config.data == genkit.Part("toy.dots", count=100, held_out=0.2)
    assert dict(config.model.generator) == {
        "name": "toy.net",
        "width": 16,
        "norm": {"kind": "batch", "eps": 1e-3},
        "slope": 0.2,
    }
    assert config.model.critic.options["norm"] == {"kind": "group", "eps": 1e-3}
    assert config.penalties == {"r1": {"weight": 0.5, "every": 4}, "r2": {"weight": 0.5, "every": 1}}
    assert config.metrics == (genkit.Part("toy.score", neighbours=5),)
    assert config.train == genkit.Train()


def test_each_layer_lies_over_the_one_before(spec, write):
    one = write("train: {batch_size: 1, steps: 1, workers: 1, keep: 1}\n", "one.yaml")
    two = write("train: {steps: 2, workers: 2, keep: 2}\n", "two.yaml")
    values = {"train": {"workers": 3}, "train.keep": 3}
    config = resolve_config(spec, files=[one, two], values=values, overrides=["train.keep=4"])
    assert (config.train.batch_size, config.train.steps, config.train.workers, config.train.keep) == (1, 2, 3, 4)


@pytest.mark.parametrize("where", ["file", "values", "override"])
def test_a_preset_lies_under_every_other_layer_whoever_names_it(spec, write, where):
    layers = {
        "file": {"files": [write("preset: small\n", "preset.yaml")], "overrides": ["model.generator.width=5"]},
        "values": {"values": {"preset": "small", "model.generator.width": 5}},
        "override": {"files": [write("model: {generator: {width: 5}}\n")], "overrides": ["preset=small"]},
    }[where]
    config = resolve_config(spec, **layers)
    assert config.preset == "small"
    assert config.train.batch_size == 8
    assert config.model.generator["width"] == 5
    assert config.penalties["r1"] == {"weight": 3.0, "every": 4}


def test_the_last_layer_to_name_a_preset_decides(spec, write):
    config = resolve_config(spec, files=[write("preset: typo\n")], overrides=["preset=null"])
    assert config.preset is None


def test_another_part_drops_the_options_of_the_one_before(spec, write):
    file = write("data: {held_out: 0.3, count: 7}\n")
    config = resolve_config(spec, files=[file], overrides=["data.root=/somewhere", "data=toy.folder"])
    assert dict(config.data) == {
        "name": "toy.folder", "root": "/somewhere", "label": "none", "sizes": [8, 8], "aliases": {"a": "b"},
    }  # fmt: skip
    back = resolve_config(spec, values={"data": "toy.folder"}, overrides=["data=toy.dots"])
    assert dict(back.data) == {"name": "toy.dots", "count": 100, "held_out": 0.1}


def test_naming_the_same_part_again_keeps_its_options(spec):
    assert resolve_config(spec, overrides=["data=toy.dots"]).data["held_out"] == 0.2


def test_null_takes_a_penalty_out_and_naming_one_brings_it_in(spec):
    config = resolve_config(spec, overrides=["penalties.r2=null", "penalties.toy.pull.weight=2", "penalties.lecam={}"])
    assert list(config.penalties) == ["r1", "toy.pull", "lecam"]
    assert config.penalties["toy.pull"] == {"weight": 2.0, "every": 1}


def test_numbers_and_ramps_are_both_rates(spec):
    ramp = {"start": 1e-3, "end": 1e-4, "over": 1e6}
    config = resolve_config(spec, values={"optim.critic.lr": ramp}, overrides=["optim.generator.lr=1e-4"])
    assert config.optim.generator.lr == 1e-4
    assert config.optim.critic.lr == genkit.Ramp(**ramp)
    config = resolve_config(spec, overrides=["penalties.r1.weight={start: 1, end: 0, over: 5}"])
    assert config.penalties["r1"]["weight"] == {"start": 1.0, "end": 0.0, "over": 5.0, "shape": "cosine", "warmup": 0.0}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"),
        ("007", "007"),
        ("1e-4", "1e-4"),
        ("*.png", "*.png"),
        ("#fff", "#fff"),
        ('"quoted"', "quoted"),
        ("2024", "2024"),
    ],
)
def test_text_on_the_command_line_stays_as_it_was_typed(spec, text, value):
    config = resolve_config(spec, overrides=["data=toy.folder", "data.root=x", f"data.label={text}"])
    assert config.data["label"] == value


def test_yaml_1_2_is_read(write):
    file = write("a: 1e-4\nb: no\nc: on\nd: 1E5\ne: ~\n")
    assert read_config_file(file) == {"a": 1e-4, "b": "no", "c": "on", "d": 1e5, "e": None}


def test_reserved_keys_are_no_settings(spec, write):
    file = write("recipe: toy.plain\nseed: 3\ntemperature: 2.0\n")
    assert resolve_config(spec, files=[file]).temperature == 2.0
    assert read_config_file(file)["seed"] == 3
    with pytest.raises(ConfigError, match=r"a config of the recipe `toy.other`, not of `toy.plain`"):
        resolve_config(spec, files=[write("recipe: toy.other\n")])


def test_a_mapping_of_free_keys_is_laid_key_by_key(spec):
    config = resolve_config(spec, overrides=["data=toy.folder", "data.root=x", "data.aliases.c=d"])
    assert config.data["aliases"] == {"a": "b", "c": "d"}


# --- problems --------------------------------------------------------------------------------------------------------


def test_every_problem_is_told_at_once_with_its_place(spec, write):
    file = write(
        "train:\n  bach_size: 8\n  steps: true\n  precision: no\n  workers: 1.5\n"
        "optim:\n  critic: {lr: fast}\n  generator: {lr: {start: 1, ovr: 2}}\n"
        "data: {held_out: much}\nmodel: 3\nmetrics: toy.score\ncolour: red\n"
    )
    found = problems(spec, files=[file], overrides=["model.critic.norm.kind=grup", "objective=hing", "novalue"])
    assert set(found) == {
        "--set novalue: expected key=value, such as train.steps=1000",
        f"train.bach_size: unknown key; did you mean `batch_size`? ({file}:2)",
        f"train.steps: expected a number, got true ({file}:3)",
        f"train.precision: expected 'auto', 'fp32' or 'bf16', got 'no' ({file}:4)",
        f"train.workers: expected a whole number, got 1.5 ({file}:5)",
        f"optim.critic.lr: expected a number or a ramp {{start, end, over}}, got 'fast' ({file}:7)",
        f"optim.generator.lr.ovr: unknown key; did you mean `over`? ({file}:8)",
        f"optim.generator.lr.end: it is needed and was not given ({file}:8)",
        f"optim.generator.lr.over: it is needed and was not given ({file}:8)",
        f"data.held_out: expected a number, got 'much' ({file}:9)",
        f"model: expected a mapping, got 3 ({file}:10)",
        f"metrics: expected a list, got 'toy.score' ({file}:11)",
        f"colour: unknown key ({file}:12)",
        "model.critic.norm.kind: expected 'batch' or 'group', got 'grup'; did you mean `group`? (--set)",
        "objective.name: there is no objective `hing`; did you mean `hinge`? (--set)",
    }


@pytest.mark.parametrize(
    ("override", "problem"),
    [
        ("data.cuont=3", "data.cuont: unknown key; did you mean `count`?"),
        ("data.count=0", "data: a dataset without dots"),
        ("data=toy.dits", "data.name: there is no dataset `toy.dits`; did you mean `toy.dots`?"),
        ("data=toy.folder", "data.root: it is needed and was not given (--set)"),
        ("data=3", "data: expected a name, or a mapping with `name`, got 3"),
        ("augment={p: 1}", "augment: it needs a `name`, the augment's"),
        ("model.generator=toy.deep", "model.generator.depth: it is needed and was not given"),
        ("model.critic=toy.deep", "model.critic.name: the generator `toy.deep` is no critic"),
        ("model.generator.norm=3", "model.generator.norm: expected a mapping, got 3"),
        ("metrics=[{name: toy.score, neighbors: 3}]", "metrics.0.neighbors: unknown key; did you mean `neighbours`?"),
        ("metrics=[toy.scare]", "metrics.0.name: there is no metric `toy.scare`; did you mean `toy.score`?"),
        ("penalties.r1.wait=3", "penalties.r1.wait: unknown key; did you mean `weight`?"),
        ("penalties.r3={}", "penalties.r3: there is no penalty `r3`"),
        ("penalties.lecan=null", "penalties.lecan: there is no penalty `lecan`; did you mean `lecam`?"),
        ("penalties.r1=3", "penalties.r1: expected a mapping such as {weight: 1.0}, or null, got 3"),
        ("penalties.r1.weight=x", "penalties.r1.weight: expected a number or a ramp {start, end, over}, got 'x'"),
        ("preset=smal", "preset: unknown preset 'smal'; did you mean `small`?"),
        ("preset=3", "preset: unknown preset '3'; there are: small, typo"),
        ("preset=typo", "train.bach_size: unknown key; did you mean `batch_size`? (preset typo)"),
        ("train.steps.x=3", "train.steps: expected a whole number, got"),
        ("=3", "--set =3: expected key=value"),
    ],
)
def test_a_wrong_override_is_named(spec, override, problem):
    (found,) = problems(spec, overrides=[override])
    assert found.startswith(problem)


def test_a_part_that_a_later_layer_replaces_need_not_exist(spec, write):
    file = write("data: image.gone\npenalties: {gone: {weight: 1}}\n")
    config = resolve_config(spec, files=[file], overrides=["data=toy.dots", "penalties.gone=null"])
    assert config.data.name == "toy.dots"
    assert "gone" not in config.penalties


def test_a_part_of_a_missing_plugin_ends_with_that_plugins_error(spec):
    with pytest.raises(PluginError, match="no plugin for the modality `audio` is installed"):
        resolve_config(spec, overrides=["data=audio.speech"])


@pytest.mark.parametrize(
    ("text", "what", "line"),
    [
        ("a: 1\nb: [1\n", "expected ',' or ']'", 3),
        ("a: 1\nb: 2\na: 3\n", 'duplicate key "a"', 3),
        ("- a\n- b\n", "does not hold a mapping", 1),
        ("a: *b\n", "undefined alias", 1),
        ("a: !python/object:os.system x\n", "could not determine a constructor", 1),
    ],
)
def test_a_file_that_is_no_config_is_named_with_its_line(write, text, what, line):
    path = write(text)
    with pytest.raises(ConfigError, match=what) as caught:
        read_config_file(path)
    assert str(path) in caught.value.what
    assert caught.value.where == f"{path}:{line}"


def test_a_file_that_can_not_be_read_is_named(tmp_path, write):
    with pytest.raises(ConfigError, match=r"missing.yaml can not be read: No such file"):
        read_config_file(tmp_path / "missing.yaml")
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="can not be read"):
        read_config_file(tmp_path / "binary.yaml")
    with pytest.raises(ConfigError, match="alias that contains itself"):
        read_config_file(write("a: &x {b: *x}\n"))
    assert read_config_file(write("# nothing yet\n")) == {}


# --- showing ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("comments", [False, True])
def test_a_config_written_out_reads_back_as_the_same(spec, write, comments):
    overrides = [
        "preset=small", "penalties.r2=null", "penalties.toy.pull={}", "data=toy.folder", "data.root='a: b # c'",
        "data.label='no'", "optim.critic.lr={start: 1e-4, end: 1e-5, over: 1e6}", "ema.half_life=null",
        "metrics=[{name: toy.score, neighbours: 3}]", "train.steps=10",
    ]  # fmt: skip
    config = resolve_config(spec, overrides=overrides)
    text = to_yaml(config, comments=comments)
    again = resolve_config(spec, files=[write(text)])
    assert again == config
    assert "r2" not in again.penalties
    assert to_dict(again) == to_dict(config)
    assert to_yaml(again, comments=comments) == text


def test_comments_are_the_docs_of_recipe_core_and_parts(spec):
    lines = to_yaml(resolve_config(spec), comments=True).splitlines()
    assert lines[lines.index("temperature: 1.0") - 1] == "# A setting of this recipe's own."
    assert lines[lines.index("  batch_size: 64") - 1] == "  # Samples in one update, over all devices together."
    assert lines[lines.index("  count: 100") - 1] == "  # How many dots."
    assert "#" not in to_yaml(resolve_config(spec))


def test_difference_is_told_key_by_key(spec):
    before = to_dict(resolve_config(spec))
    after = to_dict(resolve_config(spec, overrides=["optim.critic.lr=3e-4", "penalties.r2=null", "train.steps=5"]))
    assert difference(before, before) == []
    assert difference(before, after) == [
        "penalties.r2.weight: 0.5 -> (none)",
        "penalties.r2.every: 1 -> (none)",
        "train.steps: null -> 5",
        "optim.critic.lr: 0.0002 -> 0.0003",
    ]


def test_what_may_change_on_resume_exists(spec):
    keys = {f"train.{key}" for key in to_dict(resolve_config(spec))["train"]}
    assert keys >= RESUMABLE
    assert "train.batch_size" not in RESUMABLE


def test_schema_has_docs_defaults_and_the_options_of_parts(spec):
    described = schema(spec)
    json.dumps(described)
    properties = described["properties"]
    assert described["title"] == "toy.plain"
    assert described["additionalProperties"] is False
    assert properties["temperature"]["description"] == "A setting of this recipe's own."
    assert properties["preset"]["enum"] == ["small", "typo", None]
    assert properties["train"]["properties"]["steps"]["description"] == "Stop after this many steps."
    dots = next(
        one for one in properties["data"]["anyOf"] if one.get("properties", {}).get("name") == {"const": "toy.dots"}
    )
    assert dots["properties"]["count"] == {"type": "integer", "description": "How many dots.", "default": 100}
    assert properties["model"]["properties"]["generator"]["anyOf"][0]["enum"] == ["toy.deep", "toy.net"]
    assert set(properties["penalties"]["properties"]) == {"lecam", "r1", "r1_fd", "r2", "toy.pull", "wgan_gp"}
    assert "hinge" in properties["objective"]["anyOf"][0]["enum"]
    assert "$ref" not in json.dumps(described)


def test_a_recipe_whose_config_is_no_recipe_config_is_the_plugins_fault(spec):
    wrong = genkit.RecipeSpec(name="toy.wrong", summary="", config="toy_parts:Dots", build="m:b")
    with pytest.raises(PluginError, match=r"is no subclass of genkit.RecipeConfig"):
        resolve_config(wrong)
