"""`image.handwriting` against the PyTorch DCGAN tutorial: the same 8,000 digits, the same seconds, the same judge.

Both are measured on as many samples as there are held-out digits (2,000), in the features of the embedded LeNet, with
real digits against real digits as the floor. The tutorial's networks take 64×64: its digits are enlarged to that, as
its transform does, and its samples brought back to 28×28 before they are judged: by least squares, which is exact on
enlarged digits (antialiasing blurs them: real digits, there and back, are at a Fréchet distance of 56, where the floor
is 2.3), and for comparison by antialiasing too.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from dcgan_tutorial import SIZE, Tutorial
from machine import answer, describe, say
from torch import Tensor

import genkit
from genkit import Batch, Part
from genkit.catalog import build_part
from genkit.evaluation import GeneratedSamples, RealSamples, SampleSet, Score, evaluate
from genkit.runs import Run
from genkit_image.data.config import DigitsConfig
from genkit_image.data.digits import open_digits
from genkit_image.data.images import Images
from genkit_image.writers import ImageWriter

EXTRACTOR = "lenet-digits"
DISTANCES = ("image.frechet", "image.kernel", "image.precision_recall", "image.density_coverage")
SHOWN = 80
"""Samples in a grid."""
COLUMNS = 8
SAY_EVERY_SECONDS = 15.0


# --- the two systems -------------------------------------------------------------------------------------------------


def train_genkit(place: Path, *, minutes: float, seed: int, count: int) -> tuple[float, int]:
    """Run the recipe into `place`: its training seconds, previews and checkpoints before the last step included, and
    its steps."""
    say(f"genkit: image.handwriting for {minutes:g} minutes")
    result = genkit.run(
        "image.handwriting", minutes=minutes, seed=seed, device="cpu", out=place, values={"train.eval_samples": count}
    )
    trained = [record for record in Run.open(place).records() if record["kind"] == "train"]
    return trained[-1]["seconds"], result.step


def train_tutorial(digits: Images, *, seconds: float, seed: int, batch: int) -> tuple[Tutorial, float, int]:
    """The tutorial's loop for `seconds`: the trained networks, the seconds taken and the steps made.

    Enlarging the digits is not counted, and they lie in memory: the tutorial's own loader would cost it time.
    """
    say(f"tutorial: batches of {batch} for {seconds:.0f} seconds")
    torch.manual_seed(seed)
    loop = Tutorial(1)
    reals = enlarged(digits)
    steps, spoken = 0, 0.0
    started = time.monotonic()
    while True:
        for chosen in torch.randperm(len(reals)).split(batch):
            loop.iterate(reals[chosen])
            steps += 1
            taken = time.monotonic() - started
            if taken - spoken >= SAY_EVERY_SECONDS:
                spoken = taken
                say(
                    f"tutorial: {taken:.0f} s, step {steps}, loss D {loop.losses[-1][2]:.3f} G {loop.losses[-1][4]:.3f}"
                )
            if taken >= seconds:
                return loop, taken, steps


def enlarged(digits: Images) -> Tensor:
    """All digits, float [N, 1, 64, 64] in [-1, 1], stretched bilinearly as torchvision's Resize does."""
    pixels = digits.pictures
    assert isinstance(pixels, Tensor), "the embedded digits are in memory"
    return torch.cat([resized(part.float() / 127.5 - 1, SIZE) for part in pixels.split(1000)])


def resized(images: Tensor, size: int) -> Tensor:
    """Images [B, C, H, W] at size × size, bilinear with antialiasing."""
    return F.interpolate(images, (size, size), mode="bilinear", antialias=True, align_corners=False)


def brought_back(images: Tensor) -> Tensor:
    """[B, C, 28, 28]: the pictures whose enlargements are nearest to `images` [B, C, 64, 64] in the mean square."""
    enlarging = F.interpolate(torch.eye(28)[None], SIZE, mode="linear", align_corners=False)[0].T  # [64, 28]
    back = torch.linalg.pinv(enlarging.double()).float()
    return (back @ images @ back.T).clamp(-1, 1)


# --- the judge -------------------------------------------------------------------------------------------------------


def figures(scores: Sequence[Score], which: str = "value") -> dict[str, float]:
    """Each score's value (or floor) by its bare name: ``frechet[lenet-digits]`` is ``frechet``."""
    return {score.name.split("[")[0]: getattr(score, which) for score in scores}


def fixed(images: Tensor, *, split: str, seed: int) -> GeneratedSamples:
    """A set of samples that exist already."""
    return GeneratedSamples(
        lambda start, count: Batch(images[start : start + count]), len(images), seed=seed, split=split
    )


def measure(
    *, minutes: float, seed: int, count: int, tutorial_batch: int, place: Path, grids: Path | None
) -> dict[str, Any]:
    """Train both, judge both."""
    digits = open_digits(DigitsConfig())
    held_out = digits.held_out()
    assert held_out is not None, "a fifth of the digits is held out"
    seconds, steps = train_genkit(place, minutes=minutes, seed=seed, count=count)
    loop, tutorial_seconds, tutorial_steps = train_tutorial(digits, seconds=seconds, seed=seed, batch=tutorial_batch)

    say("measuring")
    distances = [build_part("metric", Part(name, extractor=EXTRACTOR), digits.facts) for name in DISTANCES]
    agreement = build_part("metric", Part("image.agreement"), digits.facts)
    reals: dict[str, Any] = {"count": count, "seed": seed}
    reference: SampleSet = RealSamples(held_out, split="held-out", **reals)
    floor: SampleSet = RealSamples(digits, split="train", **reals)
    sampler = genkit.load(place, device="cpu")
    ours = GeneratedSamples(lambda start, many: sampler.draw(start, many, seed), count, seed=seed)
    made = loop.sample(count, batch=tutorial_batch, rng=torch.Generator().manual_seed(seed))
    theirs = fixed(brought_back(made), split="the tutorial's, least squares", seed=seed)
    blurred = fixed(resized(made, 28), split="the tutorial's, antialiased", seed=seed)
    check_return(next(floor.batches()).sample)

    scores = evaluate([agreement, *distances], reference=reference, fake=ours, other_real=floor)
    their_scores = evaluate(distances, reference=reference, fake=theirs, other_real=None)
    blurred_scores = evaluate(distances, reference=reference, fake=blurred, other_real=None)
    if grids is not None:
        draw_grids(grids, sampler, theirs, seed)

    agreed = ("agreement", "worst_class")
    values, floors = figures(scores), figures(scores, "floor")
    return {
        "seconds": seconds,
        "steps": steps,
        "agreement": values["agreement"],
        "worst_class": values["worst_class"],
        "genkit": {name: value for name, value in values.items() if name not in agreed},
        "tutorial": {**figures(their_scores), "seconds": round(tutorial_seconds, 3), "steps": tutorial_steps},
        "tutorial_antialiased": figures(blurred_scores),
        "floor": floors,
        "machine": describe(),
        "protocol": {
            "recipe": "image.handwriting, as it is, samples from the averaged generator",
            "seed": seed,
            "samples": count,
            "reference": reference.describe(),
            "floor": floor.describe(),
            "return_to_28": "least squares, exact on enlarged digits; tutorial_antialiased: bilinear, antialiased",
            "extractor": scores[-1].protocol["extractor"],
            "extractor_version": scores[-1].protocol["extractor_version"],
            "genkit_seconds": "up to the last step, with the previews and checkpoints before it",
            "tutorial": f"its networks and loop in batches of {tutorial_batch}, unconditional, no average, digits "
            "enlarged beforehand and in memory; sampled in training mode, as it samples",
            "genkit": genkit.__version__,
        },
    }


def check_return(digits: Tensor) -> None:
    """Raises GenkitError unless digits [B, 1, 28, 28] come back from 64 pixels as they were."""
    apart = float((brought_back(resized(digits, SIZE)) - digits).abs().max())
    if apart > 1e-4:
        raise genkit.GenkitError(f"digits come back from {SIZE} pixels changed by up to {apart:.2g}")


def draw_grids(grids: Path, sampler: genkit.Sampler, theirs: GeneratedSamples, seed: int) -> None:
    """``genkit.png``, each row a digit, and ``tutorial.png``, which can not be asked for any."""
    writer = ImageWriter()
    assert sampler.conditions is not None, "image.handwriting is conditional"
    condition, columns = sampler.conditions.grid(SHOWN)
    writer.preview(sampler.draw(0, SHOWN, seed, condition), grids / "genkit", columns=columns)
    writer.preview(theirs.batch(0, min(SHOWN, theirs.count)), grids / "tutorial", columns=COLUMNS)
    say(f"grids: {grids / 'genkit.png'}, {grids / 'tutorial.png'}")


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, required=True, help="training time of each")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=2000, help="samples, and held-out digits, in a measurement")
    parser.add_argument("--tutorial-batch", type=int, default=128, help="the tutorial's own is 128")
    parser.add_argument("--threads", type=int, help="torch's threads; its own choice when not given")
    parser.add_argument("--out", type=Path, help="keep the run and a grid of each system here")
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line of stdout")
    given = parser.parse_args()
    if given.threads is not None:
        torch.set_num_threads(given.threads)
    with tempfile.TemporaryDirectory(prefix="genkit-digits-") as temporary:
        found = measure(
            minutes=given.minutes,
            seed=given.seed,
            count=given.count,
            tutorial_batch=given.tutorial_batch,
            place=(given.out or Path(temporary)) / "run",
            grids=given.out,
        )
    answer(found, as_json=given.json)


if __name__ == "__main__":
    main()
