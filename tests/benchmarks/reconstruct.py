"""`image.reconstruct` on Fashion-MNIST: boxes are cut out of the test pictures, and what is put there is measured.

For each seed two runs of the same generator, the same time and the same thread count stand side by side: the recipe,
and the recipe with its critic at rest throughout, which is the reconstruction loss alone. The hole of a test picture is
the same for all. Beside them two that learn nothing: the mean of the training pictures, and in each missing pixel the
nearest known one. Distances are in the features of a classifier of Fashion-MNIST that the script trains first.

Fashion-MNIST: apt-get install dataset-fashion-mnist, or --data FOLDER with its IDX files.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported; the runs take what --threads says

import torch
from fashion import PLACE, FashionFeatures, open_fashion, train_judge
from machine import answer, describe, say
from torch import Tensor

import genkit
from genkit import Batch
from genkit.evaluation import Frechet, GeneratedSamples, RealSamples, SampleSet
from genkit.inference import recipe_of
from genkit.runs import Run
from genkit_image.data.degraded import Degraded
from genkit_image.data.images import Images
from genkit_image.metrics.reconstruction import Reconstruction
from genkit_image.recipes.reconstruct import ReconstructRecipe
from genkit_image.writers import ImageWriter

NEVER = 1_000_000_000
"""A step that no run reaches."""
METHODS: Mapping[str, Sequence[str]] = {"adversarial": (), "l1_only": (f"train.adversarial_start={NEVER}",)}
SHOWN = 16
"""Test pictures in the picture."""
CHUNK = 256


# --- what learns nothing ---------------------------------------------------------------------------------------------


def mean_fill(given: Tensor, mask: Tensor, average: Tensor) -> Tensor:
    """Pictures [B, C, H, W] with the mean picture [C, H, W] in their holes."""
    return torch.where(mask > 0.5, given, average)


def nearest_fill(given: Tensor, mask: Tensor) -> Tensor:
    """Pictures [B, C, H, W] with, in each missing pixel, the nearest known one; of equally near ones the first."""
    height, width = given.shape[2:]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    places = torch.stack([rows, columns], -1).flatten(0, 1).float()
    apart = torch.cdist(places, places)  # [HW, HW]
    filled = []
    for image, known in zip(given.flatten(2), mask.flatten(1) > 0.5, strict=True):
        nearest = apart[:, known].argmin(1)
        filled.append(image[:, known.nonzero()[:, 0][nearest]])
    return torch.stack(filled).view_as(given)


# --- what is measured ------------------------------------------------------------------------------------------------


class Judge:
    """Figures of completed test pictures.

    Args:
        data: the training pictures, with the recipe's holes in the held-out ones.
        features: what distances are measured in.
        count: test pictures.
    """

    def __init__(self, data: Degraded, features: FashionFeatures, count: int | None) -> None:
        held_out = data.held_out()
        assert held_out is not None, "Fashion-MNIST has test pictures"
        self.reals = RealSamples(held_out, split="test", count=count, batch_size=CHUNK)
        self.train = RealSamples(data, split="train", count=self.reals.count, batch_size=CHUNK)
        self.frechet, self.errors = Frechet(features), Reconstruction()
        self.conditions = Batch.join([Batch(batch.condition) for batch in self.reals.batches()]).sample

    def floor(self) -> float:
        """The Fréchet distance of as many training pictures."""
        (value,) = self.frechet(self.reals, self.train).values()
        return float(value)

    def of(self, made: Tensor) -> dict[str, float]:
        """The figures of completed pictures [N, C, H, W], one for each test picture."""
        mask = self.conditions["mask"]
        samples = fixed(made, {"image": self.conditions["image"], "mask": mask})
        (distance,) = self.frechet(self.reals, samples).values()
        return {"frechet": float(distance), **self.errors(self.reals, samples)}


def fixed(images: Tensor, condition: Mapping[str, Tensor]) -> SampleSet:
    """Pictures that exist already, as a set of samples."""

    def rows(start: int, count: int) -> Batch:
        part = slice(start, start + count)
        return Batch(images[part], {name: leaf[part] for name, leaf in condition.items()})

    return GeneratedSamples(rows, len(images), batch_size=CHUNK, seed=0)


def completed(run: Path, conditions: Mapping[str, Tensor], *, seed: int) -> Tensor:
    """What a run's averaged generator makes of the test pictures."""
    sampler = genkit.load(run, device="cpu")
    return sampler.sample(len(conditions["image"]), seed=seed, condition=dict(conditions)).sample


def apart(one: Tensor, other: Tensor, mask: Tensor) -> float:
    """The mean absolute difference of two completions inside the holes."""
    missing = (1 - mask).expand_as(one)
    return float(((one - other).abs() * missing).sum() / missing.sum())


# --- the runs --------------------------------------------------------------------------------------------------------


def start(
    place: Path, method: str, *, data: Path, minutes: float, seed: int, threads: int, overrides: Sequence[str]
) -> subprocess.Popen[bytes]:
    """``genkit run image.reconstruct``, its own words on stderr."""
    say(f"{method}, seed {seed}: genkit run image.reconstruct for {minutes:g} minutes")
    settings = [
        f"data={{name: image.idx, path: {data}}}",
        "metrics=[]",
        "train.resident=on",
        *overrides,
        *METHODS[method],
    ]
    command = [sys.executable, "-m", "genkit", "run", "image.reconstruct", "--minutes", f"{minutes:g}"]
    command += ["--seed", str(seed), "--device", "cpu", "--out", str(place)]
    for one in settings:
        command += ["--set", one]
    return subprocess.Popen(command, stdout=sys.stderr, env={**os.environ, "OMP_NUM_THREADS": str(threads)})


def finish(running: Sequence[subprocess.Popen[bytes]]) -> None:
    """Wait for runs. Raises CalledProcessError when one fails."""
    for one in running:
        if one.wait():
            raise subprocess.CalledProcessError(one.returncode, one.args)


def trained(place: Path) -> dict[str, Any]:
    """How far a run came."""
    last = [record for record in Run.open(place).records() if record["kind"] == "train"][-1]
    return {"steps": last["step"], "seconds": last["seconds"]}


def show(place: Path, pictures: Sequence[Tensor]) -> None:
    """One PNG: a row for each of `pictures` [N, C, H, W], a column for each of some test pictures."""
    ImageWriter().preview(Batch(torch.cat([one[:SHOWN] for one in pictures])), place, columns=SHOWN)


# --- the command -----------------------------------------------------------------------------------------------------


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=10.0, help="training time of each run")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--threads", type=int, default=1, help="of each run")
    parser.add_argument("--apart", action="store_true", help="one run after the other, not both at once")
    parser.add_argument("--count", type=int, help="test pictures; all when not given")
    parser.add_argument("--epochs", type=int, default=4, help="of the judge's training")
    parser.add_argument("--data", type=Path, default=PLACE, help="the folder of the IDX files")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of both runs")
    parser.add_argument("--out", type=Path, help="keep runs and pictures here")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line of stdout")
    given = parser.parse_args()
    pictures = open_fashion(given.data)
    features = train_judge(pictures, epochs=given.epochs)
    with tempfile.TemporaryDirectory(prefix="genkit-reconstruct-") as temporary:
        place: Path = given.out or Path(temporary)
        trials, judge = [], None
        for seed in given.seeds:
            runs = {method: place / f"seed-{seed}" / method for method in METHODS}
            settings = {"data": given.data, "minutes": given.minutes, "seed": seed, "threads": given.threads}
            running = []
            for method, run in runs.items():
                running.append(start(run, method, overrides=given.set, **settings))
                if given.apart:
                    finish(running)
            finish(running)
            judge = judge or Judge(degraded_as(runs["adversarial"], pictures), features, given.count)
            trials.append(measure(judge, runs, seed=seed, out=place / f"seed-{seed}" if given.out else None))
        assert judge is not None, "there is a seed"
        answer(summary(judge, pictures, features, trials, given), as_json=given.json)


def degraded_as(run: Path, pictures: Images) -> Degraded:
    """The pictures, with what a run took from them."""
    _, config = recipe_of(Run.open(run))
    assert isinstance(config, ReconstructRecipe), "the run is one of image.reconstruct"
    return Degraded(pictures, config.degradation)


def measure(judge: Judge, runs: Mapping[str, Path], *, seed: int, out: Path | None) -> dict[str, Any]:
    """The figures of both runs; pictures below `out`."""
    found: dict[str, Any] = {"seed": seed}
    rows = [judge.conditions["image"]]
    for method, run in runs.items():
        made, other = (completed(run, judge.conditions, seed=number) for number in (seed, seed + 1))
        rows.append(made)
        found[method] = {
            **trained(run),
            **judge.of(made),
            "two_completions_apart": apart(made, other, judge.conditions["mask"]),
        }
        say(f"{method}, seed {seed}: {found[method]}")
    if out is not None:
        real = torch.cat([batch.sample for batch in judge.reals.batches()])
        show(out / "given-adversarial-l1-real", [*rows, real])
    return found


def summary(
    judge: Judge,
    pictures: Images,
    features: FashionFeatures,
    trials: Sequence[dict[str, Any]],
    given: argparse.Namespace,
) -> dict[str, Any]:
    """All that was measured, and how."""
    average = torch.zeros(judge.conditions["image"].shape[1:])
    for part in pictures.pictures.split(10_000):
        average += (part.float() / 127.5 - 1).sum(0) / len(pictures)
    image, mask = judge.conditions["image"], judge.conditions["mask"]
    simple = {"mean_picture": judge.of(mean_fill(image, mask, average)), "nearest": judge.of(nearest_fill(image, mask))}

    def of(method: str, name: str) -> float:
        return mean(trial[method][name] for trial in trials)

    error, distance = of("adversarial", "hole_mae"), of("adversarial", "frechet")
    return {
        "hole_mae": error,
        "below_mean_picture": 1 - error / simple["mean_picture"]["hole_mae"],
        "below_nearest": 1 - error / simple["nearest"]["hole_mae"],
        "frechet": distance,
        "frechet_l1_only": of("l1_only", "frechet"),
        "frechet_share_of_l1_only": distance / of("l1_only", "frechet"),
        "floor": judge.floor(),
        "simple": simple,
        "trials": list(trials),
        "machine": describe(),
        "protocol": {
            "recipe": " ".join(["image.reconstruct", *given.set]) + f", {given.minutes:g} minutes, averaged generator",
            "l1_only": "the same with train.adversarial_start beyond the end: the critic never speaks",
            "runs": f"{'one after the other' if given.apart else 'both at once'}, threads {given.threads} each",
            "test": f"{judge.reals.count} test pictures, each with its own hole; one completion of each",
            "floor": "as many training pictures",
            "errors": "in [-1, 1]: a mean over each hole, then over pictures",
            **judge.frechet.protocol(),
            **judge.errors.protocol(),
            "judge": f"{features.name}: {features.version}",
            "genkit": genkit.__version__,
        },
    }


if __name__ == "__main__":
    main()
