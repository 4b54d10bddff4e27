"""What holds for every recipe of every installed plugin."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

import genkit
from genkit.catalog import catalog
from genkit.config import resolve_config
from genkit.specs import resolve
from genkit.training.phases import iterate
from genkit.training.trainer import Trainer

RECIPES = sorted(catalog().recipes)


def smoke(name: str, **more: object) -> tuple[genkit.RecipeConfig, genkit.Experiment]:
    """A recipe's config and experiment, as small as its plugin says it can be."""
    spec = catalog().recipe(name)
    config = resolve_config(spec, values={**spec.smoke, **more})
    torch.manual_seed(0)
    return config, resolve(spec.build)(config)


def presets() -> list[tuple[str, str]]:
    found = []
    for name in RECIPES:
        spec = catalog().recipe(name)
        found += [(name, preset) for preset in (resolve(spec.presets) if spec.presets else {})]
    return found


@pytest.mark.parametrize("name", RECIPES)
def test_an_iteration_runs_on_the_meta_device(name: str) -> None:
    config, experiment = smoke(name)
    team = Trainer(experiment, config.train, ema=config.ema, device="meta").team
    every = max((penalty.every for penalty in experiment.penalties.values()), default=1)
    for step in (0, config.train.adversarial_start, config.train.adversarial_start + every):
        figures = iterate(team, step)
        assert figures.values
        assert all(value.device.type == "meta" for value in figures.values.values())


@pytest.mark.parametrize("name", RECIPES)
def test_a_smoke_run_moves_both_players_and_its_samples_can_be_opened(name: str, tmp_path: Path) -> None:
    config, experiment = smoke(name)
    before = [[p.detach().clone() for p in net.parameters()] for net in (experiment.generator, experiment.critic)]
    trainer = Trainer(experiment, config.train, ema=config.ema, device="cpu", seed=1)
    for step in range(2):
        figures = iterate(trainer.team, step)
        assert all(value.isfinite() for value in figures.values.values())
    for kept, net in zip(before, (experiment.generator, experiment.critic), strict=True):
        assert any(not torch.equal(a, b) for a, b in zip(kept, net.parameters(), strict=True))
    batch, columns = trainer.draw_preview()
    path = experiment.writer.preview(batch.map(torch.Tensor.cpu), tmp_path / "preview", columns=columns)
    assert path.stat().st_size > 0


@pytest.mark.parametrize("name", RECIPES)
def test_a_resumed_smoke_run_is_bit_equal(name: str, tmp_path: Path) -> None:
    spec = catalog().recipe(name)
    often = {**spec.smoke, "train.checkpoint_every": 2, "train.eval_samples": 16, "train.resident": "off"}
    whole = genkit.run(name, steps=4, out=tmp_path / "whole", values=often, device="cpu")
    genkit.run(name, steps=2, out=tmp_path / "cut", values={**often, "train.workers": 0}, device="cpu")
    genkit.resume(tmp_path / "cut", steps=4, device="cpu")
    for file in ("generator", "generator_ema", "critic"):
        one, other = (tmp_path / run / "checkpoints" / "4" / f"{file}.safetensors" for run in ("whole", "cut"))
        if one.exists():
            assert one.read_bytes() == other.read_bytes(), file
    sampler = genkit.load(whole.run, device="cpu")
    first, again = (sampler.sample(5, seed=3) for _ in range(2))
    assert torch.equal(first.sample, again.sample)
    torch.testing.assert_close(sampler.sample(2, seed=3).sample, first.sample[:2], rtol=1e-4, atol=1e-4)


def test_two_processes_train_every_recipe_as_one_does(tmp_path: Path) -> None:
    """After two iterations in float64 the weights are those of one process with the whole batch."""
    script = Path(__file__).with_name("recipe_ranks.py")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(probe.getsockname()[1]), "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(
            [sys.executable, script, tmp_path / f"{size}-{rank}.pt"],
            env={**os.environ, **shared, "WORLD_SIZE": str(size), "RANK": str(rank)},
        )
        for size, rank in ((1, 0), (2, 0), (2, 1))
    ]
    assert [one.wait(timeout=280) for one in started] == [0, 0, 0]
    alone, first, second = (torch.load(tmp_path / f"{who}.pt", weights_only=True) for who in ("1-0", "2-0", "2-1"))
    assert set(RECIPES) - set(alone) == {"image.dcgan"}, "all but those with batch norm, which is each device's own"
    for name, weights in alone.items():
        for one, here, there in zip(weights, first[name], second[name], strict=True):
            assert torch.equal(here, there), name
            torch.testing.assert_close(here, one, rtol=1e-6, atol=1e-9, msg=lambda text, name=name: f"{name}: {text}")


@pytest.mark.parametrize(("name", "preset"), presets())
def test_a_preset_fits_its_recipe(name: str, preset: str) -> None:
    """Presets for a user's own files lack nothing but their path."""
    spec = catalog().recipe(name)
    named = resolve(spec.presets)[preset].get("data", {})
    own = isinstance(named, dict) and str(named.get("name")).endswith(".folder")
    missing = {"data.path": "files"} if own else {}
    assert resolve_config(spec, values={"preset": preset, **missing}).preset == preset
