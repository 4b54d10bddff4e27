"""Fashion-MNIST in eight minutes of one core: `image.r3gan` beside the DCGAN tutorial and torch-mimicry's SNGAN.

Each method trains in a process of its own on the same 60,000 pictures for the same time by the clock, one thread each,
two at once (see `fashion_methods.py` for what each of them is), and leaves its samples in a file. All files then go
through one scorer: distances to test pictures in the features of a classifier of Fashion-MNIST that the script trains
first, with as many training pictures for the floor. What --out holds already is not done again.

Fashion-MNIST: apt-get install dataset-fashion-mnist, or --data FOLDER with its IDX files. torch-mimicry is fetched from
PyPI into a folder of its own (pip install --no-deps --target), unless it is installed or --mimicry says where it is.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean, stdev
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported; the methods take what --threads says

import torch
from digits import figures, fixed
from fashion import PLACE, FashionFeatures, kept_judge, open_fashion
from fashion_methods import METHODS, SAMPLES
from machine import answer, describe, say
from safetensors import safe_open
from torch import Tensor

import genkit
from genkit import Batch
from genkit.evaluation import DensityCoverage, Frechet, PrecisionRecall, RealSamples, SampleSet, evaluate
from genkit_image.data.images import Images
from genkit_image.writers import ImageWriter

MIMICRY = "torch-mimicry==0.1.16"
SHOWN, COLUMNS = 80, 16


# --- the runs --------------------------------------------------------------------------------------------------------


def samples_of(place: Path, method: str, seed: int) -> Path:
    """Where a method's samples lie, or will."""
    return place / f"seed-{seed}" / method / SAMPLES


def train(method: str, seed: int, file: Path, given: argparse.Namespace) -> Path:
    """The file of a method's samples, from an earlier call or from a process of its own.

    Exits when an earlier call made it otherwise. Raises CalledProcessError when the process fails.
    """
    if file.is_file():
        asked = {name: getattr(given, name) for name in ("minutes", "count", "set", "small", "threads")}
        about = read(file)[1]
        if {name: about.get(name, False) for name in asked} != asked:  # older files do not say `small`
            sys.exit(f"{file} was made with other settings than {asked}: take another --out")
        say(f"{method}, seed {seed}: is there")
        return file
    say(f"{method}, seed {seed}: {given.minutes:g} minutes")
    command: list[str | Path] = [sys.executable, Path(__file__).with_name("fashion_methods.py"), method]
    command += ["--minutes", str(given.minutes), "--seed", str(seed), "--count", str(given.count)]
    command += ["--data", given.data, "--out", file.parent, *(["--small"] if given.small else [])]
    for one in given.set:
        command += ["--set", one]
    environment = {**os.environ, "OMP_NUM_THREADS": str(given.threads)}
    if method == "mimicry" and given.mimicry:
        environment["PYTHONPATH"] = os.pathsep.join([str(given.mimicry), environment.get("PYTHONPATH", "")])
    subprocess.run(command, stdout=sys.stderr, env=environment, check=True)
    return file


def fetch_mimicry(place: Path) -> Path:
    """torch-mimicry in the folder `place`, without what it asks for. Raises CalledProcessError."""
    if not (place / "torch_mimicry").is_dir():
        say(f"{MIMICRY}, from PyPI into {place}")
        pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(place), MIMICRY]
        subprocess.run(pip, stdout=sys.stderr, check=True)
    return place


def read(file: Path) -> tuple[Tensor, dict[str, Any]]:
    """Samples [N, 1, 28, 28] in [-1, 1], and how they were made."""
    with safe_open(file, framework="pt") as stored:
        return stored.get_tensor("images").float() / 127.5 - 1, json.loads(stored.metadata()["about"])


# --- the scorer ------------------------------------------------------------------------------------------------------


class Scorer:
    """Figures of samples beside test pictures.

    Args:
        pictures: the training pictures, which hold out the test pictures.
        features: what distances are measured in.
        count: test pictures, and training pictures for the floor.
    """

    def __init__(self, pictures: Images, features: FashionFeatures, count: int) -> None:
        held_out = pictures.held_out()
        assert held_out is not None, "Fashion-MNIST has test pictures"
        self.metrics = [Frechet(features), DensityCoverage(features), PrecisionRecall(features)]
        self.reference: SampleSet = RealSamples(held_out, split="test", count=count)
        self.other: SampleSet = RealSamples(pictures, split="train", count=count)

    def of(self, images: Tensor, seed: int) -> tuple[dict[str, float], dict[str, float]]:
        """The figures of samples [N, 1, 28, 28], and their floors."""
        scores = evaluate(
            self.metrics,
            reference=self.reference,
            fake=fixed(images, split="generated", seed=seed),
            other_real=self.other,
        )
        return figures(scores), figures(scores, "floor")


def mean_and_error(trials: Sequence[Mapping[str, float]]) -> dict[str, dict[str, float | None]]:
    """Mean and standard error (s/√n; none for one seed) of each figure."""
    found: dict[str, dict[str, float | None]] = {}
    for name in trials[0]:
        values = [trial[name] for trial in trials]
        error = stdev(values) / len(values) ** 0.5 if len(values) > 1 else None
        found[name] = {"mean": fmean(values), "standard_error": error}
    return found


# --- the command -----------------------------------------------------------------------------------------------------


def measure(place: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Train what is missing, score all."""
    pictures = open_fashion(given.data)
    features = kept_judge(pictures, place, epochs=given.epochs)
    jobs = [(method, seed) for seed in given.seeds for method in given.only]
    wanted = any(method == "mimicry" and not samples_of(place, method, seed).is_file() for method, seed in jobs)
    if wanted and not given.mimicry and find_spec("torch_mimicry") is None:
        given.mimicry = fetch_mimicry(place / "mimicry")
    with ThreadPoolExecutor(given.jobs) as pool:
        waiting = [pool.submit(train, method, seed, samples_of(place, method, seed), given) for method, seed in jobs]
        files = dict(zip(jobs, [one.result() for one in waiting], strict=True))
    scorer = Scorer(pictures, features, given.count)
    methods: dict[str, Any] = {method: {"trials": []} for method in given.only}
    floor: dict[str, float] = {}
    for (method, seed), file in files.items():
        images, about = read(file)
        found, floor = scorer.of(images, seed)
        done = {"seed": seed, "steps": about["steps"], "seconds": round(about["seconds"], 1)}
        methods[method]["trials"].append(done | found)
        say(f"{method}, seed {seed}: " + ", ".join(f"{name} {value:.4g}" for name, value in (done | found).items()))
        if given.out:
            ImageWriter().preview(Batch(images[:SHOWN]), file.with_name("samples"), columns=COLUMNS)
    for found in methods.values():
        found |= mean_and_error([{k: v for k, v in trial.items() if k != "seed"} for trial in found["trials"]])
    return {**methods, "verdict": verdict(methods), "floor": floor} | {
        "machine": describe(),
        "protocol": {
            "methods": {method: (METHODS[method].__doc__ or "").replace("\n    ", " ") for method in given.only},
            "settings": given.set,
            "budget": f"{given.minutes:g} minutes by the clock each, {given.jobs} at once, {given.threads} thread each",
            "samples": given.count,
            "reference": scorer.reference.describe(),
            "floor": scorer.other.describe(),
            "extractor": features.name,
            "extractor_version": features.version,
            "small": given.small,
            "genkit": genkit.__version__,
        },
    }


def verdict(methods: Mapping[str, Any]) -> dict[str, bool]:
    """Whether genkit's Fréchet distance is the lowest, and its coverage the highest: of the means, and on each seed."""
    if "genkit" not in methods or len(methods) < 2:
        return {}
    ours = methods["genkit"]
    others = [found for method, found in methods.items() if method != "genkit"]

    def each(name: str, sign: int) -> bool:
        pairs = [zip(ours["trials"], other["trials"], strict=True) for other in others]
        return all(sign * mine[name] > sign * theirs[name] for pair in pairs for mine, theirs in pair)

    return {
        "lowest_frechet": all(ours["frechet"]["mean"] < other["frechet"]["mean"] for other in others),
        "highest_coverage": all(ours["coverage"]["mean"] > other["coverage"]["mean"] for other in others),
        "lowest_frechet_on_each_seed": each("frechet", -1),
        "highest_coverage_on_each_seed": each("coverage", 1),
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=8.0, help="training time of each")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--only", nargs="+", choices=list(METHODS), default=list(METHODS))
    parser.add_argument("--threads", type=int, default=1, help="of each")
    parser.add_argument("--jobs", type=int, default=2, help="how many train at once")
    parser.add_argument("--count", type=int, default=5000, help="samples of each, and test pictures")
    parser.add_argument("--epochs", type=int, default=4, help="of the judge's training")
    parser.add_argument("--data", type=Path, default=PLACE, help="the folder of the IDX files")
    parser.add_argument("--mimicry", type=Path, help="a folder with torch_mimicry")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of genkit's runs")
    parser.add_argument("--small", action="store_true", help="batches of 4, and narrow nets where they can be: a test")
    parser.add_argument("--out", type=Path, help="keep judge, runs, samples and pictures here, and go on with them")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line of stdout")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="genkit-fashion-") as temporary:
        found = measure(given.out or Path(temporary), given)
    answer(found, as_json=given.json)


if __name__ == "__main__":
    main()
