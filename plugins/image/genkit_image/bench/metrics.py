"""`image.modes`: what becomes of each mode of data whose modes are known."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from genkit import Batch, ConfigError, evaluation
from genkit_image.bench.config import ModesConfig
from genkit_image.bench.mixtures import KIND as MIXTURE
from genkit_image.bench.stacked import KIND as STACKED
from genkit_image.bench.stacked import MODES
from genkit_image.metrics.extractors import as_written, load_lenet
from genkit_image.metrics.lenet import as_digits


def build_modes(config: ModesConfig, facts: Mapping[str, Any]) -> evaluation.ModeCoverage:
    """Mode coverage of the data that `facts` describe. Raises ConfigError when its modes are not known."""
    known = facts.get("modes") or {}
    if known.get("kind") == MIXTURE:
        return of_mixture(known["means"], known["sigma"], config.threshold)
    if known.get("kind") == STACKED:
        return of_stacked_digits()
    raise ConfigError(
        "image.modes needs data whose modes are known",
        where="metrics",
        fix="--set data=image.ring8, image.grid25 or image.stacked_digits",
    )


def of_mixture(means: list[list[float]], sigma: float, threshold: float) -> evaluation.ModeCoverage:
    """A point belongs to the nearest mean, and to none where its Mahalanobis distance is `threshold` or more; with 3,
    98.9 % of the true distribution belong to one."""
    centres = torch.tensor(means, dtype=torch.float64)

    def assign(batch: Batch) -> Tensor:
        distance, nearest = (torch.cdist(batch.sample.flatten(1).cpu().double(), centres) / sigma).min(1)
        return torch.where(distance < threshold, nearest, -1)

    return evaluation.ModeCoverage(
        len(means),
        assign,
        graded=True,
        described={"sigma": sigma, "high_quality": f"Mahalanobis distance to the nearest mode below {threshold:g}"},
    )


def of_stacked_digits() -> evaluation.ModeCoverage:
    """The mode of a picture is what the embedded classifier reads in its three channels; every picture has one."""
    lenet, about = load_lenet()

    def assign(batch: Batch) -> Tensor:
        rows, channels = batch.sample.shape[:2]
        lenet.to(batch.sample.device)
        with torch.no_grad():
            read = lenet(as_digits(as_written(batch.sample.flatten(0, 1).unsqueeze(1)))).argmax(1)
        modes: Tensor = (read.view(rows, channels) * torch.tensor([100, 10, 1], device=read.device)).sum(1)
        return modes

    classifier = f"lenet-digits, seed {about['seed']}, accuracy {about['accuracy']}"
    return evaluation.ModeCoverage(MODES, assign, graded=False, described={"classifier": classifier})
