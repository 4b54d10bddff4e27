"""`genkit.run` before its first step: what it goes on with, what it refuses, and what a refusal leaves behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import genkit
from genkit import session
from genkit.cli.main import main
from genkit.runs import Run
from genkit.training.distributed import World
from genkit.training.trainer import Trainer

Start = Callable[..., genkit.RunResult]


@pytest.fixture
def start(distributions: Any) -> Start:
    """Runs `words.chain` for two steps."""
    distributions.add_words()

    def start(**options: Any) -> genkit.RunResult:
        return genkit.run("words.chain", **({"steps": 2, "device": "cpu", "report": False} | options))

    return start


# --- the seed, the recipe and the run that is gone on with -----------------------------------------------------------


def test_going_on_in_another_directory_takes_the_same_seed(start: Start, tmp_path: Path) -> None:
    start(out=tmp_path / "a", seed=3)
    with pytest.raises(genkit.ConfigError, match="was run with another seed") as caught:
        start(resume=tmp_path / "a", out=tmp_path / "b", steps=4)
    assert caught.value.problems == ("seed: 3 -> 0",)
    assert (caught.value.where, caught.value.fix) == ("--resume", "--seed 3")
    assert not (tmp_path / "b").exists()
    assert start(resume=tmp_path / "a", out=tmp_path / "b", steps=4, seed=3).step == 4
    assert Run.open(tmp_path / "b").seed == 3


def test_going_on_takes_the_same_recipe(start: Start, tmp_path: Path) -> None:
    start(out=tmp_path / "a")
    settings = tmp_path / "a" / "config.yaml"
    settings.write_text(settings.read_text().replace("recipe: words.chain", "recipe: words.other"))
    with pytest.raises(genkit.ConfigError, match=r"holds a run of words\.other, not of words\.chain"):
        start(resume=tmp_path / "a", out=tmp_path / "b", steps=4)


def test_a_checkpoint_does_not_go_on_in_a_directory_that_holds_another_run(start: Start, tmp_path: Path) -> None:
    start(out=tmp_path / "a")
    start(out=tmp_path / "b")
    with pytest.raises(genkit.UsageError, match=r"b holds a run already, and .*a/checkpoints/2 is no checkpoint of it"):
        start(resume=tmp_path / "a", out=tmp_path / "b", steps=4)
    assert Run.open(tmp_path / "b").steps() == [2]
    assert start(resume=tmp_path / "a", out=tmp_path / "x" / ".." / "a", steps=4).step == 4


def test_a_config_file_brings_its_seed(start: Start, tmp_path: Path) -> None:
    start(out=tmp_path / "a", seed=3)
    file = tmp_path / "a" / "config.yaml"
    start(out=tmp_path / "b", config=file)
    assert Run.open(tmp_path / "b").seed == 3
    assert (tmp_path / "b" / "config.yaml").read_text() == file.read_text()
    start(out=tmp_path / "c", config=file, seed=0)
    assert Run.open(tmp_path / "c").seed == 0
    start(out=tmp_path / "d")
    assert Run.open(tmp_path / "d").seed == 0
    file.write_text("seed: three\n")
    with pytest.raises(genkit.ConfigError, match="a seed is a whole number, and this is 'three'") as caught:
        start(out=tmp_path / "e", config=file)
    assert caught.value.where == f"{file}:1"


def test_every_process_goes_on_from_the_checkpoint_that_the_first_one_found(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Later(World):
        """A process that looks at `latest` after it has moved."""

        def share(self, text: str) -> str:
            return text.replace("checkpoints/4", "checkpoints/2")

    class Begins(genkit.Observer):
        steps: list[int] = []  # noqa: RUF012

        def started(self, trainer: Trainer) -> None:
            self.steps.append(trainer.step)

    start(out=tmp_path / "a", steps=4, values={"train.checkpoint_every": 2})
    monkeypatch.setattr(session, "_join", lambda device: (Later(), session.choose_device("cpu")))
    genkit.resume(tmp_path / "a", steps=4, observers=[Begins()], report=False)
    start(out=tmp_path / "a", steps=4, values={"train.checkpoint_every": 2}, resume="auto", observers=[Begins()])
    assert Begins.steps == [2, 2]


# --- restarts --------------------------------------------------------------------------------------------------------


def test_restarts_that_could_not_go_on_are_refused(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start(out=tmp_path / "a")
    monkeypatch.setenv("TORCHELASTIC_MAX_RESTARTS", "1")
    for options in ({"out": tmp_path / "b"}, {"resume": tmp_path / "a", "out": tmp_path / "b"}):
        with pytest.raises(genkit.UsageError, match="torchrun may restart this run") as caught:
            start(steps=4, **options)
        assert "--out DIR --resume auto" in str(caught.value)
        assert not (tmp_path / "b").exists()
    assert start(out=tmp_path / "b", resume="auto").step == 2
    assert start(resume=tmp_path / "a", steps=4).step == 4


def test_to_go_on_automatically_takes_a_directory(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(genkit.UsageError, match="each time it would be a new run") as caught:
        start(resume="auto")
    assert caught.value.where == "--resume"
    for more in ([], ["--nproc", "2"]):
        ended = CliRunner().invoke(main, ["run", "words.chain", "--steps", "2", "--resume", "auto", *more])
        assert ended.exit_code == 2
        assert "give --out DIR" in ended.stderr
    assert not (tmp_path / "runs").exists()


# --- what a set-up that failed leaves behind -------------------------------------------------------------------------


@pytest.mark.parametrize("error", [ValueError("betas"), KeyboardInterrupt(), genkit.DataError("no data")])
def test_a_set_up_that_fails_leaves_nothing_and_the_next_one_succeeds(
    start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: BaseException
) -> None:
    def fails(*_: Any, **__: Any) -> None:
        raise error

    (tmp_path / "empty").mkdir()
    (tmp_path / "mine" / "samples").mkdir(parents=True)
    (tmp_path / "mine" / "samples" / "mine.txt").write_text("mine")
    with monkeypatch.context() as patch:
        patch.setattr(Trainer, "__init__", fails)
        for name in ("new", "empty", "mine"):
            with pytest.raises(type(error)):
                start(out=tmp_path / name)
    left = sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if "site" not in path.parts)
    assert left == ["empty", "mine", "mine/samples", "mine/samples/mine.txt"]
    for name in ("new", "empty", "mine"):
        assert start(out=tmp_path / name).step == 2


def test_a_run_that_fails_in_its_first_step_stays(start: Start, tmp_path: Path) -> None:
    class Fails(genkit.Observer):
        def started(self, trainer: Trainer) -> None:
            raise ValueError("once it is set up")

    with pytest.raises(ValueError, match="once it is set up"):
        start(out=tmp_path / "a", observers=[Fails()])
    assert Run.open(tmp_path / "a").status()["status"] == "failed"


def test_a_run_without_an_end_is_refused_before_it_has_a_directory(start: Start, tmp_path: Path) -> None:
    with pytest.raises(genkit.UsageError, match="nothing says how long to train"):
        start(out=tmp_path / "a", steps=None)
    assert not (tmp_path / "a").exists()
