"""Mode coverage on 8 and on 25 Gaussians in the plane, per seed: `image.mixture`, one thread a run.

The protocol is PacGAN's (Lin et al. 2018, section 4.1): 2,500 samples, each of the mode it is nearest to, of high
quality within three standard deviations of it. The bar: all modes on every seed, and on every seed a reverse KL below
what PacGAN publishes as its mean, 0.07 on the ring and 0.04 on the grid.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported

from machine import answer, describe, say

from genkit_image.bench.protocols import PROTOCOLS, VARIANTS
from genkit_image.bench.trials import as_json, markdown, planned, run_trials

BARS = {"ring8": 0.07, "grid25": 0.04}
"""Reverse KL, in nats."""


def measure(
    tests: Sequence[str],
    seeds: Sequence[int],
    out: Path,
    *,
    variants: Sequence[str] = ("recipe",),
    minutes: float | None = None,
    steps: int | None = None,
    jobs: int = 1,
    overrides: Sequence[str] = (),
) -> dict[str, Any]:
    """Every test with every seed, and whether the recipe reaches the bar."""
    found: dict[str, Any] = {"machine": describe()}
    for name in tests:
        protocol = PROTOCOLS[name]
        rows = {one: VARIANTS[one] for one in variants}
        trials = planned(protocol, rows, seeds, out, overrides=overrides, steps=steps, minutes=minutes)
        ended = run_trials(trials, jobs=jobs, say=say)
        found[name] = as_json(protocol, ended)
        own = found[name]["variants"]["recipe"]
        found[name]["bar"] = {
            "modes": protocol.modes,
            "reverse_kl": BARS[name],
            "reached": own["modes"]["least"] == protocol.modes and own["reverse_kl"]["most"] < BARS[name],
        }
        say(markdown(protocol, ended))
    found["protocol"] = {
        "seeds": list(seeds),
        "threads": "one a run",
        "jobs": jobs,
        "seconds": "training with previews and checkpoints, without start-up and the last evaluation",
    }
    return found


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default=",".join(map(str, range(10))), help="comma-separated")
    parser.add_argument("--tests", nargs="+", choices=list(BARS), default=list(BARS))
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=["recipe"])
    parser.add_argument("--steps", type=int, help="instead of the recipe's 10,000")
    parser.add_argument("--minutes", type=float, help="of each run, instead of the recipe's steps")
    parser.add_argument("--jobs", type=int, default=1, help="runs at once")
    parser.add_argument("--out", type=Path, help="for the runs, where those that are there go on; default: thrown away")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line of stdout")
    given = parser.parse_args()
    try:
        seeds = [int(word) for word in given.seeds.split(",")]
    except ValueError:
        parser.error(f"--seeds {given.seeds!r}: expected numbers with commas between them")
    if given.steps and given.minutes:
        parser.error("--steps and --minutes both say how long to train")
    if "recipe" not in given.variants:
        parser.error("--variants: the bar is the recipe's, so it has to be among them")
    with tempfile.TemporaryDirectory(prefix="genkit-mixtures-") as temporary:
        out = given.out or Path(temporary)
        found = measure(
            given.tests,
            seeds,
            out,
            variants=given.variants,
            minutes=given.minutes,
            steps=given.steps,
            jobs=given.jobs,
        )
    answer(found, as_json=given.json)


if __name__ == "__main__":
    main()
