"""`text.gumbel`: relaxed one-hots that the critic's gradient passes through. Needs no torch to be read."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from genkit import Ema, Model, Optim, Part, Train
from genkit_text.recipes import sentences
from genkit_text.recipes.settings import TextRecipe

if TYPE_CHECKING:
    from genkit import Experiment

DATA = Part("text.sentences", labels="none", length=48, vocabulary=512)
NETS = Model(
    generator=Part("text.lstm", width=256, tied=True, relaxation="straight_through"),
    critic=Part("text.lstm_critic", width=128, dropout=0.1),
)
BATCH = 32  # half of text.sentences: a relaxed draw holds the whole vocabulary at every position
TRAIN = replace(sentences.TRAIN, batch_size=BATCH, critic_steps=2)
FALLING = replace(sentences.FALLING, over=sentences.WARM_UP * BATCH, warmup=5_000)
OPTIM = replace(sentences.OPTIM, generator=replace(sentences.OPTIM.generator, lr=FALLING))


@dataclass(frozen=True, kw_only=True)
class GumbelRecipe(TextRecipe):
    """Sentences by straight-through one-hots and a relativistic critic of tokens (after Nie et al. 2019)."""

    data: Part = DATA
    """What to learn from."""
    model: Model = NETS
    """The two players; the generator's option `relaxation` says how one-hots are relaxed."""
    objective: Part = Part("rpgan")
    """The adversarial loss, by name."""
    likelihood: float = 0.1
    """Weight of the likelihood beside the adversary; until it starts, the weight is 1."""
    train: Train = TRAIN
    """How long, how large and how the loop runs."""
    optim: Optim = OPTIM
    """One optimiser for each network."""
    ema: Ema = Ema(half_life=5_000.0)
    """The average of the generator's weights, which is what samples are drawn from."""
    metrics: tuple[Part, ...] = sentences.MEASURES
    """What an evaluation measures."""
    preview: int = 16
    """Samples in a preview."""


def build(config: GumbelRecipe) -> Experiment:
    """The experiment: likelihood, then the gradient through the critic and the relaxed one-hots.

    Raises ConfigError when the generator's draws are not relaxed.
    """
    from genkit import ConfigError
    from genkit_text.adversary import pathwise
    from genkit_text.models.language import RelaxedGenerator
    from genkit_text.recipes.experiment import text_experiment

    experiment = text_experiment(
        config,
        estimator=lambda generator: pathwise(config.control),
    )
    if not isinstance(experiment.generator, RelaxedGenerator):
        raise ConfigError(
            "this recipe needs a generator of relaxed one-hots",
            where="model.generator",
            fix="--set model.generator.relaxation=straight_through",
        )
    return experiment


PRESETS: dict[str, dict[str, Any]] = {
    "oracle": {
        "data": {"name": "text.oracle"},
        "model": {
            "generator": {"name": "text.lstm", "width": 64, "tied": False, "relaxation": "straight_through"},
            "critic": {"name": "text.lstm_critic", "width": 128, "dropout": 0.0},
        },
        "likelihood": 0.0,
        "train": {
            "batch_size": 64,
            "adversarial_start": 0,
            "critic_start": None,
            "clip_generator": None,
            "steps": 450,
            "minutes": None,
        },
        "optim": {"generator": {"lr": 2e-3, "betas": [0.5, 0.99]}, "critic": {"lr": 1e-3, "betas": [0.5, 0.99]}},
        "ema": {"half_life": None},
        "metrics": [{"name": "text.divergence"}],
    },
}
