"""From a run directory to samples. The data is not needed: what a sample depends on is stored in each checkpoint."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map, tree_structure

from genkit.assembly import conditions_for, writer_for
from genkit.catalog import build_part, catalog
from genkit.config import resolve_config
from genkit.errors import CheckpointError, UsageError
from genkit.inspection import Conditions, Writer
from genkit.interfaces import Batch, Draw, Facts, Generator, TokenGenerator, Tree
from genkit.random import Random, mix
from genkit.runs import Run
from genkit.settings import RecipeConfig
from genkit.specs import RecipeSpec
from genkit.training.checkpoint import read_facts, read_network_, read_state
from genkit.training.precision import choose_device

CHUNK = 64  # samples drawn from one seed: sample i of a seed is the same however many are asked for


@dataclass(frozen=True)
class SamplerParts:
    """What a recipe's ``restore(config, facts)`` gives: a generator without weights, and how to ask it."""

    generator: Generator
    conditions: Conditions | None
    writer: Writer | None


class Sampler:
    """Draws samples from a trained generator.

    Args:
        parts: the generator with its weights loaded, its conditions and its writer.
        facts: what the training data was like.
        device: where it draws.
    """

    def __init__(self, parts: SamplerParts, *, facts: Facts, device: torch.device | str = "cpu") -> None:
        self.device = torch.device(device)
        self.generator = parts.generator.to(self.device).eval()
        self.conditions = parts.conditions
        self.writer = parts.writer
        self.facts = facts

    def sample(
        self, count: int, *, seed: int = 0, condition: Mapping[str, Any] | Tree | None = None, **sampling: float
    ) -> Batch:
        """Draw `count` samples, on the CPU, with the conditions they were drawn for.

        Args:
            count: how many.
            seed: sample i of a seed is the same whatever `count` is, up to rounding.
            condition: ``{"label": "7"}`` as on the command line, or a pytree of tensors [count, ...] as the data's
                conditions are; None draws conditions as the data has them.
            sampling: what the generator lets a person set, such as ``temperature=0.8``.

        Raises UsageError for a condition or a setting that the generator does not take.
        """
        if count < 1:
            raise UsageError(f"can not draw {count} samples", where="--count", fix="ask for one or more")
        asked = self.condition(condition, count)
        return self.draw(0, count, seed, asked, **sampling).map(Tensor.cpu)

    @torch.no_grad()
    def draw(self, start: int, count: int, seed: int = 0, condition: Tree | None = None, **sampling: float) -> Batch:
        """Samples [start, start + count) of a seed, on the device. `start` is a multiple of the chunk of 64 samples;
        `condition`, where given, holds all rows from 0."""
        self._check(sampling)
        pieces = []
        for first in range(start, start + count, CHUNK):
            latent, given = self._inputs(first, min(CHUNK, start + count - first), seed, condition)
            made = self.generator(latent, given, **sampling)
            pieces.append(Batch(made.sample, given, made.mask))
        return Batch.join(pieces)

    def inputs(
        self, count: int, *, seed: int = 0, condition: Mapping[str, Any] | Tree | None = None
    ) -> tuple[Tensor, Tree | None]:
        """What the first `count` samples of a seed are made from, on the device: latents [count, ...] and conditions,
        which are None where the generator takes none. `condition` is as for `sample`."""
        asked = self.condition(condition, count)
        parts = [self._inputs(first, min(CHUNK, count - first), seed, asked) for first in range(0, count, CHUNK)]
        given = None
        if parts[0][1] is not None:
            given = tree_map(lambda *leaves: torch.cat(leaves), *(one for _, one in parts))
        return torch.cat([latent for latent, _ in parts]), given

    @torch.no_grad()
    def generate(self, latent: Tensor, condition: Tree | None = None, **sampling: float) -> Batch:
        """Samples, on the device, for latents [B, ...] and conditions of as many rows, in chunks."""
        self._check(sampling)
        pieces = []
        for rows in torch.arange(len(latent), device=latent.device).split(CHUNK):
            given = None if condition is None else tree_map(lambda leaf, rows=rows: leaf[rows], condition)
            made = self.generator(latent[rows], given, **sampling)
            pieces.append(Batch(made.sample, given, made.mask))
        return Batch.join(pieces)

    def _inputs(self, first: int, size: int, seed: int, condition: Tree | None) -> tuple[Tensor, Tree | None]:
        """Latents and conditions of the first `size` samples of the chunk that begins at `first`."""
        rng = Random(mix(seed, "sample", first), self.device)
        latent = self.generator.latent(CHUNK, rng=rng)[:size]
        if condition is not None:
            return latent, tree_map(lambda leaf: leaf[first : first + size].to(self.device), condition)
        if self.conditions is not None:
            return latent, tree_map(lambda leaf: leaf[:size], self.conditions.draw(CHUNK, rng=rng))
        return latent, None

    @property
    def random(self) -> bool:
        """Whether samples of one condition differ: False where a latent holds no numbers, as a vocoder's."""
        return self.generator.latent(1, rng=Random(0, self.device)).numel() > 0

    def stream(self, *args: Any, **kwargs: Any) -> Iterator[Any]:
        """A sample piece by piece: text as it is drawn, a waveform while its mel spectrograms come.

        It takes and gives what the modality's own function does after its first argument, the sampler
        (`genkit.WriterSpec.stream`): see `genkit_text.streaming.stream` and `genkit_audio.streaming.stream`.

        Raises UsageError when samples of the modality have no pieces, and what that function raises.
        """
        modality = str(self.facts.get("modality"))
        spec = catalog().writers.get(modality)
        if spec is None or spec.stream is None:
            raise UsageError(f"samples of the modality {modality} can not be streamed")
        pieces: Iterator[Any] = catalog().load(spec, "stream")(self, *args, **kwargs)
        return pieces

    def density(self, **sampling: float) -> Callable[[Batch], Tensor] | None:
        """The generator's log-probabilities of a batch's tokens, [B, L], as a function; None where it has none."""
        generator = self.generator
        if not isinstance(generator, TokenGenerator):
            return None
        self._check(sampling)
        log_prob: Callable[..., Tensor] = generator.log_prob
        return lambda batch: log_prob(Draw(batch.sample, batch.mask), batch.condition, **sampling)

    def _check(self, sampling: Mapping[str, float]) -> None:
        known = self.generator.sampling
        unknown = ", ".join(sorted(set(sampling) - set(known)))
        if unknown:
            names = ", ".join(known) or "nothing beside its condition"
            raise UsageError(f"this generator has no setting {unknown}", fix=f"it can be told: {names}")

    def condition(self, asked: Mapping[str, Any] | Tree | None, count: int) -> Tree | None:
        """The batch of conditions that `asked` stands for; None when none was asked."""
        if asked is None:
            return None
        if self.conditions is None:
            raise UsageError("this generator takes no condition", where="--condition")
        if isinstance(asked, Mapping) and not self._is_batch(asked):
            return self.conditions.parse(asked, count)
        sizes = {len(leaf) for leaf in tree_leaves(asked)}
        if sizes != {count}:
            raise UsageError(f"the condition has {sorted(sizes)} rows for {count} samples")
        return asked

    def _is_batch(self, asked: Mapping[str, Any]) -> bool:
        """True when a mapping is a batch of conditions, of the very keys that the data's have, and no words for one."""
        if not all(isinstance(leaf, Tensor) for leaf in tree_leaves(asked)):
            return False
        assert self.conditions is not None
        drawn = self.conditions.draw(1, rng=Random(0, self.device))
        if not isinstance(drawn, Mapping) or set(drawn) != set(asked):
            return False
        return all(tree_structure(asked[key]) == tree_structure(drawn[key]) for key in drawn)

    def write(self, batch: Batch, directory: str | Path, *, kind: str | None = None) -> list[Path]:
        """One file a sample, of another kind than the modality's own where `kind` says so, such as ``flac``. Raises
        UsageError when the modality has no writer, or none of this kind."""
        if self.writer is None:
            raise UsageError("no plugin writes samples of this modality", fix="use --array, or the samples in Python")
        writer = self.writer if kind is None else self.writer.of_kind(kind)
        directory = Path(directory)
        directory.mkdir(parents=True, exist_ok=True)
        return writer.write(batch, directory)


def load(
    run: str | Path,
    *,
    checkpoint: str | int = "latest",
    weights: Literal["average", "raw"] = "average",
    device: str | None = None,
) -> Sampler:
    """A sampler from a run directory alone.

    Args:
        run: the run directory.
        checkpoint: a step, ``latest`` or ``best``.
        weights: the EMA, or the generator as it was trained.
        device: where to draw; None takes the machine's accelerator.

    Raises UsageError when `run` is no run, PluginError when its plugin is missing, CheckpointError when the checkpoint
    is missing, damaged or another model's.
    """
    found = Run.open(run)
    spec, config = recipe_of(found)
    return sampler_of(found.checkpoint(checkpoint), spec, config, weights=weights, device=device)


def recipe_of(run: Run) -> tuple[RecipeSpec, RecipeConfig]:
    """The recipe and the config of a run. Raises UsageError for a run that no recipe made."""
    if run.recipe is None:
        raise UsageError(f"{run.path} was not made by a recipe: its networks are known only to the script that made it")
    spec = catalog().recipe(run.recipe)
    return spec, resolve_config(spec, files=[run.path / "config.yaml"])


def sampler_of(
    path: Path, spec: RecipeSpec, config: RecipeConfig, *, weights: Literal["average", "raw"], device: str | None
) -> Sampler:
    """A sampler from a checkpoint directory and the recipe and config it belongs to."""
    read_state(path)
    facts = read_facts(path)
    parts: SamplerParts
    if spec.restore is not None:
        parts = catalog().load(spec, "restore")(config, facts)
    else:
        generator = build_part("generator", config.model.generator, facts)
        parts = SamplerParts(generator, conditions_for(facts), writer_for(facts))
    name = "generator" if weights == "raw" else "generator_ema"
    if weights == "average" and not (path / "generator_ema.safetensors").exists():
        if config.ema.half_life is not None:
            raise CheckpointError(f"{path} has no averaged weights", fix="--weights raw")
        name = "generator"
    read_network_(path, name, parts.generator)
    return Sampler(parts, facts=facts, device=choose_device(device))
