"""DiffAugment (Zhao, Liu, Lin, Zhu and Han 2020, arXiv 2006.10738, section 4)."""

from __future__ import annotations

import torch
from torch import Tensor

from genkit import Augment, Random
from genkit_image.augment.config import DiffAugmentConfig

Parameters = dict[str, Tensor]


class DiffAugment(Augment):
    """Colour, translation and cutout, each picture by its own numbers.

    Brightness moves by up to ½ either way, saturation is scaled by 0 to 2 and contrast by ½ to 1½; what a translation
    uncovers and what is cut out becomes 0, mid-grey. Twice differentiable in the pictures.

    Args:
        config: see `DiffAugmentConfig`.
    """

    def __init__(self, config: DiffAugmentConfig) -> None:
        super().__init__(config.probability)
        self.policies, self.shift, self.cut = frozenset(config.policies), config.shift, config.cut

    def draw(self, sample: Tensor, *, probability: float, rng: Random) -> Parameters:
        """The numbers for pictures [B, C, H, W], each [B] or [B, 2]; those of a row are its own in any batch."""
        # One draw of fixed width, so that a row's numbers do not depend on which policies are on.
        numbers = rng.uniform(len(sample), 10).to(sample.dtype)
        colour, translate, cut = (numbers[:, :3] < probability).unbind(1)
        brightness, saturation, contrast = numbers[:, 3:6].unbind(1)
        parameters: Parameters = {}
        if "colour" in self.policies:
            parameters["brightness"] = torch.where(colour, brightness - 0.5, 0.0)
            parameters["saturation"] = torch.where(colour, 2 * saturation, 1.0)
            parameters["contrast"] = torch.where(colour, contrast + 0.5, 1.0)
        height, width = sample.shape[2:]
        if "translation" in self.policies:
            reach = [int(side * self.shift + 0.5) for side in (height, width)]
            steps = [((2 * most + 1) * numbers[:, 6 + i]).floor() - most for i, most in enumerate(reach)]
            parameters["translation"] = torch.where(translate[:, None], torch.stack(steps, 1), 0.0).long()
        if "cutout" in self.policies:
            centres = [((side + 1) * numbers[:, 8 + i]).floor() for i, side in enumerate((height, width))]
            far = -2.0 * max(height, width)  # a square this far outside cuts nothing
            parameters["cutout"] = torch.where(cut[:, None], torch.stack(centres, 1), far).long()
        return parameters

    def forward(self, sample: Tensor, parameters: Parameters) -> Tensor:
        """The augmented pictures [B, C, H, W]."""
        if "brightness" in parameters:
            brightness, saturation, contrast = (
                parameters[name][:, None, None, None] for name in ("brightness", "saturation", "contrast")
            )
            sample = sample + brightness
            grey = sample.mean(1, keepdim=True)
            sample = grey + saturation * (sample - grey)
            mean = sample.mean((1, 2, 3), keepdim=True)
            sample = mean + contrast * (sample - mean)
        if "translation" in parameters:
            sample = _translate(sample, parameters["translation"])
        if "cutout" in parameters:
            sample = sample * _uncut(sample, parameters["cutout"], self.cut)
        return sample


def _translate(sample: Tensor, steps: Tensor) -> Tensor:
    """Each picture moved down and right by its two numbers of pixels, `steps` [B, 2]; 0 moves in."""
    for dim in (2, 3):
        size = sample.shape[dim]
        wanted = torch.arange(size, device=sample.device) - steps[:, dim - 2, None]  # [B, size]
        inside = (wanted >= 0) & (wanted < size)
        shape = (-1, 1, size, 1) if dim == 2 else (-1, 1, 1, size)
        index = wanted.clamp(0, size - 1).view(shape).expand_as(sample)
        sample = sample.gather(dim, index) * inside.view(shape)
    return sample


def _uncut(sample: Tensor, centres: Tensor, share: float) -> Tensor:
    """[B, 1, H, W]: 0 in the square around each centre [B, 2], 1 elsewhere."""
    inside = []
    for dim in (2, 3):
        side = int(sample.shape[dim] * share + 0.5)
        first = centres[:, dim - 2, None] - side // 2
        place = torch.arange(sample.shape[dim], device=sample.device)
        inside.append((place >= first) & (place < first + side))
    rows, columns = inside
    return 1 - (rows[:, None, :, None] & columns[:, None, None, :]).to(sample.dtype)


def build_diffaugment(config: DiffAugmentConfig) -> DiffAugment:
    """The augmentation of `config`."""
    return DiffAugment(config)
