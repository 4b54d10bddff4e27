"""Train the embedded drum classifier on all embedded one-shots, and cross-validate it.

    python plugins/audio/scripts/train_drum_classifier.py

Writes genkit_audio/assets/drum_classifier.safetensors. Under three minutes on one CPU core, folds included.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import re
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import soundfile
import soxr
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

import genkit_audio
from genkit_audio.metrics.drum_classifier import SPEC, WEIGHTS, DrumClassifier

ASSETS = Path(genkit_audio.__file__).parent / "assets"
LENGTH = 24576
SPEEDS = (0.84, 0.89, 0.94, 1.0, 1.06, 1.12, 1.19)
"""Three semitones down to three up."""
DULL_RATE = 16000
"""Half of the clips have lost what such a rate does not hold: data may come at less than 22.05 kHz."""


@dataclass(frozen=True)
class Clips:
    """One-shots: every variant [N, V, LENGTH], the label [N] of each, and the names of the files and labels."""

    variants: Tensor
    labels: Tensor
    names: list[str]
    classes: list[str]


def read_clips(folder: Path) -> Clips:
    """The clips of <class>/*.flac, each at every speed, and each of those without its highest frequencies."""
    classes = sorted(path.name for path in folder.iterdir() if path.is_dir())
    variants, labels, names = [], [], []
    for label, name in enumerate(classes):
        for path in sorted((folder / name).glob("*.flac")):
            wave, rate = soundfile.read(path, dtype="float32")
            changed = []
            for speed in SPEEDS:
                bright = soxr.resample(wave, rate * speed, SPEC.rate)
                dull = soxr.resample(soxr.resample(bright, SPEC.rate, DULL_RATE), DULL_RATE, SPEC.rate)
                changed += [fit(torch.from_numpy(one)) for one in (bright, dull)]
            variants.append(torch.stack(changed))
            labels.append(label)
            names.append(path.stem)
    return Clips(torch.stack(variants), torch.tensor(labels), names, classes)


def fit(wave: Tensor) -> Tensor:
    """[LENGTH]: cut, or followed by silence."""
    return F.pad(wave, (0, max(0, LENGTH - len(wave))))[:LENGTH]


def augment(clips: Clips, chosen: Tensor, generator: torch.Generator) -> Tensor:
    """Waveforms [B, T] of the chosen clips: speed, brightness, level (-15 to +3 dB), start (up to 46 ms later), some
    noise, and one length for all (0.4 to 1.1 s)."""
    count = len(chosen)

    def uniform(low: float, high: float) -> Tensor:
        return torch.rand(count, 1, generator=generator) * (high - low) + low

    variant = torch.randint(clips.variants.shape[1], (count,), generator=generator)
    waves = clips.variants[chosen, variant]
    late = torch.randint(1024, (count, 1), generator=generator)
    at = torch.arange(LENGTH) - late
    waves = torch.where(at >= 0, waves.gather(1, at.clamp(min=0)), 0.0) * 10 ** (uniform(-15, 3) / 20)
    noise = torch.randn(count, LENGTH, generator=generator) * 10 ** (uniform(-80, -45) / 20)
    waves = waves + torch.where(uniform(0, 1) < 0.3, noise, 0.0)
    length = int(torch.randint(8192, LENGTH + 1, (), generator=generator))
    return waves[:, :length].clamp(-1, 1)


def train(clips: Clips, rows: Tensor, given: argparse.Namespace) -> DrumClassifier:
    """A classifier trained on some of the clips, each class as often as another."""
    torch.manual_seed(given.seed)
    generator = torch.Generator().manual_seed(given.seed)
    net = DrumClassifier(len(clips.classes))
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=5e-2)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / 10) * 0.5 * (1 + math.cos(math.pi * step / given.steps))
    )
    labels = clips.labels[rows]
    weight = 1 / torch.bincount(labels, minlength=len(clips.classes)).float()[labels]
    net.train()
    for _ in range(given.steps):
        chosen = rows[torch.multinomial(weight, given.batch_size, replacement=True, generator=generator)]
        loss = F.cross_entropy(net(augment(clips, chosen, generator)), clips.labels[chosen], label_smoothing=0.05)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return net.eval()


def classify(net: DrumClassifier, clips: Clips, rows: Tensor) -> Tensor:
    """The class of each of some clips as they are."""
    with torch.no_grad():
        return net(clips.variants[rows, 2 * SPEEDS.index(1.0)]).argmax(1)


def folds(clips: Clips, count: int, by: str) -> list[Tensor]:
    """The rows of each fold. By instrument, takes of one (``tom_hi_hard``, ``tom_hi_soft``, ``ghe1``, ``ghe2``) stay
    together: a classifier that heard one knows the other."""
    groups: dict[tuple[int, str], list[int]] = defaultdict(list)
    for row, name in enumerate(clips.names):
        instrument = re.sub(r"(_(hard|soft)|\d+)$", "", name)
        groups[int(clips.labels[row]), instrument if by == "instrument" else name].append(row)
    dealt: list[list[int]] = [[] for _ in range(count)]
    order = sorted(groups, key=lambda key: (key[0], hashlib.sha256(key[1].encode()).hexdigest()))
    for turn, key in enumerate(order):
        dealt[turn % count] += groups[key]
    return [torch.tensor(sorted(rows)) for rows in dealt]


def cross_validate(clips: Clips, given: argparse.Namespace) -> tuple[float, dict[str, float]]:
    """The share of clips that a classifier that never heard them names rightly: of all, and by class."""
    found = torch.full_like(clips.labels, -1)
    everyone = torch.arange(len(clips.labels))
    for number, held_out in enumerate(folds(clips, given.folds, given.by)):
        net = train(clips, everyone[~torch.isin(everyone, held_out)], given)
        found[held_out] = classify(net, clips, held_out)
        right = float((found == clips.labels)[held_out].double().mean())
        print(f"fold {number + 1} of {given.folds}: {right:.3f} of {len(held_out)} clips", flush=True)
    hit = (found == clips.labels).double()
    by_class = {name: round(float(hit[clips.labels == i].mean()), 3) for i, name in enumerate(clips.classes)}
    return float(hit.mean()), by_class


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=240)
    parser.add_argument("--batch-size", type=int, default=48)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--by", choices=("instrument", "file"), default="instrument", help="what a fold is dealt by")
    parser.add_argument("--drums", type=Path, default=ASSETS / "drums")
    parser.add_argument("--out", type=Path, default=ASSETS / WEIGHTS)
    given = parser.parse_args()

    clips = read_clips(given.drums)
    accuracy, by_class = cross_validate(clips, given)
    everyone = torch.arange(len(clips.labels))
    net = train(clips, everyone, given)
    seen = float((classify(net, clips, everyone) == clips.labels).double().mean())
    about = {
        "name": "drum-classifier",
        "classes": clips.classes,
        "rate": SPEC.rate,
        "mel": SPEC.to_facts(),
        "trained_on": f"all {len(clips.names)} one-shots of genkit_audio/assets/drums",
        "accuracy": round(seen, 4),
        "cross_validated_accuracy": round(accuracy, 4),
        "cross_validated_by_class": by_class,
        "folds": f"{given.folds}, by {given.by}",
        "seed": given.seed,
        "steps": given.steps,
    }
    weights = {name: value.contiguous() for name, value in net.state_dict().items()}
    save_file(weights, given.out, {"about": json.dumps(about)})
    print(f"{given.out}: {json.dumps(about)}")


if __name__ == "__main__":
    main()
