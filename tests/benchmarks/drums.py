"""`audio.drums` from the embedded one-shots to WAV files, judged by the embedded drum classifier.

Each seed is trained by ``genkit run audio.drums``. As many samples of each kind as the data have clips of it, ten times
over, are then compared with all 97 clips at their own speed, those that the run held out included: nine to twenty clips
would make no distribution of 64 features. So the distance is one to the drums that were learnt, and whether samples are
copies of them, at any of the speeds that were heard, is measured beside it. In the same features stand one clip again
and again (each clip in turn: the lowest distance and the median), white noise filtered to the clips' mean spectrum, and
every fifth clip against the others.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean, median
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported; the run takes what --threads says

import torch
from machine import answer, describe, say
from torch import Tensor

import genkit
from genkit import Batch, Metric, Part, Random
from genkit.catalog import build_part
from genkit.evaluation import GeneratedSamples, RealSamples, SampleSet, frechet_distance
from genkit.inference import recipe_of
from genkit.runs import Run
from genkit_audio.data.config import DrumsConfig
from genkit_audio.data.embedded import open_drums
from genkit_audio.data.sounds import Sounds
from genkit_audio.metrics.extractors import DrumFeatures
from genkit_audio.pictures import sheet

SHOWN = 8
"""Sounds of each kind in a picture."""
FIFTH = 5


# --- what is measured ------------------------------------------------------------------------------------------------


class Judge:
    """Figures of sets of sounds beside all clips, in the drum classifier's features.

    Args:
        clips: all of them, at their own speed.
        heard: all of them, at each of the speeds that are trained on.
    """

    def __init__(self, clips: Sounds, heard: Sounds) -> None:
        self.clips, self.heard = clips, heard
        self.all = self.some(range(len(clips)))
        self.frechet, self.agreement, self.nearest = (
            _metric(name, clips) for name in ("audio.frechet", "audio.label_agreement", "audio.nearest")
        )

    def some(self, indices: Sequence[int]) -> RealSamples:
        """Clips by their numbers."""
        return RealSamples(self.clips, split="all clips", indices=indices)

    def heard_of(self, indices: Sequence[int]) -> RealSamples:
        """Clips by their numbers, at each speed: what a copy is a copy of."""
        chosen = torch.isin(self.heard.recordings, self.clips.recordings[list(indices)])
        return RealSamples(self.heard, split="all clips, at all speeds", indices=chosen.nonzero()[:, 0].tolist())

    def distance(self, made: SampleSet, *, reference: SampleSet | None = None) -> float:
        """The Fréchet distance to all clips, or to a reference."""
        (value,) = self.frechet(reference or self.all, made).values()
        return float(value)

    def of_real(self) -> dict[str, float]:
        """What stands beside a run's figures."""
        count = len(self.clips)
        fifth = [i for i in range(count) if i % FIFTH == 0]
        rest = [i for i in range(count) if i % FIFTH]
        features = self.all.features(DrumFeatures(self.clips.facts["rate"]))
        repeated = [frechet_distance(features, one.expand(count, -1)) for one in features]
        return {
            "floor": self.distance(self.some(fifth), reference=self.some(rest)),
            "one_clip": median(repeated),
            "one_clip_lowest": min(repeated),
            "shaped_noise": self.distance(fixed(shaped_noise(self.all.batch(0, count).sample))),
            **{f"{name}_of_clips": value for name, value in self.agreement(self.all, self.all).items()},
            **{f"{name}_of_clips": value for name, value in self._fifth_as_samples(fifth, rest).items()},
        }

    def _fifth_as_samples(self, fifth: Sequence[int], rest: Sequence[int]) -> dict[str, float]:
        """What the check for copies says of clips that are none."""
        return dict(self.nearest(self.heard_of(rest), self.some(fifth)))

    def of_samples(self, made: SampleSet, held_out: Sequence[int], batch: Batch) -> dict[str, Any]:
        """A run's figures; `batch` holds the same samples, and `held_out` are the clips it was not trained on."""
        apart = set(held_out)
        trained = [i for i in range(len(self.clips)) if i not in apart]
        return {
            "frechet": self.distance(made),
            "frechet_held_out": self.distance(made, reference=self.some(held_out)) if len(held_out) > 1 else None,
            **self.agreement(self.all, made),
            "agreement_by_class": self.by_class(batch),
            **self.nearest(self.heard_of(trained), made),
            **_metric("audio.silence", self.clips)(self.all, made),
        }

    def by_class(self, batch: Batch) -> dict[str, float]:
        """How often the classifier hears each kind that was asked for."""
        assert isinstance(batch.condition, Tensor), "drums are asked for by class"
        found = {}
        for label, name in enumerate(self.clips.facts["labels"]):
            rows = batch.condition == label
            asked = fixed(batch.sample[rows], batch.condition[rows])
            found[name] = self.agreement(self.all, asked)["label_agreement"]
        return found


def _metric(name: str, clips: Sounds) -> Metric:
    found: Metric = build_part("metric", Part(name), clips.facts)
    return found


def fixed(waves: Tensor, labels: Tensor | None = None) -> GeneratedSamples:
    """A set of sounds [N, T] that exist already."""

    def rows(start: int, count: int) -> Batch:
        part = slice(start, start + count)
        return Batch(waves[part], None if labels is None else labels[part])

    return GeneratedSamples(rows, len(waves), seed=0)


def shaped_noise(waves: Tensor) -> Tensor:
    """White noise with the mean power spectrum of `waves` [N, T], as many and as loud on average."""
    power = torch.fft.rfft(waves).abs().square().mean(0)
    noise = torch.fft.rfft(Random(0).normal(*waves.shape))
    return torch.fft.irfft(noise * (power / waves.shape[1]).sqrt(), waves.shape[1])


def judge_of(run: Path) -> Judge:
    """What judges a run: the clips as long as it makes them, and at the speeds that it heard."""
    _, config = recipe_of(Run.open(run))
    own = DrumsConfig(**config.data.options)
    clips = DrumsConfig(length=own.length, held_out=0.0)
    return Judge(open_drums(clips), open_drums(replace(clips, speeds=tuple(own.speeds))))


def held_out_numbers(run: Path, clips: Sounds) -> list[int]:
    """Which of all clips a run held out: its own held-out windows, found by their samples."""
    _, config = recipe_of(Run.open(run))
    apart = open_drums(DrumsConfig(**{**config.data.options, "speeds": (1.0,)})).held_out()
    if apart is None:
        return []
    rows = {bytes(clips.read(number)["wave"].numpy()): number for number in range(len(clips))}
    return sorted(rows[bytes(apart.read(number)["wave"].numpy())] for number in range(len(apart)))


# --- one seed --------------------------------------------------------------------------------------------------------


def train(place: Path, *, minutes: float, seed: int, threads: int | None, overrides: Sequence[str]) -> None:
    """``genkit run audio.drums``, its own words on stderr."""
    say(f"genkit run audio.drums --minutes {minutes:g} --seed {seed}")
    command = ["run", "audio.drums", "--minutes", f"{minutes:g}", "--seed", str(seed), "--device", "cpu"]
    for one in overrides:
        command += ["--set", one]
    genkit_command([*command, "--out", str(place)], threads)


def genkit_command(arguments: Sequence[str], threads: int | None = 1) -> None:
    """Run the command line; its stdout goes to stderr."""
    environment = {name: value for name, value in os.environ.items() if name != "OMP_NUM_THREADS"}
    if threads is not None:
        environment["OMP_NUM_THREADS"] = str(threads)
    subprocess.run([sys.executable, "-m", "genkit", *arguments], stdout=sys.stderr, env=environment, check=True)


def measure(judge: Judge, run: Path, *, seed: int, repeats: int, out: Path | None) -> dict[str, Any]:
    """A trained run's figures; sounds and pictures below `out`."""
    sampler = genkit.load(run, device="cpu")
    labels = judge.clips.labels
    assert labels is not None, "drums have labels"
    asked = labels.repeat(repeats)
    batch = sampler.sample(len(asked), seed=seed, condition=asked)
    rows = [record for record in Run.open(run).records() if record["kind"] == "train"]
    figures = judge.of_samples(fixed(batch.sample, asked), held_out_numbers(run, judge.clips), batch)
    if out is not None:
        genkit_command(["sample", str(run), "--condition", "label=kick", "--count", "16", "--out", str(out / "kick")])
        show(judge.clips, batch, out)
    return {"seed": seed, "steps": rows[-1]["step"], "seconds": rows[-1]["seconds"], **figures}


def show(clips: Sounds, batch: Batch, out: Path) -> None:
    """``samples.png`` and, as large, ``clips.png``: a row for each kind."""
    assert clips.labels is not None, "drums have labels"
    real = RealSamples(clips, split="all clips").batch(0, len(clips)).sample
    for name, waves, labels in (("samples", batch.sample, batch.condition), ("clips", real, clips.labels)):
        chosen = [int(i) for label in labels.unique() for i in _spread((labels == label).nonzero()[:, 0])]
        titles = [clips.facts["labels"][int(labels[i])] for i in chosen]
        picture = sheet([waves[i] for i in chosen], clips.facts["rate"], columns=SHOWN, titles=titles)
        picture.save(out / f"{name}.png")


def _spread(rows: Tensor) -> list[int]:
    """`SHOWN` of these rows, evenly over all of them; the last again where they are fewer."""
    return [int(rows[min(i * max(1, len(rows) // SHOWN), len(rows) - 1)]) for i in range(SHOWN)]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=30.0, help="training time of each seed")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--threads", type=int, help="of the run; torch's own choice when not given")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of the recipe")
    parser.add_argument("--repeats", type=int, default=10, help="samples for each clip")
    parser.add_argument("--out", type=Path, help="keep runs, sounds and pictures here")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line of stdout")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="genkit-drums-") as temporary:
        place: Path = given.out or Path(temporary)
        trials, judge = [], None
        for seed in given.seeds:
            run = place / f"seed-{seed}" / "run"
            train(run, minutes=given.minutes, seed=seed, threads=given.threads, overrides=given.set)
            judge = judge or judge_of(run)
            kept = run.parent if given.out else None
            trials.append(measure(judge, run, seed=seed, repeats=given.repeats, out=kept))
    assert judge is not None, "there is a seed"
    recipe = " ".join(["audio.drums", *given.set]) + f", {given.minutes:g} minutes each, averaged generator"
    answer(summary(judge, trials, recipe, given.repeats), as_json=given.json)


def summary(judge: Judge, trials: Sequence[dict[str, Any]], recipe: str, repeats: int) -> dict[str, Any]:
    """All that was measured, and how."""
    beside = judge.of_real()
    distance = mean(trial["frechet"] for trial in trials)
    return {
        "frechet": distance,
        "share_of_one_clip": distance / beside["one_clip"],
        "share_of_one_clip_lowest": distance / beside["one_clip_lowest"],
        "label_agreement": mean(trial["label_agreement"] for trial in trials),
        "nearest_copies": mean(trial["nearest_copies"] for trial in trials),
        "nearest_ratio": mean(trial["nearest_ratio"] for trial in trials),
        "beside": beside,
        "trials": list(trials),
        "machine": describe(),
        "protocol": {
            "recipe": recipe,
            "samples": f"{repeats} for each of {len(judge.clips)} clips, of its kind",
            "reference": f"all {len(judge.clips)} clips, those held out of training included; frechet_held_out: those",
            "floor": "every fifth clip against the others",
            "one_clip": "each clip repeated, in turn: the median; one_clip_lowest: the lowest",
            "shaped_noise": "white noise of the clips' mean power spectrum",
            "copies": "against the clips that were trained on, at all speeds; of clips: every fifth as if a sample",
            **judge.frechet.protocol(),
            **judge.agreement.protocol(),
            **judge.nearest.protocol(),
            "genkit": genkit.__version__,
        },
    }


if __name__ == "__main__":
    main()
