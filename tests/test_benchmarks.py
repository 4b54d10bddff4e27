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


def test_text_oracle_measures_both_methods_and_the_controls() -> None:
    found = measured("text_oracle.py", "--seeds", "0", "--share", "0.003")
    assert found["text.sentences"]["summary"]["none"]["j"]["mean"] > 3
    assert set(found["text.sentences"]["summary"]) == {"none", "constant", "shuffled"}
    assert [trial["steps"] for trial in found["text.sentences"]["trials"]] == [3, 3, 3]
    assert [trial["steps"] for trial in found["text.gumbel"]["trials"]] == [1]
    assert found["text.sentences"]["floors"]["j"] == pytest.approx(0, abs=0.05)


def test_text_oracle_draws_a_curve_for_every_system() -> None:
    found = measured("text_oracle.py", "--vocabulary", "60", "--seeds", "0", "--share", "0.002", "--jobs", "2")
    assert len(found["systems"]) == 6
    for system in found["systems"].values():
        (run,) = system["runs"]
        assert [point["temperature"] for point in run["curve"]] == [1.0, 0.9, 0.8, 0.7, 0.6, 0.5]
        assert all(point["j"] == pytest.approx(point["forward_kl"] + point["reverse_kl"]) for point in run["curve"])
        colder = [point["entropy_gen"] for point in run["curve"]]
        assert colder == sorted(colder, reverse=True)


def test_text_real_compares_with_the_controls_it_is_given() -> None:
    found = measured(
        "text_real.py", "--minutes", "0.01", "--recipes", "text.style", "--controls", "constant",
        "--set", "data.limit=300", "--set", "train.batch_size=8", "--set", "train.eval_samples=40",
        "--set", "model.generator.width=16", "--set", "model.critic.width=16",
    )  # fmt: skip
    style = found["text.style"]
    assert {"label_agreement", "ngram_perplexity", "self_bleu4", "distinct2", "frechet[hashed-ngrams]"} <= set(
        style["summary"]["none"]
    )
    assert set(style["summary"]) == {"none", "constant"}
    assert style["verdict"].startswith("One seed")


def test_text_reply_goes_from_training_to_transformers(tmp_path: Path) -> None:
    pytest.importorskip("transformers")
    found = measured(
        "text_reply.py", "--variants", "emails", "jsonl", "--minutes", "0.05", "--out", tmp_path,
        "--set", "train.adversarial_start=2", "--set", "train.critic_start=1", "--set", "train.eval_samples=16",
        "--set", "model.generator.width=16", "--set", "model.generator.heads=2", "--set", "train.batch_size=8",
    )  # fmt: skip
    for variant in ("emails", "jsonl"):
        (run,) = found["variants"][variant]
        assert run["export_difference"] < 1e-4
        assert run["steps"] > run["warm_up_steps"] == 2
        assert 0 <= run["against_warm_up"]["win_rate"] <= 1
        assert "intent" in run["scores"]


def test_text_sampling_is_of_the_same_model_as_transformers_generate() -> None:
    pytest.importorskip("transformers")
    found = measured(
        "text_sampling.py", "--rounds", "1", "--batch", "2", "--prompt", "3", "--tokens", "4", "--vocabulary", "32",
        "--width", "8", "--layers", "1", "--heads", "2",
    )  # fmt: skip
    assert found["protocol"]
