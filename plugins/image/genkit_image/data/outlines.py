"""`image.outlines`: the embedded digits as pairs, to see `image.pairs` work without files of one's own."""

from __future__ import annotations

import torch
from torch import Tensor

from genkit import DataError
from genkit_image.data.config import DigitsConfig, OutlinesConfig
from genkit_image.data.degradation import Degradation
from genkit_image.data.degrade import degrade_of
from genkit_image.data.digits import open_digits
from genkit_image.data.pairs import Paired, Stored, pair_up

NAME = "handwritten digits and their edges"


def open_outlines(config: OutlinesConfig) -> Paired:
    """The digits, [1, resolution, resolution], each with its edges, black on white."""
    pixels = open_digits(DigitsConfig(resolution=config.resolution, held_out=0.0, labels=False)).pictures
    if not isinstance(pixels, Tensor):
        raise DataError("the embedded digits are not in memory")
    edges = degrade_of(Degradation(kind="edges"), pixels.shape[1:])
    drawn = [
        edges(part / 127.5 - 1, part.new_zeros(len(part), 0))["image"].add(1).mul(127.5).to(torch.uint8)
        for part in pixels.split(1000)
    ]
    pairs: Stored = {"given": torch.cat(drawn), "image": pixels}
    kept = len(pixels) - round(config.held_out * len(pixels))
    parts = [{key: one[part] for key, one in pairs.items()} for part in (slice(kept), slice(kept, None))]
    return pair_up(
        parts[0], parts[1] if kept < len(pixels) else None, resolution=config.resolution, flip=False, name=NAME
    )
