"""The two benchmarks: RpGAN + R1 + R2 (Huang et al. 2024, R3GAN) between two small perceptrons."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import genkit
from genkit import Ema, Model, Optim, Optimizer, Part, Ramp, Train

if TYPE_CHECKING:
    from genkit import Experiment

BATCH = 128
STEPS = 10_000
SAMPLES = BATCH * STEPS

PERCEPTRONS = Model(generator=Part("points.mlp"), critic=Part("points.mlp"))
ADAM = Optimizer(lr=Ramp(start=2e-3, end=1e-4, over=SAMPLES), betas=(0.0, 0.99))
TRAIN = Train(
    batch_size=BATCH,
    steps=STEPS,
    precision="fp32",  # the same arithmetic on every machine: it is a benchmark
    compile="off",
    log_every=500,
    preview_every=2000,
    checkpoint_every=5000,
    eval_samples=2500,  # as PacGAN evaluates
)


def penalties(start: float, end: float) -> dict[str, dict[str, Any]]:
    """R1 and R2 at every fourth critic update, their weight falling as the modes sharpen."""
    return {name: {"weight": Ramp(start=start, end=end, over=SAMPLES), "every": 4} for name in ("r1", "r2")}


@dataclass(frozen=True, kw_only=True)
class Grid25(genkit.RecipeConfig):
    """25 modes on a grid: PacGAN's data and measures, other networks and training."""

    data: Part = Part("points.grid25")
    model: Model = PERCEPTRONS
    objective: Part = Part("rpgan")
    penalties: Mapping[str, Mapping[str, Any]] = field(default_factory=lambda: penalties(0.5, 0.002))
    train: Train = TRAIN
    optim: Optim = field(default_factory=lambda: Optim(generator=ADAM, critic=ADAM))
    ema: Ema = Ema(half_life=100_000)
    metrics: tuple[Part, ...] = (Part("points.modes"),)
    preview: int = 2500


@dataclass(frozen=True, kw_only=True)
class Ring8(Grid25):
    """8 modes on a circle: PacGAN's data and measures, other networks and training."""

    data: Part = Part("points.ring8")


def build(config: genkit.RecipeConfig) -> Experiment:
    """Two perceptrons and a mixture, each by its name in the catalog."""
    return genkit.assemble(config)
