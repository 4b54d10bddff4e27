"""What the recipes that make pictures of pictures share: their loss, their preview and what they refuse."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from genkit import Batch, ConfigError, Experiment, GeneratorTurn, RecipeConfig, Scheduled, Term, UsageError, terms
from genkit_image.models.reconstruct import PictureToPicture, asked_picture
from genkit_image.recipes.reconstruct import Losses
from genkit_image.writers import ImageWriter


class MissingL1(Term):
    """mean|x - y| over the pixels that had to be made (Isola et al. 2017, equation 3), of each picture, then of all.

    A mean over all pixels would weigh a small hole less than a large one.

    Args:
        weight: see `Term`.
    """

    name = "reconstruction"

    def __init__(self, weight: Scheduled = 1.0) -> None:
        super().__init__(weight)

    def forward(self, turn: GeneratorTurn) -> Tensor:
        """Raises UsageError when there is nothing to compare with."""
        if turn.draw is None or turn.real is None:
            raise UsageError("a reconstruction was given nothing to compare with")
        apart = (turn.draw.sample - turn.real.sample).abs().mean(1, keepdim=True)
        return missing_mean(apart, asked_picture(turn.real.condition)[1]).mean()


def missing_mean(apart: Tensor, mask: Tensor) -> Tensor:
    """Of each row of [B, 1, H, W], the mean where the mask [B, 1, H, W] is 0, [B]; 0 where it is nowhere."""
    missing = 1 - mask
    return (apart * missing).sum((1, 2, 3)) / missing.sum((1, 2, 3)).clamp(min=1)


class RestorationWriter(ImageWriter):
    """Writes pictures; its previews show what was given, what was made of it, and what it was.

    Args:
        known: ``image``, ``mask`` and ``real`` [N, C, H, W] of the pictures that previews are of.
    """

    def __init__(self, known: Mapping[str, Tensor]) -> None:
        self.known = known

    def preview(self, batch: Batch, path: Path, *, columns: int) -> Path:
        """One PNG: ``given | made | real`` for each picture, and no ``real`` where it is not known."""
        given, mask = (one.cpu() for one in asked_picture(batch.condition))
        shown = [given, batch.sample]
        real = self._real(given, mask)
        if real is not None:
            shown.append(real)
        widest = max(one.shape[1] for one in shown)
        shown = [one.float().expand(-1, widest, -1, -1) for one in shown]
        sheet = torch.stack(shown, 1).flatten(0, 1)
        return super().preview(Batch(sheet), path, columns=columns * len(shown))

    def _real(self, given: Tensor, mask: Tensor) -> Tensor | None:
        """What the pictures were; None unless each is one of those that are known."""
        rows = []
        for image, known in zip(given, mask, strict=True):
            same = (self.known["image"] == image).flatten(1).all(1) & (self.known["mask"] == known).flatten(1).all(1)
            if not same.any():
                return None
            rows.append(int(same.int().argmax()))
        return self.known["real"][rows]


def check_models(experiment: Experiment, config: RecipeConfig) -> None:
    """Raises ConfigError for models that make no pictures of pictures, and for augmentation."""
    for role, model in (("generator", experiment.generator), ("critic", experiment.critic)):
        if not isinstance(model, PictureToPicture):
            raise ConfigError(
                f"{type(model).__name__} makes nothing of a picture",
                where=f"model.{role}",
                fix="image.reconstruct_generator" if role == "generator" else "image.reconstruct_critic",
            )
    if config.augment is not None:
        raise ConfigError(
            f"{config.augment.name} changes what the critic sees, and not the picture it was made of beside it",
            where="augment",
            fix="--set augment=null; a dataset's own flip changes both",
        )


def losses_of(losses: Losses) -> list[Term]:
    """The generator's losses beside the adversarial one, without those of weight 0."""
    chosen: list[Term] = []
    if losses.reconstruction:
        chosen.append(MissingL1(losses.reconstruction))
    if losses.feature_matching:
        chosen.append(terms.FeatureMatching(losses.feature_matching, maps="mean"))
    return chosen
