"""What is taken from pictures: a function of the pictures and of random numbers, on the device.

What is left is ``{"image": [B, C, H, W], "mask": [B, 1, H, W]}``: mask is 1 where a pixel is as it should be, and 0
where it has to be made; without a hole it is 0 everywhere. What is missing from `image` is 0, mid-grey.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor

from genkit import ConfigError, Random
from genkit_image.data.degradation import Degradation

Given = dict[str, Tensor]
LUMA = (0.299, 0.587, 0.114)
"""How bright red, green and blue are (ITU-R BT.601), as Pillow has it: a file made grey there is what training saw."""
SEGMENTS = 4
"""Straight parts of a stroke."""


class Degrade(ABC):
    """Takes something from pictures of one shape [C, H, W].

    Args:
        shape: the pictures'.
    """

    def __init__(self, shape: Sequence[int]) -> None:
        self.channels, self.height, self.width = shape

    @abstractmethod
    def draw(self, count: int, *, rng: Random) -> Tensor:
        """The random numbers for `count` pictures, [count, ...]: a row's are its own in any batch."""

    @abstractmethod
    def __call__(self, images: Tensor, numbers: Tensor) -> Given:
        """What is left of pictures [B, C, H, W] in [-1, 1]."""


class Hole(Degrade):
    """Takes some of the pixels and leaves the others as they are."""

    numbers: int
    """Uniform numbers in a row."""

    def draw(self, count: int, *, rng: Random) -> Tensor:
        return rng.uniform(count, self.numbers)

    @abstractmethod
    def missing(self, numbers: Tensor) -> Tensor:
        """[B, H, W], True where a pixel is taken: at least one in each picture."""

    def __call__(self, images: Tensor, numbers: Tensor) -> Given:
        mask = (~self.missing(numbers)).unsqueeze(1).to(images.dtype)
        return {"image": images * mask, "mask": mask}

    def _places(self, like: Tensor) -> tuple[Tensor, Tensor]:
        """The row [1, H, 1] and the column [1, 1, W] of each pixel."""
        rows = torch.arange(self.height, device=like.device, dtype=like.dtype)
        columns = torch.arange(self.width, device=like.device, dtype=like.dtype)
        return rows[None, :, None], columns[None, None, :]


class Boxes(Hole):
    """Rectangles whose sides and places are evenly distributed."""

    def __init__(self, shape: Sequence[int], count: int, size: tuple[float, float]) -> None:
        super().__init__(shape)
        self.count, self.size, self.numbers = count, size, 4 * count

    def missing(self, numbers: Tensor) -> Tensor:
        inside = []
        low, high = self.size
        for dim, (place, side) in enumerate(zip(self._places(numbers), (self.height, self.width), strict=True)):
            extent, start = numbers[:, 2 * dim :: 4], numbers[:, 2 * dim + 1 :: 4]  # [B, count]
            length = (side * (low + (high - low) * extent)).round().clamp(1, side)
            first = ((side - length + 1) * start).floor()
            one = place.unsqueeze(1)  # [1, 1, H, 1] or [1, 1, 1, W]
            inside.append((one >= first[..., None, None]) & (one < (first + length)[..., None, None]))
        return (inside[0] & inside[1]).any(1)


class Strokes(Hole):
    """Thick lines with bends, as a brush draws them (in the spirit of Yu et al. 2019, algorithm 1)."""

    def __init__(self, shape: Sequence[int], count: int, size: tuple[float, float]) -> None:
        super().__init__(shape)
        self.count, self.size, self.numbers = count, size, count * (4 + 2 * SEGMENTS)

    def missing(self, numbers: Tensor) -> Tensor:
        side = min(self.height, self.width)
        low, high = self.size
        rows, columns = self._places(numbers)
        drawn = torch.zeros(len(numbers), self.height, self.width, dtype=torch.bool, device=numbers.device)
        for stroke in numbers.unflatten(1, (self.count, -1)).unbind(1):
            top, left, thickness, heading = stroke[:, :4].unbind(1)
            # Half a pixel's diagonal at least: a stroke covers the pixel it starts in.
            radius = (side * (low + (high - low) * thickness) / 2).clamp(min=0.75)[:, None, None]
            y, x, angle = top * (self.height - 1), left * (self.width - 1), 2 * math.pi * heading
            for turn, reach in zip(stroke[:, 4::2].unbind(1), stroke[:, 5::2].unbind(1), strict=True):
                angle = angle + math.pi * (turn - 0.5)
                length = side * (0.1 + 0.2 * reach)
                dy, dx = length * angle.sin(), length * angle.cos()
                drawn = drawn | (_distance(rows, columns, y, x, dy, dx) <= radius)
                y, x = y + dy, x + dx
        return drawn


def _distance(rows: Tensor, columns: Tensor, y: Tensor, x: Tensor, dy: Tensor, dx: Tensor) -> Tensor:
    """[B, H, W]: how far each pixel is from the line from (y, x) to (y + dy, x + dx), each [B]."""
    y, x, dy, dx = (one[:, None, None] for one in (y, x, dy, dx))
    along = ((rows - y) * dy + (columns - x) * dx) / (dy.square() + dx.square())
    along = along.clamp(0, 1)
    return ((rows - y - along * dy).square() + (columns - x - along * dx).square()).sqrt()


class Half(Hole):
    """The left, right, upper or lower half, by chance."""

    numbers = 1

    def missing(self, numbers: Tensor) -> Tensor:
        which = (4 * numbers[:, 0]).floor()[:, None, None]
        rows, columns = self._places(numbers)
        left, upper = columns < self.width // 2, rows < self.height // 2
        sideways = (left ^ (which == 1)) & (which < 2)
        return sideways | ((upper ^ (which == 3)) & (which >= 2))


class Whole(Degrade):
    """Leaves no pixel as it was."""

    def draw(self, count: int, *, rng: Random) -> Tensor:
        return rng.uniform(count, 0)

    @abstractmethod
    def left(self, images: Tensor, numbers: Tensor) -> Tensor:
        """What is left, [B, C, H, W]."""

    def __call__(self, images: Tensor, numbers: Tensor) -> Given:
        return {"image": self.left(images, numbers), "mask": images.new_zeros(len(images), 1, *images.shape[2:])}


class Resolution(Whole):
    """The mean of each square of pixels, brought back to the size by bilinear interpolation."""

    def __init__(self, shape: Sequence[int], factor: int) -> None:
        super().__init__(shape)
        self.factor = factor

    def left(self, images: Tensor, numbers: Tensor) -> Tensor:
        return enlarged(F.avg_pool2d(images, self.factor), self.factor)


class Noise(Whole):
    """Adds noise."""

    def __init__(self, shape: Sequence[int], sigma: float) -> None:
        super().__init__(shape)
        self.sigma = sigma

    def draw(self, count: int, *, rng: Random) -> Tensor:
        return rng.normal(count, self.channels, self.height, self.width)

    def left(self, images: Tensor, numbers: Tensor) -> Tensor:
        return (images + self.sigma * numbers).clamp(-1, 1)


class Colour(Whole):
    """Leaves the brightness."""

    def left(self, images: Tensor, numbers: Tensor) -> Tensor:
        return brightness(images).expand_as(images)


class Edges(Whole):
    """Black lines on white where the brightness is steep (Sobel), as a pen would draw them."""

    def __init__(self, shape: Sequence[int], threshold: float) -> None:
        super().__init__(shape)
        self.threshold = threshold

    def left(self, images: Tensor, numbers: Tensor) -> Tensor:
        padded = F.pad(brightness(images), (1, 1, 1, 1), mode="replicate")
        sideways = padded[..., 2:] - padded[..., :-2]
        sideways = sideways[..., :-2, :] + 2 * sideways[..., 1:-1, :] + sideways[..., 2:, :]
        down = padded[..., 2:, :] - padded[..., :-2, :]
        down = down[..., :-2] + 2 * down[..., 1:-1] + down[..., 2:]
        edge = (sideways.square() + down.square()).sqrt() / 8 > self.threshold
        return (1 - 2 * edge.to(images.dtype)).expand_as(images)


def brightness(images: Tensor) -> Tensor:
    """[B, 1, H, W] of grey or RGB pictures [B, C, H, W]."""
    if images.shape[1] == 1:
        return images
    weighted = [share * images[:, i : i + 1] for i, share in enumerate(LUMA)]
    return weighted[0] + weighted[1] + weighted[2]


def enlarged(images: Tensor, factor: int) -> Tensor:
    """[B, C, H, W] -> [B, C, factor·H, factor·W], bilinear."""
    larger: Tensor = F.interpolate(images, scale_factor=float(factor), mode="bilinear", align_corners=False)
    return larger


def degrade_of(config: Degradation, shape: Sequence[int]) -> Degrade:
    """What `config` says is taken from pictures of this shape. Raises ConfigError when it can not be."""
    if config.kind in ("boxes", "strokes"):
        maker = Boxes if config.kind == "boxes" else Strokes
        return maker(shape, cast("int", config.option("count")), cast("tuple[float, float]", config.option("size")))
    if config.kind == "half":
        return Half(shape)
    if config.kind == "noise":
        return Noise(shape, cast("float", config.option("sigma")))
    if config.kind == "edges":
        return Edges(shape, cast("float", config.option("threshold")))
    if config.kind == "colour":
        if shape[0] != 3:
            raise ConfigError("grey pictures have no colour to take", where="degradation.kind")
        return Colour(shape)
    factor = cast("int", config.option("factor"))
    if shape[1] % factor or shape[2] % factor:
        raise ConfigError(f"{shape[1]} pixels a side are no multiple of {factor}", where="degradation.factor")
    return Resolution(shape, factor)
