"""Mode coverage on 25 and on 8 Gaussians, per seed: `points.grid25` and `points.ring8` in one thread.

The protocol is PacGAN's (Lin et al. 2018): 2,500 samples, of high quality within three standard deviations of a mode.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported

import torch
from machine import answer, describe, say

import genkit

RECIPES = ("points.grid25", "points.ring8")
FIGURES = ("modes", "high_quality", "reverse_kl", "seconds")


def run_seed(recipe: str, seed: int, steps: int | None) -> tuple[dict[str, float], dict[str, Any]]:
    """One run's figures, and the protocol they were measured under."""
    with tempfile.TemporaryDirectory(prefix="genkit-points-") as place:
        result = genkit.run(recipe, steps=steps, seed=seed, device="cpu", out=Path(place) / "run")
    figures = {name: result.metrics[name] for name in FIGURES[:-1]}
    found = {"seed": seed, **figures, "seconds": round(result.seconds, 2), "steps": result.step}
    say(f"{recipe} seed {seed}: " + ", ".join(f"{name} {found[name]:.4g}" for name in FIGURES))
    return found, dict(result.scores[0].protocol)


def summary(runs: Sequence[dict[str, float]]) -> dict[str, dict[str, float | None]]:
    """Mean and standard error (of the sample, s/√n; none for one seed) of each figure."""
    columns = {name: [run[name] for run in runs] for name in FIGURES}
    many = len(runs) > 1
    return {
        "mean": {name: statistics.fmean(values) for name, values in columns.items()},
        "standard_error": {
            name: statistics.stdev(values) / len(values) ** 0.5 if many else None for name, values in columns.items()
        },
    }


def measure(recipes: Sequence[str], seeds: Sequence[int], steps: int | None) -> dict[str, Any]:
    """Every recipe with every seed."""
    found: dict[str, Any] = {"machine": describe()}
    for recipe in recipes:
        runs, protocols = zip(*(run_seed(recipe, seed, steps) for seed in seeds), strict=True)
        measured = {key: value for key, value in protocols[0].items() if key not in ("real", "fake", "floor")}
        found[recipe] = {"runs": list(runs), **summary(runs), "measured": measured}
    found["protocol"] = {
        "seeds": list(seeds),
        "steps": "the recipe's own" if steps is None else steps,
        "samples": "train.eval_samples of the recipe, from the averaged generator, of the last step",
        "threads": torch.get_num_threads(),
        "seconds": "training with previews, checkpoints and the evaluation, without start-up",
    }
    return found


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="0,1,2", help="comma-separated")
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--steps", type=int, help="instead of the recipe's own")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line of stdout")
    given = parser.parse_args()
    try:
        seeds = [int(word) for word in given.seeds.split(",")]
    except ValueError:
        parser.error(f"--seeds {given.seeds!r}: expected numbers with commas between them")
    torch.set_num_threads(1)
    answer(measure(given.recipes, seeds, given.steps), as_json=given.json)


if __name__ == "__main__":
    main()
