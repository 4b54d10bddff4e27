"""Settings that contradict each other or the experiment, refused before anything is built."""

from __future__ import annotations

from collections.abc import Collection

from genkit.errors import ConfigError, UsageError
from genkit.experiment import Experiment
from genkit.settings import Train
from genkit.training.best import check_best
from genkit.training.distributed import World


def check_end(train: Train) -> None:
    """Raise UsageError when nothing says how long to train."""
    if train.steps is None and train.minutes is None:
        raise UsageError("nothing says how long to train", where="train.steps", fix="give --steps N or --minutes M")


def check_settings(
    experiment: Experiment, train: Train, world: World, *, figures: Collection[str] | None = None
) -> None:
    """Raise ConfigError for settings that this experiment, or this many processes, can not be trained with.

    Args:
        figures: what evaluations give; None where that is not known before the first.
    """
    if train.keep_best:
        check_best(experiment, train.keep_best, figures)
    if experiment.preview < 1:
        raise ConfigError(f"a preview can not be of {experiment.preview} samples", where="preview")
    share = train.micro_batches * train.samples_per_condition
    rows = len(world.rows(train.batch_size))
    if rows % share:
        raise ConfigError(
            f"each process's {rows} samples can not be cut into {train.micro_batches} micro-batches of whole groups "
            f"of {train.samples_per_condition}",
            where="train.batch_size",
        )
    parts = train.micro_batches * world.size
    if parts > 1 and experiment.objective.batch_coupled:
        raise ConfigError(
            f"{type(experiment.objective).__name__} compares each sample with the whole batch, which "
            f"{parts} parts of it can not see",
            where="objective",
            fix="rpgan is its paired form; or use one device and train.micro_batches=1",
        )
    if train.micro_batches > 1 and experiment.estimator is not None and experiment.estimator.batch_coupled:
        raise ConfigError(
            f"{type(experiment.estimator).__name__} needs the whole batch at once, and a micro-batch is a part of it",
            where="train.micro_batches",
            fix="--set train.micro_batches=1; ScoreFunction can also take a baseline over the draws for one condition",
        )
    if train.joint_critic_pass and experiment.critic.batch_coupled:
        raise ConfigError(
            f"{type(experiment.critic).__name__} is batch-coupled: real and fake may not share a forward",
            where="train.joint_critic_pass",
        )
    if train.reuse_fakes and (train.critic_steps, train.micro_batches, train.samples_per_condition) != (1, 1, 1):
        raise ConfigError(
            "one generator forward can serve both turns only with critic_steps=1, micro_batches=1 and "
            "samples_per_condition=1",
            where="train.reuse_fakes",
        )
    if train.critic_start is not None and train.critic_start > train.adversarial_start:
        raise ConfigError(
            f"the critic can not start at step {train.critic_start}, after the adversary at {train.adversarial_start}",
            where="train.critic_start",
            fix="--set train.critic_start=null: they start together",
        )
    alone = [term for term in experiment.terms if not term.needs_verdict]
    if train.adversarial_start and not any(term.every == 1 for term in alone):
        raise ConfigError(
            "until adversarial_start the generator learns from its terms alone, and this experiment has none that "
            "needs no critic and runs at each step",
            where="train.adversarial_start",
        )
    for term in experiment.terms:
        if term.every < 1:
            raise ConfigError(f"the term {term.name} can not run at each {term.every}th step; 1 runs it at each")
