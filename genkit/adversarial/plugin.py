"""The core's own objectives and penalties, announced as any plugin announces its own. Free of torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from genkit.hookspecs import hookimpl
from genkit.specs import ObjectiveSpec


def _spec(name: str, role: Literal["objective", "penalty"], config: str, summary: str) -> ObjectiveSpec:
    module = "objectives" if role == "objective" else "penalties"
    return ObjectiveSpec(
        name=name,
        role=role,
        summary=summary,
        config=f"genkit.adversarial.settings:{config}",
        build=f"genkit.adversarial.{module}:build_{name}",
    )


@hookimpl
def genkit_objectives() -> Iterable[ObjectiveSpec]:
    return [
        _spec("non_saturating", "objective", "NonSaturatingConfig", "Non-saturating GAN (Goodfellow et al. 2014)."),
        _spec("minimax", "objective", "NonSaturatingConfig", "Minimax GAN, saturating (Goodfellow et al. 2014)."),
        _spec("hinge", "objective", "HingeConfig", "Hinge GAN (Lim and Ye 2017)."),
        _spec("least_squares", "objective", "LeastSquaresConfig", "Least-squares GAN (Mao et al. 2017)."),
        _spec("wasserstein", "objective", "ObjectiveConfig", "Wasserstein GAN (Arjovsky et al. 2017)."),
        _spec("rpgan", "objective", "ObjectiveConfig", "Relativistic paired GAN (Jolicoeur-Martineau 2018)."),
        _spec("ragan", "objective", "ObjectiveConfig", "Relativistic average GAN (Jolicoeur-Martineau 2018)."),
        _spec("r1", "penalty", "PenaltyConfig", "Half the squared gradient norm at reals (Mescheder et al. 2018)."),
        _spec("r2", "penalty", "PenaltyConfig", "Half the squared gradient norm at fakes (Mescheder et al. 2018)."),
        _spec(
            "wgan_gp",
            "penalty",
            "WassersteinGradientPenaltyConfig",
            "Gradient norm of 1 between real and fake (Gulrajani et al. 2017).",
        ),
        _spec("r1_fd", "penalty", "FiniteDifferenceConfig", "R1 by finite difference (Lin et al. 2025)."),
        _spec("lecam", "penalty", "LeCamConfig", "Distance to the other side's average logit (Tseng et al. 2021)."),
    ]
