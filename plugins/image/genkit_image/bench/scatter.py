"""Points as a table, and as a picture of where they are."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from genkit import Batch, Writer
from genkit_image.writers import picture

SIDE = 320
"""Pixels of a preview."""
MARGIN = 0.25
"""Room around the outermost means, as a share of their extent."""


class PointsWriter(Writer):
    """A CSV for a batch of points [B, 2, 1, 1]; for a preview a square that holds all means, black where points are.

    Args:
        means: the means of the mixture, [[x, y], ...].
    """

    def __init__(self, means: Sequence[Sequence[float]]) -> None:
        low, high = min(map(min, means)), max(map(max, means))
        room = MARGIN * (high - low)
        self.low, self.extent = low - room, high - low + 2 * room

    def write(self, batch: Batch, directory: Path, *, stem: str = "sample") -> list[Path]:
        """One table, a point a row."""
        path = directory / f"{stem}.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["x", "y"])
            table.writerows([f"{x:.7g}", f"{y:.7g}"] for x, y in batch.sample.flatten(1).tolist())
        return [path]

    def preview(self, batch: Batch, path: Path, *, columns: int) -> Path:
        """One PNG; `columns` is for pictures side by side. Points outside, or not finite, are not shown."""
        path = path.with_name(f"{path.name}.png")
        path.parent.mkdir(parents=True, exist_ok=True)
        picture(self.dots(batch.sample.flatten(1))).save(path)
        return path

    def dots(self, points: Tensor) -> Tensor:
        """uint8 [1, SIDE, SIDE]: each point [N, 2] darkens its pixel and those beside it; y grows upwards."""
        place = (points - self.low) / self.extent
        inside = place[((place >= 0) & (place < 1)).all(1)]
        across, down = (inside[:, 0] * SIDE).long(), ((1 - inside[:, 1]) * SIDE).long().clamp(max=SIDE - 1)
        counts = torch.bincount(down * SIDE + across, minlength=SIDE * SIDE).view(1, 1, SIDE, SIDE).float()
        spread = torch.nn.functional.max_pool2d(counts, 3, stride=1, padding=1)[0]
        return (255 * 0.5**spread).to(torch.uint8)
