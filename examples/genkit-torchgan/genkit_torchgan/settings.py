"""Options. Free of torch."""

from dataclasses import dataclass

from genkit import Model, Part, RecipeConfig


@dataclass(frozen=True, kw_only=True)
class GeneratorConfig:
    """``DCGANGenerator``."""

    latent: int = 100
    """Dimensions of the latent: its `encoding_dims`."""
    width: int = 32
    """Channels of the last layer but one: its `step_channels`."""


@dataclass(frozen=True, kw_only=True)
class CriticConfig:
    """``DCGANDiscriminator``, without batch normalisation."""

    width: int = 32
    """Channels of the first layer: its `step_channels`."""


@dataclass(frozen=True, kw_only=True)
class Digits(RecipeConfig):
    """The embedded digits, and torchgan's networks."""

    data: Part = Part("image.digits", resolution=32, labels=False)
    model: Model = Model(generator=Part("torchgan.dcgan"), critic=Part("torchgan.dcgan"))
    objective: Part = Part("non_saturating")
