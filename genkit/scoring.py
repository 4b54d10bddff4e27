"""Measuring a generator: what its samples are compared with, in the middle of a run and after it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from genkit.catalog import catalog
from genkit.errors import UsageError
from genkit.evaluation import GeneratedSamples, RealSamples, Score
from genkit.evaluation import evaluate as measure
from genkit.evaluation.evaluate import HELD_OUT
from genkit.experiment import Experiment
from genkit.inference import Sampler, SamplerParts, load, recipe_of
from genkit.interfaces import Batch, Dataset
from genkit.runs import Run
from genkit.settings import RecipeConfig
from genkit.training.checkpoint import check_facts
from genkit.training.observers import Observer
from genkit.training.trainer import Trainer


def evaluate(
    run: str | Path,
    *,
    count: int | None = None,
    seed: int = 0,
    checkpoint: str | int = "latest",
    device: str | None = None,
    **sampling: float,
) -> list[Score]:
    """Measure a run's generator against held-out data, as ``genkit eval`` does.

    Args:
        run: the run directory.
        count: generated samples; None: as the config's ``train.eval_samples``.
        seed: which samples are drawn and which reals are chosen.
        checkpoint: a step, ``latest`` or ``best``.
        device: where to draw and to compute features.
        sampling: what the generator lets a person set, such as ``temperature=0.8``.

    Raises UsageError for fewer than two samples or a recipe without metrics, and what `load` and the dataset raise.
    """
    if count is not None and count < 2:
        raise UsageError(f"can not evaluate {count} samples", where="--count", fix="ask for two or more")
    found = Run.open(run)
    spec, config = recipe_of(found)
    sampler = load(run, checkpoint=checkpoint, device=device)
    experiment: Experiment = catalog().load(spec, "build")(config)
    check_facts(found.checkpoint(checkpoint), experiment.data)
    if not experiment.metrics:
        raise UsageError(f"{found.recipe} has no metrics to evaluate", fix="name some under `metrics` in its config")
    if count is None:
        count = config.train.eval_samples
    return scores_of(sampler, experiment, count=count, seed=seed, sampling=sampling)


def scores_of(
    sampler: Sampler, experiment: Experiment, *, count: int, seed: int, sampling: Mapping[str, float] | None = None
) -> list[Score]:
    """The experiment's metrics on `count` samples, with the floor that other reals get.

    The reference is the held-out data and the floor the training data's; without held-out data they are the two halves
    of the training data. The protocol says which. Where a condition belongs to one example, samples are drawn for the
    reference's own. Raises UsageError for a stream without a held-out part.
    """
    sampling = sampling or {}
    data, held_out = experiment.data, experiment.data.held_out()
    reals: dict[str, Any] = {"count": count, "device": sampler.device, "seed": seed}
    other: RealSamples | None = None
    if held_out is not None:
        reference = RealSamples(held_out, split=HELD_OUT, **reals)
        if isinstance(data, Dataset):
            other = RealSamples(data, split="train", **reals)
    elif isinstance(data, Dataset):
        reference = RealSamples(data, split="train, even", indices=range(0, len(data), 2), **reals)
        other = RealSamples(data, split="train, odd", indices=range(1, len(data), 2), **reals)
    else:
        raise UsageError("a streamed dataset without a held-out part can not be evaluated against")
    condition = None
    if experiment.conditions is not None and experiment.conditions.paired:
        condition = Batch.join([Batch(batch.condition) for batch in reference.batches()]).sample
        count = reference.count
    fake = GeneratedSamples(
        lambda start, size: sampler.draw(start, size, seed, condition, **sampling),
        count,
        seed=seed,
        split=", ".join(["generated", *(f"{key} {value:g}" for key, value in sampling.items())]),
        log_prob=sampler.density(**sampling),
    )
    train = RealSamples(data.still(), split="train", device=sampler.device) if isinstance(data, Dataset) else None
    return measure(experiment.metrics, reference=reference, fake=fake, other_real=other, train=train)


def last_scores(run: Run) -> list[Score]:
    """What the last evaluation of a run's training found; nothing when there was none."""
    found = [record["scores"] for record in run.records() if record["kind"] == "scores"]
    return [Score.from_json(one) for one in found[-1]] if found else []


class Scorer(Observer):
    """Evaluates the experiment's metrics on the averaged generator."""

    def __init__(self, config: RecipeConfig) -> None:
        self.config = config
        self.scores: list[Score] = []

    def measures(self, trainer: Trainer) -> Collection[str]:
        return {name for metric in trainer.experiment.metrics for name in metric.better}

    def evaluate(self, trainer: Trainer) -> Mapping[str, float]:
        experiment = trainer.experiment
        if not experiment.metrics:
            return {}
        network = trainer.sampling_network
        was_training = network.training
        sampler = Sampler(
            SamplerParts(network, experiment.conditions, experiment.writer),  # type: ignore[arg-type]
            facts=experiment.data.facts,
            device=trainer.device,
        )
        try:
            self.scores = scores_of(sampler, experiment, count=self.config.train.eval_samples, seed=trainer.seed)
        finally:
            network.train(was_training)
        if trainer.run:
            trainer.run.append("scores", trainer.step, {"scores": [score.as_json() for score in self.scores]})
        return {score.name: score.value for score in self.scores}
