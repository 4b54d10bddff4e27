"""`audio.vocoder` on the embedded prompts, against Griffin-Lim on the same mels and against its own mel losses alone.

Each seed is trained twice by ``genkit run audio.vocoder``, for the same minutes: as the recipe has it, and with an
adversary that never starts; it comes further then, and its rate falls over as many steps as it comes to. The prompts
that both held out are then made again, each whole, from its mel: by both nets, and by 60 iterations of Griffin and
Lim's algorithm (1984) from the least-squares inverse of the mel's filters; beside it stands a stronger form, of
momentum 0.99 (Perraudin et al. 2013) and non-negative least squares. The recordings themselves are what every figure
is read beside. ``--out`` keeps runs, WAV files and pictures; a run that it holds already, done and of the same config
and threads, is not done again.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from statistics import mean
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported; a run takes what --threads says

import numpy as np
import soundfile
import torch
from machine import answer, describe, say
from torch import Tensor

import genkit
from genkit import Batch, Metric, Part, Random
from genkit.catalog import build_part
from genkit.config import difference, resolve_config, to_dict
from genkit.evaluation import SampleSet
from genkit.inference import recipe_of
from genkit.runs import Run
from genkit.training.checkpoint import read_state
from genkit_audio.data.clips import decode, measure
from genkit_audio.data.config import PromptsConfig
from genkit_audio.data.corpus import chosen_by_name
from genkit_audio.data.embedded import find_prompts
from genkit_audio.facts import AudioFacts
from genkit_audio.mel import MelSpectrogram
from genkit_audio.metrics.waves import as_written
from genkit_audio.pictures import sheet
from genkit_audio.recipes.vocoder import BATCH, FALLING
from genkit_audio.spectra import InverseSTFT, hann, spectrum

METRICS = {
    "audio.mel_l1": (),
    "audio.stft": (),
    "audio.distillmos": ("distillmos",),
    "audio.dnsmos": ("speechmos", "onnxruntime"),
    "audio.pesq": ("pesq",),
    "audio.stoi": ("pystoi",),
}
"""Metrics, and the packages they need: those that are not installed are left out, and said."""
ITERATIONS = 60
NEVER = 10**9
"""A step at which nothing starts."""
SLOWER = {**asdict(FALLING), "over": 15_000.0 * BATCH}
"""How the rate falls without an adversary, whose steps take more than twice as long: 15,000 fit into forty minutes."""
METHODS: Mapping[str, Sequence[str]] = {
    "vocoder": (),
    "mel_only": [f"train.adversarial_start={NEVER}", f"optim.generator.lr={json.dumps(SLOWER)}"],
}
"""The two runs of a seed, and what each is told beside the preset."""
SHOWN = 4
"""Prompts in the picture."""
BAR = 0.32
"""The held-out mel L1 that is asked for."""

Waves = list[Tensor]
"""One [T] for each prompt."""


# --- the prompts and what is measured of them ------------------------------------------------------------------------


class One(SampleSet):
    """A single clip, whole.

    Args:
        wave: [T].
        mel: [bands, F], its condition.
    """

    def __init__(self, wave: Tensor, mel: Tensor) -> None:
        super().__init__(1, split="held-out", batch_size=1, seed=0)
        self.wave, self.mel = wave, mel

    def batch(self, start: int, count: int) -> Batch:
        return Batch(self.wave[None], self.mel[None])


class Prompts:
    """The prompts that a run held out, whole but for what no frame covers.

    Args:
        facts: of the run's data.
        config: the run's ``data``.
        limit: of these, the first so many.
    """

    def __init__(self, facts: Mapping[str, Any], config: PromptsConfig, limit: int | None) -> None:
        spec = AudioFacts.of(facts).mel
        assert spec is not None, "a vocoder's data have a mel"
        self.spec, self.mel = spec, MelSpectrogram(spec)
        clips = [measure(clip, spec.rate) for clip in find_prompts(config).clips]
        kept = [clip for clip, out in zip(clips, chosen_by_name(clips, config.held_out), strict=True) if out][:limit]
        self.names = [Path(clip.clip.source.name).stem for clip in kept]
        waves = [torch.from_numpy(np.asarray(decode(clip, config).samples)).float() / 32768 for clip in kept]
        self.waves: Waves = [wave[: len(wave) // spec.hop * spec.hop] for wave in waves]
        self.mels = [self.mel(wave[None])[0] for wave in self.waves]
        missing = {name: needs for name, needs in METRICS.items() if not all(map(find_spec, needs))}
        self.left_out = [f"{name} needs {', '.join(needs)}" for name, needs in missing.items()]
        self.metrics: dict[str, Metric] = {
            name: build_part("metric", Part(name), facts) for name in METRICS if name not in missing
        }

    def figures(self, made: Waves, *, only: Sequence[str] = tuple(METRICS)) -> dict[str, float]:
        """The mean over prompts of every figure; a clip without one, such as a silent one's PESQ, is passed over."""
        found: dict[str, list[float]] = {}
        for wave, real, mel in zip(made, self.waves, self.mels, strict=True):
            pair = One(real, mel), One(wave, mel)
            for name in only:
                values = self.metrics[name](*pair) if name in self.metrics else {}
                for figure, value in values.items():
                    found.setdefault(figure, []).append(value)
        return {figure: round(mean(values), 4) for figure, values in found.items()}

    def made_by(self, synthesise: Callable[[Tensor], Tensor]) -> Waves:
        """Waveforms [T] from mels [bands, F]."""
        with torch.inference_mode():
            return [synthesise(mel).clone() for mel in self.mels]


# --- Griffin and Lim -------------------------------------------------------------------------------------------------


def magnitudes(prompts: Prompts, mel: Tensor, *, updates: int = 0) -> Tensor:
    """The spectrum's magnitudes [fft / 2 + 1, F] that a natural log-mel [bands, F] speaks of: least squares, negative
    ones cut off; `updates` multiplicative steps (Lee and Seung 2001), which stay positive, then make it better."""
    filters, bands = prompts.mel.filters, mel.exp()
    found = (torch.linalg.pinv(filters.double()).float() @ bands).clamp(min=1e-6 if updates else 0.0)
    for _ in range(updates):
        found = found * (filters.T @ bands) / (filters.T @ (filters @ found) + 1e-10)
    return found


def griffin_lim(prompts: Prompts, mel: Tensor, *, momentum: float, updates: int) -> Tensor:
    """A waveform [F·hop] of a mel's magnitudes, from random phases.

    Each iteration takes the phases of the spectrum of the waveform that the last ones gave (Griffin and Lim 1984); with
    momentum a the change between the last two counts a-fold besides (Perraudin et al. 2013).
    """
    spec = prompts.spec
    size = magnitudes(prompts, mel, updates=updates).T[None]
    padding = "centre" if spec.centre else "same"
    inverse, window = InverseSTFT(spec.fft, spec.hop, spec.window, padding=padding), hann(spec.window, spec.fft).float()
    phase = 2 * torch.pi * Random(0).uniform(*size.shape)
    wave = inverse(size * phase.cos(), size * phase.sin())
    before = torch.zeros(size.shape, dtype=torch.complex64)
    for _ in range(ITERATIONS):
        now = spectrum(wave, window, spec.hop, padding=padding).mT
        moved = now + momentum * (now - before)
        before = now
        towards = size * moved / moved.abs().clamp(min=1e-16)
        wave = inverse(towards.real, towards.imag)
    return wave[0]


# --- the runs --------------------------------------------------------------------------------------------------------


def train(out: Path, *, minutes: float, seed: int, threads: int, overrides: Sequence[str]) -> Run:
    """A run of the recipe in a process of its own."""
    sets = [word for one in overrides for word in ("--set", one)]
    command = [sys.executable, "-m", "genkit", "run", "audio.vocoder", "--minutes", str(minutes), "--seed", str(seed)]
    with (out.parent / f"{out.name}.log").open("w") as log:
        ended = subprocess.run(
            [*command, "--device", "cpu", "--out", str(out), *sets],
            env={**os.environ, "OMP_NUM_THREADS": str(threads)},
            stdout=log,
            stderr=log,
            check=False,
        )
    if ended.returncode:
        sys.exit(f"`genkit run` ended with {ended.returncode}; see {log.name}")
    return Run.open(out)


def done_before(out: Path, *, minutes: float, seed: int, threads: int, overrides: Sequence[str]) -> Run:
    """The run that `out` holds. Exits when it is not done, or not the one that is asked for."""
    run = Run.open(out)
    spec, config = recipe_of(run)
    asked = resolve_config(spec, overrides=[*overrides, f"train.minutes={minutes}"])
    there = {"seed": run.seed, "threads": json.loads((out / "environment.json").read_text())["threads"]}
    others = difference(there | to_dict(config), {"seed": seed, "threads": threads} | to_dict(asked))
    status = run.status()["status"]
    if others or status != "done":
        sys.exit(f"{out}: take another --out, the run there is {status}, and asked for is {others or 'the same'}")
    say(f"{out.name}, seed {seed}: is there")
    return run


def vocoder_of(run: Run, step: int) -> Callable[[Tensor], Tensor]:
    """The average of a run's generator at a step, from mels [bands, F] to waveforms [T]."""
    generator = genkit.load(run.path, checkpoint=step, device="cpu").generator

    def synthesise(mel: Tensor) -> Tensor:
        wave: Tensor = generator(torch.zeros(1, 0), mel[None]).sample[0]
        return wave

    return synthesise


def curve(run: Run, prompts: Prompts) -> list[dict[str, float]]:
    """At each checkpoint the step, the seconds of training, the mel distance and DistillMOS."""
    points = []
    for step in run.steps():
        seconds = float(read_state(run.checkpoint(step))["seconds"])
        made = prompts.made_by(vocoder_of(run, step))
        figures = prompts.figures(made, only=("audio.mel_l1", "audio.distillmos"))
        points.append({"step": step, "seconds": round(seconds), **figures})
        say(f"{run.path.name}, step {step}: {figures}")
    return points


def compared(out: Path, seed: int, given: argparse.Namespace) -> dict[str, Any]:
    """One seed: both runs, and everything beside them."""
    place = out / f"seed-{seed}"
    place.mkdir(parents=True, exist_ok=True)

    def run(name: str, *, there: bool) -> Run:
        if not there:
            say(f"seed {seed}: {name}, {given.minutes:g} minutes")
        return (done_before if there else train)(
            place / name,
            minutes=given.minutes,
            seed=seed,
            threads=given.threads,
            overrides=["train.keep=1000000", "metrics=[]", "preset=small-16k", *given.overrides, *METHODS[name]],
        )

    there = {name: run(name, there=True) for name in METHODS if (place / name).exists()}
    missing = [name for name in METHODS if name not in there]
    with ThreadPoolExecutor(given.jobs) as pool:
        trained = dict(zip(missing, pool.map(lambda name: run(name, there=False), missing), strict=True))
    runs = {name: (there | trained)[name] for name in METHODS}
    config = recipe_of(runs["vocoder"])[1]
    data = PromptsConfig(**config.data.options)
    facts = genkit.load(runs["vocoder"].path, device="cpu").facts
    prompts = Prompts(facts, data, given.clips)
    made: dict[str, Waves] = {name: prompts.made_by(vocoder_of(run, run.steps()[-1])) for name, run in runs.items()}
    say("Griffin-Lim")
    made["griffin_lim"] = prompts.made_by(lambda mel: griffin_lim(prompts, mel, momentum=0.0, updates=0))
    made["griffin_lim_strong"] = prompts.made_by(lambda mel: griffin_lim(prompts, mel, momentum=0.99, updates=200))
    made["real"] = prompts.waves
    figures = {name: prompts.figures(waves) for name, waves in made.items()}
    for name, found in figures.items():
        say(f"{name}: {found}")
    keep(place, prompts, made)
    return {
        "seed": seed,
        "figures": figures,
        "verdict": verdict(figures),
        "curves": {name: curve(run, prompts) for name, run in runs.items()},
        "warm_up_steps": config.train.adversarial_start,
        "prompts": {
            name: round(len(wave) / prompts.spec.rate, 2)
            for name, wave in zip(prompts.names, prompts.waves, strict=True)
        },
        "left_out": prompts.left_out,
        "metrics": {name: dict(metric.protocol()) for name, metric in prompts.metrics.items()},
    }


def verdict(figures: Mapping[str, Mapping[str, float]]) -> dict[str, bool]:
    """What was asked for, and whether it is so."""
    ours, alone, classic = (figures[name] for name in ("vocoder", "mel_only", "griffin_lim"))
    found = {f"mel_l1 at most {BAR}": ours["mel_l1"] <= BAR}
    for figure in ("distillmos", "dnsmos_overall"):
        if figure in ours:
            found[f"{figure} at least Griffin-Lim's"] = ours[figure] >= classic[figure]
    if "distillmos" in ours:
        found["distillmos above mel losses alone"] = ours["distillmos"] > alone["distillmos"]
    return found


def keep(place: Path, prompts: Prompts, made: Mapping[str, Waves]) -> None:
    """WAV files of every system, and a picture of the first prompts, a row a system."""
    for name, waves in made.items():
        folder = place / "wav" / name
        folder.mkdir(parents=True, exist_ok=True)
        for stem, wave in zip(prompts.names, waves, strict=True):
            soundfile.write(folder / f"{stem}.wav", as_written(wave).clamp(-1, 1).numpy(), prompts.spec.rate)
    count = min(SHOWN, len(prompts.names))
    rows = [(f"{name}: {prompts.names[i]}", waves[i]) for name, waves in made.items() for i in range(count)]
    titles, waves = zip(*rows, strict=True)
    sheet(waves, prompts.spec.rate, columns=count, titles=titles, mel=prompts.spec).save(place / "systems.png")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=40.0, help="of each of the two runs of a seed")
    parser.add_argument("--seeds", default="0", help="comma-separated")
    parser.add_argument("--threads", type=int, default=1, help="of a run")
    parser.add_argument("--jobs", type=int, default=2, help="runs at once")
    parser.add_argument("--clips", type=int, help="measure only so many prompts")
    parser.add_argument("--set", dest="overrides", action="append", default=[], metavar="K=V", help="a config key")
    parser.add_argument("--out", type=Path, help="keep runs, WAV files and pictures here")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line of stdout")
    given = parser.parse_args()
    torch.set_num_threads(1)
    seeds = [int(word) for word in given.seeds.split(",")]
    with tempfile.TemporaryDirectory(prefix="genkit-vocoder-") as place:
        found = [compared(given.out or Path(place), seed, given) for seed in seeds]
    names = found[0]["figures"]
    answer(
        {
            "seeds": found,
            "mean": {
                name: {figure: round(mean(one["figures"][name][figure] for one in found), 4) for figure in names[name]}
                for name in names
            },
            "machine": describe(),
            "protocol": {
                "minutes": given.minutes,
                "threads_of_a_run": given.threads,
                "runs_at_once": given.jobs,
                "overrides": given.overrides,
                "prompts": "held out by the recipe, whole; figures are means over prompts, each measured by itself",
                "griffin_lim": f"{ITERATIONS} iterations, least-squares inverse of the mel filters, random phases",
                "griffin_lim_strong": f"{ITERATIONS} iterations, momentum 0.99, 200 multiplicative updates",
                "mel_only": f"the same minutes, {' '.join(METHODS['mel_only'])}",
                "metrics": found[0]["metrics"],
            },
        },
        as_json=given.json,
    )


if __name__ == "__main__":
    main()
