"""Every hook, implemented by a plugin of the test's own: one test a hook, named after it, as test_docs.py demands."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
import torch
from click.testing import CliRunner

import genkit
from genkit.catalog import catalog
from genkit.cli.main import main
from genkit.plugins import plugins
from genkit.runs import Run

RECIPE = "points.ring8"
NOWHERE = {"config": "nowhere:Config", "build": "nowhere:build"}


def plugin(**hooks: Callable[..., Any]) -> None:
    """Register a plugin `spy` with these hooks."""
    status = plugins().register("spy", SimpleNamespace(**{name: genkit.hookimpl(hook) for name, hook in hooks.items()}))
    assert status.state == "ok", status.error


def train(path: Path, steps: int, **values: Any) -> genkit.RunResult:
    """A run of a few steps that logs each."""
    small = {**catalog().recipe(RECIPE).smoke, "train.log_every": 1, "train.preview_every": 0, **values}
    return genkit.run(RECIPE, steps=steps, values=small, out=path, device="cpu")


# --- registration ----------------------------------------------------------------------------------------------------


def test_genkit_recipes() -> None:
    spec = genkit.RecipeSpec(name="spy.recipe", summary="A recipe.", **NOWHERE)
    plugin(genkit_recipes=lambda: [spec])
    assert catalog().recipe("spy.recipe") is spec


def test_genkit_models() -> None:
    spec = genkit.ModelSpec(name="spy.net", role="critic", modality="spy", summary="A net.", **NOWHERE)
    plugin(genkit_models=lambda: [spec])
    assert catalog().part("critic", "spy.net") is spec
    with pytest.raises(genkit.UnknownNameError, match=r"the critic `spy\.net` is no generator"):
        catalog().part("generator", "spy.net")


def test_genkit_datasets() -> None:
    more = {"config": "nowhere:Config", "open": "nowhere:open", "offline": True, "licence": "yours"}
    spec = genkit.DatasetSpec(name="spy.data", modality="spy", summary="Data.", **more)
    plugin(genkit_datasets=lambda: [spec])
    assert catalog().part("dataset", "spy.data") is spec


@pytest.mark.parametrize("role", ["objective", "penalty", "augment"])
def test_genkit_objectives(role: str) -> None:
    spec = genkit.ObjectiveSpec(name="spy.part", role=role, summary="A part.", **NOWHERE)
    plugin(genkit_objectives=lambda: [spec])
    assert catalog().part(role, "spy.part") is spec


def test_genkit_metrics() -> None:
    spec = genkit.MetricSpec(name="spy.metric", modality="spy", summary="A metric.", better={"x": "lower"}, **NOWHERE)
    plugin(genkit_metrics=lambda: [spec])
    assert catalog().part("metric", "spy.metric") is spec


def test_genkit_writers() -> None:
    spec = genkit.WriterSpec(modality="spy", build="nowhere:build")
    plugin(genkit_writers=lambda: [spec])
    assert catalog().writer("spy") is spec


def test_genkit_exports() -> None:
    """Two modalities may have a format of one name."""
    specs = [
        genkit.ExportSpec(name="spy", modality=modality, summary="A format.", export="nowhere:export")
        for modality in ("spy", "other")
    ]
    plugin(genkit_exports=lambda: specs)
    assert catalog().export("spy", "spy") is specs[0]
    assert catalog().export("spy", "other") is specs[1]
    with pytest.raises(genkit.UsageError, match="can not be exported to 'flac'"):
        catalog().export("flac", "spy")


@click.command()
@click.option("--loud", is_flag=True)
def speak(loud: bool) -> None:
    """Say a word."""
    click.echo("WORD" if loud else "word")


@pytest.fixture
def spoken(monkeypatch: pytest.MonkeyPatch) -> str:
    """An import string of `speak`."""
    monkeypatch.setitem(sys.modules, "spoken_module", SimpleNamespace(speak=speak))
    return "spoken_module:speak"


@dataclass(frozen=True)
class SpiedConfig:
    """How often a word is written."""

    word: str
    """Which word."""
    times: int = 2
    """How often."""


def draw_words(config: SpiedConfig, subject: genkit.Subject, path: Path) -> list[Path]:
    """A view: the word, and how many samples a batch of three has."""
    latent, condition = subject.inputs(3)
    shape = list(subject.sampler.generate(latent, condition).sample.shape)
    written = path.with_name(f"{path.name}.txt")
    written.write_text(f"{config.word * config.times} {shape}")
    return [written]


def test_genkit_views(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    here = SimpleNamespace(Config=SpiedConfig, draw=draw_words)
    monkeypatch.setitem(sys.modules, "spied_view", here)
    names = {"config": "spied_view:Config", "draw": "spied_view:draw"}
    views = [
        genkit.ViewSpec(name="words", modality=modality, summary="A word.", **names) for modality in ("points", "spy")
    ]
    plugin(genkit_views=lambda: views)
    run = str(train(tmp_path / "run", 1).run)
    listed = CliRunner().invoke(main, ["inspect", run]).stdout
    assert listed.splitlines() == ["words: A word.", "  word (required): Which word.", "  times (2): How often."]
    ended = CliRunner().invoke(main, ["inspect", run, "words", "--set", "word=007", "--json"], catch_exceptions=False)
    (written,) = json.loads(ended.stdout)["files"]
    assert written == str(tmp_path / "run" / "samples" / "00000001-words.txt")
    assert Path(written).read_text() == "007007 [3, 2]"
    assert [*genkit.inspect(run, "words", out=tmp_path / "out", values={"word": "a", "times": 1})] == [
        tmp_path / "out" / "words.txt"
    ]
    with pytest.raises(genkit.UsageError, match="did you mean `words`"):
        genkit.inspect(run, "word")
    with pytest.raises(genkit.ConfigError, match="the view `words`"):
        genkit.inspect(run, "words")
    sampled = genkit.load(run, device="cpu")
    latent, condition = sampled.inputs(70, seed=4)
    assert torch.equal(sampled.generate(latent, condition).sample, sampled.draw(0, 70, 4).sample)


def test_genkit_benchmarks(spoken: str) -> None:
    plugin(genkit_benchmarks=lambda: [genkit.BenchmarkSpec(name="spy", summary="Times a word.", command=spoken)])
    assert "Times a word." in CliRunner().invoke(main, ["bench", "--help"]).stdout
    assert CliRunner().invoke(main, ["bench", "spy", "--loud"]).stdout == "WORD\n"


def test_genkit_commands(spoken: str) -> None:
    plugin(genkit_commands=lambda: [genkit.CommandSpec(name="speak", summary="Says a word.", command=spoken)])
    theirs = CliRunner().invoke(main, ["--help"]).stdout.partition("Plugin commands:")[2]
    assert "Says a word." in theirs
    assert CliRunner().invoke(main, ["speak"]).stdout == "word\n"


def test_genkit_doctor() -> None:
    check = genkit.Check(name="spy", status="error", detail="the line is dead", fix="call someone")
    plugin(genkit_doctor=lambda: [check])
    ended = CliRunner().invoke(main, ["doctor", "--json"])
    assert ended.exit_code == 1
    (found,) = [one for one in json.loads(ended.stdout) if one["name"] == "spy"]
    assert (found["status"], found["detail"], found["fix"]) == ("error", "the line is dead", "call someone")


def test_a_registration_hook_that_raises_costs_its_plugin_alone(capsys: pytest.CaptureFixture[str]) -> None:
    spec = genkit.RecipeSpec(name="spy.recipe", summary="A recipe.", **NOWHERE)
    plugin(genkit_recipes=lambda: [spec], genkit_models=lambda: 1 / 0)
    assert RECIPE in catalog().recipes
    with pytest.raises(genkit.PluginError, match="plugin `spy` is broken: genkit_models: ZeroDivisionError"):
        catalog().recipe("spy.recipe")
    assert capsys.readouterr().err.count("\n") == 1


# --- a run -----------------------------------------------------------------------------------------------------------


def test_genkit_run_start(tmp_path: Path) -> None:
    seen: list[Run] = []

    def start(run: Run) -> None:
        seen.append(run)
        assert run.steps() == []

    plugin(genkit_run_start=start)
    train(tmp_path / "run", 1)
    (run,) = seen
    assert (run.path, run.recipe, run.seed) == (tmp_path / "run", RECIPE, 0)


def test_genkit_step_end(tmp_path: Path) -> None:
    seen: list[tuple[int, dict[str, float]]] = []
    plugin(genkit_step_end=lambda step, metrics: seen.append((step, dict(metrics))))
    train(tmp_path / "run", 5, **{"train.log_every": 2})
    assert [step for step, _ in seen] == [2, 4, 5]
    records = [record for record in Run.open(tmp_path / "run").records() if record["kind"] == "train"]
    for (step, metrics), record in zip(seen, records, strict=True):
        assert metrics.items() <= record.items()
        assert record["step"] == step
        assert {"loss/critic", "loss/generator", "gradient/critic", "critic/accuracy"} <= metrics.keys()
        assert all(type(value) is float for value in metrics.values())


def test_genkit_evaluate(tmp_path: Path) -> None:
    plugin(genkit_evaluate=lambda run, step: {"spied": float(step), "runs": float(len(run.steps()))})
    result = train(tmp_path / "run", 4, **{"train.eval_every": 2, "train.keep_best": "spied"})
    assert {"modes", "spied"} <= result.metrics.keys()
    evaluations = [record for record in Run.open(tmp_path / "run").records() if record["kind"] == "eval"]
    assert [record["spied"] for record in evaluations] == [2.0, 4.0]
    assert [record["runs"] for record in evaluations] == [1.0, 2.0]  # it comes after the checkpoint of its step
    assert Run.open(tmp_path / "run").checkpoint("best").name == "2"


class Memory:
    """A checkpoint part with a tensor and a number."""

    def __init__(self) -> None:
        self.trail = torch.zeros(0)
        self.calls = 0

    def note(self, step: int) -> None:
        self.trail = torch.cat([self.trail, torch.tensor([float(step)])])
        self.calls += 1

    def state_dict(self) -> dict[str, Any]:
        return {"trail": self.trail, "calls": self.calls}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.trail, self.calls = state["trail"], state["calls"]


def test_genkit_checkpoint_parts(tmp_path: Path) -> None:
    def remember() -> tuple[Memory, list[str]]:
        memory, order = Memory(), []

        def parts(run: Run) -> dict[str, Memory]:
            order.append("parts")
            return {"memory": memory}

        plugin(
            genkit_checkpoint_parts=parts,
            genkit_run_start=lambda run: order.append("start"),
            genkit_step_end=lambda step: memory.note(step),
        )
        return memory, order

    first, order = remember()
    train(tmp_path / "run", 2)
    assert order[0] == "start"
    genkit_plugins_anew()
    second, order = remember()
    genkit.resume(tmp_path / "run", steps=4, device="cpu")
    assert order[:2] == ["parts", "start"]
    assert first.trail.tolist() == [1.0, 2.0]
    assert (second.trail.tolist(), second.calls) == ([1.0, 2.0, 3.0, 4.0], 4)
    genkit_plugins_anew()
    genkit.resume(tmp_path / "run", steps=5, device="cpu")  # without the plugin its part is left out
    genkit_plugins_anew()
    third, _ = remember()
    genkit.resume(tmp_path / "run", steps=6, device="cpu")
    assert third.trail.tolist() == [6.0]


def genkit_plugins_anew() -> None:
    """Forget the plugins, as a new process would."""
    from genkit import plugins as loader

    loader.reset()


def test_genkit_run_end(tmp_path: Path) -> None:
    seen: list[tuple[str, str, str | None]] = []
    now: dict[str, Callable[[], object]] = {"step": lambda: None}
    plugin(
        genkit_step_end=lambda: now["step"](),
        genkit_run_end=lambda run, status, error: seen.append((run.path.name, status, error)),
    )
    train(tmp_path / "done", 2)
    assert seen.pop() == ("done", "done", None)
    once = iter([signal.SIGTERM])
    now["step"] = lambda: [signal.raise_signal(number) for number in once]
    with pytest.raises(genkit.Interrupted) as stopped:
        train(tmp_path / "stopped", 5)
    assert stopped.value.exit_code == 143
    assert seen.pop() == ("stopped", "stopped", "stopped by signal 15 at step 2")
    now["step"] = lambda: 1 / 0
    with pytest.raises(genkit.PluginError) as failed:
        train(tmp_path / "failed", 5)
    assert failed.value.exit_code == 3
    name, status, error = seen.pop()
    assert (name, status) == ("failed", "failed")
    assert error is not None
    assert "plugin `spy` failed in genkit_step_end: ZeroDivisionError" in error
    assert Run.open(tmp_path / "failed").status()["status"] == "failed"
    assert not seen


def test_a_failing_run_end_is_told_and_changes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    plugin(genkit_run_end=lambda: 1 / 0)
    assert train(tmp_path / "run", 1).step == 1
    assert Run.open(tmp_path / "run").status()["status"] == "done"
    assert "warning: plugin `spy` failed in genkit_run_end: ZeroDivisionError" in capsys.readouterr().err


@pytest.mark.parametrize("hook", ["genkit_run_start", "genkit_evaluate", "genkit_checkpoint_parts"])
def test_a_failing_run_hook_ends_the_run_and_names_its_plugin(hook: str, tmp_path: Path) -> None:
    plugin(**{hook: lambda: 1 / 0})
    with pytest.raises(genkit.PluginError) as caught:
        train(tmp_path / "run", 1)
    assert f"plugin `spy` failed in {hook}: ZeroDivisionError" in str(caught.value)
    assert "--no-plugin spy" in str(caught.value)
