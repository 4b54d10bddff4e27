"""Everything in examples/ runs, a few steps of it; and networks of packages that never heard of genkit train."""

from __future__ import annotations

import json
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch

import genkit

EXAMPLES = Path(__file__).parents[1] / "examples"
LINES = 80
"""A wrapped package has fewer lines of Python than this, blank ones left out."""
STEPS = 20
"""Steps that its networks train for."""
Play = Callable[..., Path]


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Play:
    """Runs an example in an empty folder, as ``python NAME ARGS`` would. Returns the folder."""

    def run(name: str, *args: str, needs: str) -> Path:
        if find_spec(needs) is None:
            pytest.skip(f"{name} needs the plugin {needs}: make setup")
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "argv", [name, *args])
        runpy.run_path(str(EXAMPLES / name), run_name="__main__")
        return tmp_path

    return run


# --- a modality in twenty lines --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "needs", "written"),
    [
        ("image.py", "genkit_image", {"sevens/*.png": 16}),
        ("text.py", "genkit_text", {"sentences/*": 1}),
        ("audio.py", "genkit_audio", {"kicks/*-kick.wav": 4}),
    ],
)
def test_the_example_of_a_modality_trains_samples_and_saves(
    name: str, needs: str, written: dict[str, int], play: Play
) -> None:
    folder = play(name, "--steps", "2", "--device", "cpu", "--out", "run", needs=needs)
    assert json.loads((folder / "run" / "status.json").read_text())["step"] == 2
    for pattern, count in written.items():
        files = list((folder / "run").glob(pattern))
        assert len(files) == count
        assert all(file.stat().st_size for file in files)


# --- a part of one's own ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "printed"),
    [("objective.py", "'loss/critic'"), ("critic.py", "'term/feature_matching'"), ("dataset.py", "2500 points")],
)
def test_the_example_of_a_part_trains(name: str, printed: str, play: Play, capsys: pytest.CaptureFixture[str]) -> None:
    play(name, "--steps", "3", needs="genkit_points")
    assert printed in capsys.readouterr().out


def test_the_objective_of_ones_own_takes_ten_lines() -> None:
    text = (EXAMPLES / "objective.py").read_text(encoding="utf-8")
    body = text.split("class Smoothed")[1].split("\nasked")[0]
    assert len([line for line in body.splitlines() if line.strip()]) <= 10


# --- many processes --------------------------------------------------------------------------------------------------


def test_the_torchrun_script_trains_with_two_processes(tmp_path: Path) -> None:
    if find_spec("genkit_points") is None:
        pytest.skip("torchrun.sh needs the plugin genkit_points: make setup")
    small = {"train.batch_size": 16, "train.eval_samples": 64, "data.examples": 256, "preview": 16}
    options = [word for key, value in small.items() for word in ("--set", f"{key}={value}")]
    known = {key: value for key, value in os.environ.items() if not key.startswith("GENKIT_")}
    script = ["sh", str(EXAMPLES / "torchrun.sh"), "--device", "cpu", "--steps", "2", *options]
    ended = subprocess.run(
        script,
        env={**known, "PYTHON": sys.executable, "NPROC": "2", "OUT": "two", "OMP_NUM_THREADS": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    state = json.loads((tmp_path / "two" / "checkpoints" / "2" / "state.json").read_text())
    assert state["world"] == 2, state


# --- networks of others ----------------------------------------------------------------------------------------------


@pytest.fixture
def wrapped(distributions: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Installs the plugin that wraps a package, beside that of its modality."""

    def install(package: str, modality: str) -> None:
        if find_spec(package) is None:
            pytest.skip(f"needs the package {package}: pip install --no-deps {package}")
        if find_spec(f"genkit_{modality}") is None:
            pytest.skip(f"needs the plugin genkit_{modality}: make setup")
        monkeypatch.syspath_prepend(EXAMPLES / f"genkit-{package}")
        distributions.add(f"genkit-gan-{modality}", {modality: f"genkit_{modality}.plugin"})
        distributions.add(f"genkit-{package}", {package: f"genkit_{package}.plugin"})

    return install


@pytest.mark.parametrize(
    ("package", "modality", "recipe", "shape"),
    [("torchgan", "image", "torchgan.digits", (3, 1, 32, 32)), ("vocos", "audio", "vocos.speech", (3, 4096))],
)
def test_networks_of_another_package_train(
    package: str, modality: str, recipe: str, shape: tuple[int, ...], wrapped: Callable[[str, str], None]
) -> None:
    from genkit.catalog import catalog
    from genkit.config import resolve_config
    from genkit.specs import resolve

    wrapped(package, modality)
    spec = catalog().recipe(recipe)
    config = resolve_config(spec, values={**spec.smoke, "train.steps": STEPS, "train.minutes": None})
    torch.manual_seed(0)
    experiment: genkit.Experiment = resolve(spec.build)(config)
    players = (experiment.generator, experiment.critic)
    for player in players:
        theirs = {type(part).__module__.split(".")[0] for part in player.modules() if list(part.parameters(False))}
        assert theirs <= {package, "torch"}, "every weight is one of theirs"
        assert any(type(part).__module__.startswith(f"{package}.") for part in player.modules())
    before = [{name: weight.clone() for name, weight in player.named_parameters()} for player in players]
    trainer = genkit.Trainer(experiment, replace(config.train, log_every=1), ema=config.ema, device="cpu")
    trainer.fit()
    assert trainer.step == STEPS
    assert {"loss/critic", "loss/generator"} <= set(trainer.means)
    for player, weights in zip(players, before, strict=True):
        for name, weight in player.named_parameters():
            assert weight.isfinite().all(), name
            assert not torch.equal(weight, weights[name]), f"{name} stood still"
    assert tuple(trainer.draw_preview()[0].sample[:3].shape)[1:] == shape[1:]


def test_the_wrapped_inverse_transform_is_that_of_vocos(wrapped: Callable[[str, str], None]) -> None:
    wrapped("vocos", "audio")
    from genkit_vocos.models import Inverse, heads

    draw = torch.Generator().manual_seed(0)
    spectrum = torch.randn(2, 129, 9, dtype=torch.complex64, generator=draw)
    expected = heads.ISTFT(256, 64, 256)(spectrum)
    assert expected.shape == (2, 9 * 64)
    torch.testing.assert_close(Inverse(256, 64, 256)(spectrum), expected)


@pytest.mark.parametrize("package", ["torchgan", "vocos"])
def test_a_plugin_that_wraps_a_package_is_short_and_says_how_to_install_it(package: str) -> None:
    folder = EXAMPLES / f"genkit-{package}"
    sources = [path.read_text(encoding="utf-8") for path in (folder / f"genkit_{package}").glob("*.py")]
    lines = [line for text in sources for line in text.splitlines() if line.strip()]
    assert 0 < len(lines) < LINES
    assert f"pip install --no-deps {package}" in (folder / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("package", "modality"), [("torchgan", "image"), ("vocos", "audio")])
def test_the_commands_of_its_readme_can_be_given(
    package: str, modality: str, wrapped: Callable[[str, str], None]
) -> None:
    from click.testing import CliRunner

    from genkit.cli.main import main

    wrapped(package, modality)
    text = (EXAMPLES / f"genkit-{package}" / "README.md").read_text(encoding="utf-8")
    shown = [shlex.split(line, comments=True) for line in re.findall(r"^\$ genkit (run .*)$", text, re.MULTILINE)]
    assert len(shown) == 2
    for arguments in shown:
        ended = CliRunner().invoke(main, [*arguments, "--dry-run"])
        assert ended.exit_code == 0, ended.stderr


@pytest.mark.parametrize("package", ["torchgan", "vocos"])
def test_a_wrapped_package_that_is_missing_is_named(package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    monkeypatch.syspath_prepend(EXAMPLES / f"genkit-{package}")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(genkit.PluginError, match=f"{package} is not installed") as caught:
        runpy.run_path(str(EXAMPLES / f"genkit-{package}" / f"genkit_{package}" / "models.py"))
    assert caught.value.fix == f"pip install --no-deps {package}"


def test_the_table_of_the_examples_is_whole() -> None:
    text = (EXAMPLES / "README.md").read_text(encoding="utf-8")
    own = {path.name for path in EXAMPLES.iterdir() if path.suffix in (".py", ".sh") or path.name.startswith("genkit-")}
    assert {name for name in own if f"[{name}]({name})" not in text} == set()
