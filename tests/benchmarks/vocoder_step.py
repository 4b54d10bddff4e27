"""Times one vocoder iteration: the loop as HiFi-GAN's authors write it against genkit's trainer, same nets and batch.

Vocos of 24 kHz with the critics of periods and of bands as published. The loop runs the critics on reals and on fakes
apart, in the generator's turn on both again, and lets that turn's backward, through reals and fakes, compute the
critics' gradients too, which nobody uses. genkit has one critic pass for both, then freezes the critic and its view of
the reals. The two take turns in one process, so that whatever else the machine does hits both. Before the clock starts,
one iteration of small nets in float64 checks that both compute the same gradients.
"""

from __future__ import annotations

import argparse
import copy
import os
import statistics
import sys
import time
from collections.abc import Callable
from typing import Any

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch is imported

import torch
import torch.nn.functional as F
from machine import answer, describe, say
from torch import Tensor, nn

import genkit
from genkit.assembly import assemble
from genkit.catalog import catalog
from genkit.config import resolve_config
from genkit.training.phases import iterate
from genkit_audio.conditions import pack_mels
from genkit_audio.mel import MelSpectrogram
from genkit_audio.melspec import PRESETS
from genkit_audio.terms import spectral_terms

SPEC = PRESETS["vocos-24k"]
SMALL = {
    "model.generator": {"name": "audio.vocos", "width": 16, "hidden": 16, "layers": 2},
    "model.critic": {
        "name": "audio.combined",
        "multi_period": {"periods": [2, 3], "width": 1},
        "multi_band": {"ffts": [256, 128], "bands": [0.5], "width": 4},
        "first_maps": False,
    },
}
"""Nets for the comparison of gradients."""
AGREES = 1e-9
"""The largest difference of two gradients, relative to the largest entry, that float64 may show."""
ADAM = {"lr": 5e-4, "betas": (0.8, 0.9), "weight_decay": 0.01}
WANTED = 1.35


class Noise(genkit.Dataset):
    """One batch of noise [B, T] with its mel, always the same.

    Args:
        waves: the batch.
    """

    def __init__(self, waves: Tensor) -> None:
        self.waves, self.mel = waves, MelSpectrogram(SPEC)
        self.facts = {
            "modality": "audio",
            "rate": SPEC.rate,
            "length": waves.shape[1],
            "mel": SPEC.to_facts(),
            "mels": pack_mels(self.mel(waves)),
        }

    def __len__(self) -> int:
        return len(self.waves)

    def read(self, index: int) -> Tensor:
        return self.waves[index]

    def resident(self) -> Tensor:
        return self.waves

    def prepare(self, stored: Tensor, *, rng: genkit.Random) -> genkit.Batch:
        return genkit.Batch(stored, self.mel(stored))


class HiFiGANLoop:
    """The authors' training loop around nets and losses of Vocos.

    Args:
        generator, critic: they are trained.
    """

    def __init__(self, generator: Any, critic: Any) -> None:
        self.generator, self.critic, self.mel = generator, critic, MelSpectrogram(SPEC)
        self.generator_adam = torch.optim.AdamW(generator.parameters(), **ADAM)
        self.critic_adam = torch.optim.AdamW(critic.parameters(), **ADAM)

    def iterate(self, wave: Tensor) -> None:
        """One update of each net."""
        made = self.critic_turn(wave)
        self.critic_adam.step()
        self.generator_turn(wave, made)
        self.generator_adam.step()

    def critic_turn(self, wave: Tensor) -> Tensor:
        """The critic's gradients; what the generator made."""
        made: Tensor = self.generator.synthesise(self.mel(wave))
        self.critic_adam.zero_grad()
        self.critic_loss(self.critic(wave), self.critic(made.detach())).backward()
        return made

    def generator_turn(self, wave: Tensor, made: Tensor) -> None:
        """The generator's gradients, and more of the critic's, which the next turn forgets."""
        self.generator_adam.zero_grad()
        apart = F.l1_loss(self.mel(made), self.mel(wave))
        real, fake = self.critic(wave), self.critic(made)
        (45 * apart + self.generator_loss(fake) + self.matching(real, fake)).backward()

    def critic_loss(self, real: genkit.Verdict, fake: genkit.Verdict) -> Tensor:
        return self.weighted(
            real, [F.relu(1 - r).mean() + F.relu(1 + f).mean() for r, f in zip(real.logits, fake.logits, strict=True)]
        )

    def generator_loss(self, fake: genkit.Verdict) -> Tensor:
        return self.weighted(fake, [F.relu(1 - one).mean() for one in fake.logits])

    def matching(self, real: genkit.Verdict, fake: genkit.Verdict) -> Tensor:
        """The features' distance, whose gradient also goes back through the pass on reals, as the authors let it."""
        sums = [
            sum((f - r).abs().mean() for r, f in zip(*maps, strict=True))
            for maps in zip(real.features, fake.features, strict=True)
        ]
        return self.weighted(fake, sums)

    @staticmethod
    def weighted(verdict: genkit.Verdict, losses: list[Any]) -> Tensor:
        assert verdict.weights is not None, "a combined critic weighs its parts"
        return torch.stack(losses) @ verdict.weights.to(losses[0].dtype)


def pair(waves: Tensor, values: dict[str, Any]) -> tuple[Callable[[int], None], Any, HiFiGANLoop]:
    """genkit's iteration, its experiment, and the loop, around copies of the same nets."""
    given = {
        "preset": "24k",
        "data.path": "unused",
        "metrics": [],
        "train.precision": "fp32",
        "train.reuse_fakes": True,  # as the authors do
        "train.batch_size": len(waves),
        **{f"optim.{net}": {"name": "adamw", **ADAM} for net in ("generator", "critic")},
        **values,
    }
    config = resolve_config(catalog().recipe("audio.vocoder"), values=given)
    made = assemble(config, data=Noise(waves))
    made.terms = spectral_terms(config.losses, SPEC)  # type: ignore[attr-defined]
    loop = HiFiGANLoop(copy.deepcopy(made.generator), copy.deepcopy(made.critic))
    team = genkit.Trainer(made, config.train, ema=config.ema, device="cpu").team

    def ours(step: int) -> None:
        iterate(team, step)  # its figures are not looked at, as between two log lines

    return ours, made, loop


def gradient_difference(seed: int) -> dict[str, float]:
    """How far the gradients of each net are apart in float64, relative to the loop's largest entry."""
    torch.manual_seed(seed)
    torch.set_default_dtype(torch.float64)
    try:
        ours, made, loop = pair(0.1 * torch.randn(2, 2048), SMALL)
        waves = made.data.waves
        ours(0)
        fakes = loop.critic_turn(waves)
        theirs = {"critic": [one.grad.clone() for one in loop.critic.parameters()]}
        loop.critic_adam.step()
        loop.generator_turn(waves, fakes)
        theirs["generator"] = [one.grad for one in loop.generator.parameters()]
    finally:
        torch.set_default_dtype(torch.float32)
    nets: dict[str, nn.Module] = {"critic": made.critic, "generator": made.generator}
    found = {}
    for name, gradients in theirs.items():
        largest = max(float(one.abs().max()) for one in gradients)
        pairs = zip(nets[name].parameters(), gradients, strict=True)
        found[name] = max(float((own.grad - other).abs().max()) for own, other in pairs) / largest
    return found


def measure(given: argparse.Namespace) -> dict[str, Any]:
    """The gradients' check, then both loops in turn."""
    say("comparing gradients in float64")
    apart = gradient_difference(given.seed)
    if max(apart.values()) > AGREES:
        sys.exit(f"genkit and the loop compute different gradients: {apart}")
    torch.manual_seed(given.seed)
    waves = 0.1 * torch.randn(given.batch, given.length)
    ours, made, loop = pair(waves, SMALL if given.small else {})
    laps: dict[str, list[tuple[float, float]]] = {"hifigan_loop": [], "genkit": []}
    for turn in range(given.rounds + 1):
        for name in laps:
            clock, processor = time.perf_counter(), time.process_time()
            if name == "genkit":
                ours(turn)
            else:
                loop.iterate(waves)
            lap = (time.perf_counter() - clock, time.process_time() - processor)
            say(f"round {turn}{'' if turn else ' (warm-up)'} {name}: {lap[0]:.2f} s, {lap[1]:.2f} of a processor")
            if turn:
                laps[name].append(lap)
    found: dict[str, Any] = {
        name: {
            "seconds": round(statistics.median(clock for clock, _ in each), 4),
            "processor_seconds": round(statistics.median(processor for _, processor in each), 4),
            "seconds_of_each_round": [round(clock, 4) for clock, _ in each],
        }
        for name, each in laps.items()
    }
    theirs, own = found["hifigan_loop"], found["genkit"]
    ratios = [t / o for t, o in zip(*(found[name]["seconds_of_each_round"] for name in laps), strict=True)]
    return {
        **found,
        "speed": round(theirs["seconds"] / own["seconds"], 3),
        "speed_by_processor_time": round(theirs["processor_seconds"] / own["processor_seconds"], 3),
        "speed_of_each_round": [round(ratio, 3) for ratio in ratios],
        "wanted": WANTED,
        "gradient_difference": apart,
        "parameters": {
            name: sum(one.numel() for one in net.parameters())
            for name, net in (("generator", made.generator), ("critic", made.critic))
        },
        "machine": describe(),
        "protocol": {
            "batch": given.batch,
            "samples": given.length,
            "rounds": given.rounds,
            "seed": given.seed,
            "time": "median over rounds of one iteration each, in turns, one thread; a warm-up round is not counted",
            "processor_time": "of all threads; on a busy machine it says more than the clock",
            "losses": "hinge, features, 45 x log-mel L1, AdamW, fp32, as Vocos has them; no average",
            "loop": "critic never frozen, real features not detached; reals and fakes apart; one generator forward",
            "genkit": "reuse_fakes (that one forward), joint_critic_pass; the figures of a log interval are not read",
            "gradient_difference": "one iteration of small nets in float64, relative to the largest entry",
        },
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="iterations of each that count")
    parser.add_argument("--batch", type=int, default=4)
    parser.add_argument("--length", type=int, default=8192, help="samples in an example, a multiple of 256")
    parser.add_argument("--small", action="store_true", help="time the small nets: for tests")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line of stdout")
    given = parser.parse_args()
    torch.set_num_threads(1)
    answer(measure(given), as_json=given.json)


if __name__ == "__main__":
    main()
