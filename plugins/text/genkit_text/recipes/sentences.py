"""`text.sentences`: likelihood first, then a critic's reward for every token. Needs no torch to be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from genkit import Ema, Model, Optim, Optimizer, Part, Ramp, Train
from genkit_text.recipes.settings import Reward, TextRecipe

if TYPE_CHECKING:
    from genkit import Experiment

DATA = Part("text.sentences", labels="none", length=48, vocabulary=1024)
NETS = Model(generator=Part("text.lstm", width=256, tied=True), critic=Part("text.lstm_critic", width=128, dropout=0.1))
WARM_UP = 2_000
BATCH = 64
TRAIN = Train(
    batch_size=BATCH,
    minutes=15.0,
    adversarial_start=WARM_UP,
    critic_start=WARM_UP - 500,
    critic_steps=1,
    clip_generator=1.0,
    precision="fp32",
    compile="off",
    log_every=100,
    preview_every=500,
    checkpoint_every=1000,
)
# The likelihood's rate falls until the adversary starts, whose steps are small.
FALLING = Ramp(start=3e-3, end=5e-5, over=WARM_UP * BATCH, warmup=10_000)
OPTIM = Optim(
    generator=Optimizer(lr=FALLING, betas=(0.9, 0.99)),
    critic=Optimizer(lr=1e-3, betas=(0.5, 0.99)),
)
REWARD = Reward()
MEASURES = (
    Part("text.likelihood"),
    Part("text.ngram_perplexity"),
    Part("text.bleu"),
    Part("text.diversity"),
    Part("text.frechet"),
    Part("text.memorisation"),
)


@dataclass(frozen=True, kw_only=True)
class SentencesRecipe(TextRecipe):
    """Sentences from nothing, by policy gradient with a critic of tokens (after de Masson d'Autume et al. 2019)."""

    data: Part = DATA
    """What to learn from."""
    model: Model = NETS
    """The two players."""
    objective: Part = Part("non_saturating")
    """The adversarial loss, by name; only the critic's half is used."""
    reward: Reward = REWARD
    """From the critic's logits to advantages."""
    likelihood: float = 0.1
    """Weight of the likelihood beside the adversary; until it starts, the weight is 1."""
    train: Train = TRAIN
    """How long, how large and how the loop runs."""
    optim: Optim = OPTIM
    """One optimiser for each network."""
    ema: Ema = Ema(half_life=5_000.0)
    """The average of the generator's weights, which is what samples are drawn from."""
    metrics: tuple[Part, ...] = MEASURES
    """What an evaluation measures."""
    preview: int = 16
    """Samples in a preview."""


def build(config: SentencesRecipe) -> Experiment:
    """The experiment: likelihood, then the score function with a reward for each token."""
    from genkit_text.adversary import policy_gradient
    from genkit_text.recipes.experiment import text_experiment

    return text_experiment(
        config,
        estimator=lambda generator: policy_gradient(config.reward, config.control, generator),
    )


PRESETS: dict[str, dict[str, Any]] = {
    # research: the bundle that trains from nothing on an oracle of 50 tokens.
    "oracle": {
        "data": {"name": "text.oracle"},
        "model": {
            "generator": {"name": "text.lstm", "width": 64, "tied": False},
            "critic": {"name": "text.lstm_critic", "width": 128, "dropout": 0.0},
        },
        "likelihood": 0.0,
        "train": {
            "critic_steps": 2,
            "adversarial_start": 0,
            "critic_start": None,
            "clip_generator": None,
            "steps": 900,
            "minutes": None,
        },
        "optim": {"generator": {"lr": 1e-3, "betas": [0.0, 0.99]}, "critic": {"lr": 1e-3, "betas": [0.0, 0.99]}},
        "ema": {"half_life": None},
        "metrics": [{"name": "text.divergence"}],
    },
}
