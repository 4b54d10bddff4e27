"""Each benchmark runs in miniature and ends with one JSON object. What it measures at this size means nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

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


def test_mixtures_hold_every_seed_to_the_bar(tmp_path: Path) -> None:
    """Four steps reach it nowhere."""
    arguments = ("--tests", "ring8", "--seeds", "3,4", "--steps", "4", "--variants", "recipe", "non_saturating")
    found = measured("mixtures.py", *arguments, "--out", tmp_path)
    own = found["ring8"]["variants"]["recipe"]
    assert [run["seed"] for run in own["runs"]] == [3, 4]
    for name in ("modes", "high_quality", "reverse_kl"):
        first, second = (run[name] for run in own["runs"])
        assert own[name]["mean"] == pytest.approx((first + second) / 2)
        assert own[name]["standard_error"] == pytest.approx(abs(first - second) / 2)  # s / √2, with s = |a - b| / √2
    assert found["ring8"]["bar"] == {"modes": 8, "reverse_kl": 0.07, "reached": False}
    assert found["ring8"]["floors"]["high_quality"] > 0.97
    assert found["ring8"]["measured"]["fake"]["count"] == 2500


def test_stacked_mnist_measures_both_losses_under_one_protocol(tmp_path: Path) -> None:
    found = measured("stacked_mnist.py", "--steps", "1", "--samples", "200", "--jobs", "1", "--out", tmp_path)
    assert set(found["variants"]) == {"recipe", "non_saturating"}
    assert found["measured"]["classifier"].endswith("accuracy 0.9885")
    assert found["floors"]["modes"] > 150  # 200 samples of 1,000 modes are of about 180 different ones
    assert found["variants"]["recipe"]["runs"][0]["modes"] <= 200
    assert found["bar"] == {"modes": 990, "reverse_kl": 0.15, "reached": False}


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


def test_synthesis_speed_is_of_the_same_waves_as_the_other_implementations() -> None:
    pytest.importorskip("transformers")
    if find_spec("vocos") is None:
        pytest.skip("needs the vocos package")
    found = measured("synthesis_speed.py", "--rounds", "2", "--seconds", "0.1", "--share", "8")
    for name in ("vocos", "hifigan"):
        assert found[name]["largest_difference"] <= 1e-5
        assert found[name]["root_mean_square"] > 1e-3
        assert found[name]["ratio"] > 0
    assert len(found["real_time"]) == 7
    assert all(one["times_real_time_cpu"] > 0 for one in found["real_time"].values())


def small_fashion(folder: Path) -> Path:
    """IDX files in Fashion-MNIST's form: ten kinds of stripes, 60 to train on and 20 to test on."""
    folder.mkdir()
    for part, count in (("train", 60), ("t10k", 20)):
        labels = bytes(i % 10 for i in range(count))
        pixels = bytes(
            25 * label if (row // (1 + label) + i) % 2 else 255 - column
            for i, label in enumerate(labels)
            for row in range(28)
            for column in range(28)
        )
        sizes = b"".join(size.to_bytes(4, "big") for size in (count, 28, 28))
        (folder / f"{part}-images-idx3-ubyte").write_bytes(b"\0\0\x08\x03" + sizes + pixels)
        (folder / f"{part}-labels-idx1-ubyte").write_bytes(b"\0\0\x08\x01" + count.to_bytes(4, "big") + labels)
    return folder


def test_reconstruct_measures_the_adversary_against_l1_alone_and_two_simple_fills(tmp_path: Path) -> None:
    found = measured(
        "reconstruct.py", "--minutes", "0.01", "--epochs", "1", "--data", small_fashion(tmp_path / "data"),
        "--out", tmp_path / "out", "--set", "model.generator.width=4", "--set", "model.critic.width=4",
        "--set", "train.batch_size=4", "--set", "train.adversarial_start=0",
    )  # fmt: skip
    (trial,) = found["trials"]
    for method in ("adversarial", "l1_only"):
        assert trial[method]["seconds"] >= 0.6
        assert trial[method]["steps"] >= 1
        assert trial[method]["two_completions_apart"] > 0
    assert found["below_nearest"] == pytest.approx(1 - found["hole_mae"] / found["simple"]["nearest"]["hole_mae"])
    assert found["simple"]["mean_picture"]["hole_mae"] > 0
    assert found["frechet"] == trial["adversarial"]["frechet"] != found["frechet_l1_only"]
    assert (tmp_path / "out" / "seed-0" / "given-adversarial-l1-real.png").exists()


def test_reconstruct_fills_a_hole_with_the_nearest_known_pixel() -> None:
    code = (
        "import torch\nfrom reconstruct import nearest_fill\n"
        "image = torch.arange(16.0).view(1, 1, 4, 4)\nmask = torch.ones(1, 1, 4, 4)\nmask[..., 1:3, 1:] = 0\n"
        "print(nearest_fill(image * mask, mask)[0, 0].int().tolist())"
    )
    ended = subprocess.run([sys.executable, "-c", code], cwd=BENCHMARKS, capture_output=True, text=True, check=True)
    first, second, third, fourth = json.loads(ended.stdout)
    assert (first, fourth) == ([0, 1, 2, 3], [12, 13, 14, 15])
    assert second[0] == 4
    assert second[2:] == [2, 3]
    assert third[2:] == [14, 15]


def test_fashion_mnist_scores_every_method_from_its_file_and_goes_on_with_what_is_there(tmp_path: Path) -> None:
    settings = [
        "train.batch_size=4", "model.generator.widths=[8,8,8,8]", "model.generator.groups=[1,1,1,1]",
        "model.critic.widths=[8,8,8,8]", "model.critic.groups=[1,1,1,1]",
    ]  # fmt: skip
    about = {"minutes": 0.01, "count": 20, "set": settings, "small": True, "threads": 1, "steps": 7, "seconds": 0.6}
    there = tmp_path / "out" / "seed-0" / "mimicry"
    there.mkdir(parents=True)
    black = {"images": torch.zeros(20, 1, 28, 28, dtype=torch.uint8)}
    save_file(black, there / "samples.safetensors", metadata={"about": json.dumps(about)})
    command = [
        "fashion_mnist.py", "--minutes", "0.01", "--seeds", "0", "--count", "20", "--epochs", "1", "--small",
        "--data", small_fashion(tmp_path / "data"), "--out", tmp_path / "out",
        *(part for one in settings for part in ("--set", one)),
    ]  # fmt: skip
    found = measured(*command)
    for method in ("genkit", "tutorial", "mimicry"):
        (trial,) = found[method]["trials"]
        assert trial["seconds"] >= 0.6
        assert trial["steps"] >= 1
        assert found[method]["frechet"] == {"mean": trial["frechet"], "standard_error": None}
        assert trial["frechet"] > found["floor"]["frechet"]
        assert (tmp_path / "out" / "seed-0" / method / "samples.png").exists()
    assert found["mimicry"]["trials"][0]["steps"] == 7
    distances = {method: found[method]["frechet"]["mean"] for method in ("genkit", "tutorial", "mimicry")}
    assert found["verdict"]["lowest_frechet"] == (min(distances, key=distances.__getitem__) == "genkit")
    again = measured(*command)
    for method in ("genkit", "tutorial", "mimicry"):
        assert again[method] == found[method], "what was made is gone on with"


def test_fashion_mnist_trains_torch_mimicry_without_what_its_package_imports(tmp_path: Path) -> None:
    if find_spec("torch_mimicry") is None:
        pytest.skip("needs the package torch-mimicry, without what it asks for")
    arguments = ["--minutes", "0.001", "--seed", "0", "--count", "3", "--small"]
    places = ["--data", small_fashion(tmp_path / "data"), "--out", tmp_path / "out"]
    ended = subprocess.run(
        [sys.executable, BENCHMARKS / "fashion_methods.py", "mimicry", *arguments, *places],
        capture_output=True,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    with safe_open(tmp_path / "out" / "samples.safetensors", framework="pt") as stored:
        images, about = stored.get_tensor("images"), json.loads(stored.metadata()["about"])
    assert images.shape == (3, 1, 28, 28)
    assert images.float().std() > 1
    assert about["seconds"] >= 0.06
    assert list((tmp_path / "out" / "log" / "checkpoints" / "netG").iterdir())


def test_little_data_trains_on_the_same_few_pictures_with_and_without_augmentation(tmp_path: Path) -> None:
    found = measured(
        "little_data.py", "--minutes", "0.01", "--pictures", "12", "--seeds", "0", "--count", "20", "--epochs", "1",
        "--length", "40", "--data", small_fashion(tmp_path / "data"), "--out", tmp_path / "out",
        "--set", "model.generator.width=4", "--set", "model.critic.width=4", "--set", "train.batch_size=4",
    )  # fmt: skip
    (trial,) = found["trials"]
    assert "probability" not in trial["none"]
    assert 0 <= trial["adaptive"]["probability"] <= 0.8
    assert trial["none"]["seconds"] >= 0.6
    assert found["frechet_share"] == pytest.approx(trial["adaptive"]["frechet"] / trial["none"]["frechet"])
    assert found["lower_on_each_seed"] is (trial["adaptive"]["frechet"] < trial["none"]["frechet"])
    assert 0 <= trial["adaptive"]["authenticity"] <= 1
    assert trial["by_heart"]["frechet"] < trial["none"]["frechet"]
    header = (tmp_path / "out" / "seed-0" / "pictures" / "train-images-idx3-ubyte").read_bytes()[:16]
    assert header == b"\0\0\x08\x03" + b"".join(size.to_bytes(4, "big") for size in (12, 28, 28))


def test_vocoder_stands_beside_griffin_lim_and_its_own_mel_losses(tmp_path: Path) -> None:
    asked = (
        "vocoder.py", "--minutes", "0.01", "--clips", "1", "--out", tmp_path,
        "--set", "data.length=4096", "--set", "data.held_out_length=4096", "--set", "train.batch_size=2",
        "--set", "train.adversarial_start=1", "--set", "train.eval_samples=2",
        "--set", "preview=2", "--set", "model.generator.width=8", "--set", "model.generator.hidden=8",
        "--set", "model.critic.ffts=[64]", "--set", "model.critic.width=4",
    )  # fmt: skip
    found = measured(*asked)
    figures = found["mean"]
    assert set(figures) == {"vocoder", "mel_only", "griffin_lim", "griffin_lim_strong", "real"}
    assert figures["real"]["mel_l1"] == 0 < figures["griffin_lim_strong"]["mel_l1"] < figures["griffin_lim"]["mel_l1"]
    assert figures["griffin_lim"]["mel_l1"] < figures["vocoder"]["mel_l1"]
    (seed,) = found["seeds"]
    assert seed["curves"]["vocoder"][-1]["mel_l1"] == figures["vocoder"]["mel_l1"]
    assert seed["verdict"]["mel_l1 at most 0.32"] is False
    place = tmp_path / "seed-0"
    assert {path.name for path in place.iterdir()} >= {"vocoder", "mel_only", "wav", "systems.png"}
    assert len(list((place / "wav" / "real").iterdir())) == 1
    log = (place / "vocoder" / "metrics.jsonl").read_bytes()
    assert measured(*asked)["mean"] == figures
    assert (place / "vocoder" / "metrics.jsonl").read_bytes() == log, "a run that is there is not done again"
    command = [sys.executable, str(BENCHMARKS / asked[0]), *map(str, asked[1:]), "--set", "train.log_every=7"]
    refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode
    assert "train.log_every: 50 -> 7" in refused.stderr


def test_vocoder_step_times_both_loops_of_the_same_mathematics() -> None:
    found = measured("vocoder_step.py", "--rounds", "1", "--small", "--batch", "2", "--length", "2048")
    assert max(found["gradient_difference"].values()) < 1e-9
    assert found["speed"] == pytest.approx(found["hifigan_loop"]["seconds"] / found["genkit"]["seconds"], rel=1e-2)
