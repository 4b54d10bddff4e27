"""Settings that several recipes share. Needs no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from genkit import RecipeConfig

Control = Literal["none", "constant", "shuffled", "likelihood"]
"""What takes the critic's place in a control run. ``constant``: the same reward for every sample. ``shuffled``: the
rewards of other rows. ``likelihood``: no adversary, the likelihood goes on with its whole weight."""


@dataclass(frozen=True, kw_only=True)
class Reward:
    """From the critic's logits to advantages: the options of ``genkit.estimators.ScoreFunction``."""

    clamp: float | None = 3.0
    """Clamp logits to this on either side; null: do not."""
    gamma: float = 0.5
    """Discount of later tokens' rewards."""
    baseline: Literal["position", "group", "none"] = "position"
    """position: the mean of the batch at each position; group: of the draws for one condition; none."""
    standardise: bool = False
    """Divide a group's advantages by their standard deviation (GRPO)."""
    entropy: float = 0.0
    """Weight of the entropy in the reward."""
    kl: float = 0.0
    """Weight of the divergence from the model as it was when the adversary started."""
    kl_form: Literal["k3", "reward"] = "k3"
    """k3: GRPO's loss; reward: a part of the reward."""


@dataclass(frozen=True, kw_only=True)
class TextRecipe(RecipeConfig):
    """What every recipe of text has."""

    likelihood: float = 0.0
    """Weight of the likelihood beside the adversary; until it starts, the weight is 1."""
    control: Control = "none"
    """What takes the critic's place: constant, shuffled, likelihood; none: nothing, this is no control run."""
