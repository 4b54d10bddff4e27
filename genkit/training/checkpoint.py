"""Checkpoints: written beside, fsynced, renamed; ``latest`` moves last, old ones go after. No pickle is ever loaded."""

from __future__ import annotations

import io
import json
import os
import pickle  # for the name of an exception only
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from genkit.config import difference
from genkit.errors import CheckpointError
from genkit.interfaces import Dataset, StreamedDataset
from genkit.runs import Run, write_atomically

FORMAT = 1
LONGEST = 160
"""Characters of a difference between facts that an error shows."""


def write_checkpoint(
    run: Run,
    step: int,
    *,
    networks: Mapping[str, nn.Module],
    optimizers: Mapping[str, Any],
    facts: Mapping[str, Any],
    state: Mapping[str, Any],
) -> Path:
    """Write ``checkpoints/<step>`` and point ``latest`` at it.

    Args:
        run: where.
        step: the number of finished steps.
        networks: one safetensors file each, by name; those without any tensor are left out.
        optimizers: tensors and plain values that ``torch.load(weights_only=True)`` reads back.
        facts: what the models need to know of the data, as JSON.
        state: counters and versions, as JSON.

    Raises CheckpointError when the disk does not take it; earlier checkpoints and ``latest`` are then as they were.
    """
    final = run.checkpoints / str(step)
    temporary = run.checkpoints / f".{step}.{os.getpid()}.tmp"
    replaced = run.checkpoints / f".{step}.{os.getpid()}.old"
    try:
        temporary.mkdir(parents=True)
        for name, network in networks.items():
            tensors = own_tensors(network)
            if tensors:
                save_file(tensors, temporary / f"{name}.safetensors", metadata={"format": "pt"})
        torch.save(optimizers, temporary / "optimizers.pt")
        (temporary / "facts.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
        sizes = {file.name: file.stat().st_size for file in sorted(temporary.iterdir())}
        described = {"format": FORMAT, "step": step, "files": sizes, **state}
        (temporary / "state.json").write_text(json.dumps(described, indent=1), encoding="utf-8")
        for file in temporary.iterdir():
            _sync(file)
        _sync(temporary)
        if final.exists():
            final.rename(replaced)
        temporary.rename(final)
        _sync(run.checkpoints)
        write_atomically(run.checkpoints / "latest", f"{step}\n")
    except (OSError, RuntimeError, SafetensorError) as error:  # torch and safetensors wrap what the disk says
        if replaced.exists() and not final.exists():
            replaced.rename(final)
        raise CheckpointError(
            f"the checkpoint of step {step} could not be written: {_reason(error)}",
            where=str(final),
            fix="free some space and `genkit resume` the run; earlier checkpoints are untouched",
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(replaced, ignore_errors=True)
    return final


def prune(run: Run, *, keep: int) -> None:
    """Remove all but the newest `keep` checkpoints and the best one."""
    kept = set(run.steps()[-max(keep, 1) :])
    for pointer in ("latest", "best"):
        if (run.checkpoints / pointer).is_file():
            kept.add(int((run.checkpoints / pointer).read_text(encoding="utf-8")))
    for step in run.steps():
        if step not in kept:
            shutil.rmtree(run.checkpoints / str(step))


def mark_best(run: Run, step: int) -> None:
    """Point ``best`` at a checkpoint."""
    write_atomically(run.checkpoints / "best", f"{step}\n")


def read_state(path: Path) -> dict[str, Any]:
    """``state.json`` of a checkpoint, once every file it lists is there in full.

    Raises CheckpointError for a directory that is no checkpoint, a truncated file, or another format.
    """
    try:
        state = json.loads((path / "state.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CheckpointError(f"{path} is not a checkpoint: it has no state.json") from None
    except json.JSONDecodeError as error:
        raise CheckpointError(f"{path / 'state.json'} is damaged: {error}", fix=_other(path)) from None
    if state.get("format") != FORMAT:
        raise CheckpointError(
            f"{path} has checkpoint format {state.get('format')}; this genkit reads format {FORMAT}",
            fix=f"use the genkit that wrote it ({state.get('versions', {}).get('genkit', 'unknown')})",
        )
    for name, size in state["files"].items():
        file = path / name
        found = file.stat().st_size if file.is_file() else None
        if found != size:
            what = "missing" if found is None else f"truncated: {found} bytes of {size}"
            raise CheckpointError(f"{file} is {what}", fix=_other(path))
    return dict(state)


def read_facts(path: Path) -> dict[str, Any]:
    """``facts.json`` of a checkpoint."""
    return dict(json.loads((path / "facts.json").read_text(encoding="utf-8")))


def check_facts(path: Path, data: Dataset | StreamedDataset) -> None:
    """Raises CheckpointError naming both values where a checkpoint's facts bind its networks to other data."""
    kept, own = ({key: facts.get(key) for key in data.binding} for facts in (read_facts(path), data.facts))
    changes = difference(kept, json.loads(json.dumps(own)))
    if changes:
        changes = [line if len(line) <= LONGEST else f"{line.split(':', 1)[0]} is another" for line in changes]
        raise CheckpointError(
            f"{path} belongs to other data (its -> the data's): {'; '.join(changes)}",
            where=str(path / "facts.json"),
            fix="bring the data and the options that it was trained with",
        )


def check_readers(path: Path, data: Dataset | StreamedDataset, state: Mapping[str, Any], processes: int) -> None:
    """Raises CheckpointError where another number of processes would read other examples than a run has yet to see."""
    if isinstance(data, StreamedDataset) and state["world"] != processes:
        raise CheckpointError(
            f"{path}: {state['world']} processes shared this run's stream of data, and {processes} would read others "
            "of its examples",
            fix=f"go on with {state['world']}, or begin a new run",
        )


def read_network_(path: Path, name: str, network: nn.Module) -> None:
    """Load ``<name>.safetensors`` of a checkpoint into `network`.

    Raises CheckpointError when the file is damaged or its tensors are not the network's.
    """
    file = path / f"{name}.safetensors"
    wanted = own_tensors(network)
    if not wanted and not file.exists():
        return
    try:
        tensors = load_file(file)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{file} can not be read: {error}", fix=_other(path)) from error
    missing, extra = sorted(set(wanted) - set(tensors)), sorted(set(tensors) - set(wanted))
    shapes = [
        f"{key} is {tuple(tensors[key].shape)}, not {tuple(wanted[key].shape)}"
        for key in sorted(set(wanted) & set(tensors))
        if tensors[key].shape != wanted[key].shape
    ]
    if missing or extra or shapes:
        found = [*(f"{key} is missing" for key in missing), *(f"{key} is unknown" for key in extra), *shapes]
        raise CheckpointError(
            f"{file} holds another network: {'; '.join(found[:3])}", where=f"{len(found)} differences"
        )
    network.load_state_dict(tensors, strict=False)  # names that share a tensor with a loaded one are left out


def read_optimizers(path: Path) -> dict[str, Any]:
    """The optimisers' state of a checkpoint, by `torch.load` with ``weights_only=True``."""
    file = path / "optimizers.pt"
    try:
        return dict(torch.load(file, map_location="cpu", weights_only=True))
    except Exception as error:  # torch raises many kinds for a damaged file; all of them mean that it can not be read
        raise CheckpointError(f"{file} can not be read: {error}", fix=_other(path)) from error


def check_kept(name: str, state: object) -> None:
    """Raise CheckpointError when what a plugin wants kept is more than ``weights_only=True`` will ever read back."""
    held = io.BytesIO()
    torch.save(state, held)
    held.seek(0)
    try:
        torch.load(held, weights_only=True)
    except pickle.UnpicklingError as error:
        raise CheckpointError(
            f"the checkpoint part {name!r} can not be kept: its state is not made of tensors and plain values",
            fix="let its state_dict return tensors, numbers, strings, lists and dicts",
        ) from error


def check_states(network: nn.Module) -> None:
    """Raise CheckpointError when part of a network's state is no tensor, which no checkpoint could give back."""
    for name, value in network.state_dict().items():
        if value is not None and not isinstance(value, Tensor):
            raise CheckpointError(
                f"{name} of {type(network).__name__} is a {type(value).__name__}, and checkpoints keep tensors alone",
                fix="keep it as a tensor, with register_buffer",
            )


def own_tensors(network: nn.Module) -> dict[str, Tensor]:
    """The network's state, with each tensor once under its first name (tied weights share one)."""
    check_states(network)
    tensors: dict[str, Tensor] = {}
    seen: set[tuple[Any, ...]] = set()
    for name, tensor in network.state_dict().items():
        if tensor is None:  # an extra state of nothing
            continue
        place = (tensor.device, tensor.data_ptr(), tensor.shape, tensor.stride())
        if tensor.numel() and tensor.device.type != "meta" and place in seen:
            continue
        seen.add(place)
        tensors[name] = tensor.detach().contiguous()
    return tensors


def _other(path: Path) -> str:
    earlier = [step for step in Run(path.parent.parent, recipe=None, seed=0).steps() if str(step) != path.name]
    if not earlier:
        return "there is no earlier checkpoint in this run"
    return f"go on from an earlier one: --resume {path.parent / str(earlier[-1])}"


def _reason(error: BaseException) -> str:
    text = str(error.__cause__ or error.__context__ or error)
    return text if "space" in text.lower() or "large" in text.lower() else str(error)


def _sync(path: Path) -> None:
    directory = path.is_dir()
    if directory and not hasattr(os, "O_DIRECTORY"):
        return  # Windows opens none
    descriptor = os.open(path, os.O_RDONLY if directory else os.O_RDWR)  # Windows flushes what may be written alone
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
