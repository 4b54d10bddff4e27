"""`image.digits`: handwriting that comes with the package."""

from __future__ import annotations

from importlib.resources import as_file, files

import numpy as np
import torch

from genkit_image.data.config import DigitsConfig
from genkit_image.data.images import Images, enlarge, split_end

LICENCE = "CC BY-SA 3.0: MNIST (LeCun, Cortes and Burges); see genkit_image/assets/digits.LICENCE.txt"
CLASSES = tuple("0123456789")


def open_digits(config: DigitsConfig) -> Images:
    """The embedded digits, [1, resolution, resolution], labelled 0 to 9 if `config.labels`."""
    with as_file(files("genkit_image") / "assets" / "digits.npz") as path, np.load(path, allow_pickle=False) as stored:
        images = torch.from_numpy(stored["images"]).unsqueeze(1)
        labels = torch.from_numpy(stored["labels"]).to(torch.int64)
    pixels = enlarge(images, config.resolution, where="data.resolution")
    named = (labels, CLASSES) if config.labels else (None, None)
    return split_end(pixels, *named, share=config.held_out, name="handwritten digits", licence=LICENCE, flip=False)
