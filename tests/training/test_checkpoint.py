"""Checkpoints: nothing half-written is ever taken for whole, and an earlier good one always stands."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
import torch
from torch import nn

import genkit
from genkit.runs import Run
from genkit.training import checkpoint


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run.create(tmp_path / "run", recipe="a.b", seed=0, config="recipe: a.b\nseed: 0\n", environment={})


def write(run: Run, step: int, network: nn.Module | None = None) -> Path:
    return checkpoint.write_checkpoint(
        run,
        step,
        networks={"generator": network or nn.Linear(3, 2)},
        optimizers={"generator": {"state": {0: {"step": torch.tensor(1.0)}}}},
        facts={"labels": ["a"]},
        state={"seconds": 1.5, "versions": {"genkit": "0.1.0"}},
    )


def test_what_is_written_is_read_back(run: Run) -> None:
    network = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    path = write(run, 10, network)
    assert run.checkpoint() == path
    other = nn.Sequential(nn.Linear(3, 2), nn.BatchNorm1d(2))
    checkpoint.read_network_(path, "generator", other)
    for key, tensor in network.state_dict().items():
        assert torch.equal(tensor, other.state_dict()[key])
    assert checkpoint.read_state(path)["seconds"] == 1.5
    assert checkpoint.read_facts(path) == {"labels": ["a"]}
    assert checkpoint.read_optimizers(path)["generator"]["state"][0]["step"] == 1.0


def test_tied_weights_are_stored_once_and_tied_again(run: Run) -> None:
    def tied() -> nn.ModuleDict:
        net = nn.ModuleDict({"embed": nn.Embedding(4, 3), "head": nn.Linear(3, 4, bias=False)})
        net["head"].weight = net["embed"].weight
        return net

    path = write(run, 1, tied())
    other = tied()
    checkpoint.read_network_(path, "generator", other)
    assert other["head"].weight is other["embed"].weight


def test_weights_of_the_same_values_are_the_same_bytes(run: Run) -> None:
    network = nn.Conv2d(3, 8, 3)
    first = write(run, 1, network)
    network.to(memory_format=torch.channels_last)
    second = write(run, 2, network)
    assert (first / "generator.safetensors").read_bytes() == (second / "generator.safetensors").read_bytes()


@pytest.mark.parametrize("failing", ["fsync", "rename"])
def test_a_full_disk_spares_the_earlier_checkpoint(run: Run, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    write(run, 1)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os if failing == "fsync" else Path, failing, full)
        with pytest.raises(genkit.CheckpointError, match="No space left") as caught:
            write(run, 2)
    assert caught.value.exit_code == 1
    assert run.steps() == [1]
    assert checkpoint.read_state(run.checkpoint())["step"] == 1
    assert sorted(entry.name for entry in run.checkpoints.iterdir()) == ["1", "latest"]


def test_a_checkpoint_is_written_where_no_directory_can_be_opened(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on Windows, which has no O_DIRECTORY either and flushes only what is open for writing."""
    known = os.open

    def windows(path: str | Path, flags: int, *more: int) -> int:
        if Path(path).is_dir():
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        assert flags & os.O_RDWR
        return known(path, flags, *more)

    with monkeypatch.context() as patch:
        patch.delattr(os, "O_DIRECTORY", raising=False)
        patch.setattr(checkpoint.os, "open", windows)
        path = write(run, 1)
    assert checkpoint.read_state(path)["step"] == 1


def test_rewriting_a_step_replaces_it_whole(run: Run) -> None:
    write(run, 1)
    path = write(run, 1, nn.Linear(5, 5))
    checkpoint.read_network_(path, "generator", nn.Linear(5, 5))
    assert sorted(entry.name for entry in run.checkpoints.iterdir()) == ["1", "latest"]


@pytest.mark.parametrize("name", ["generator.safetensors", "optimizers.pt"])
def test_a_truncated_file_is_named_with_the_way_out(run: Run, name: str) -> None:
    write(run, 1)
    path = write(run, 2)
    with (path / name).open("r+b") as file:
        file.truncate(20)
    with pytest.raises(genkit.CheckpointError, match=f"{name} is truncated: 20 bytes") as caught:
        checkpoint.read_state(path)
    assert str(run.checkpoints / "1") in str(caught.value)


def test_a_damaged_file_of_the_right_size_is_named(run: Run) -> None:
    path = write(run, 1)
    file = path / "generator.safetensors"
    file.write_bytes(b"\xff" * file.stat().st_size)
    with pytest.raises(genkit.CheckpointError, match=r"generator\.safetensors can not be read"):
        checkpoint.read_network_(path, "generator", nn.Linear(3, 2))
    file = path / "optimizers.pt"
    file.write_bytes(b"\xff" * file.stat().st_size)
    with pytest.raises(genkit.CheckpointError, match=r"optimizers\.pt can not be read"):
        checkpoint.read_optimizers(path)


def test_a_missing_file_is_named(run: Run) -> None:
    path = write(run, 1)
    (path / "facts.json").unlink()
    with pytest.raises(genkit.CheckpointError, match=r"facts\.json is missing"):
        checkpoint.read_state(path)


def test_another_format_is_refused_with_its_writer(run: Run) -> None:
    path = write(run, 1)
    state = path / "state.json"
    state.write_text(state.read_text().replace('"format": 1', '"format": 99'))
    with pytest.raises(genkit.CheckpointError, match="format 99") as caught:
        checkpoint.read_state(path)
    assert "0.1.0" in str(caught.value)


def test_another_network_is_refused_with_the_difference(run: Run) -> None:
    path = write(run, 1)
    with pytest.raises(genkit.CheckpointError, match=r"weight is \(2, 3\), not \(2, 7\)"):
        checkpoint.read_network_(path, "generator", nn.Linear(7, 2))
    with pytest.raises(genkit.CheckpointError, match=r"extra\.weight is missing|is unknown"):
        checkpoint.read_network_(path, "generator", nn.ModuleDict({"extra": nn.Linear(3, 2)}))


def test_facts_that_bind_networks_to_other_data_are_named_with_both_values(run: Run) -> None:
    class Sounds(genkit.Dataset):
        facts = {"labels": ("a",), "rate": 8, "mel": {"hop": 4, "bands": 2}, "name": "here"}  # noqa: RUF012
        binding = ("rate", "mel", "labels")

        def __len__(self) -> int:
            return 1

        def read(self, index: int) -> None: ...

        def prepare(self, stored: object, *, rng: genkit.Random) -> genkit.Batch:
            return genkit.Batch(stored)

    path = write(run, 10)
    kept = {"labels": ["a"], "rate": 8, "mel": {"hop": 4, "bands": 2}, "name": "there"}
    (path / "facts.json").write_text(json.dumps(kept))
    checkpoint.check_facts(path, Sounds())
    (path / "facts.json").write_text(json.dumps({**kept, "mel": {"hop": 5, "bands": 2}, "rate": 16}))
    with pytest.raises(genkit.CheckpointError, match=r"rate: 16 -> 8; mel\.hop: 5 -> 4") as caught:
        checkpoint.check_facts(path, Sounds())
    assert caught.value.where == str(path / "facts.json")


class Keeps(nn.Linear):
    """A network with a state beside its tensors."""

    def __init__(self, state: object) -> None:
        super().__init__(3, 2)
        self.state = state

    def get_extra_state(self) -> object:
        return self.state

    def set_extra_state(self, state: object) -> None:
        self.state = state


def test_state_that_is_no_tensor_is_refused_and_not_dropped(run: Run) -> None:
    with pytest.raises(genkit.CheckpointError, match=r"1\._extra_state of Sequential is a dict") as caught:
        write(run, 1, nn.Sequential(nn.Linear(3, 2), Keeps({"calls": 3})))
    assert "register_buffer" in str(caught.value)
    path = write(run, 1, Keeps(torch.tensor([3.0])))
    again = Keeps(torch.zeros(1))
    checkpoint.read_network_(path, "generator", again)
    assert again.state.tolist() == [3.0]
    write(run, 2, Keeps(None))


def test_no_pickle_is_loaded(run: Run) -> None:
    path = write(run, 1)

    class Harm:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return (os.system, ("touch harmed",))

    torch.save({"generator": Harm()}, path / "optimizers.pt")
    with pytest.raises(genkit.CheckpointError):
        checkpoint.read_optimizers(path)
    assert not Path("harmed").exists()


def test_old_checkpoints_go_but_never_the_latest_or_the_best(run: Run) -> None:
    for step in (1, 2, 3, 4, 5):
        write(run, step)
    checkpoint.mark_best(run, 2)
    checkpoint.prune(run, keep=2)
    assert run.steps() == [2, 4, 5]
    assert run.checkpoint("best").name == "2"


def test_a_directory_without_state_is_never_resumed(run: Run) -> None:
    write(run, 1)
    (run.checkpoints / "7").mkdir()
    assert run.steps() == [1]
    with pytest.raises(genkit.CheckpointError, match="no checkpoint of step 7"):
        run.checkpoint(7)
