"""What a set of features must be before a distance can be taken, and distances between them.

Distances are taken block by block, so that memory grows with the number of samples and not with its square.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from genkit.errors import GenkitError

BLOCK = 4096
"""Rows looked at, or converted to float64, at once."""
BLOCK_DISTANCES = 2**23
"""Distances held at once (64 MiB in float64)."""


def check_features(*sets: Tensor, least: int | Sequence[int]) -> None:
    """Refuse feature sets that no distance can be taken between.

    Args:
        sets: what should be features [N, D].
        least: the smallest N, of all sets or of each.

    Raises:
        GenkitError: a set is not [N, D] with N >= `least`, holds numbers that are not finite, or the widths differ.
    """
    wanted = [least] * len(sets) if isinstance(least, int) else least
    for features, fewest in zip(sets, wanted, strict=True):
        if features.ndim != 2:
            raise GenkitError(f"features must be [N, D], not {list(features.shape)}")
        if len(features) < fewest:
            raise GenkitError(
                f"{len(features)} samples are too few: this distance needs at least {fewest}",
                fix="evaluate more samples",
            )
        if not all(bool(part.isfinite().all()) for part in torch.split(features, BLOCK)):
            raise GenkitError(
                "the features hold numbers that are not finite", fix="look at the samples and the extractor"
            )
    widths = {features.shape[1] for features in sets}
    if len(widths) > 1:
        raise GenkitError(f"features of different widths {sorted(widths)} can not be compared")


def centred(real: Tensor, fake: Tensor, *, least: int | Sequence[int]) -> tuple[Tensor, Tensor]:
    """Features of two sets in float64 around the reals' mean: distances lose the fewest digits there.

    Raises as `check_features`.
    """
    check_features(real, fake, least=least)
    real, fake = real.double(), fake.double()
    mean = real.mean(0)
    return real - mean, fake - mean


def distances(rows: Tensor, columns: Tensor) -> Iterator[tuple[slice, Tensor]]:
    """Distances [B, M] from blocks of `rows` [N, D] to all `columns` [M, D], each with the slice of its rows."""
    size = max(1, BLOCK_DISTANCES // len(columns))
    for start in range(0, len(rows), size):
        block = slice(start, min(start + size, len(rows)))
        yield block, torch.cdist(rows[block], columns)
