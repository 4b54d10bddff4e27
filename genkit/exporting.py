"""From a run to a format that other software reads. Plugins bring the formats."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from genkit.catalog import catalog
from genkit.errors import UsageError
from genkit.inference import load


def export(
    run: str | Path,
    to: str,
    *,
    out: str | Path | None = None,
    checkpoint: str | int = "latest",
    weights: Literal["average", "raw"] = "average",
) -> list[Path]:
    """Write a run's generator in format `to`, as ``genkit export`` does; the paths written.

    Args:
        run: the run directory.
        to: a format that the run's modality has, such as ``hf`` for text.
        out: where; None is ``RUN/export/FORMAT``.
        checkpoint: a step, ``latest`` or ``best``.
        weights: the EMA, or the generator as it was trained.

    Raises UsageError for an unknown format or an `out` that exists, and what `load` and the format raise.
    """
    sampler = load(run, checkpoint=checkpoint, weights=weights, device="cpu")
    spec = catalog().export(to, str(sampler.facts.get("modality")))
    place = Path(out) if out is not None else Path(run) / "export" / to
    if place.exists():
        raise UsageError(f"{place} is there already", where="--out", fix="choose another place, or remove it")
    place.parent.mkdir(parents=True, exist_ok=True)
    written: list[Path] = catalog().load(spec, "export")(sampler, place)
    return written
