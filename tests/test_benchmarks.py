"""Each benchmark runs in miniature and ends with one JSON object. What it measures at this size means nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parent / "benchmarks"
DISTANCES = {"frechet", "kernel", "precision", "recall", "density", "coverage"}


def measured(script: str, *arguments: str | Path) -> dict[str, Any]:
    """What a script prints; nothing but one line may be on its stdout."""
    ended = subprocess.run(
        [sys.executable, BENCHMARKS / script, *map(str, arguments), "--json"],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    (line,) = ended.stdout.splitlines()
    found: dict[str, Any] = json.loads(line)
    assert {"machine", "protocol"} <= set(found)
    assert found["machine"]["threads"] == 1
    return found


def test_dcgan_step_times_every_variant_of_the_same_mathematics() -> None:
    found = measured("dcgan_step.py", "--rounds", "1", "--iterations", "1", "--batch", "2", "--threads", "1")
    for variant in ("tutorial", "fp32", "auto", "bf16"):
        assert found[variant]["samples_per_second"] > 0
        assert found[variant]["peak_mib"] > found[variant]["base_mib"]
    assert found["fp32"]["precision"] == "fp32"
    assert found["bf16"]["precision"] == "bf16"
    assert set(found["ratios"]) == {"fp32", "auto", "bf16"}
    assert max(found["gradient_difference"].values()) < 1e-9
    assert found["parameters"] == {"generator": 3_576_704, "critic": 2_765_568}


def test_digits_judges_both_systems_against_the_same_digits(tmp_path: Path) -> None:
    found = measured(
        "digits.py", "--minutes", "0.01", "--count", "128", "--tutorial-batch", "4", "--threads", "1", "--out", tmp_path
    )
    assert set(found["genkit"]) == DISTANCES
    assert set(found["tutorial"]) == DISTANCES | {"seconds", "steps"}
    assert set(found["tutorial_antialiased"]) == DISTANCES
    assert set(found["floor"]) == DISTANCES | {"agreement", "worst_class"}
    assert 0 <= found["worst_class"] <= found["agreement"] <= 1
    assert found["floor"]["frechet"] < min(found["genkit"]["frechet"], found["tutorial"]["frechet"])
    assert found["tutorial"]["seconds"] >= found["seconds"] >= 0.6
    assert found["steps"] >= 1
    assert {"genkit.png", "tutorial.png", "run"} <= {path.name for path in tmp_path.iterdir()}


def test_points_gives_each_seed_and_the_mean_of_all() -> None:
    found = measured("points.py", "--seeds", "3,4", "--steps", "4")
    for recipe in ("points.grid25", "points.ring8"):
        runs, mean, error = (found[recipe][key] for key in ("runs", "mean", "standard_error"))
        assert [run["seed"] for run in runs] == [3, 4]
        for name in ("modes", "high_quality", "reverse_kl", "seconds"):
            first, second = (run[name] for run in runs)
            assert mean[name] == pytest.approx((first + second) / 2)
            assert error[name] == pytest.approx(abs(first - second) / 2)  # s / √2, with s = |a - b| / √2
