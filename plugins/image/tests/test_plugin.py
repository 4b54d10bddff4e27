from __future__ import annotations

import ast
import importlib.metadata
import subprocess
import sys
from pathlib import Path
from pkgutil import resolve_name

import pytest

import genkit
import genkit_image
from genkit import Part
from genkit_image import plugin

SPECS = [
    *plugin.genkit_recipes(), *plugin.genkit_models(), *plugin.genkit_datasets(), *plugin.genkit_objectives(),
    *plugin.genkit_metrics(), *plugin.genkit_writers(), *plugin.genkit_views(), *plugin.genkit_benchmarks(),
]  # fmt: skip
NAMES = {spec.name for spec in SPECS if hasattr(spec, "name")}


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: getattr(spec, "name", "writer"))
def test_every_import_string_leads_somewhere(spec):
    strings = [value for value in vars(spec).values() if isinstance(value, str) and value.startswith("genkit_image.")]
    assert strings
    for string in strings:
        assert resolve_name(string) is not None


def test_the_plugin_and_its_configs_need_no_torch():
    light = {spec.config.split(":")[0] for spec in SPECS if hasattr(spec, "config")}
    light |= {spec.presets.split(":")[0] for spec in plugin.genkit_recipes() if spec.presets}
    code = (
        f"import importlib, sys\nfor name in {sorted({'genkit_image.plugin', *light})}: importlib.import_module(name)\n"
        "assert 'torch' not in sys.modules, 'torch was imported'"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_it_is_announced_under_its_entry_point():
    (point,) = [one for one in importlib.metadata.entry_points(group="genkit") if one.name == "image"]
    assert point.value == "genkit_image.plugin"
    assert point.dist.name == "genkit-gan-image"


def test_recipes_name_parts_that_exist():
    for spec in plugin.genkit_recipes():
        config = resolve_name(spec.config)()
        parts = [config.data, config.model.generator, config.model.critic, *config.metrics]
        assert {Part.of(part).name for part in parts} <= NAMES


def test_only_public_names_of_genkit_are_imported():
    for path in Path(genkit_image.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "genkit":
                public = {"genkit": genkit, "genkit.evaluation": genkit.evaluation}
                assert node.module in public, path
                assert {one.name for one in node.names} <= set(public[node.module].__all__), path
            if isinstance(node, ast.Import):
                assert not any(one.name.startswith("genkit.") for one in node.names), path
