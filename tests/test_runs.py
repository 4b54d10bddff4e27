"""The lock of a run directory: who holds it, and who only looks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

import genkit
from genkit.runs import Run, list_runs

fcntl = pytest.importorskip("fcntl", reason="this system has no advisory locks")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "run", recipe="a.b", seed=0, config="recipe: a.b\nseed: 0\n", environment={})


TRAINS = """
import os, sys, time
from pathlib import Path
from genkit.runs import Run

with Run(Path(sys.argv[1]), recipe="a.b", seed=0).locked():
    if os.fork() == 0:  # as a loader process is made
        time.sleep(30)
        os._exit(0)
    print("locked", flush=True)
    time.sleep(30)
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
def test_the_lock_ends_with_the_trainer_and_not_with_its_loader_processes(run: Run) -> None:
    trainer = subprocess.Popen(
        [sys.executable, "-c", TRAINS, str(run.path)], stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        assert trainer.stdout is not None
        assert trainer.stdout.readline() == "locked\n"
        assert run.is_locked()
        with pytest.raises(genkit.UsageError, match="another process is training"), run.locked():
            pass
        trainer.send_signal(signal.SIGKILL)
        trainer.wait()
        assert not run.is_locked()
        with run.locked():
            pass
    finally:
        os.killpg(trainer.pid, signal.SIGKILL)  # the child that is left
        trainer.wait()


def test_to_look_at_the_lock_takes_no_right_to_write_and_leaves_nothing(run: Run) -> None:
    assert not run.is_locked()
    assert not (run.path / ".lock").exists()
    with run.locked():
        assert run.is_locked()
    assert not run.is_locked()


def test_runs_of_another_user_are_listed(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    with run.locked():
        run.set_status("running", step=3, seconds=1.0)
    known = Path.open

    def refused(path: Path, *args: object, **options: object) -> object:
        if path.name == ".lock":
            raise PermissionError(13, "Permission denied", str(path))
        return known(path, *args, **options)

    monkeypatch.setattr(Path, "open", refused)
    (summary,) = list_runs(run.path.parent)
    assert (summary.status, summary.step) == ("interrupted", 3)


def test_someone_who_looks_keeps_no_trainer_out(run: Run) -> None:
    (run.path / ".lock").touch()
    looking = threading.Event()

    def look() -> None:
        with (run.path / ".lock").open() as file:
            fcntl.flock(file, fcntl.LOCK_SH)
            looking.set()
            time.sleep(0.1)

    other = threading.Thread(target=look)
    other.start()
    looking.wait()
    with run.locked():
        assert run.is_locked()
    other.join()
