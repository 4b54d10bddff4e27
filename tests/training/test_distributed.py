"""Several processes compute what one does."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import fields
from pathlib import Path

import pytest
import torch
from ranks import CASES, gradients
from torch import nn

import genkit
from genkit.training.distributed import World, join, launch


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def test_two_ranks_have_the_gradients_of_one(tmp_path: Path) -> None:
    shared = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "OMP_NUM_THREADS": "1"}
    script = str(Path(__file__).with_name("ranks.py"))
    ranks = [
        subprocess.Popen([sys.executable, script, str(tmp_path)], env={**os.environ, **shared, "RANK": str(rank)})
        for rank in range(2)
    ]
    torch.set_default_dtype(torch.float64)
    try:
        alone = gradients(World())
    finally:
        torch.set_default_dtype(torch.float32)
    assert [rank.wait(timeout=120) for rank in ranks] == [0, 0]
    both = [torch.load(tmp_path / f"rank{rank}.pt", weights_only=True) for rank in range(2)]
    for case in CASES:
        assert alone[case]
        for one, first, second in zip(alone[case], both[0][case], both[1][case], strict=True):
            assert torch.equal(first, second)
            torch.testing.assert_close(first, one, rtol=1e-9, atol=1e-12)


def test_a_batch_that_can_not_be_shared_evenly_is_refused() -> None:
    with pytest.raises(genkit.UsageError, match="a batch of 10 can not be shared evenly by 4"):
        World(rank=1, size=4).rows(10)
    assert list(range(*_span(World(rank=1, size=4), 16))) == [4, 5, 6, 7]


def _span(world: World, batch: int) -> tuple[int, int]:
    rows = world.rows(batch)
    return rows.start, rows.stop


def test_a_port_in_use_is_named_before_anything_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setenv("MASTER_PORT", str(port))
        with pytest.raises(genkit.UsageError, match=f"port {port} can not be used") as caught:
            launch(2, ["--version"])
    assert caught.value.exit_code == 2


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({}, "WORLD_SIZE is 2, and RANK, MASTER_ADDR, MASTER_PORT are not set"),
        ({"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}, "and RANK is not set"),
    ],
)
def test_an_environment_that_is_not_whole_is_named(
    monkeypatch: pytest.MonkeyPatch, known: dict[str, str], words: str
) -> None:
    for name in ("RANK", "MASTER_ADDR", "MASTER_PORT"):
        monkeypatch.delenv(name, raising=False)
    for name, value in {"WORLD_SIZE": "2", **known}.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(genkit.UsageError, match=words) as caught:
        join("cpu")
    assert "torchrun" in str(caught.value)


def test_the_launcher_passes_sigusr1_on(monkeypatch: pytest.MonkeyPatch) -> None:
    from torch.distributed.launcher import api

    if "signals_to_handle" not in {field.name for field in fields(api.LaunchConfig)}:
        pytest.skip("this torch passes on SIGTERM, SIGINT, SIGHUP and SIGQUIT alone")
    made: list[api.LaunchConfig] = []

    def remember(config: api.LaunchConfig, entrypoint: str) -> Callable[..., None]:
        made.append(config)
        return lambda *arguments: None

    monkeypatch.setattr(api, "elastic_launch", remember)
    assert launch(2, ["--version"]) == 0
    assert set(made[0].signals_to_handle.split(",")) == {"SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1"}


def test_an_objective_that_looks_at_the_whole_batch_is_refused_on_parts_of_it() -> None:
    from toys import experiment

    from genkit.adversarial.objectives import RelativisticAverage
    from genkit.training.trainer import Trainer

    with pytest.raises(genkit.ConfigError, match="2 parts"):
        Trainer(experiment(objective=RelativisticAverage()), genkit.Train(steps=1), device="cpu", world=World(0, 2))


def test_a_world_of_one_waits_for_nobody() -> None:
    world = World()
    tensors = [torch.ones(3)]
    world.mean_(tensors)
    world.broadcast_([nn.Linear(1, 1)])
    world.wait()
    assert torch.equal(tensors[0], torch.ones(3))
    assert world.agree(True, False) == (True, False)
    assert world.share("here") == "here"
