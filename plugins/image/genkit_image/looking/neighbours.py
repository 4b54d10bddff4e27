"""The training pictures nearest to samples: is it learnt by heart?"""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from genkit import Batch, Subject, evaluation
from genkit_image.looking.config import NeighboursConfig
from genkit_image.looking.sheets import write_sheet
from genkit_image.metrics.extractors import as_written, open_extractor


def draw_neighbours(config: NeighboursConfig, subject: Subject, path: Path) -> list[Path]:
    """Each row a sample and the training pictures nearest to it; the distances in a text file beside it.

    Training pictures are shown as they are stored. Where training mirrored them by chance, a sample is as far from one
    as the nearer of itself and its mirror image.
    """
    latent, condition = subject.inputs(config.rows)
    made = subject.sampler.generate(latent, condition)
    measure, what = _measure(config.extractor, subject)
    data, device = subject.data.still(), subject.sampler.device
    reals = evaluation.RealSamples(data, split="train", device=device)
    count = min(config.neighbours, reals.count)
    mirrored = measure(Batch(made.sample.flip(-1), made.condition)) if getattr(subject.data, "flip", False) else None
    distance, index = nearest(measure(made), reals, measure, count, mirrored=mirrored)
    found = evaluation.RealSamples(data, split="train", indices=index.flatten().tolist(), device=device)
    pictures = Batch.join(list(found.batches())).sample.unflatten(0, index.shape)
    rows = torch.cat([made.sample[:, None], pictures.to(made.sample)], 1).flatten(0, 1)
    names = ["sample", *(str(i) for i in range(1, count + 1))]
    sheet = write_sheet(rows, path, columns=count + 1, columns_named=names)
    table = path.with_name(f"{path.name}.txt")
    lines = [f"distance in {what}, and number of the training picture"]
    for row, (far, which) in enumerate(zip(distance.tolist(), index.tolist(), strict=True)):
        lines.append("  ".join([f"sample {row}:", *(f"{a:.4g} ({b})" for a, b in zip(far, which, strict=True))]))
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return [sheet, table]


def nearest(
    features: Tensor,
    reals: evaluation.RealSamples,
    measure: Callable[[Batch], Tensor],
    count: int,
    *,
    mirrored: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Distances [B, count], ascending, from features [B, D] to those of the reals, and which reals they are.

    Args:
        features: of the samples.
        reals: what is near.
        measure: the features of a batch.
        count: how many of the reals.
        mirrored: features of the samples' mirror images [B, D]; the nearer of the two counts.
    """
    distance = features.new_full((len(features), 0), 0.0)
    index = torch.zeros(len(features), 0, dtype=torch.int64, device=features.device)
    start = 0
    for batch in reals.batches():
        there = measure(batch)
        here = _apart(features, there)
        if mirrored is not None:
            here = torch.minimum(here, _apart(mirrored, there))
        numbers = torch.arange(start, start + here.shape[1], device=here.device).expand(len(here), -1)
        start += here.shape[1]
        distance, chosen = torch.cat([distance, here], 1).topk(min(count, start), dim=1, largest=False)
        index = torch.cat([index, numbers], 1).gather(1, chosen)
    return distance, index


def _apart(features: Tensor, others: Tensor) -> Tensor:
    """Distances [B, M], exact where they are 0, which those by matrix products are not."""
    return torch.cdist(features, others, compute_mode="donot_use_mm_for_euclid_dist")


def _measure(extractor: str, subject: Subject) -> tuple[Callable[[Batch], Tensor], str]:
    """What is compared, and what it is called."""
    if extractor == "pixels":

        def pixels(batch: Batch) -> Tensor:
            flat = as_written(batch.sample).flatten(1)
            return flat / math.sqrt(flat.shape[1])

        return pixels, "pixels (root of the mean square, in [-1, 1])"
    found = open_extractor(extractor, subject.sampler.facts)
    return lambda batch: found(batch).float(), f"features of {found.name}"
