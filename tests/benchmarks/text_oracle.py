"""Text against an oracle whose probabilities are known (research/text.md, section 3): does the adversary help?

``--vocabulary 50``: the small twin, from nothing, without likelihood: policy gradient (`text.sentences --set
preset=oracle`, 900 steps) and straight-through one-hots (`text.gumbel`, 450 steps), beside a constant and a shuffled
reward at equal steps.

``--vocabulary 5000``: full size: likelihood, SeqGAN and the policy gradient with a reward for every token, each as a
curve of forward and reverse KL over sampling temperatures. ``--parameters`` reads the published oracle and checks its
entropy.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

os.environ["OMP_NUM_THREADS"] = "1"  # before torch is imported

import torch
from machine import answer, describe, say

import genkit
from genkit.evaluation import GeneratedSamples, RealSamples, evaluate
from genkit.runs import Run
from genkit_text.comparison import compared
from genkit_text.data.config import OracleConfig
from genkit_text.data.oracle import open_oracle
from genkit_text.metrics.config import DivergenceConfig
from genkit_text.metrics.divergence import build_divergence

TEMPERATURES = (1.0, 0.9, 0.8, 0.7, 0.6, 0.5)
TWIN_STEPS = {"text.sentences": 900, "text.gumbel": 450}
BATCH = 64
EPOCH = 10_000 // BATCH
PUBLISHED_ENTROPY, TOLERANCE = 5.7485, 0.005


# --- the small twin --------------------------------------------------------------------------------------------------


def twin(recipes: Sequence[str], seeds: Sequence[int], share: float, jobs: int, out: Path) -> dict[str, Any]:
    """Both methods and the controls on the oracle of 50 tokens; `share` cuts the steps, for tests."""
    found: dict[str, Any] = {}
    samples = sample_count(share)
    controls = {"text.sentences": ("constant", "shuffled"), "text.gumbel": ()}
    for recipe in recipes:
        steps = TWIN_STEPS[recipe]
        comparison = compared(
            recipe,
            seeds=seeds,
            controls=controls[recipe],
            steps=max(1, round(share * steps)),
            overrides=["preset=oracle", "train.preview_every=0", f"train.eval_samples={samples}"],
            out=out,
            jobs=jobs,
            say=say,
        )
        found[recipe] = comparison.as_json()
    at_start = compared(
        "text.sentences", seeds=[0], controls=(), steps=1, overrides=["preset=oracle", f"train.eval_samples={samples}"],
        out=out / "start", say=say,
    )  # fmt: skip
    found["j_at_start"] = at_start.values("none", "j")[0]
    return found


def sample_count(share: float) -> int:
    """Samples in an evaluation."""
    return max(500, round(min(share, 1.0) * 10_000))


# --- full size -------------------------------------------------------------------------------------------------------


def systems(budget: float, data: Sequence[str]) -> dict[str, tuple[str, list[str], int]]:
    """Name -> recipe, overrides and steps. `budget` cuts everything, for tests."""
    early, late, dense, rolled = (max(1, round(budget * steps)) for steps in (5 * EPOCH, 30 * EPOCH, 900, 30))
    common = ["model.generator.width=32", f"train.eval_samples={sample_count(budget)}", "train.preview_every=0", *data]
    falling = f"optim.generator.lr={{start: 1e-2, end: 5e-4, over: {early * BATCH}}}"
    ours = ["preset=oracle", *common, falling, f"train.adversarial_start={early}", "train.clip_generator=5"]
    # The authors' critic learns for 15 epochs between two steps of the generator; three updates have to do here.
    seqgan = [
        *common,
        f"train.adversarial_start={late}",
        f"train.critic_start={max(0, late - 500)}",
        "train.critic_steps=3",
    ]
    return {
        "likelihood, 5 epochs": ("text.sentences", [*ours, "control=likelihood", "likelihood=1"], early),
        "likelihood, continued": ("text.sentences", [*ours, "control=likelihood", "likelihood=1"], early + dense),
        "policy gradient": ("text.sentences", [*ours, "likelihood=0"], early + dense),
        "policy gradient, anchored": ("text.sentences", [*ours, "likelihood=1"], early + dense),
        "likelihood, 30 epochs": ("text.seqgan", [*seqgan, "control=likelihood"], late),
        "SeqGAN": ("text.seqgan", seqgan, late + rolled),
    }


def train(name: str, recipe: str, overrides: Sequence[str], steps: int, seed: int, out: Path) -> tuple[Path, float]:
    """A run in a process of its own: its directory and its seconds. One that is there and is done is taken as it is."""
    place = out / f"{name.replace(' ', '-').replace(',', '')}-{seed}"
    if place.exists():
        status = Run.open(place).status()
        if (status["status"], status["step"]) != ("done", steps):
            raise SystemExit(f"{place}: is {status['status']} at step {status['step']} of {steps}: remove it")
        return place, status["seconds"]
    command = [sys.executable, "-m", "genkit", "run", recipe, "--seed", str(seed), "--steps", str(steps)]
    command += ["--out", str(place), "--json", *(word for one in overrides for word in ("--set", one))]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode:
        raise SystemExit(f"{name}: {ended.stderr[-2000:]}")
    told = json.loads(ended.stdout.strip().splitlines()[-1])
    say(f"{name}: seed {seed}, {steps} steps, {told['seconds']:.0f} s, J {told['metrics']['j']:.3f}")
    return place, told["seconds"]


def curve(run: Path, held_out: genkit.Dataset, count: int) -> list[dict[str, float]]:
    """The divergences at each temperature."""
    sampler = genkit.load(run, device="cpu")
    metric = build_divergence(DivergenceConfig(), sampler.facts)
    reference = RealSamples(held_out, split="held-out", count=count)
    points = []
    for temperature in TEMPERATURES:
        told = {"temperature": temperature}
        fake = GeneratedSamples(
            lambda start, size, told=told: sampler.draw(start, size, 1, **told),
            count,
            log_prob=sampler.density(**told),
        )
        scores = evaluate([metric], reference=reference, fake=fake, other_real=None)
        points.append({**told, **{score.name: score.value for score in scores}})
    return points


def full(
    vocabulary: int, seeds: Sequence[int], budget: float, jobs: int, parameters: Path | None, out: Path
) -> dict[str, Any]:
    """Every system's curve for every seed, and the oracle's entropy."""
    count = sample_count(budget)
    source = str(parameters) if parameters else None
    held_out = open_oracle(OracleConfig(vocabulary=vocabulary, parameters=source, examples=BATCH)).held_out()
    assert held_out is not None
    reals = RealSamples(held_out, split="held-out", count=10_000)
    sums = [float(-held_out.log_prob(batch).mean(1).sum()) for batch in reals.batches()]  # type: ignore[union-attr]
    entropy = sum(sums) / reals.count
    if parameters and abs(entropy - PUBLISHED_ENTROPY) > TOLERANCE:
        raise SystemExit(f"the entropy of {parameters} is {entropy:.4f}, not {PUBLISHED_ENTROPY} ± {TOLERANCE}")
    data = [f"data={{name: text.oracle, vocabulary: {vocabulary}" + (f", parameters: {source}" if source else "") + "}"]
    wanted = [(name, *what, seed) for seed in seeds for name, what in systems(budget, data).items()]
    with ThreadPoolExecutor(jobs) as pool:
        runs = list(pool.map(lambda one: train(*one, out), wanted))
    found: dict[str, Any] = {"entropy": entropy, "systems": {}}
    for (name, recipe, overrides, steps, seed), (run, seconds) in zip(wanted, runs, strict=True):
        entry = found["systems"].setdefault(name, {"recipe": recipe, "set": overrides, "steps": steps, "runs": []})
        entry["runs"].append({"seed": seed, "seconds": seconds, "curve": curve(run, held_out, count)})
    return found


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--vocabulary", type=int, default=50, help="50: the twin; more: the full comparison")
    parser.add_argument("--recipes", nargs="+", choices=list(TWIN_STEPS), default=list(TWIN_STEPS), help="of the twin")
    parser.add_argument("--seeds", default="0,1,2", help="comma-separated")
    parser.add_argument("--share", type=float, default=1.0, help="of the steps, for a quick look")
    parser.add_argument("--jobs", type=int, default=1, help="runs at once, a thread each")
    parser.add_argument("--parameters", type=Path, help="the published oracle's pickle, for --vocabulary 5000")
    parser.add_argument("--out", type=Path, help="keep the runs here; with --vocabulary 5000 those here are used")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line of stdout")
    given = parser.parse_args()
    seeds = [int(word) for word in given.seeds.split(",")]
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory(prefix="genkit-oracle-") as place:
        out = given.out or Path(place)
        if given.vocabulary == 50:
            found = twin(given.recipes, seeds, given.share, given.jobs, out)
        else:
            found = full(given.vocabulary, seeds, given.share, given.jobs, given.parameters, out)
    protocol = {
        "seeds": seeds,
        "share": given.share,
        "vocabulary": given.vocabulary,
        "length": 20,
        "data": "10,000 training sequences; figures on 10,000 fresh ones and as many generated, nats a token",
        "threads": 1,
        "jobs": given.jobs,
    }
    answer({"machine": describe(), "protocol": protocol, **found}, as_json=given.json)


if __name__ == "__main__":
    main()
