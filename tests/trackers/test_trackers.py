"""Trackers on runs of a few steps: each gets every figure and preview once, and none that fails costs the run."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
from click.testing import CliRunner

import genkit
from genkit import trackers
from genkit.cli.main import main
from genkit.plugins import plugins
from genkit.runs import Run
from genkit.trackers import TRACKERS, Tracker, activated, check_trackers

PICTURE = b"\x89PNG not really"


class Notebook(Tracker):
    """Writes down what it is told."""

    name: ClassVar[str] = "notebook"
    told: ClassVar[list[tuple[Any, ...]]] = []
    fails_at: ClassVar[str | None] = None

    def open(self, run: Run, config: Mapping[str, Any], known: str | None) -> str | None:
        print("welcome")
        self._tell("open", config["recipe"], known)
        return "page 1"

    def figures(self, step: int, values: Mapping[str, float]) -> None:
        self._tell("figures", step, tuple(sorted(values)))

    def picture(self, step: int, name: str, path: Path) -> None:
        self._tell("picture", step, path.name)

    def sound(self, step: int, name: str, path: Path) -> None:
        self._tell("sound", step, path.name)

    def text(self, step: int, name: str, text: str) -> None:
        self._tell("text", step, text)

    def close(self, status: trackers.tracker.Status) -> None:
        self._tell("close", status)

    def _tell(self, *what: Any) -> None:
        if what[0] == self.fails_at:
            raise ConnectionError("the pen is dry")
        self.told.append(what)


@pytest.fixture
def notebook(monkeypatch: pytest.MonkeyPatch) -> Iterator[type[Notebook]]:
    known = SimpleNamespace(module="json", tracker="notebooks:Notebook")
    monkeypatch.setattr(trackers, "TRACKERS", {**TRACKERS, "notebook": known})
    monkeypatch.setattr(trackers, "resolve", lambda text: Notebook)
    monkeypatch.setattr(Notebook, "told", [])
    yield Notebook
    Notebook.fails_at = None


@pytest.fixture
def run(tmp_path: Path) -> Run:
    config = "recipe: toy.recipe\nseed: 0\ntrain:\n  steps: 4\n"
    return Run.create(tmp_path / "run", recipe="toy.recipe", seed=0, config=config, environment={})


def log(run: Run, *steps: int) -> None:
    """A log interval's line at each of these steps, and its hook."""
    for step in steps:
        run.append("train", step, {"samples": step, "loss/critic": 1.0})
        plugins().notify("genkit_step_end", run=run, step=step, metrics={"loss/critic": 1.0})


def begin(run: Run) -> None:
    plugins().notify("genkit_run_start", run=run)


def end(run: Run) -> None:
    plugins().notify("genkit_run_end", tolerant=True, run=run, status="done", error=None)


def test_a_tracker_is_told_of_figures_evaluations_and_previews(notebook: type[Notebook], run: Run) -> None:
    with activated(["notebook"]):
        begin(run)
        for name in ("00000000.png", "00000000.wav"):
            (run.samples / name).write_bytes(PICTURE)
        log(run, 1)
        (run.samples / "00000002.txt").write_text("words")
        (run.samples / "drawn").mkdir()
        run.append("scores", 2, {"scores": []})
        run.append("eval", 2, {"frechet[lenet]": 3.0})
        log(run, 2)
        end(run)
    assert notebook.told == [
        ("open", "toy.recipe", None),
        ("figures", 1, ("loss/critic", "samples")),
        ("picture", 0, "00000000.png"),
        ("sound", 0, "00000000.wav"),
        ("figures", 2, ("metric/frechet[lenet]",)),
        ("figures", 2, ("loss/critic", "samples")),
        ("text", 2, "words"),
        ("close", "done"),
    ]
    assert plugins().status("tracker-notebook") is None


def test_a_resumed_run_tells_nothing_twice(notebook: type[Notebook], run: Run) -> None:
    with activated(["notebook"]):
        begin(run)
        log(run, 1, 2, 3)  # killed here: nobody is told of the end
    run.rewind(2)
    with activated(["notebook"]):
        begin(run)
        log(run, 3, 4)
        end(run)
    assert [what[1] for what in notebook.told if what[0] == "figures"] == [1, 2, 3, 4]
    assert ("open", "toy.recipe", "page 1") in notebook.told


@pytest.mark.parametrize("moment", ["open", "figures", "close"])
def test_a_tracker_that_fails_costs_one_warning(
    notebook: type[Notebook], run: Run, moment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    notebook.fails_at = moment
    with activated(["notebook"]):
        begin(run)
        log(run, 1, 2)
        end(run)
    out, err = capsys.readouterr()
    warning = "tracker notebook failed and is left out from here on: ConnectionError: the pen is dry"
    assert err.count(warning) == 1
    assert (run.path / "log.txt").read_text().count(warning) == 1
    assert "welcome" not in out


def test_a_run_goes_on_without_its_tracker(notebook: type[Notebook], tmp_path: Path) -> None:
    notebook.fails_at = "figures"
    result = small_run(tmp_path / "run", "notebook")
    assert (result.step, [what[0] for what in notebook.told]) == (2, ["open"])


def test_trackers_that_can_not_serve_are_told_before_training(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(genkit.UnknownNameError, match="there is no tracker `wandbb`; did you mean `wandb`"):
        check_trackers(["wandbb"])
    monkeypatch.setattr(trackers, "find_spec", lambda name: object())
    with pytest.raises(genkit.UsageError, match="asked for twice"):
        check_trackers(["wandb", "wandb"])
    monkeypatch.setattr(trackers, "find_spec", lambda name: None)
    ended = CliRunner().invoke(main, ["run", "points.ring8", "--tracker", "mlflow", "--out", str(tmp_path / "run")])
    assert ended.exit_code == 3
    assert 'pip install "genkit-gan[mlflow]"' in ended.stderr
    assert not (tmp_path / "run").exists()


# --- the services themselves, as far as they are installed -----------------------------------------------------------


def small_run(path: Path, *names: str) -> genkit.RunResult:
    values = {
        "train.log_every": 1, "train.preview_every": 2, "train.batch_size": 32, "train.eval_samples": 64,
        "data.examples": 500, "data.held_out": 200,
    }  # fmt: skip
    return genkit.run("points.ring8", steps=2, out=path, device="cpu", values=values, trackers=names, report=False)


def failures(path: Path) -> str:
    known = path / "log.txt"
    return "".join(line for line in known.read_text().splitlines() if "failed" in line) if known.exists() else ""


def test_tensorboard_has_figures_pictures_and_texts(tmp_path: Path) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    small_run(tmp_path / "run", "tensorboard")
    assert failures(tmp_path / "run") == ""
    events = reader.EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    assert [one.step for one in events.Scalars("loss/critic")] == [1, 2]
    assert [one.step for one in events.Images("preview")] == [0, 2]
    assert "metric/modes" in events.Tags()["scalars"]
    assert "config" in events.Tags()["tensors"]


def test_tensorboard_plays_sounds_and_shows_texts(run: Run) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    (run.samples / "00000003.wav").write_bytes(b"RIFF not really")
    (run.samples / "00000003.txt").write_text("some words")
    with activated(["tensorboard"]):
        begin(run)
        end(run)
    assert failures(run.path) == ""
    events = reader.EventAccumulator(str(run.path / "tensorboard"))
    events.Reload()
    (sound,) = events.Audio("preview sound")
    assert (sound.step, sound.encoded_audio_string) == (3, b"RIFF not really")
    (text,) = events.Tensors("preview text")
    assert text.tensor_proto.string_val[0] == b"    some words"


def test_wandb_offline_keeps_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb")
    monkeypatch.setenv("WANDB_MODE", "offline")
    small_run(tmp_path / "run", "wandb")
    assert failures(tmp_path / "run") == ""
    (kept,) = (tmp_path / "run" / "wandb").glob("offline-run-*/run-*.wandb")
    assert b"loss/critic" in kept.read_bytes()
    assert len(list((tmp_path / "run" / "wandb").glob("offline-run-*/files/media/images/*.png"))) == 2
    assert json.loads((tmp_path / "run" / "trackers" / "wandb.json").read_text())["known"] in kept.name


def test_mlflow_keeps_a_run_in_a_file_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (tmp_path / "store").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    small_run(tmp_path / "run", "mlflow")
    assert failures(tmp_path / "run") == ""
    (known,) = (tmp_path / "store").glob("*/*/metrics/loss/critic")
    assert [line.split()[2] for line in known.read_text().splitlines()] == ["1", "2"]
    at = known.parents[2]
    assert (at / "params" / "train.batch_size").read_text() == "32"
    assert sorted(path.name for path in (at / "artifacts" / "samples").iterdir()) == ["00000000.png", "00000002.png"]
    assert "status: 3" in (at / "meta.yaml").read_text()


def test_trackio_keeps_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))  # read where it is imported
    pytest.importorskip("trackio")
    small_run(tmp_path / "run", "trackio")
    assert failures(tmp_path / "run") == ""
    assert json.loads((tmp_path / "run" / "trackers" / "trackio.json").read_text())["told"] == {
        "train": 2, "eval": 2, "preview": 2,
    }  # fmt: skip
