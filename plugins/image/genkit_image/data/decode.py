"""One picture file of any kind -> uint8 [C, resolution, resolution]."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Literal

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from genkit import DataError

ORIENTATION, TURNED = 0x0112, frozenset({5, 6, 7, 8})
"""The EXIF tag, and those of its values with which width and height change places."""
_GREY_MODES = frozenset({"1", "L", "LA", "La", "I", "F", "I;16", "I;16B", "I;16L", "I;16N"})


@dataclass(frozen=True)
class Decoding:
    """What is made of each picture."""

    resolution: int
    channels: Literal[1, 3]
    fit: Literal["crop", "pad", "stretch"]
    background: tuple[int, int, int]

    def __call__(self, file: IO[bytes], name: str) -> Tensor:
        """The picture in `file`, uint8 [channels, resolution, resolution]. Raises DataError naming `name`."""
        return self.sized(file, name)[0]

    def sized(self, file: IO[bytes], name: str) -> tuple[Tensor, bool]:
        """The picture as above, and whether it had to be enlarged. Raises DataError naming `name`."""
        with _opened(file, name) as image:
            small = self.enlarges(*image.size)
            return self._decoded(image), small

    def described(self, file: IO[bytes], name: str) -> tuple[Tensor, Header]:
        """The picture as above, and its header. Raises DataError naming `name`."""
        with _opened(file, name) as image:
            header = _header(image)
            return self._decoded(image), header

    def enlarges(self, width: int, height: int) -> bool:
        """Whether a picture of this size has fewer pixels than are wanted."""
        return (max if self.fit == "pad" else min)(width, height) < self.resolution

    def _decoded(self, image: Image.Image) -> Tensor:
        # JPEG is decoded at no more than twice the size that is wanted, which is several times faster.
        image.draft(None, (2 * self.resolution, 2 * self.resolution))
        return self._tensor(self._square(self._flat(image)))

    def _flat(self, image: Image.Image) -> Image.Image:
        """Upright, 8 bits, grey or RGB, without transparency."""
        ImageOps.exif_transpose(image, in_place=True)
        image = eight_bits(image)
        if image.has_transparency_data:
            opaque = Image.new("RGBA", image.size, (*self.background, 255))
            image = Image.alpha_composite(opaque, image.convert("RGBA")).convert("RGB")
        return image.convert("L" if self.channels == 1 else "RGB")

    def _square(self, image: Image.Image) -> Image.Image:
        size, lanczos = (self.resolution, self.resolution), Image.Resampling.LANCZOS
        if image.size == size:
            return image
        if self.fit == "crop":
            return ImageOps.fit(image, size, lanczos)
        if self.fit == "pad":
            border = Image.new("RGB", size, self.background).convert(image.mode)
            whole = ImageOps.contain(image, size, lanczos)
            border.paste(whole, ((size[0] - whole.width) // 2, (size[1] - whole.height) // 2))
            return border
        return image.resize(size, lanczos)

    def _tensor(self, image: Image.Image) -> Tensor:
        pixels = torch.from_numpy(np.array(image))
        return pixels.unsqueeze(0) if self.channels == 1 else pixels.permute(2, 0, 1).contiguous()


@dataclass(frozen=True)
class Header:
    """What a picture file says of itself."""

    format: str
    mode: str
    width: int
    """As it is shown."""
    height: int
    turned: bool
    """Whether EXIF says to show it otherwise than it is stored."""
    transparent: bool
    animated: bool


def read_header(file: IO[bytes], name: str) -> Header:
    """The header of a picture. Raises DataError naming `name`."""
    with _opened(file, name) as image:
        return _header(image)


def _header(image: Image.Image) -> Header:
    orientation = image.getexif().get(ORIENTATION, 1)
    width, height = image.size[::-1] if orientation in TURNED else image.size
    return Header(
        format=str(image.format),
        mode=image.mode,
        width=width,
        height=height,
        turned=orientation != 1,
        transparent=image.has_transparency_data,
        animated=getattr(image, "is_animated", False),
    )


def is_colour(file: IO[bytes], name: str) -> bool:
    """Whether a picture's kind has colour, by its header (and palette) alone. Raises DataError naming `name`."""
    with _opened(file, name) as image:
        if image.mode in {"P", "PA"}:
            palette = np.array(image.getpalette("RGB") or [0, 0, 0]).reshape(-1, 3)
            return bool((palette != palette[:, :1]).any())
        return image.mode not in _GREY_MODES


@contextmanager
def _opened(file: IO[bytes], name: str) -> Iterator[Image.Image]:
    """The picture in `file`. Whatever fails with it is a DataError that names `name`."""
    try:
        with Image.open(file) as image:
            yield image
    except MemoryError:
        raise
    except Exception as error:  # codecs raise what they like: OSError, SyntaxError, ValueError, struct.error, ...
        raise unreadable(name, error) from error


def unreadable(name: str, error: Exception) -> DataError:
    """The error for one broken file."""
    cause = "it is no picture, or an unknown kind" if type(error).__name__ == "UnidentifiedImageError" else str(error)
    return DataError(
        f"{name}: can not be read as a picture ({cause or type(error).__name__})",
        fix="remove the file, or leave such files out with --set data.skip_broken=true",
    )


def eight_bits(image: Image.Image) -> Image.Image:
    """Pictures of 16 bits, of 32-bit integers that hold 16, and of floats in [0, 1], scaled to 8 bits.

    Pillow's own conversion clips them at 255. The 32-bit integers of a TIFF that has none above 255 hold 8 bits. Raises
    ValueError for values beyond these.
    """
    if image.mode != "F" and not image.mode.startswith("I"):
        return image
    values = np.asarray(image)
    top = 1.0 if image.mode == "F" else 65535.0
    if image.mode == "I" and image.format == "TIFF" and values.max() <= 255:
        top = 255.0
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > top:
        raise ValueError(f"its values, {values.min()} to {values.max()}, lie outside [0, {top:g}]")
    return Image.fromarray((values.astype(np.float64) * (255.0 / top)).round().astype(np.uint8))
