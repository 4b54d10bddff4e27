"""`genkit sample` and `genkit eval` on a run of a few steps."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import genkit
from genkit.cli.main import main


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    small = {"train.batch_size": 16, "train.eval_samples": 64}
    path = tmp_path_factory.mktemp("sampling") / "run"
    genkit.run("image.handwriting", steps=3, out=path, values=small, device="cpu")
    return path


def call(*arguments: object, code: int = 0) -> Result:
    result = CliRunner().invoke(main, [str(argument) for argument in arguments])
    assert result.exit_code == code, result.output
    return result


def test_samples_become_one_file_each(run: Path, tmp_path: Path) -> None:
    result = call("sample", run, "--count", 5, "--condition", "label=3", "--out", tmp_path / "drawn")
    files = result.stdout.split()
    assert len(files) == len(set(files)) == 5
    assert all(Path(file).stat().st_size > 0 for file in files)
    assert {Path(file).parent for file in files} == {tmp_path / "drawn"}


def test_an_array_holds_samples_and_their_conditions(run: Path, tmp_path: Path) -> None:
    file = tmp_path / "some" / "samples.npz"
    call("sample", run, "--count", 7, "--condition", "label=3,4", "--array", file)
    with np.load(file) as arrays:
        assert arrays["samples"].shape == (7, 1, 28, 28)
        assert arrays["samples"].dtype == np.float32
        assert arrays["condition"].tolist() == [3, 4, 3, 4, 3, 4, 3]
    assert not (run / "samples" / "drawn").exists()


def test_a_condition_that_is_given_twice_is_asked_for_in_turn(run: Path, tmp_path: Path) -> None:
    asked = ["--condition", "label=3", "--condition", "label=4"]
    call("sample", run, "--count", 3, *asked, "--array", tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as arrays:
        assert arrays["condition"].tolist() == [3, 4, 3]


def test_without_a_condition_the_array_says_which_were_drawn(run: Path, tmp_path: Path) -> None:
    call("sample", run, "--count", 200, "--seed", 4, "--array", tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz") as arrays:
        assert set(arrays["condition"].tolist()) == set(range(10))


def test_the_seed_decides_the_samples(run: Path, tmp_path: Path) -> None:
    drawn = {}
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        call("sample", run, "--count", 3, "--seed", seed, "--condition", "label=1", "--array", tmp_path / f"{name}.npz")
        with np.load(tmp_path / f"{name}.npz") as arrays:
            drawn[name] = arrays["samples"]
    assert np.array_equal(drawn["a"], drawn["b"])
    assert not np.array_equal(drawn["a"], drawn["c"])


def test_raw_weights_are_others_than_their_average(run: Path, tmp_path: Path) -> None:
    for weights in ("average", "raw"):
        call("sample", run, "--count", 2, "--weights", weights, "--array", tmp_path / f"{weights}.npz")
    with np.load(tmp_path / "average.npz") as average, np.load(tmp_path / "raw.npz") as raw:
        assert not np.array_equal(average["samples"], raw["samples"])


def test_an_evaluation_prints_value_floor_and_protocol(run: Path) -> None:
    printed = json.loads(call("eval", run, "--count", 50, "--json").stdout)
    assert printed["run"] == str(run)
    for name, score in printed["metrics"].items():
        assert score["name"] == name
        assert np.isfinite([score["value"], score["floor"]]).all()
        assert score["protocol"]["fake"]["count"] == 50
        assert score["protocol"]["real"]["split"] == "held-out"
    assert "frechet[lenet-digits]" in printed["metrics"]
    words = call("eval", run, "--count", 50).stdout
    assert "Fréchet distance (lenet-digits)" in words
    assert "FID" not in words


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--condition", "label"], "is no condition"),
        (["--format", "flac"], "they have one kind of file"),
        (["--condition", "label=ten"], "unknown label 'ten'"),
        (["--condition", "colour=red"], "not colour"),
        (["--checkpoint", "best"], "no best checkpoint"),
        (["--device", "cpux"], "unknown device"),
    ],
)
def test_what_can_not_be_sampled_is_said(run: Path, arguments: list[str], words: str) -> None:
    result = CliRunner().invoke(main, ["sample", str(run), *arguments])
    assert result.exit_code in (1, 2)
    assert words in result.stderr
    assert "Traceback" not in result.output
