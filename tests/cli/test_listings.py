"""Listings and `genkit config`."""

from __future__ import annotations

import json
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from ruamel.yaml import YAML

from genkit.cli import output
from genkit.cli.main import main
from genkit.runs import Run


@pytest.fixture
def invoke(distributions):
    distributions.add_toy()
    return lambda *args: CliRunner().invoke(main, args)


def rows(invoke, *args):
    ended = invoke(*args, "--json")
    assert ended.exit_code == 0, ended.output
    return json.loads(ended.stdout)


def test_json_names_the_source_of_everything(invoke):
    source = {"plugin": "toy", "distribution": "toy-distribution", "version": "2.0"}
    assert rows(invoke, "recipes") == [{"recipe": "toy.plain", "summary": "A toy.", "tags": ["small"], **source}]
    assert rows(invoke, "datasets")[0] == {
        "dataset": "toy.dots", "modality": "toy", "summary": "Dots.", "offline": True, "licence": "CC0-1.0", **source,
    }  # fmt: skip
    assert [(row["model"], row["role"]) for row in rows(invoke, "models")] == [
        ("toy.deep", "generator"),
        ("toy.net", "critic"),
        ("toy.net", "generator"),
    ]


def test_without_a_terminal_a_listing_is_tab_separated(invoke):
    assert invoke("recipes").stdout == "toy.plain\tA toy.\ttoy\n"
    assert invoke("datasets").stdout.splitlines()[1] == "toy.folder\tFiles.\tyes\tyours\ttoy"


def test_on_a_terminal_a_listing_is_a_table(monkeypatch, capsys):
    monkeypatch.setattr("sys.stdout.isatty", lambda: True, raising=False)
    output.print_rows([{"name": "[red]", "on": True}], ["name", "on"], as_json=False, nothing="none")
    lines = click.unstyle(capsys.readouterr().out).splitlines()
    assert [line.split() for line in lines] == [["name", "on"], ["[red]", "yes"]]


def test_nothing_to_list_is_said_on_stderr(distributions):
    ended = CliRunner().invoke(main, ["recipes"])
    assert (ended.exit_code, ended.stdout) == (0, "")
    assert "no recipes" in ended.stderr
    assert json.loads(CliRunner().invoke(main, ["recipes", "--json"]).stdout) == []


def test_config_prints_yaml_with_docs_that_reads_back(invoke, tmp_path):
    ended = invoke("config", "toy.plain", "--set", "train.steps=7")
    assert "  # Stop after this many steps.\n  steps: 7\n" in ended.stdout
    values = YAML(typ="safe", pure=True).load(ended.stdout)
    assert values["model"]["generator"]["name"] == "toy.net"
    path = tmp_path / "config.yaml"
    path.write_text(ended.stdout)
    assert invoke("config", "toy.plain", "--config", str(path)).stdout == ended.stdout
    assert json.loads(invoke("config", "toy.plain", "--set", "train.steps=7", "--json").stdout) == values


def test_config_diff_shows_what_was_changed(invoke):
    changed = invoke("config", "toy.plain", "--diff", "--set", "preset=small", "--set", "train.steps=7")
    assert changed.stdout.splitlines() == [
        "preset: null -> small",
        "model.generator.width: 16 -> 4",
        "penalties.r1.weight: 0.5 -> 3.0",
        "train.batch_size: 64 -> 8",
        "train.steps: null -> 7",
    ]
    assert invoke("config", "toy.plain", "--diff").stdout == ""


def test_config_schema_is_json(invoke):
    assert json.loads(invoke("config", "toy.plain", "--schema").stdout)["title"] == "toy.plain"


def test_runs_lists_run_directories(invoke, tmp_path):
    run = Run.create(tmp_path / "one", recipe="toy.plain", seed=0, config="recipe: toy.plain\n", environment={})
    run.set_status("done", step=20, seconds=1.5, metrics={"score": 0.25})
    (listed,) = rows(invoke, "runs", str(tmp_path))
    assert listed == {
        "run": str(Path(tmp_path / "one")), "recipe": "toy.plain", "status": "done", "step": 20, "seconds": 1.5,
        "metrics": {"score": 0.25},
    }  # fmt: skip
    assert invoke("runs", str(tmp_path)).stdout.split("\t")[1:] == ["toy.plain", "done", "20", "1.5", "score 0.25\n"]


def test_runs_without_a_directory_is_not_an_error(invoke, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert rows(invoke, "runs") == []
