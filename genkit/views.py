"""Looking at what a run has learnt. Plugins bring the views; this is what each of them is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from torch import Tensor

from genkit.catalog import build_part, catalog
from genkit.errors import ConfigError, UsageError
from genkit.experiment import Experiment
from genkit.fields import fields_of
from genkit.inference import Sampler, recipe_of, sampler_of
from genkit.interfaces import Critic, Dataset, Tree
from genkit.layers import Typed, overrides_layer
from genkit.runs import Run
from genkit.training.checkpoint import check_facts, read_network_


class Subject:
    """A run, as a view looks at it. What takes the data or the critic is read when it is first asked for.

    Args:
        run: the run directory.
        checkpoint: a step, ``latest`` or ``best``.
        weights: the generator's average, or the generator as it was trained.
        device: where to draw; None takes the machine's accelerator.
        seed: which latents: sample i of a seed is what ``genkit sample`` draws.
        condition: what is asked for, such as ``{"label": "7"}``; None draws conditions as the data has them.

    Raises what `genkit.load` raises.
    """

    def __init__(
        self,
        run: str | Path,
        *,
        checkpoint: str | int = "latest",
        weights: Literal["average", "raw"] = "average",
        device: str | None = None,
        seed: int = 0,
        condition: Mapping[str, Any] | None = None,
    ) -> None:
        self.run = Run.open(run)
        self._spec, self.config = recipe_of(self.run)
        self._checkpoint = self.run.checkpoint(checkpoint)
        self.sampler: Sampler = sampler_of(self._checkpoint, self._spec, self.config, weights=weights, device=device)
        self.seed = seed
        self.condition = condition

    @property
    def step(self) -> int:
        """The checkpoint's step."""
        return int(self._checkpoint.name)

    def inputs(self, count: int) -> tuple[Tensor, Tree | None]:
        """Latents [count, ...] and conditions of the first samples of the seed, on the device.

        Raises UsageError for a condition that the generator does not take.
        """
        return self.sampler.inputs(count, seed=self.seed, condition=self.condition)

    @cached_property
    def data(self) -> Dataset:
        """What the run learnt from. Raises UsageError for a stream, and what the dataset raises where it is gone."""
        experiment: Experiment = catalog().load(self._spec, "build")(self.config)
        check_facts(self._checkpoint, experiment.data)
        if not isinstance(experiment.data, Dataset):
            raise UsageError("the run learnt from a stream, which can not be gone through for this view")
        return experiment.data

    @cached_property
    def critic(self) -> Critic:
        """The critic, frozen, on the sampler's device. Raises CheckpointError where the checkpoint has another."""
        critic: Critic = build_part("critic", self.config.model.critic, self.sampler.facts)
        read_network_(self._checkpoint, "critic", critic)
        return critic.to(self.sampler.device).eval().requires_grad_(False)


def inspect(
    run: str | Path,
    view: str,
    *,
    out: str | Path | None = None,
    checkpoint: str | int = "latest",
    weights: Literal["average", "raw"] = "average",
    device: str | None = None,
    seed: int = 0,
    condition: Mapping[str, Any] | None = None,
    values: Mapping[str, Any] | None = None,
    overrides: Sequence[str] = (),
) -> list[Path]:
    """Look at a run, as ``genkit inspect`` does; the files written.

    Args:
        run: the run directory.
        view: a view that the run's modality has, such as ``strip`` for images.
        out: a folder; None: the run's ``samples/``, under the checkpoint's step, where its report shows them.
        checkpoint: a step, ``latest`` or ``best``.
        weights: the EMA, or the generator as it was trained.
        device: where to draw; None takes the machine's accelerator.
        seed: which latents.
        condition: what is asked for.
        values: the view's own options.
        overrides: ``"key=value"`` strings, as ``--set`` takes them.

    Raises UsageError for an unknown view or a run that can not be looked at so, ConfigError for options that do not
    fit, and what `load` raises.
    """
    subject = Subject(run, checkpoint=checkpoint, weights=weights, device=device, seed=seed, condition=condition)
    spec = catalog().view(view, str(subject.sampler.facts.get("modality")))
    options = {**(values or {}), **_read(overrides, catalog().config_class(spec))}
    place = subject.run.samples / f"{subject.step:08d}-{view}" if out is None else Path(out) / view
    place.parent.mkdir(parents=True, exist_ok=True)
    written: list[Path] = catalog().call(spec, "draw", options, subject, place)
    return written


def _read(overrides: Sequence[str], cls: type) -> dict[str, Any]:
    """The values of ``key=value`` strings for a config class. Raises ConfigError for one that is none."""
    layer, problems = overrides_layer(overrides)
    if problems:
        raise ConfigError("the view's options can not be read", problems=problems)
    textual = {key for key, field in fields_of(cls).items() if field.textual}
    return {
        key: (value.text if key in textual else value.value) if isinstance(value, Typed) else value
        for key, value in layer.values.items()
    }
