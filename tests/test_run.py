"""`genkit run`, killed and gone on with, as a user's machine would do it: real processes, real recipes."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from torch.distributed.launcher.api import LaunchConfig

from genkit.runs import Run

ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
RECIPES: dict[str, list[str]] = {
    "points.grid25": ["--steps", "90"],
    "image.handwriting": ["--steps", "24", "--set", "train.batch_size=16", "--set", "train.eval_samples=64"],
}
OFTEN = ["--set", "train.log_every=1", "--set", "train.preview_every=0"]


def start(
    *arguments: str | Path, environment: dict[str, str] | None = None, cwd: Path | None = None
) -> subprocess.Popen[str]:
    """A `genkit` process."""
    return subprocess.Popen(
        [sys.executable, "-m", "genkit", *map(str, arguments)],
        cwd=cwd,
        env=environment or ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str], code: int = 0) -> tuple[str, str]:
    """Its output, once it has ended as expected."""
    out, err = process.communicate(timeout=240)
    assert process.returncode == code, f"exit {process.returncode}\n{out}\n{err}"
    return out, err


def step_of(path: Path) -> int:
    """The last step a run has logged."""
    if not (path / "metrics.jsonl").exists():
        return 0
    return max((record["step"] for record in Run.open(path).records()), default=0)


def wait_for(process: subprocess.Popen[str], path: Path, step: int) -> None:
    """Return once the run has passed a step."""
    deadline = time.monotonic() + 120
    while step_of(path) < step:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"step {step} was never reached"
        time.sleep(0.02)


def digests(path: Path) -> dict[str, str]:
    """SHA-256 of the final weight files."""
    files = sorted(Run.open(path).checkpoint().glob("*.safetensors"))
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.fixture(scope="module", params=sorted(RECIPES))
def uninterrupted(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A recipe and a run of it that nobody disturbed."""
    path = tmp_path_factory.mktemp("whole") / "run"
    finish(start("run", request.param, *RECIPES[request.param], *OFTEN, "--out", path))
    return request.param, path


@pytest.mark.parametrize("workers", [0, 2])
def test_a_killed_run_goes_on_to_the_same_weights(
    tmp_path: Path, uninterrupted: tuple[str, Path], workers: int
) -> None:
    recipe, whole = uninterrupted
    path = tmp_path / "run"
    steps = int(RECIPES[recipe][1])
    at = random.SystemRandom().randint(steps // 4, steps * 3 // 4)
    loading = ["--set", "train.resident=off", "--set", f"train.workers={workers}", "--set", "train.checkpoint_every=5"]
    process = start("run", recipe, *RECIPES[recipe], *OFTEN, *loading, "--out", path)
    wait_for(process, path, at)
    process.kill()
    process.communicate()
    reached = step_of(path)
    assert reached < steps, "the run ended before it could be killed"
    _, err = finish(start("resume", path))
    assert f"going on from step {reached // 5 * 5}" in err or f"going on from step {reached // 5 * 5 - 5}" in err
    assert digests(path) == digests(whole)
    assert set(digests(path)) == {"generator.safetensors", "generator_ema.safetensors", "critic.safetensors"}


def test_sigterm_saves_and_exits_143(tmp_path: Path, uninterrupted: tuple[str, Path]) -> None:
    recipe, whole = uninterrupted
    path = tmp_path / "run"
    process = start("run", recipe, *RECIPES[recipe], *OFTEN, "--out", path)
    wait_for(process, path, 5)
    process.send_signal(signal.SIGTERM)
    _, err = finish(process, 143)
    assert "stopped by signal 15 at step" in err
    assert Run.open(path).status()["status"] == "stopped"
    stopped_at = Run.open(path).steps()[-1]
    assert 5 <= stopped_at < int(RECIPES[recipe][1])
    finish(start("run", recipe, *RECIPES[recipe], *OFTEN, "--out", path, "--resume", "auto"))
    assert digests(path) == digests(whole)


def test_json_is_the_last_line_and_everything_else_is_on_stderr(tmp_path: Path) -> None:
    out, err = finish(start("run", "points.grid25", "--steps", "20", "--out", tmp_path / "run", "--json"))
    (line,) = out.splitlines()
    result = json.loads(line)
    assert (result["run"], result["step"]) == (str(tmp_path / "run"), 20)
    assert result["seconds"] > 0
    assert set(result["metrics"]) == set(result["scores"]) == {"modes", "high_quality", "reverse_kl"}
    for name, value in result["metrics"].items():
        assert result["scores"][name]["value"] == value
    assert result["scores"]["modes"] == {"value": result["metrics"]["modes"], "floor": 25.0, "better": "higher"}
    assert result["scores"]["reverse_kl"]["better"] == "lower"
    assert "done at step 20" in err
    out, _ = finish(
        start("run", "points.grid25", "--steps", "20", "--out", tmp_path / "run", "--json", "--resume", "auto")
    )
    assert json.loads(out) == {**result, "seconds": json.loads(out)["seconds"]}, "what is done tells what it came to"


def test_two_processes_train_one_run(tmp_path: Path) -> None:
    path = tmp_path / "run"
    small = ["--set", "train.batch_size=32", "--set", "train.eval_samples=64", "--set", "train.log_every=1"]
    out, _ = finish(start("run", "image.handwriting", "--nproc", "2", "--steps", "20", *small, "--out", path, "--json"))
    assert json.loads(out.splitlines()[-1])["step"] == 20
    assert json.loads((path / "environment.json").read_text())["processes"] == 2
    alone = tmp_path / "alone"
    finish(start("run", "image.handwriting", "--steps", "1", *small, "--out", alone))
    first = [next(record for record in Run.open(at).records() if record["kind"] == "train") for at in (path, alone)]
    for name in ("loss/critic", "loss/generator", "gradient/critic", "gradient/generator", "logit/real"):
        assert first[0][name] == pytest.approx(first[1][name], rel=1e-4), name


@pytest.mark.skipif(not hasattr(LaunchConfig, "signals_to_handle"), reason="this torch does not pass SIGUSR1 on")
def test_sigusr1_to_the_launcher_saves_and_ends_every_process(tmp_path: Path) -> None:
    path = tmp_path / "run"
    process = start("run", "points.grid25", "--nproc", "2", "--steps", "100000", *OFTEN, "--out", path)
    wait_for(process, path, 5)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    workers = [int(child) for child in children if _rank(int(child))]
    assert len(workers) == 2
    process.send_signal(signal.SIGUSR1)
    try:
        finish(process, 128 + signal.SIGUSR1)
        assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    finally:
        for worker in workers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker, signal.SIGKILL)
    assert Run.open(path).status()["status"] == "stopped"
    assert Run.open(path).steps()[-1] >= 5


def test_a_worker_that_dies_under_torchrun_is_restarted_from_the_last_checkpoint(tmp_path: Path) -> None:
    path = tmp_path / "run"
    command = [
        sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", "1",
        "-m", "genkit", "run", "points.grid25", "--steps", "200", *OFTEN, "--set", "train.checkpoint_every=20",
        "--out", str(path), "--resume", "auto",
    ]  # fmt: skip
    process = subprocess.Popen(command, env=ENVIRONMENT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    wait_for(process, path, 45)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    ranks = {_rank(int(child)): int(child) for child in children}
    os.kill(ranks["1"], signal.SIGKILL)
    _, err = finish(process)
    assert "going on from step" in err
    assert Run.open(path).status() | {"seconds": 0, "metrics": {}} == {
        "status": "done", "step": 200, "seconds": 0, "metrics": {},
    }  # fmt: skip


def _rank(process: int) -> str:
    pairs = Path(f"/proc/{process}/environ").read_bytes().decode().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair).get("RANK", "")


def test_restarts_without_a_directory_are_refused(tmp_path: Path) -> None:
    environment = {**ENVIRONMENT, "TORCHELASTIC_MAX_RESTARTS": "1"}
    _, err = finish(start("run", "points.grid25", "--steps", "5", environment=environment, cwd=tmp_path), 2)
    assert "--out DIR --resume auto" in err


# --- what bad input gets ---------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run of 20 steps with checkpoints at 10 and 20."""
    path = tmp_path_factory.mktemp("small") / "run"
    finish(start("run", "points.ring8", "--steps", "20", "--set", "train.checkpoint_every=10", "--out", path))
    return path


GRID, RING = ["run", "points.grid25"], ["run", "points.ring8"]
ONE = ["--steps", "1"]
AGAIN = ["--out", "{small}", "--resume", "auto"]
BAD: dict[str, tuple[list[str], int, str]] = {
    "recipe": (["run", "points.grid24"], 2, "points.grid25"),
    "key": ([*GRID, "--set", "train.batch_sise=3"], 2, "batch_size"),
    "value": ([*GRID, "--set", "train.batch_size=many"], 2, "train.batch_size"),
    "objective": ([*GRID, "--set", "objective=rpgann"], 2, "rpgan"),
    "device": ([*GRID, *ONE, "--device", "cpuu"], 2, "unknown device 'cpuu'"),
    "batch": ([*GRID, *ONE, "--set", "data.examples=8"], 2, "fewer than a batch"),
    "both ends": ([*GRID, *ONE, "--minutes", "1"], 2, "--minutes"),
    "resume from nothing": ([*GRID, *ONE, "--resume", "{tmp}"], 2, "neither a run directory"),
    "no run": (["resume", "{tmp}"], 2, "not a run directory"),
    "sample from no run": (["sample", "{tmp}"], 2, "not a run directory"),
    "occupied": ([*RING, *ONE, "--out", "{small}"], 2, "holds a run already"),
    "another recipe": ([*GRID, *ONE, *AGAIN], 2, "points.ring8"),
    "another config": ([*RING, *AGAIN, "--set", "train.batch_size=32"], 2, "train.batch_size"),
    "another seed": ([*RING, *AGAIN, "--seed", "4"], 2, "seed: 0 -> 4"),
    "mathematics on resume": (["resume", "{small}", "--set", "objective=hinge"], 2, "objective"),
    "step": (["sample", "{small}", "--checkpoint", "11"], 1, "there are: 10, 20"),
    "condition": (["sample", "{small}", "--condition", "label=3"], 2, "takes no condition"),
    "blocked plugin": (["--no-plugin", "points", *RING], 3, "points"),
}


@pytest.mark.parametrize("case", sorted(BAD))
def test_bad_input_gets_one_cause_and_its_exit_code(case: str, tmp_path: Path, small: Path) -> None:
    arguments, code, words = BAD[case]
    before = digests(small)
    (tmp_path / "empty").mkdir()
    filled = [argument.format(tmp=tmp_path / "empty", small=small) for argument in arguments]
    out, err = finish(start(*filled, cwd=tmp_path), code)
    assert not (tmp_path / "runs").exists() or not any((tmp_path / "runs").iterdir())
    assert err.startswith("error: ")
    assert words in err
    assert "Traceback" not in err + out
    assert digests(small) == before


def test_a_directory_that_was_there_keeps_its_files_when_setting_up_fails(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    finish(start("run", "points.grid25", "--steps", "1", "--set", "data.examples=8", "--out", tmp_path), 2)
    assert (tmp_path / "mine.txt").read_text() == "mine"


def copy(run: Path, to: Path) -> Path:
    import shutil

    shutil.copytree(run, to)
    return to


def test_a_truncated_checkpoint_is_named_with_the_earlier_one_that_works(tmp_path: Path, small: Path) -> None:
    path = copy(small, tmp_path / "run")
    with (path / "checkpoints" / "20" / "generator.safetensors").open("r+b") as file:
        file.truncate(100)
    _, err = finish(start("resume", path, "--steps", "30"), 1)
    assert "generator.safetensors is truncated" in err
    earlier = path / "checkpoints" / "10"
    assert f"--resume {earlier}" in err
    finish(start("run", "points.ring8", "--steps", "30", "--set", "train.checkpoint_every=10", "--resume", earlier))
    assert Run.open(path).steps() == [10, 20, 30]
    assert Run.open(path).status()["step"] == 30


def test_a_full_disk_ends_the_run_and_spares_what_was_saved(tmp_path: Path, small: Path) -> None:
    path = copy(small, tmp_path / "run")
    before = digests(path)
    limited = (
        "import resource, signal, sys; from genkit.cli.main import main;"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "limit = int(sys.argv.pop(1)); resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit));"
        "sys.argv[0] = 'genkit'; main()"
    )  # a limit on file sizes stands in for the full disk: the write fails just so, and needs no small partition
    causes = {"100000": "the checkpoint of step 30 could not be written: ", "3000": "error: File too large"}
    for limit, cause in causes.items():  # the second breaks the preview, which is written before
        process = subprocess.run(
            [sys.executable, "-c", limited, limit, "resume", str(path), "--steps", "30"],
            env=ENVIRONMENT, capture_output=True, text=True, timeout=120,
        )  # fmt: skip
        assert process.returncode == 1, process.stderr
        assert cause in process.stderr
        assert "File too large" in process.stderr
        assert "Traceback" not in process.stderr
        assert digests(path) == before
        assert sorted(entry.name for entry in (path / "checkpoints").iterdir()) == ["10", "20", "latest"]


def test_two_trainers_do_not_share_a_run(tmp_path: Path) -> None:
    path = tmp_path / "run"
    process = start("run", "points.grid25", "--steps", "100000", *OFTEN, "--out", path)
    wait_for(process, path, 1)
    _, err = finish(start("resume", path), 2)
    assert "another process is training" in err
    assert step_of(path) > 0
    process.send_signal(signal.SIGINT)
    finish(process, 130)


def test_a_running_and_a_killed_run_are_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "one"
    process = start("run", "points.grid25", "--steps", "100000", *OFTEN, "--out", path)
    wait_for(process, path, 1)

    def status() -> Any:
        return json.loads(finish(start("runs", path.parent, "--json"))[0])[0]["status"]

    assert status() == "running"
    process.kill()
    process.communicate()
    assert status() == "interrupted"
