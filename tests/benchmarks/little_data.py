"""Learning from 500 pictures: the adaptive augmentation of Karras et al. 2020 (`image.ada`) against none.

For each seed 500 training pictures of Fashion-MNIST are drawn, and `image.handwriting`'s networks are trained on them
twice for the same time, with and without ``augment=image.ada``; all else is the same. Samples are compared with test
pictures, in the features of a classifier that the script trains first on all training pictures. Beside them stand the
500 pictures themselves, which is what a generator that knows them by heart would get, and as many other training
pictures as there are samples. What --out holds already is not done again.

Fashion-MNIST: apt-get install dataset-fashion-mnist, or --data FOLDER with its IDX files.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import fmean
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported; the runs take what --threads says

import torch
from digits import figures, fixed
from fashion import PLACE, FashionFeatures, kept_judge, open_fashion
from machine import answer, describe, say
from torch import Tensor

import genkit
from genkit import Batch
from genkit.evaluation import Authenticity, DensityCoverage, Frechet, PrecisionRecall, RealSamples, SampleSet, evaluate
from genkit.inference import recipe_of
from genkit.runs import Run
from genkit_image.data.images import Images
from genkit_image.writers import ImageWriter

RECIPE = "image.handwriting"
METHODS = ("none", "adaptive")
SHOWN, COLUMNS = 80, 16


# --- the data --------------------------------------------------------------------------------------------------------


def draw_few(pictures: Images, count: int, seed: int) -> Images:
    """`count` of the pictures, with what they hold out."""
    chosen = torch.randperm(len(pictures), generator=torch.Generator().manual_seed(seed))[:count].sort().values
    assert isinstance(pictures.pictures, Tensor), "IDX files are read whole"
    assert pictures.labels is not None, "Fashion-MNIST has labels"
    name = f"{count} of {pictures.name}, seed {seed}"
    return Images(
        pictures.pictures[chosen],
        pictures.labels[chosen],
        pictures.facts["labels"],
        name=name,
        licence=pictures.licence,
        held_out=pictures.held_out(),
    )


def write_idx(few: Images, place: Path) -> Path:
    """A folder of IDX files for ``data.path``."""
    place.mkdir(parents=True, exist_ok=True)
    assert isinstance(few.pictures, Tensor), "they are in memory"
    assert few.labels is not None, "they have labels"
    arrays = {"images-idx3": few.pictures[:, 0], "labels-idx1": few.labels.to(torch.uint8)}
    for name, array in arrays.items():
        header = bytes([0, 0, 8, array.dim()]) + b"".join(size.to_bytes(4, "big") for size in array.shape)
        (place / f"train-{name}-ubyte").write_bytes(header + array.numpy().tobytes())
    return place


# --- the runs --------------------------------------------------------------------------------------------------------


def settings(method: str, data: Path, given: argparse.Namespace) -> list[str]:
    """What a run is told by ``--set``."""
    ada = f"augment={{name: image.ada, length: {given.length:g}, target: {given.target:g}}}"
    common = [f"data={{name: image.idx, path: {data}}}", "metrics=[]", "train.resident=on", *given.set]
    return [*common, ada] if method == "adaptive" else common


def train(method: str, seed: int, data: Path, place: Path, given: argparse.Namespace) -> Path:
    """A finished run, from an earlier call or by ``genkit run``.

    Exits when an earlier call made it otherwise. Raises CalledProcessError when the run fails.
    """
    told = settings(method, data, given)
    asked = {"minutes": given.minutes, "set": told, "threads": given.threads}
    note = place.with_name(f"{method}.json")
    if note.is_file():
        if json.loads(note.read_text(encoding="utf-8")) != asked:
            sys.exit(f"{place} was made with other settings than {asked}: take another --out")
        say(f"{method}, seed {seed}: is there")
        return place
    shutil.rmtree(place, ignore_errors=True)  # minutes by the clock can not be taken up again
    say(f"{method}, seed {seed}: genkit run {RECIPE} for {given.minutes:g} minutes")
    command = [sys.executable, "-m", "genkit", "run", RECIPE, "--minutes", f"{given.minutes:g}"]
    command += ["--seed", str(seed), "--device", "cpu", "--out", str(place)]
    for one in told:
        command += ["--set", one]
    environment = {**os.environ, "OMP_NUM_THREADS": str(given.threads)}
    subprocess.run(command, stdout=sys.stderr, env=environment, check=True)
    note.write_text(json.dumps(asked), encoding="utf-8")
    return place


def trained(place: Path) -> dict[str, Any]:
    """How far a run came, and where its augmentation ended."""
    last = [record for record in Run.open(place).records() if record["kind"] == "train"][-1]
    found = {"steps": last["step"], "seconds": round(last["seconds"], 1)}
    if "augment/probability" in last:
        found |= {"probability": last["augment/probability"], "sign": last["augment/sign"]}
    return found


# --- the scorer ------------------------------------------------------------------------------------------------------


class Scorer:
    """Figures of samples beside test pictures, and how many are copies of the few.

    Args:
        pictures: all training pictures, which hold out the test pictures.
        features: what distances are measured in.
        count: test pictures.
    """

    def __init__(self, pictures: Images, features: FashionFeatures, count: int) -> None:
        held_out = pictures.held_out()
        assert held_out is not None, "Fashion-MNIST has test pictures"
        self.metrics = [Frechet(features), DensityCoverage(features), PrecisionRecall(features)]
        self.authenticity = Authenticity(features)
        self.reference: SampleSet = RealSamples(held_out, split="test", count=count)
        self.others: SampleSet = RealSamples(pictures, split="train", count=count)

    def of(self, samples: SampleSet, few: Images) -> dict[str, float]:
        """The figures of samples, learnt from a few pictures."""
        known = RealSamples(few, split="the few")
        metrics = [*self.metrics, self.authenticity]
        return figures(evaluate(metrics, reference=self.reference, fake=samples, other_real=None, train=known))

    def floor(self) -> dict[str, float]:
        """The figures of other training pictures."""
        return figures(evaluate(self.metrics, reference=self.reference, fake=self.others, other_real=None))

    def by_heart(self, few: Images) -> dict[str, float]:
        """The figures of the few pictures themselves."""
        known = RealSamples(few, split="the few")
        return figures(evaluate(self.metrics, reference=self.reference, fake=known, other_real=None))


# --- the command -----------------------------------------------------------------------------------------------------


def measure(place: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Train what is missing, score all."""
    pictures = open_fashion(given.data)
    features = kept_judge(pictures, place, epochs=given.epochs)
    few = {seed: draw_few(pictures, given.pictures, seed) for seed in given.seeds}
    folders = {seed: write_idx(some, place / f"seed-{seed}" / "pictures") for seed, some in few.items()}
    jobs = [(method, seed) for seed in given.seeds for method in METHODS]
    with ThreadPoolExecutor(given.jobs) as pool:
        waiting = [
            pool.submit(train, method, seed, folders[seed], place / f"seed-{seed}" / method, given)
            for method, seed in jobs
        ]
        runs = dict(zip(jobs, [one.result() for one in waiting], strict=True))
    scorer = Scorer(pictures, features, given.count)
    trials = []
    for seed in given.seeds:
        trial: dict[str, Any] = {"seed": seed, "by_heart": scorer.by_heart(few[seed])}
        for method in METHODS:
            run = runs[method, seed]
            made = genkit.load(run, device="cpu").sample(given.count, seed=seed).sample
            trial[method] = trained(run) | scorer.of(fixed(made, split="generated", seed=seed), few[seed])
            say(f"{method}, seed {seed}: {trial[method]}")
            if given.out:
                ImageWriter().preview(Batch(made[:SHOWN]), run.with_name(f"{method}-samples"), columns=COLUMNS)
        trials.append(trial)
    return summary(trials, scorer, runs[METHODS[1], given.seeds[0]], given)


def summary(
    trials: Sequence[Mapping[str, Any]], scorer: Scorer, run: Path, given: argparse.Namespace
) -> dict[str, Any]:
    """All that was measured, and how."""

    def mean(method: str, name: str) -> float:
        return fmean(trial[method][name] for trial in trials)

    _, config = recipe_of(Run.open(run))
    features = scorer.authenticity.extractor
    return {
        **{f"{name}_{method}": mean(method, name) for name in ("frechet", "coverage") for method in METHODS},
        "frechet_share": mean("adaptive", "frechet") / mean("none", "frechet"),
        "lower_on_each_seed": all(trial["adaptive"]["frechet"] < trial["none"]["frechet"] for trial in trials),
        "trials": list(trials),
        "floor": scorer.floor(),
        "machine": describe(),
        "protocol": {
            "recipe": " ".join([RECIPE, *given.set]) + f", {given.minutes:g} minutes, averaged generator",
            "augment": dict(config.augment or {}),
            "pictures": f"{given.pictures} of the training pictures, others for each seed, the same for both runs",
            "runs": f"{given.jobs} at once, threads {given.threads} each",
            "samples": given.count,
            "reference": scorer.reference.describe(),
            "floor": scorer.others.describe(),
            "by_heart": "the pictures learnt from, in the place of samples",
            "extractor": features.name,
            "extractor_version": features.version,
            "genkit": genkit.__version__,
        },
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=8.0, help="training time of each run")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--pictures", type=int, default=500, help="to learn from")
    parser.add_argument("--length", type=float, default=30_000, help="reals in which the probability can reach 1")
    parser.add_argument("--target", type=float, default=0.6, help="how sure the critic is to be of a real")
    parser.add_argument("--threads", type=int, default=1, help="of each run")
    parser.add_argument("--jobs", type=int, default=1, help="how many train at once")
    parser.add_argument("--count", type=int, default=5000, help="samples of each, and test pictures")
    parser.add_argument("--epochs", type=int, default=4, help="of the judge's training")
    parser.add_argument("--data", type=Path, default=PLACE, help="the folder of the IDX files")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of both runs")
    parser.add_argument("--out", type=Path, help="keep judge, runs and pictures here, and go on with them")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line of stdout")
    given = parser.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="genkit-little-") as temporary:
        found = measure(given.out or Path(temporary), given)
    answer(found, as_json=given.json)


if __name__ == "__main__":
    main()
