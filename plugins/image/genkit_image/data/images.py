"""Pictures as a genkit dataset, wherever they come from."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from copy import copy
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from genkit import Batch, ConfigError, DataError, Dataset, Random
from genkit_image.data.collection import listed
from genkit_image.data.config import Sampling

Stored = dict[str, Tensor]
"""``image`` uint8 [C, H, W] and, where there are labels, ``label`` int64 []; with a batch dimension once collated."""


class Pictures(Protocol):
    """Pictures of one shape, read one at a time."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Tensor:
        """uint8 [C, H, W]."""

    def whole(self) -> Tensor | None:
        """All of them, uint8 [N, C, H, W], where that takes no reading one by one; else None."""
        return None


class Images(Dataset):
    """Pictures and their labels.

    Args:
        pictures: uint8 [N, C, H, W] in memory, or anything that reads one at a time.
        labels: int64 [N], or None.
        classes: the name of each label, or None.
        name, licence: what a report says.
        flip: mirror each picture by chance, anew for each batch.
        sampling: ``labels`` draws each label as often as the others, ``pictures`` each picture.
        held_out: pictures that training never sees; None in the held-out part itself.

    Raises DataError when there is no picture, ConfigError when labels are to be drawn alike and there are none.
    """

    binding = ("labels",)

    def __init__(
        self,
        pictures: Tensor | Pictures,
        labels: Tensor | None = None,
        classes: Sequence[str] | None = None,
        *,
        name: str,
        licence: str,
        flip: bool = False,
        sampling: Sampling = "pictures",
        held_out: Images | None = None,
    ) -> None:
        if len(pictures) == 0:
            raise DataError(f"{name}: there is no picture to train on")
        if (labels is None) != (classes is None) or (labels is not None and len(labels) != len(pictures)):
            raise DataError(f"{name}: {len(pictures)} pictures do not go with the labels given")
        self.pictures, self.labels = pictures, labels
        self.name, self.licence, self.flip, self._held_out = name, licence, flip, held_out
        counts = None
        if labels is not None and classes is not None:
            counts = torch.bincount(labels, minlength=len(classes))
            if sampling == "labels":
                self.weights = _of_equal_labels(labels, counts)
                counts = torch.where(counts > 0, len(labels) // int((counts > 0).sum()), 0)
        elif sampling == "labels":
            raise ConfigError(f"{name}: has no labels to be drawn alike", where="data.sampling", fix="pictures")
        self.facts = {
            "modality": "image",
            "shape": list(pictures[0].shape),
            "range": [-1, 1],
            "labels": list(classes) if classes is not None else None,
            "label_counts": None if counts is None else counts.tolist(),
        }

    def __len__(self) -> int:
        return len(self.pictures)

    def read(self, index: int) -> Stored:
        """``image`` uint8 [C, H, W] and, where there are labels, ``label`` int64 []. Raises DataError when broken."""
        return self._stored(self.pictures[index], None if self.labels is None else self.labels[index])

    def resident(self) -> Stored | None:
        """All pictures, uint8 [N, C, H, W], and labels [N]; None when the pictures are not in memory."""
        whole = self.pictures if isinstance(self.pictures, Tensor) else self.pictures.whole()
        return self._stored(whole, self.labels) if whole is not None else None

    def prepare(self, stored: Stored, *, rng: Random) -> Batch:
        """Pictures [B, C, H, W] in [-1, 1] and labels int64 [B] as the condition."""
        return as_batch(stored, flip=self.flip, rng=rng)

    def still(self) -> Images:
        """The pictures, none of them mirrored."""
        other = copy(self)
        other.flip = False
        return other

    def held_out(self) -> Images | None:
        return self._held_out

    def summary(self) -> Mapping[str, Any]:
        return {
            "name": self.name,
            "examples": len(self),
            "shape": self.facts["shape"],
            "classes": None if self.labels is None else len(self.facts["labels"]),
            "held out": 0 if self._held_out is None else len(self._held_out),
            "licence": self.licence,
        }

    @staticmethod
    def _stored(image: Tensor, label: Tensor | None) -> Stored:
        return {"image": image} if label is None else {"image": image, "label": label}


def as_batch(stored: Stored, *, flip: bool, rng: Random) -> Batch:
    """Stored pictures as [B, C, H, W] in [-1, 1], mirrored by chance where `flip`, with their labels int64 [B]."""
    sample = stored["image"].to(torch.get_default_dtype()) / 127.5 - 1
    if flip:
        mirrored = rng.uniform(len(sample)) < 0.5
        sample = torch.where(mirrored[:, None, None, None], sample.flip(-1), sample)
    return Batch(sample, condition=stored.get("label"))


def _of_equal_labels(labels: Tensor, counts: Tensor) -> Tensor:
    """How often each picture is drawn, float64 [N] of mean 1, so that each label comes as often as the others."""
    weights = counts.double().reciprocal()[labels]
    return weights / weights.mean()


def say_unseen(data: Images) -> None:
    """Say which classes have no picture to train on."""
    if data.labels is not None:
        unseen = [
            name for name, count in zip(data.facts["labels"], data.facts["label_counts"], strict=True) if not count
        ]
        if unseen:
            print(f"{data.name}: no picture to train on of {listed(unseen)}", file=sys.stderr)


def split_end(
    pixels: Tensor,
    labels: Tensor | None,
    classes: Sequence[str] | None,
    *,
    share: float,
    name: str,
    licence: str,
    flip: bool,
    sampling: Sampling = "pictures",
) -> Images:
    """`Images` of uint8 [N, C, H, W] whose last `share` is held out, unmirrored."""
    kept = len(pixels) - round(share * len(pixels))
    here = labels[:kept] if labels is not None else None
    there = labels[kept:] if labels is not None else None
    held_out = None
    if kept < len(pixels):
        held_out = Images(pixels[kept:], there, classes, name=f"{name}, held out", licence=licence)
    return Images(
        pixels[:kept], here, classes, name=name, licence=licence, flip=flip, sampling=sampling, held_out=held_out
    )


def enlarge(pixels: Tensor, resolution: int | None, *, where: str) -> Tensor:
    """uint8 [N, C, size, size] brought to `resolution`: a black border up to the next power of two, then doubling.

    Raises ConfigError, naming `where`, when neither gets there.
    """
    size = pixels.shape[-1]
    if resolution in (None, size) and pixels.shape[-2] == size:
        return pixels
    padded = 1 << (max(pixels.shape[-2:]) - 1).bit_length()
    times, rest = divmod(resolution or padded, padded)
    if rest or times & (times - 1) or not times:
        raise ConfigError(
            f"pictures of {pixels.shape[-2]}x{size} pixels can not be brought to {resolution}",
            where=where,
            fix=f"{where}={padded}, or that doubled",
        )
    down, right = padded - pixels.shape[-2], padded - size
    pixels = F.pad(pixels, (right // 2, right - right // 2, down // 2, down - down // 2))
    if times == 1:
        return pixels
    parts = [
        F.interpolate(part.float(), scale_factor=float(times), mode="bilinear", align_corners=False)
        .round_()
        .to(torch.uint8)
        for part in pixels.split(1000)
    ]
    return torch.cat(parts)
