"""How far a picture that was made is from the one it should be."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from torch import Tensor

from genkit import Batch, DataError, Metric, Samples, evaluation
from genkit_image.metrics.config import ReconstructionConfig
from genkit_image.metrics.extractors import as_written
from genkit_image.restoration import missing_mean


class Reconstruction(Metric):
    """Mean absolute errors, where black and white are 2 apart, and the peak signal-to-noise ratio in dB.

    ``hole_mae`` is over the pixels that had to be made, of each picture and then of all; ``mae`` over all pixels.
    ``psnr`` is 10 log₁₀(2² / MSE) of each picture's whole, then the mean; errors count as an eighth of
    a byte's step at least.
    Other reals are of other conditions, so there is no floor.
    """

    better = {"hole_mae": "lower", "mae": "lower", "psnr": "higher"}  # noqa: RUF012 (the contract's own form)

    def __call__(self, real: Samples, fake: Samples) -> dict[str, float]:
        """The figures. Raises DataError unless the sets are aligned."""
        if isinstance(fake, evaluation.RealSamples):
            return {}
        hole = whole = ratio = 0.0
        for wanted, made, mask in aligned(real, fake):
            apart = (as_written(made) - as_written(wanted)).double()
            error = apart.abs().mean(1, keepdim=True)
            hole += float(missing_mean(error, mask.double()).sum())
            whole += float(error.mean((1, 2, 3)).sum())
            squares = apart.square().mean((1, 2, 3)).clamp(min=(2 / 255 / 8) ** 2)
            ratio += float((10 / math.log(10) * (4 / squares).log()).sum())
        return {"hole_mae": hole / fake.count, "mae": whole / fake.count, "psnr": ratio / fake.count}

    def protocol(self) -> dict[str, Any]:
        return {"errors": "of 8-bit pictures in [-1, 1]"}


def aligned(real: Samples, fake: Samples) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Real pictures, those made and the masks, row by row. Raises DataError unless their conditions are the same."""
    rest: Batch | None = None
    theirs = fake.batches()
    for batch in real.batches():
        count = len(batch.sample)
        while rest is None or len(rest.sample) < count:
            more = next(theirs, None)
            if more is None:
                raise DataError("image.reconstruction compares with the real picture of each sample: some have none")
            rest = more if rest is None else Batch.join([rest, more])
        made, rest = _rows(rest, slice(count)), _rows(rest, slice(count, None))
        given, wanted = made.condition, batch.condition
        if not isinstance(given, Mapping) or not isinstance(wanted, Mapping) or "mask" not in given:
            raise DataError(
                "image.reconstruction measures what was made of a picture, and the samples were made of none",
                where="metrics",
                fix="it goes with image.reconstruct and image.pairs",
            )
        if not (given["image"] == wanted["image"]).all():
            raise DataError("image.reconstruction compares samples with the reals of the same conditions, row by row")
        yield batch.sample, made.sample, given["mask"]


def _rows(batch: Batch, rows: slice) -> Batch:
    return batch.map(lambda leaf: leaf[rows])


def build_reconstruction(config: ReconstructionConfig, facts: Mapping[str, Any]) -> Reconstruction:
    """The errors of what was made of a picture."""
    return Reconstruction()
