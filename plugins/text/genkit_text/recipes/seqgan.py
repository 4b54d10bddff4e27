"""`text.seqgan`: SeqGAN as its authors built it, a historical baseline. Needs no torch to be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from genkit import Ema, Model, Optim, Optimizer, Part, Train
from genkit_text.recipes.sentences import MEASURES
from genkit_text.recipes.settings import TextRecipe

if TYPE_CHECKING:
    from genkit import Experiment

NETS = Model(generator=Part("text.lstm", width=32), critic=Part("text.cnn_critic"))
TRAIN = Train(
    batch_size=64,
    steps=18_900,
    adversarial_start=18_720,  # 120 epochs of 156 batches
    critic_start=17_220,
    critic_steps=15,
    clip_generator=5.0,
    precision="fp32",
    compile="off",
)
OPTIM = Optim(
    generator=Optimizer(lr=1e-2, betas=(0.9, 0.999)),
    critic=Optimizer(lr=1e-4, betas=(0.9, 0.999)),
)


@dataclass(frozen=True, kw_only=True)
class SeqGANRecipe(TextRecipe):
    """SeqGAN (Yu et al. 2017): a critic of whole sequences, whose probability reaches each token through roll-outs.

    A generator step costs `rolls` completions of every prefix. The authors train their critic for 15 epochs between two
    steps of the generator; here it is `train.critic_steps` updates, each on a fresh batch.
    """

    data: Part = Part("text.oracle", vocabulary=5000)
    """What to learn from."""
    model: Model = NETS
    """The two players."""
    objective: Part = Part("non_saturating")
    """The adversarial loss, by name; only the critic's half is used."""
    rolls: int = 16
    """Completions of each prefix."""
    follow: float = 0.8
    """Share of its own weights that the roll-out policy keeps at each update."""
    train: Train = TRAIN
    """How long, how large and how the loop runs."""
    optim: Optim = OPTIM
    """One optimiser for each network."""
    ema: Ema = Ema(half_life=None)
    """The authors keep no average."""
    metrics: tuple[Part, ...] = (Part("text.divergence"),)
    """What an evaluation measures."""
    preview: int = 16
    """Samples in a preview."""


def build(config: SeqGANRecipe) -> Experiment:
    """The experiment: likelihood, then policy gradient with Monte-Carlo roll-outs."""
    import copy

    from genkit_text.adversary import Silence
    from genkit_text.recipes.experiment import text_experiment
    from genkit_text.rollouts import RollOuts

    signal = "critic" if config.control == "none" else config.control
    return text_experiment(
        config,
        estimator=lambda generator: (
            Silence()
            if config.control == "likelihood"
            else RollOuts(copy.deepcopy(generator), rolls=config.rolls, follow=config.follow, signal=signal)
        ),
    )


PRESETS: dict[str, dict[str, Any]] = {
    "sentences": {
        "data": {"name": "text.sentences", "labels": "none", "length": 32, "vocabulary": 2048},
        "metrics": list(MEASURES),
    },
}
