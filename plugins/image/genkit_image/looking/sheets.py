"""Pictures in rows and columns with names beside them, and pictures one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from PIL import Image, ImageDraw
from torch import Tensor

from genkit_image.writers import GAP, contact_sheet, picture, to_bytes

SMALL_TEXT = 12
"""Pixels of a name's letters."""
MARGIN = 4


def write_sheet(
    images: Tensor, path: Path, *, columns: int, rows_named: Sequence[str] = (), columns_named: Sequence[str] = ()
) -> Path:
    """One PNG of images [B, C, H, W] in [-1, 1], row by row, with names to the left of rows and above columns. `path`
    has no suffix. Raises UsageError unless they are grey or RGB."""
    sheet = picture(contact_sheet(to_bytes(images), columns)).convert("RGB")
    rows = -(-len(images) // columns)
    left = 2 * MARGIN + max(map(_width, rows_named)) if rows_named else 0
    top = 2 * MARGIN + SMALL_TEXT if columns_named else 0
    page = Image.new("RGB", (sheet.width + left, sheet.height + top), "white")
    page.paste(sheet, (left, top))
    pen = ImageDraw.Draw(page)
    across, down = (sheet.width - GAP) / columns, (sheet.height - GAP) / rows
    for i, name in enumerate(rows_named):
        pen.text((left - MARGIN, top + GAP + (i + 0.5) * down), name, fill="black", anchor="rm", font_size=SMALL_TEXT)
    for i, name in enumerate(columns_named):
        pen.text((left + GAP + (i + 0.5) * across, top - MARGIN), name, fill="black", anchor="ms", font_size=SMALL_TEXT)
    path = path.with_name(f"{path.name}.png")
    page.save(path)
    return path


def _width(name: str) -> int:
    pen = ImageDraw.Draw(Image.new("L", (1, 1)))
    return int(pen.textlength(name, font_size=SMALL_TEXT)) + 1


def write_film(frames: Tensor, path: Path, *, columns: int, rate: float) -> Path:
    """One GIF without end of frames [T, B, C, H, W] in [-1, 1], the B pictures of a frame in rows of `columns`, `rate`
    frames a second. `path` has no suffix. Raises UsageError unless they are grey or RGB."""
    pixels = to_bytes(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
    pages = [picture(contact_sheet(frame, columns)) for frame in pixels]
    if pages[0].mode == "RGB":
        # One palette for all: with one a frame, colours that do not move would flicker.
        tallest = torch.cat([contact_sheet(frame, columns) for frame in pixels[:: max(1, len(pixels) // 8)]], 1)
        palette = picture(tallest).quantize(256)
        pages = [page.quantize(palette=palette) for page in pages]
    path = path.with_name(f"{path.name}.gif")
    pages[0].save(path, save_all=True, append_images=pages[1:], duration=max(20, round(1000 / rate)), loop=0)
    return path
