"""`text.reply`: the answer to a message. Needs no torch to be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from genkit import Ema, Model, Optim, Optimizer, Part, Ramp, Train
from genkit_text.recipes.settings import Reward, TextRecipe

if TYPE_CHECKING:
    from genkit import Experiment

DATA = Part("text.emails", length=40, prompt_length=40, vocabulary=1024)
NETS = Model(
    generator=Part("text.transformer", width=128, layers=3, heads=4),
    critic=Part("text.transformer_critic", width=128, layers=2, heads=4),
)
WARM_UP = 800
BATCH = 32
TRAIN = Train(
    batch_size=BATCH,
    minutes=20.0,
    adversarial_start=WARM_UP,
    critic_start=WARM_UP - 300,
    samples_per_condition=4,
    clip_generator=0.5,
    clip_critic=1.0,
    precision="fp32",
    compile="off",
    log_every=50,
    preview_every=200,
    checkpoint_every=400,
)
OPTIM = Optim(
    generator=Optimizer(lr=Ramp(start=2e-3, end=2e-5, over=WARM_UP * BATCH, warmup=3_000), betas=(0.9, 0.99)),
    critic=Optimizer(lr=3e-4, betas=(0.9, 0.99)),
)
# A critic of whole replies judges them once: the reward is the group's own, in units of its deviation.
REWARD = Reward(clamp=None, gamma=1.0, baseline="group", standardise=True, kl=0.1)
MEASURES = (Part("text.rouge"), Part("text.pairs"), Part("text.likelihood"), Part("text.diversity"))


@dataclass(frozen=True, kw_only=True)
class ReplyRecipe(TextRecipe):
    """A conditional language model against a critic of (prompt, response): the Bradley-Terry objective, groups of
    `train.samples_per_condition` draws a prompt, advantages within the group, and a divergence from the warm-up model
    (after GAD, Ye et al. 2025)."""

    data: Part = DATA
    """What to learn from: pairs of prompt and response. `data.tokenizer: model` takes the generator's own tokenizer."""
    model: Model = NETS
    """The two players. Your own language model: ``{name: text.causal_lm, path: DIR, lora: {rank: 16}}``."""
    objective: Part = Part("rpgan")
    """The adversarial loss, by name; rpgan on pairs of one prompt is Bradley-Terry's."""
    reward: Reward = REWARD
    """From the critic's logits to advantages."""
    likelihood: float = 0.1
    """Weight of the likelihood beside the adversary; until it starts, the weight is 1."""
    train: Train = TRAIN
    """How long, how large and how the loop runs."""
    optim: Optim = OPTIM
    """One optimiser for each network."""
    ema: Ema = Ema(half_life=None)
    """No average: it would be one more copy of a language model."""
    metrics: tuple[Part, ...] = (Part("text.intent"), *MEASURES)
    """What an evaluation measures. Intents are known of the template e-mails only."""
    preview: int = 8
    """Samples in a preview."""


def build(config: ReplyRecipe) -> Experiment:
    """The experiment: likelihood for the generator and then the critic too, then groups of draws for each prompt."""
    from genkit_text.adversary import policy_gradient
    from genkit_text.recipes.experiment import text_experiment

    return text_experiment(
        config,
        estimator=lambda generator: policy_gradient(config.reward, config.control, generator),
    )


TINY_GPT2 = {"model_type": "gpt2", "n_embd": 128, "n_layer": 3, "n_head": 4, "n_positions": 256}

PRESETS: dict[str, dict[str, Any]] = {
    "dialogue": {
        "data": {"name": "text.replies", "length": 64, "prompt_length": 64, "vocabulary": 1024},
        "metrics": list(MEASURES),
    },
    # Extra `hf`: a GPT-2 of transformers, from nothing.
    "gpt2": {
        "model": {"generator": {"name": "text.causal_lm", "config": TINY_GPT2}},
        "optim": {"generator": {"lr": {"start": 1e-3, "end": 2e-5, "over": WARM_UP * BATCH, "warmup": 3_000}}},
    },
}
