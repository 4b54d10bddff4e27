"""Images -> PNG files."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from torch import Tensor

from genkit import Batch, UsageError, Writer

GAP = 2
"""Pixels between the pictures of a preview."""
SMALLEST = 48
"""Small pictures are enlarged in a preview to at least this many pixels a side."""


class ImageWriter(Writer):
    """Writes images [B, C, H, W] in [-1, 1], grey (C = 1) or RGB (C = 3)."""

    def write(self, batch: Batch, directory: Path, *, stem: str = "sample") -> list[Path]:
        """One PNG an image, ``<stem>-00000.png`` and on."""
        directory.mkdir(parents=True, exist_ok=True)
        paths = []
        for index, pixels in enumerate(to_bytes(batch.sample)):
            paths.append(directory / f"{stem}-{index:05d}.png")
            picture(pixels).save(paths[-1])
        return paths

    def preview(self, batch: Batch, path: Path, *, columns: int) -> Path:
        """One PNG with the images row by row, `columns` in each."""
        sheet = picture(contact_sheet(to_bytes(batch.sample), columns))
        path = path.with_name(f"{path.name}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(path)
        return path


def to_bytes(images: Tensor) -> Tensor:
    """uint8 [B, C, H, W] from [-1, 1]; what lies outside is clipped. Raises UsageError unless grey or RGB."""
    if images.dim() != 4 or images.shape[1] not in {1, 3} or 0 in images.shape:
        raise UsageError(f"a batch of shape {list(images.shape)} can not be written as grey or RGB pictures")
    return ((images.detach().float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).cpu()


def contact_sheet(images: Tensor, columns: int) -> Tensor:
    """uint8 [C, height, width]: the images [B, C, H, W] in rows of `columns`, enlarged by whole pixels when small."""
    count, channels, height, width = images.shape
    columns = max(1, min(columns, count))
    times = max(1, -(-SMALLEST // max(height, width)))
    images = images.repeat_interleave(times, 2).repeat_interleave(times, 3)
    height, width = height * times, width * times
    rows = -(-count // columns)
    sheet = torch.full((channels, rows * (height + GAP) + GAP, columns * (width + GAP) + GAP), 255, dtype=torch.uint8)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        top, left = GAP + row * (height + GAP), GAP + column * (width + GAP)
        sheet[:, top : top + height, left : left + width] = image
    return sheet


def picture(pixels: Tensor) -> Image.Image:
    """The picture of uint8 [C, H, W], grey or RGB."""
    array = pixels.numpy()
    return Image.fromarray(array[0] if len(array) == 1 else array.transpose(1, 2, 0).copy())


def build_writer(facts: Mapping[str, Any]) -> Writer:
    """The writer of images; where they are made of other images, it shows both; of points, where samples are that."""
    from genkit_image.bench.scatter import PointsWriter
    from genkit_image.known import known_pictures, starts_from_pictures
    from genkit_image.restoration import RestorationWriter

    means = (facts.get("modes") or {}).get("means")
    if means:
        return PointsWriter(means)
    return RestorationWriter(known_pictures(facts)) if starts_from_pictures(facts) else ImageWriter()
