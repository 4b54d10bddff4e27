"""Mode coverage where the modes of the data are known, measured as PacGAN does (Lin et al. 2018, section 4)."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from genkit.errors import GenkitError
from genkit.inspection import Metric, Samples
from genkit.interfaces import Batch
from genkit.specs import Better


def mode_coverage(counts: Tensor) -> tuple[int, float]:
    """How many modes have a sample, and the reverse KL, KL(p ‖ uniform) = Σ p_i log(M p_i), in nats.

    N samples that are spread evenly over M modes come to about (M - 1) / 2N; no sample at all, or all in one mode, to
    log M.

    Args:
        counts: samples in each mode, [M].

    Raises:
        GenkitError: there is no mode, or a count is negative.
    """
    if counts.dim() != 1 or not len(counts) or int(counts.min()) < 0:
        raise GenkitError(f"counts of shape {list(counts.shape)} are no histogram over modes")
    total = int(counts.sum())
    if total == 0:
        return 0, math.log(len(counts))
    share = counts.double() / total
    return int((counts > 0).sum()), max(0.0, float(torch.special.xlogy(share, share * len(counts)).sum()))


class ModeCoverage(Metric):
    """What becomes of each known mode. The truth is known, so the reals are not looked at.

    - ``modes``: modes with at least one sample;
    - ``reverse_kl``: see `mode_coverage`, of the samples that belong to a mode;
    - ``high_quality``, where `graded`: the share of samples that belong to one, in [0, 1].

    Args:
        modes: how many modes there are, M.
        assign: samples in a batch -> the mode of each, int64 [B]; -1 where it belongs to none.
        graded: whether a sample may belong to none.
        described: what a protocol says of the modes and of how samples are assigned to them.
    """

    def __init__(
        self, modes: int, assign: Callable[[Batch], Tensor], *, graded: bool, described: Mapping[str, Any]
    ) -> None:
        self.modes = modes
        self.assign = assign
        self.graded = graded
        self.described = described
        self.better: Mapping[str, Better] = {
            "modes": "higher",
            **({"high_quality": "higher"} if graded else {}),
            "reverse_kl": "lower",
        }

    def __call__(self, real: Samples, fake: Samples) -> dict[str, float]:
        counts = torch.zeros(self.modes, dtype=torch.int64)
        for batch in fake.batches():
            found = self.assign(batch).cpu()
            counts += torch.bincount(found[found >= 0], minlength=self.modes)
        covered, divergence = mode_coverage(counts)
        figures = {"modes": float(covered), "high_quality": int(counts.sum()) / fake.count, "reverse_kl": divergence}
        return {name: value for name, value in figures.items() if name in self.better}

    def protocol(self) -> dict[str, Any]:
        return {
            "follows": "PacGAN (Lin et al. 2018)",
            "modes": self.modes,
            "reverse_kl": "KL(histogram over modes || uniform), nats",
            **self.described,
        }
