"""Real sentences: `text.sentences` and `text.style` on the embedded novels beside their three controls, at equal steps.

Every figure is measured against held-out sentences, with the floor that training sentences get. Samples are in each
run's ``samples/`` under ``--out``.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported

import torch
from machine import answer, describe, say

from genkit_text.comparison import CONTROLS, compared

RECIPES = ("text.sentences", "text.style")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "--minutes", type=float, default=15.0, help="of each run of a recipe; its controls take its steps"
    )
    parser.add_argument("--seeds", default="0", help="comma-separated")
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=list(RECIPES))
    parser.add_argument("--controls", nargs="*", choices=CONTROLS, default=list(CONTROLS))
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="K=V", help="a config key")
    parser.add_argument("--jobs", type=int, default=1, help="runs at once, a thread each")
    parser.add_argument("--out", type=Path, help="keep the runs here")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line of stdout")
    given = parser.parse_args()
    seeds = [int(word) for word in given.seeds.split(",")]
    torch.set_num_threads(1)
    found: dict[str, Any] = {"machine": describe()}
    with tempfile.TemporaryDirectory(prefix="genkit-text-") as place:
        for recipe in given.recipes:
            comparison = compared(
                recipe,
                seeds=seeds,
                controls=given.controls,
                minutes=given.minutes,
                overrides=given.overrides,
                out=given.out or Path(place),
                jobs=given.jobs,
                say=say,
            )
            say(comparison.verdict())
            found[recipe] = comparison.as_json()
    found["protocol"] = {
        "seeds": seeds,
        "minutes": given.minutes,
        "controls": given.controls,
        "jobs": given.jobs,
        "threads": 1,
        "samples": "train.eval_samples of the recipe, from the averaged generator, of the last step",
    }
    answer(found, as_json=given.json)


if __name__ == "__main__":
    main()
