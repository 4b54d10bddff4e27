"""What a set of features must be before a distance can be taken."""

from __future__ import annotations

import torch
from torch import Tensor

from genkit.errors import GenkitError

BLOCK = 4096
"""Rows looked at, or converted to float64, at once."""


def check_features(*sets: Tensor, least: int) -> None:
    """Refuse feature sets that no distance can be taken between.

    Raises:
        GenkitError: a set is not [N, D] with N >= `least`, holds numbers that are not finite, or the widths differ.
    """
    for features in sets:
        if features.ndim != 2:
            raise GenkitError(f"features must be [N, D], not {list(features.shape)}")
        if len(features) < least:
            raise GenkitError(
                f"{len(features)} samples are too few: this distance needs at least {least}",
                fix="evaluate more samples",
            )
        if not all(bool(part.isfinite().all()) for part in torch.split(features, BLOCK)):
            raise GenkitError(
                "the features hold numbers that are not finite", fix="look at the samples and the extractor"
            )
    widths = {features.shape[1] for features in sets}
    if len(widths) > 1:
        raise GenkitError(f"features of different widths {sorted(widths)} can not be compared")
