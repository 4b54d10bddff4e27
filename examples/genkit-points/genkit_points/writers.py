"""Points as a table and as a picture."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw
from torch import Tensor

import genkit

SIDE = 640
"""Pixels of a preview."""
SMOOTH = 2
"""A preview is drawn this much larger and then reduced."""
MARGIN = 0.25
"""Room around the outermost modes, as a share of their extent."""


class PointsWriter(genkit.Writer):
    """A CSV for a batch of samples, and a scatter plot for a preview.

    Args:
        modes: the modes' means, [[x, y], ...]; each is drawn as a circle of three standard deviations.
        sigma: their standard deviation along each axis.
    """

    def __init__(self, modes: list[list[float]], sigma: float) -> None:
        self.modes = modes
        self.sigma = sigma
        low, high = min(map(min, modes)), max(map(max, modes))
        room = MARGIN * (high - low or 1.0)
        self.low, self.extent = low - room, high - low + 2 * room

    def write(self, batch: genkit.Batch, directory: Path, *, stem: str = "sample") -> list[Path]:
        """One table, a point a row: a file a point would serve nobody."""
        path = directory / f"{stem}.csv"
        with path.open("w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["x", "y"])
            table.writerows([f"{x:.7g}", f"{y:.7g}"] for x, y in batch.sample.tolist())
        return [path]

    def preview(self, batch: genkit.Batch, path: Path, *, columns: int) -> Path:
        """One scatter plot of all points, within limits that the modes set; `columns` is for pictures side by side."""
        side = SIDE * SMOOTH
        canvas = Image.new("RGB", (side, side), "white")
        draw = ImageDraw.Draw(canvas, "RGBA")
        for x, y in self.modes:
            self._disc(draw, x, y, max(3 * self.sigma * side / self.extent, 5 * SMOOTH), (86, 156, 214, 90))
        inside = self._inside(batch.sample)
        for x, y in inside.tolist():
            self._disc(draw, x, y, 1.5 * SMOOTH, (0, 0, 0, 110))
        canvas = canvas.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
        outside = len(batch.sample) - len(inside)
        if outside:
            ImageDraw.Draw(canvas).text((8, 8), f"{outside} of {len(batch.sample)} points lie outside", fill="black")
        path = path.with_name(f"{path.name}.png")
        canvas.save(path)
        return path

    def _inside(self, points: Tensor) -> Tensor:
        """The points that the picture's limits hold; a point that is not finite is not among them."""
        return points[((points >= self.low) & (points <= self.low + self.extent)).all(1)]

    def _disc(self, draw: ImageDraw.ImageDraw, x: float, y: float, radius: float, colour: tuple[int, ...]) -> None:
        """A disc around (x, y), `radius` in pixels of the large canvas; y grows upwards."""
        scale = SIDE * SMOOTH / self.extent
        across, down = (x - self.low) * scale, SIDE * SMOOTH - (y - self.low) * scale
        draw.ellipse((across - radius, down - radius, across + radius, down + radius), fill=colour)


def build(facts: Mapping[str, Any]) -> PointsWriter:
    """The writer for points of the mixture that `facts` describe."""
    return PointsWriter(facts["modes"], facts["sigma"])
