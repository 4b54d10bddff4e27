"""What can be asked of a generator of pictures: a label, or a picture to start from."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

from genkit import Bank, Conditions, DataError, Labels, UsageError
from genkit_image.data.collection import listed
from genkit_image.data.decode import ORIENTATION, TURNED, Decoding, eight_bits
from genkit_image.data.degrade import brightness, enlarged
from genkit_image.known import is_hole, known_pictures, starts_from_pictures

WHITE = 128
"""From this brightness on, of 255, a pixel of a mask says that the picture's pixel is missing."""
PHOTO, MASK = "--condition image", "--condition mask"


class GivenPictures(Bank):
    """Pictures to start from, ``{"image": [B, C, H, W], "mask": [B, 1, H, W]}``. Without one, those that the data's
    facts keep are drawn.

    Args:
        facts: the data's.
        known: pictures of the data, ``image`` and ``mask``.
    """

    def __init__(self, facts: Mapping[str, Any], known: Mapping[str, Tensor]) -> None:
        super().__init__({name: known[name] for name in ("image", "mask")})
        self.kind, self.shape = str(facts["given"]["kind"]), tuple(facts["given"]["shape"])
        self.factor = int(facts["given"].get("factor", 1))
        self.hole = is_hole(facts)

    def parse(self, given: Mapping[str, Any], count: int) -> dict[str, Tensor]:
        """One row a sample of ``image``, files or a tensor [N, C, H, W] in [-1, 1], and in a run that fills holes of
        ``mask``, files that are white where a pixel is missing, or a tensor [N, 1, H, W] that is 0 there. They are
        taken in turn, and brought to the run's resolution by their largest centred square.

        Raises UsageError when one can not be read, or does not fit the other or the run.
        """
        self._check_names(given)
        images = _several(given["image"], "image")
        masks = _several(given["mask"], "mask") if self.hole else []
        rows = [images[i % len(images)] for i in range(count)]
        made: dict[tuple[int, int], dict[str, Tensor]] = {}
        chosen = []
        for i, image in enumerate(rows):
            key = (i % len(images), i % len(masks) if masks else 0)
            if key not in made:
                made[key] = self._row(image, masks[key[1]] if masks else None)
            chosen.append(made[key])
        return {name: torch.stack([row[name] for row in chosen]) for name in ("image", "mask")}

    def describe(self, condition: Mapping[str, Tensor]) -> Any:
        """``image`` and ``mask``, float32."""
        return {name: condition[name].float().cpu().numpy() for name in ("image", "mask")}

    def _check_names(self, given: Mapping[str, Any]) -> None:
        wanted = ["image", "mask"] if self.hole else ["image"]
        if sorted(given) == wanted:
            return
        if "mask" in given and not self.hole:
            raise UsageError(
                f"this run fills no holes: it learnt {_TASKS[self.kind]}, and takes an image without a mask",
                where=MASK,
                fix="--condition image=FILE alone",
            )
        raise UsageError(
            f"this generator takes the conditions {' and '.join(f'`{name}`' for name in wanted)}, "
            f"not {', '.join(sorted(given)) or 'nothing'}",
            where="--condition",
            fix=" ".join(f"--condition {name}=FILE" for name in wanted)
            + ("; the mask is white where the picture is missing" if self.hole else ""),
        )

    def _row(self, image: str | Path | Tensor, mask: str | Path | Tensor | None) -> dict[str, Tensor]:
        if isinstance(image, Tensor):
            _check_shape(image, self.shape, "image")
            pixels = image.to(torch.get_default_dtype())
        else:
            pixels = self._read(Path(image).expanduser())
        if mask is None:
            return {"image": pixels, "mask": pixels.new_zeros(1, *self.shape[1:])}
        if isinstance(mask, Tensor):
            _check_shape(mask, (1, *self.shape[1:]), "mask")
            known = (mask > 0.5).to(pixels.dtype)
        else:
            known = self._read_mask(Path(mask).expanduser(), image)
        return {"image": pixels * known, "mask": known}

    def _read(self, path: Path) -> Tensor:
        """The picture [C, H, W] in [-1, 1], as training saw what is left of one."""
        side = self.shape[1] // self.factor
        width, height = size_of(path, PHOTO)
        if (width, height) != (side, side):
            part = "" if width == height else "its largest centred square, "
            print(f"{path}: of {width}x{height} pixels; {part}brought to {side}x{side}", file=sys.stderr)
        try:
            with path.open("rb") as file:
                stored = Decoding(side, self.shape[0], "crop", (255, 255, 255))(file, str(path))
        except DataError as error:
            raise UsageError(error.what, where=PHOTO) from error
        pixels = (stored.to(torch.get_default_dtype()) / 127.5 - 1).unsqueeze(0)
        if self.factor > 1:
            pixels = enlarged(pixels, self.factor)
        if self.kind in ("colour", "edges"):
            pixels = brightness(pixels).expand_as(pixels)
        return pixels[0]

    def _read_mask(self, path: Path, image: str | Path | Tensor) -> Tensor:
        """The mask [1, H, W], 0 where any part of a pixel is missing."""
        size = size_of(path, MASK)
        expected = self.shape[:0:-1] if isinstance(image, Tensor) else size_of(Path(image).expanduser(), PHOTO)
        if size != tuple(expected):
            of = "the image" if isinstance(image, Tensor) else str(image)
            raise UsageError(
                f"{path}: is of {size[0]}x{size[1]} pixels, and {of} of {expected[0]}x{expected[1]}: a mask covers its "
                "picture pixel by pixel",
                where=MASK,
            )
        try:
            with Image.open(path) as file:
                ImageOps.exif_transpose(file, in_place=True)
                upright = eight_bits(file)
                if upright.has_transparency_data:
                    black = Image.new("RGBA", upright.size, (0, 0, 0, 255))
                    upright = Image.alpha_composite(black, upright.convert("RGBA"))
                white = upright.convert("L").point([0] * WHITE + [255] * (256 - WHITE))
        except Exception as error:  # codecs raise what they like
            raise _unreadable(path, MASK, error) from error
        fitted = ImageOps.fit(white, (self.shape[2], self.shape[1]), Image.Resampling.BOX)
        known = torch.from_numpy(np.array(fitted) == 0).unsqueeze(0).to(torch.get_default_dtype())
        if known.all():
            raise UsageError(
                f"{path}: nothing of the picture is missing in it", where=MASK, fix="paint what is missing white"
            )
        return known


class SeenLabels(Labels):
    """Class labels, of which those that training had no picture of can not be asked for, and are not shown."""

    def parse(self, given: Mapping[str, Any], count: int) -> Tensor:
        """As ``Labels.parse``. Raises UsageError for a class that was never seen, too."""
        chosen = super().parse(given, count)
        unseen = sorted({self.names[label] for label in chosen.tolist() if not self.counts[label]})
        if unseen:
            raise UsageError(
                f"the run was trained without a picture of {', '.join(unseen)}",
                where="--condition label",
                fix=f"ask for {listed(self._seen())}",
            )
        return chosen

    def grid(self, count: int) -> tuple[Tensor, int]:
        """As ``Labels.grid``, of the classes that were seen."""
        seen = torch.tensor([self.names.index(name) for name in self._seen()])
        chosen, columns = Labels(self._seen()).grid(count)
        return seen[chosen], columns

    def _seen(self) -> list[str]:
        return [name for name, count in zip(self.names, self.counts, strict=True) if count]


_TASKS = {
    "resolution": "to raise the resolution",
    "noise": "to take noise away",
    "colour": "to colour",
    "edges": "to make pictures of edges",
    "pairs": "from pairs of pictures",
}
"""What a run without holes has learnt, by what was taken from its pictures."""


def conditions(facts: Mapping[str, Any]) -> Conditions | None:
    """What a generator trained on data with these facts takes."""
    if starts_from_pictures(facts):
        return GivenPictures(facts, known_pictures(facts))
    if facts.get("labels"):
        return SeenLabels(facts["labels"], facts.get("label_counts"))
    return None


def size_of(path: Path, where: str) -> tuple[int, int]:
    """Width and height of a picture file, as it is shown. Raises UsageError naming the file, at `where`."""
    try:
        with Image.open(path) as image:
            width, height = image.size
            return (height, width) if image.getexif().get(ORIENTATION) in TURNED else (width, height)
    except FileNotFoundError as error:
        raise UsageError(f"{path}: there is no such file", where=where) from error
    except Exception as error:  # codecs raise what they like: OSError, SyntaxError, ValueError, struct.error, ...
        raise _unreadable(path, where, error) from error


def _unreadable(path: Path, where: str, error: Exception) -> UsageError:
    unknown = type(error).__name__ == "UnidentifiedImageError"
    cause = "it is no picture, or an unknown kind" if unknown else str(error) or type(error).__name__
    return UsageError(f"{path}: can not be read as a picture ({cause})", where=where)


def _several(asked: Any, name: str) -> Sequence[str | Path | Tensor]:
    """The rows of a condition. Raises UsageError unless they are files or tensors."""
    if isinstance(asked, str | Path):
        return [asked]
    rows = list(asked) if isinstance(asked, Sequence | Tensor) else []
    if not rows or not all(isinstance(row, str | Path | Tensor) for row in rows):
        raise UsageError(f"the condition `{name}` is a file, a list of files or a tensor", where=f"--condition {name}")
    return rows


def _check_shape(row: Tensor, shape: Sequence[int], name: str) -> None:
    if tuple(row.shape) != tuple(shape):
        raise UsageError(
            f"the condition `{name}` has rows of {list(row.shape)}, and this run takes {list(shape)}",
            where=f"--condition {name}",
        )
