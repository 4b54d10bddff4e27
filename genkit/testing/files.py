"""Checks of what is written: checkpoints, samples drawn from them, files a person opens, a run of the command."""

from __future__ import annotations

import csv
import json
import math
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from genkit.config import to_yaml
from genkit.inference import load
from genkit.interfaces import Batch
from genkit.runs import Run
from genkit.session import resume
from genkit.testing.environment import child_environment
from genkit.testing.outcome import CheckFailure, CheckSkipped
from genkit.testing.recipe import DRAWN, SEED, STEPS, Recipe
from genkit.training.phases import iterate
from genkit.training.setup import modules_of

KEPT = (
    "register what training changes with `register_buffer` (persistent) or as a Parameter, leave state_dict whole, and "
    "take random numbers from `rng`"
)
FILES = ("generator", "generator_ema", "critic", "parts")


def resumes(recipe: Recipe) -> None:
    """A run that was cut in the middle and went on ends with the bytes of one that never stopped. What of a network
    training changes and no checkpoint holds is named."""
    whole = recipe.whole.result.run
    with tempfile.TemporaryDirectory(prefix="genkit-check-") as folder:
        cut = Path(folder) / "cut"
        recipe.run(cut, steps=STEPS // 2, workers=0)
        resume(cut, steps=STEPS, device="cpu")
        other = []
        for name in FILES:
            one, two = (run / "checkpoints" / str(STEPS) / f"{name}.safetensors" for run in (whole, cut))
            if one.exists() != two.exists() or (one.exists() and one.read_bytes() != two.read_bytes()):
                other.append(name)
    if other:
        raise CheckFailure(f"a resumed run ends with another {' and '.join(other)}{_unsaved(recipe)}", KEPT)


def samples_come_back(recipe: Recipe) -> None:
    """What a loaded checkpoint draws is what the averaged generator drew before its process ended, and the same each
    time; fewer samples are the first of more."""
    whole = recipe.whole
    sampler = load(whole.result.run, device="cpu")
    first, again = (sampler.sample(DRAWN, seed=SEED) for _ in range(2))
    if not _equal(first, again):
        raise CheckFailure(
            "two samples of one seed differ", "draw all random numbers in `latent`, from `rng`; none in forward"
        )
    if not _close(first, whole.sample):  # up to rounding: the trainer keeps convolutions channels last
        raise CheckFailure(f"a loaded checkpoint draws other samples than the network it holds{_unsaved(recipe)}", KEPT)
    if not _close(sampler.sample(2, seed=SEED), first.map(lambda leaf: leaf[:2])):
        raise CheckFailure(
            "sample 1 of a seed depends on how many are drawn",
            "in eval mode a sample must depend on its own latent alone: no statistics over the batch",
        )


def _equal(one: Batch, other: Batch) -> bool:
    return _alike(one, other, torch.equal)


def _close(one: Batch, other: Batch) -> bool:
    return _alike(one, other, partial(torch.allclose, rtol=1e-4, atol=1e-4))


def _alike(one: Batch, other: Batch, compare: Callable[[Tensor, Tensor], bool]) -> bool:
    pairs = zip(tree_leaves((one.sample, one.mask)), tree_leaves((other.sample, other.mask)), strict=True)
    return all(a.shape == b.shape and compare(a, b) if isinstance(a, Tensor) else a is b for a, b in pairs)


def _unsaved(recipe: Recipe) -> str:
    """The state that two steps change and state_dict lacks, as the end of a sentence; nothing where there is none."""
    trainer = recipe.trainer()
    networks = modules_of(trainer.experiment)
    before = {name: _hidden(network) for name, network in networks.items()}
    for step in range(2):
        iterate(trainer.team, step)
    names = []
    for name, network in networks.items():
        for key, value in _hidden(network).items():
            old = before[name].get(key)
            alike = torch.equal(old, value) if isinstance(old, Tensor) and isinstance(value, Tensor) else old == value
            if not alike:
                names.append(f"`{name}.{key}`")
    return f"; training changes and no checkpoint holds {', '.join(names)}" if names else ""


def _hidden(network: nn.Module) -> dict[str, Any]:
    """Tensors and numbers of a network and its parts that its state_dict lacks, by name; tensors are copied."""
    saved = set(network.state_dict())
    found: dict[str, Any] = {}
    for path, part in network.named_modules():
        held: Mapping[str, Any] = {**vars(part), **part._parameters, **part._buffers}
        for name, value in held.items():
            key = f"{path}.{name}" if path else name
            if isinstance(value, Tensor) and key not in saved:
                found[key] = value.detach().clone()
            elif isinstance(value, int | float) and not isinstance(value, bool):
                found[key] = value
    return found


# --- files -----------------------------------------------------------------------------------------------------------


def writer_files_open(recipe: Recipe) -> None:
    """A preview and the files of real and of generated samples are where the writer says, are not empty, and can be
    read."""
    trainer = recipe.trainer()
    writer = trainer.experiment.writer
    if writer is None:
        raise CheckSkipped("the facts of its data name no modality, so that nothing writes its samples")
    name = type(writer).__name__
    cure = "write the file before its path is returned, whole and under that path, as genkit.Writer says"
    drawn, columns = trainer.draw_preview()
    real = trainer.team.parts(0, 0)[0].batch
    with tempfile.TemporaryDirectory(prefix="genkit-check-") as folder:
        previewed = writer.preview(drawn.map(Tensor.cpu), Path(folder) / "preview", columns=columns)
        opens(Path(previewed), f"{name}.preview", cure)
        for what, batch in (("generated", drawn), ("real", real)):
            some = batch.map(lambda leaf: leaf[:3].cpu())
            directory = Path(folder) / what
            directory.mkdir()
            paths = writer.write(some, directory, stem="check")
            if not paths:
                raise CheckFailure(f"{name}.write returns no path", cure)
            for path in paths:
                if directory not in path.parents:
                    raise CheckFailure(f"{name}.write writes to {path}, outside of the directory it was given", cure)
                opens(path, f"{name}.write", cure)
            lines = writer.lines(some)
            if lines is not None:
                json.dumps(lines)
            seconds = writer.seconds(some)
            if seconds is not None and not (math.isfinite(seconds) and seconds > 0):
                raise CheckFailure(f"{name}.seconds says that the samples play {seconds} s", "return seconds, or None")


def opens(path: Path, who: str, cure: str) -> None:
    """Raise CheckFailure when a file is missing or empty, or is not what its suffix says; `who` wrote it.

    Pictures are opened where pillow is installed, sounds where soundfile is, tables, JSON, text and arrays always.
    """
    if not path.is_file():
        raise CheckFailure(f"{who} says that it wrote {path.name}, which is not there", cure)
    if path.stat().st_size == 0:
        raise CheckFailure(f"{who} wrote an empty {path.suffix or 'file'}", cure)
    try:
        opener = OPENERS.get(path.suffix.lower())
        if opener is not None:
            opener(path)
    except ModuleNotFoundError:
        return  # the reader is not installed: that the file is there is all that can be said
    except Exception as error:
        raise CheckFailure(f"{who} wrote a {path.suffix} that can not be read: {error}", cure) from error


def _picture(path: Path) -> None:
    from PIL import Image

    with Image.open(path) as picture:
        picture.load()


def _sound(path: Path) -> None:
    import soundfile

    if not len(soundfile.read(path)[0]):
        raise ValueError("it holds no sound")


def _table(path: Path) -> None:
    with path.open(newline="", encoding="utf-8") as file:
        if not any(csv.reader(file)):
            raise ValueError("it has no row")


def _text(path: Path) -> None:
    path.read_text(encoding="utf-8")


def _json(path: Path) -> None:
    json.loads(path.read_text(encoding="utf-8"))


def _json_lines(path: Path) -> None:
    for line in path.read_text(encoding="utf-8").splitlines():
        json.loads(line)


def _array(path: Path) -> None:
    import numpy as np

    np.load(path, allow_pickle=False)


OPENERS: Mapping[str, Callable[[Path], None]] = {
    **dict.fromkeys((".png", ".jpg", ".jpeg", ".gif", ".webp"), _picture),
    **dict.fromkeys((".wav", ".flac", ".ogg", ".mp3"), _sound),
    ".csv": _table,
    ".txt": _text,
    ".json": _json,
    ".jsonl": _json_lines,
    **dict.fromkeys((".npy", ".npz"), _array),
}
"""How files are read, by suffix."""


# --- the command -----------------------------------------------------------------------------------------------------


def runs_under_the_command(recipe: Recipe) -> None:
    """``genkit run RECIPE --steps 2`` with the smoke config ends 0 and leaves a run that is done and has a preview."""
    with tempfile.TemporaryDirectory(prefix="genkit-check-") as folder:
        config = Path(folder) / "smoke.yaml"
        config.write_text(to_yaml(recipe.config()), encoding="utf-8")
        out = Path(folder) / "run"
        arguments = ["run", recipe.name, "--config", str(config), "--steps", "2", "--device", "cpu", "--out", str(out)]
        ended = subprocess.run(
            [sys.executable, "-m", "genkit", *arguments],
            capture_output=True,
            text=True,
            env=child_environment(),
            check=False,
        )
        shown = f"genkit run {recipe.name} --steps 2"
        if ended.returncode:
            said = [line.strip() for line in ended.stderr.splitlines() if line.strip()]
            told = next((line for line in said if line.startswith("error:")), said[-1] if said else "nothing")
            raise CheckFailure(
                f"`{shown}` ended with {ended.returncode}: {told}", f"`genkit --debug {shown[7:]}` shows where"
            )
        run = Run.open(out)
        if run.status().get("status") != "done" or not any(run.samples.iterdir()):
            raise CheckFailure(
                f"`{shown}` left no preview", "a writer's preview must write a file under the path it gets"
            )
