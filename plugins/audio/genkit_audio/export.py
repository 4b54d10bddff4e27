"""`genkit export RUN --to onnx`: one file that onnxruntime and its like run without Python."""

from __future__ import annotations

import contextlib
import io
import json
import os
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.export import Dim

from genkit import CheckpointError, Generator, GenkitError, PluginError, Random, Sampler, UsageError
from genkit_audio.facts import AudioFacts
from genkit_audio.models.frames import Frames
from genkit_audio.models.labels import label_count
from genkit_audio.models.vocoder import Synthesis, Vocoder, folded
from genkit_audio.models.wavegan import WaveGAN

INSTALL = 'pip install "genkit-gan-audio[onnx]"'
AGREES = 1e-4
"""By how much a sample of onnxruntime's may differ from PyTorch's."""
ROWS, FRAMES = (2, 3), (24, 37)
"""Rows and frames that the graph is drawn from, and others that it is checked with."""
LATENTS = {WaveGAN: "uniform in [-1, 1)", Frames: "standard normal"}
"""How the latent of a generator from noise is distributed: an ONNX file draws nothing itself."""


class FromNoise(nn.Module):
    """A generator from noise as a plain function of its latent and, where it has labels, of these.

    Args:
        generator: it is copied, not changed.
    """

    def __init__(self, generator: Generator) -> None:
        super().__init__()
        self.generator = folded(generator).eval()

    def forward(self, latent: Tensor, label: Tensor | None = None) -> Tensor:
        """Waveforms [B, T]."""
        wave: Tensor = self.generator(latent, label).sample
        return wave


@dataclass(frozen=True)
class Graph:
    """What is exported."""

    network: nn.Module
    drawn: dict[str, Tensor]
    """Inputs that the graph is drawn from."""
    others: dict[str, Tensor]
    """Inputs of other sizes."""
    shapes: dict[str, dict[int, Dim]]
    """Which of their dimensions may have any size."""
    about: dict[str, Any]
    """What stands in the file beside the weights."""


def to_onnx(sampler: Sampler, out: Path) -> list[Path]:
    """Write the generator as ONNX: to the file `out` where it ends in .onnx, else to ``out/generator.onnx``.

    A vocoder takes ``mel``, float32 [B, bands, F], and gives ``wave`` [B, F·hop]; a generator from noise takes
    ``latent`` [B, size] and, where the data has labels, ``label``, int64 [B]. B and F are free. The file's
    ``metadata_props`` hold, as JSON: rate (Hz); mel, the specification, or latent, its size and distribution, and
    length (samples); labels. Where onnxruntime is installed its output is compared with PyTorch's on other sizes than
    the graph was drawn from; where it is not, that is said.

    Raises UsageError for a generator that is neither, PluginError without onnx and onnxscript, GenkitError when the two
    outputs differ by more than 1e-4, CheckpointError when the disk does not take the file.
    """
    for name in ("onnx", "onnxscript"):
        if find_spec(name) is None:
            raise PluginError(f"export to onnx needs {name}", fix=INSTALL)
    graph = _graph(sampler)
    file = out if out.suffix == ".onnx" else out / "generator.onnx"
    temporary = file.with_name(f".{file.name}.{os.getpid()}.tmp")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        program = _drawn(graph)
        program.model.metadata_props.update({key: json.dumps(value) for key, value in graph.about.items()})
        program.save(str(temporary), external_data=False)
        _check(graph, temporary)
        temporary.rename(file)
    except OSError as error:
        raise CheckpointError(f"the export could not be written: {error}", where=str(file)) from error
    finally:
        temporary.unlink(missing_ok=True)
    return [file]


def _graph(sampler: Sampler) -> Graph:
    generator, facts = sampler.generator, AudioFacts.of(sampler.facts)
    about: dict[str, Any] = {"rate": facts.rate, "labels": list(facts.labels)}
    rng = Random(0)
    rows = Dim("batch", min=1)
    if isinstance(generator, Vocoder):
        drawn, others = (
            {"mel": rng.normal(count, generator.mel.bands, frames)} for count, frames in zip(ROWS, FRAMES, strict=True)
        )
        shapes = {"mel": {0: rows, 2: Dim("frames", min=2)}}
        return Graph(Synthesis(generator).cpu(), drawn, others, shapes, about | {"mel": generator.mel.to_facts()})
    latents = next((said for kind, said in LATENTS.items() if isinstance(generator, kind)), None)
    if latents is None:
        raise UsageError(
            f"{type(generator).__name__} can not be exported to onnx: vocoders, audio.frames and audio.wavegan can"
        )
    classes = label_count(facts)

    def inputs(count: int) -> dict[str, Tensor]:
        given = {"latent": generator.latent(count, rng=rng)}
        return given | ({"label": rng.integers(0, classes, count)} if classes else {})

    drawn, others = map(inputs, ROWS)
    about |= {"latent": {"size": drawn["latent"].shape[1], "distribution": latents}, "length": facts.length}
    return Graph(FromNoise(generator).cpu(), drawn, others, {name: {0: rows} for name in drawn}, about)


def _drawn(graph: Graph) -> torch.onnx.ONNXProgram:
    """The graph as ONNX. What the exporter prints is kept and shown where it fails."""
    said = io.StringIO()
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                graph.network,
                kwargs=graph.drawn,
                dynamo=True,
                dynamic_shapes=graph.shapes,
                input_names=list(graph.drawn),
                output_names=["wave"],
                verbose=False,
            )
    except Exception:
        print(said.getvalue(), file=sys.stderr)
        raise
    assert program is not None, "dynamo=True gives a program"
    return program


def _check(graph: Graph, file: Path) -> None:
    if find_spec("onnxruntime") is None:
        print(f"not checked against PyTorch: onnxruntime is not installed ({INSTALL})", file=sys.stderr)
        return
    import onnxruntime  # type: ignore[import-untyped]

    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    for given in (graph.drawn, graph.others):
        (found,) = session.run(None, {name: tensor.numpy() for name, tensor in given.items()})
        with torch.no_grad():
            wanted = graph.network(**given)
        apart = float((torch.from_numpy(found) - wanted).abs().max()) if found.shape == wanted.shape else float("inf")
        if not apart <= AGREES:
            raise GenkitError(
                f"onnxruntime and PyTorch differ by {apart:.3g} for {_shapes(given)}: the file was not kept",
                fix="report it, with the versions of torch, onnxscript and onnxruntime",
            )


def _shapes(given: Mapping[str, Tensor]) -> str:
    return ", ".join(f"{name} {list(tensor.shape)}" for name, tensor in given.items())
