"""Pictures kept in the facts of a run, as PNG in text, so that previews and sampling need no data."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from genkit_image.data.degradation import HOLES
from genkit_image.writers import picture, to_bytes

MOST = 16
BYTES = 1 << 20
"""At most so many pictures, and of large ones as many as take this much, but two at least."""


def how_many(shape: Sequence[int], available: int) -> int:
    """How many of the `available` pictures [C, H, W] are kept."""
    channels, height, width = shape
    return min(available, MOST, max(2, BYTES // (channels * height * width)))


def pack(images: Tensor) -> list[str]:
    """Pictures [N, C, H, W] in [-1, 1], rounded to 8 bits."""
    packed = []
    for pixels in to_bytes(images):
        file = io.BytesIO()
        picture(pixels).save(file, "PNG")
        packed.append(base64.b64encode(file.getvalue()).decode())
    return packed


def pack_known(given: Mapping[str, Tensor], real: Tensor) -> dict[str, list[str]]:
    """What `known_pictures` unpacks: pictures to start from, ``image`` and ``mask``, and what they should become."""
    return {"image": pack(given["image"]), "mask": pack(2 * given["mask"] - 1), "real": pack(real)}


def unpack(packed: Sequence[str]) -> Tensor:
    """What `pack` packed, [N, C, H, W]."""
    pictures = []
    for one in packed:
        with Image.open(io.BytesIO(base64.b64decode(one))) as image:
            pixels = torch.from_numpy(np.array(image))
        pictures.append(pixels.unsqueeze(0) if pixels.dim() == 2 else pixels.permute(2, 0, 1))
    return torch.stack(pictures).to(torch.get_default_dtype()) / 127.5 - 1


def known_pictures(facts: Mapping[str, Any]) -> dict[str, Tensor]:
    """``image``, ``mask`` and ``real`` [N, C, H, W] of the pictures that the facts keep."""
    packed = facts["known"]
    mask = (unpack(packed["mask"]) + 1) / 2
    image = unpack(packed["image"])
    # Mid-grey is between two bytes, and what is missing is 0.
    return {"image": image * mask if is_hole(facts) else image, "mask": mask, "real": unpack(packed["real"])}


def is_hole(facts: Mapping[str, Any]) -> bool:
    """Whether a run with these facts completes pictures, so that some of their pixels are known."""
    return facts.get("given", {}).get("kind") in HOLES


def starts_from_pictures(facts: Mapping[str, Any]) -> bool:
    """Whether the facts are those of data that gives a picture to start from, and keeps some."""
    return "given" in facts and "known" in facts
