"""Parts that make no sense together, refused by name before anything is trained."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn
from torch.nn.utils import parametrize

from genkit import ConfigError, Experiment, objectives
from genkit_image.augment.ada import ADA, COLOUR, GEOMETRY, LEAST
from genkit_image.models.stylegan2 import StyleGAN2Generator
from genkit_image.terms import PathLength

GRADIENT_PENALTIES = ("wgan_gp", "r1", "r2", "r1_fd")


def checked(experiment: Experiment) -> Experiment:
    """The experiment itself. Raises ConfigError for parts that contradict each other."""
    critic = experiment.critic
    name = type(critic).__name__
    if "wgan_gp" in experiment.penalties and any(
        isinstance(part, nn.modules.batchnorm._BatchNorm) for part in critic.modules()
    ):
        raise ConfigError(
            f"{name} has batch norm, with which a gradient belongs to no single row: the penalty wgan_gp needs one "
            "that does (Gulrajani et al. 2017, section 4)",
            where="penalties.wgan_gp",
            fix="--set model.critic=image.resnet_critic --set model.critic.normalisation=layer",
        )
    bounded = any(parametrize.is_parametrized(part, "weight") for part in critic.modules())
    if (
        isinstance(experiment.objective, objectives.Wasserstein)
        and not bounded
        and not any(known in experiment.penalties for known in GRADIENT_PENALTIES)
    ):
        raise ConfigError(
            f"nothing keeps {name} from growing without end under the Wasserstein loss: it has no spectral norm, and "
            f"there is no penalty of {', '.join(GRADIENT_PENALTIES)}",
            where="objective",
            fix="--set penalties.wgan_gp.weight=10",
        )
    measured = any(isinstance(term, PathLength) for term in experiment.terms)
    if measured and not isinstance(experiment.generator, StyleGAN2Generator):
        raise ConfigError(
            f"{type(experiment.generator).__name__} has no styles whose paths could be measured",
            where="path_length",
            fix="--set path_length=null",
        )
    if isinstance(experiment.augment, ADA):
        _check_ada(experiment.augment, experiment.data.facts["shape"])
    return experiment


def _check_ada(augment: ADA, shape: Sequence[int]) -> None:
    """Raises ConfigError where pictures are too small for its geometry, or have no colours that it could change."""
    channels, *sides = shape
    moved = any(getattr(augment.config, name) for name in GEOMETRY)
    if moved and min(sides) < LEAST:
        raise ConfigError(
            f"image.ada moves pictures of {LEAST} pixels a side or more; the data has {'x'.join(map(str, sides))}",
            where="augment",
            fix="--set augment=null",
        )
    coloured = [name for name in COLOUR if getattr(augment.config, name)]
    if coloured and channels not in {1, 3}:
        raise ConfigError(
            f"image.ada changes the colours of grey and RGB pictures; the data has {channels} channels",
            where="augment",
            fix=" ".join(f"--set augment.{name}=0" for name in coloured),
        )
