"""StackedMNIST-1000 on the embedded digits: `image.stacked` beside the first GAN's loss without penalties.

The protocol is PacGAN's (Lin et al. 2018, section 4.2): 128,000 triples of digits to learn from; 26,000 samples, each
of the mode that a digit classifier reads in its three channels. A mode counts with one sample, and the reverse KL is
that of the histogram from the uniform one. The digits are 8,000 of MNIST's, the classifier is the embedded one, whose
accuracy on held-out digits stands beside the figures. The bar for RpGAN + R1 + R2: 990 modes or more, reverse KL 0.15
or less, in an hour on two cores, a thread for each of the two runs.
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

MODES, DIVERGENCE = 990, 0.15


def measure(
    seeds: Sequence[int],
    out: Path,
    *,
    variants: Sequence[str] = tuple(VARIANTS),
    minutes: float | None = None,
    steps: int | None = None,
    jobs: int = 2,
    overrides: Sequence[str] = (),
) -> dict[str, Any]:
    """Each variant with each seed, and whether the recipe reaches the bar."""
    protocol = PROTOCOLS["stacked"]
    rows = {one: VARIANTS[one] for one in variants}
    trials = planned(protocol, rows, seeds, out, overrides=overrides, steps=steps, minutes=minutes)
    ended = run_trials(trials, jobs=jobs, say=say)
    say(markdown(protocol, ended))
    found = {"machine": describe(), **as_json(protocol, ended)}
    own = found["variants"]["recipe"]
    reached = own["modes"]["least"] >= MODES and own["reverse_kl"]["most"] <= DIVERGENCE
    found["bar"] = {"modes": MODES, "reverse_kl": DIVERGENCE, "reached": reached}
    found["protocol"] = {
        "seeds": list(seeds),
        "minutes": minutes,
        "threads": "one a run",
        "jobs": jobs,
        "seconds": "training with previews and checkpoints, without start-up and the last evaluation",
    }
    return found


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, help="of each run; default: the recipe's steps")
    parser.add_argument("--steps", type=int, help="of each run, instead")
    parser.add_argument("--seeds", default="0", help="comma-separated")
    parser.add_argument("--variants", nargs="+", choices=list(VARIANTS), default=list(VARIANTS))
    parser.add_argument("--samples", type=int, default=26_000, help="in an evaluation")
    parser.add_argument("--jobs", type=int, default=2, help="runs at once")
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
    with tempfile.TemporaryDirectory(prefix="genkit-stacked-") as temporary:
        found = measure(
            seeds,
            given.out or Path(temporary),
            variants=given.variants,
            minutes=given.minutes,
            steps=given.steps,
            jobs=given.jobs,
            overrides=[f"train.eval_samples={given.samples}"],
        )
    answer(found, as_json=given.json)


if __name__ == "__main__":
    main()
