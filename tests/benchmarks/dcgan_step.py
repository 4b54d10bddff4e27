"""Times one DCGAN-64 iteration: the PyTorch tutorial's loop against genkit's trainer in fp32, auto and forced bf16.

Each variant lives in a process of its own throughout, and they take turns, one round each, so that whatever else the
machine does hits all alike. Round 0 warms up and is not counted. Before the clock starts, one iteration in float64 on
the same weights, reals and latents checks that the tutorial and genkit compute the same gradients.
"""

from __future__ import annotations

import argparse
import multiprocessing
import platform
import resource
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

from machine import answer, describe, say

VARIANTS = {"tutorial": None, "fp32": "fp32", "auto": "auto", "bf16": "bf16"}
"""Each variant's ``train.precision``; the tutorial's loop has none."""
PUBLISHED = {"generator": 3_576_704, "critic": 2_765_568}
"""Parameters of the published networks at 64 pixels, nz 100, ngf = ndf = 64, three channels, no biases."""
AGREES = 1e-9
"""The largest difference of two gradients, relative to the largest entry of the tutorial's, that float64 may show."""
CHECKED_BATCH = 4
IMPORTED = ["torch", "torch._dynamo", "genkit.training.trainer", "genkit.config", "genkit_image.models.dcgan"]
"""By every worker alike, so that their memory compares; torch's optimisers import the second when they are made."""
BATCHES = 8
"""Batches of reals in memory, taken in turn."""
SETTLE_SECONDS = 0.1
"""Between two turns, so that the last worker's threads are asleep."""


@dataclass(frozen=True)
class Plan:
    """What every worker is told."""

    rounds: int
    iterations: int
    batch: int
    threads: int | None
    seed: int


class Baton:
    """A worker's end of the line: waits for its turn, then says how long it took."""

    def __init__(self, line: Connection) -> None:
        self.line = line
        self.started = (0.0, 0.0)

    def wait(self) -> None:
        self.line.recv()
        self.started = (time.perf_counter(), time.process_time())

    def lap(self) -> None:
        """Seconds by the clock and of processor time, which other processes disturb less."""
        clock, processor = self.started
        self.line.send((time.perf_counter() - clock, time.process_time() - processor))


# --- the workers -----------------------------------------------------------------------------------------------------


def pictures(count: int) -> Any:
    """Smooth random colour fields [count, 3, 64, 64] in [-1, 1]: no image pipeline is measured on either side."""
    import torch
    import torch.nn.functional as F

    coarse = torch.randn(count, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    return F.interpolate(2 * coarse, size=64, mode="bicubic", align_corners=False).tanh()


def experiment(reals: Any, *, batch: int, precision: str, steps: int, log_every: int) -> tuple[Any, Any]:
    """`image.dcgan` on `reals` with the tutorial's algorithm and settings: the experiment and its config."""
    import genkit
    from genkit.catalog import catalog
    from genkit.config import resolve_config

    class Reals(genkit.Dataset):
        """Pictures in memory as the critic sees them."""

        facts = {"modality": "image", "shape": [3, 64, 64], "range": [-1, 1], "labels": None}  # noqa: RUF012

        def __len__(self) -> int:
            return len(reals)

        def read(self, index: int) -> Any:
            return reals[index]

        def resident(self) -> Any:
            return reals

        def prepare(self, stored: Any, *, rng: genkit.Random) -> genkit.Batch:
            return genkit.Batch(stored)

    adam = {"name": "adam", "lr": 2e-4, "betas": [0.5, 0.999]}
    config = resolve_config(
        catalog().recipe("image.dcgan"),
        values={
            "objective": "non_saturating",
            "penalties": {},
            "metrics": [],
            "ema": {"half_life": None},  # the tutorial keeps no average
            "optim": {"generator": adam, "critic": adam},
            "train": {
                "batch_size": batch,
                "steps": steps,
                "precision": precision,
                "reuse_fakes": True,  # as the tutorial does
                "log_every": log_every,
            },
        },
    )
    return genkit.assemble(config, data=Reals()), config


def work(variant: str, plan: Plan, line: Connection) -> None:
    """A worker: gets ready, says so, then does a round whenever it is told to, and last says what it held at most."""
    import torch

    if plan.threads is not None:
        torch.set_num_threads(plan.threads)
    torch.manual_seed(plan.seed)
    reals = pictures(BATCHES * plan.batch)
    precision = VARIANTS[variant]
    if precision is None:
        tutorial_rounds(reals, plan, line)
    else:
        genkit_rounds(reals, precision, plan, line)
    line.send(peak_mib())


def tutorial_rounds(reals: Any, plan: Plan, line: Connection) -> None:
    """The tutorial's loop."""
    from dcgan_tutorial import Tutorial

    base = peak_mib()
    batches = reals.split(plan.batch)
    loop = Tutorial(3)
    sizes = {name: parameters(network) for name, network in (("generator", loop.generator), ("critic", loop.critic))}
    line.send({"precision": "fp32", "parameters": sizes, "base_mib": base, "machine": describe()})
    baton = Baton(line)
    for turn in range(plan.rounds + 1):
        baton.wait()
        for i in range(plan.iterations):
            loop.iterate(batches[(turn * plan.iterations + i) % BATCHES])
        baton.lap()


def genkit_rounds(reals: Any, precision: str, plan: Plan, line: Connection) -> None:
    """genkit's trainer, as a run drives it: a round is a log interval, its reading of the figures included."""
    import genkit
    from genkit.training.observers import Observer

    baton = Baton(line)

    class Rounds(Observer):
        def started(self, trainer: genkit.Trainer) -> None:
            baton.wait()

        def logged(self, trainer: genkit.Trainer, means: Any) -> None:
            baton.lap()
            if trainer.step < steps:
                baton.wait()

    steps = (plan.rounds + 1) * plan.iterations
    made, config = experiment(reals, batch=plan.batch, precision=precision, steps=steps, log_every=plan.iterations)
    base = peak_mib()
    trainer = genkit.Trainer(
        made, config.train, ema=config.ema, seed=plan.seed, device="cpu", observers=[Rounds()]
    )  # no run directory: nothing is written
    sizes = {name: parameters(network) for name, network in (("generator", made.generator), ("critic", made.critic))}
    line.send({"precision": trainer.precision.name, "parameters": sizes, "base_mib": base})
    trainer.fit()


def compare_gradients(seed: int, line: Connection) -> None:
    """A worker: one iteration of each in float64 from the same weights, reals and latents, and how far the gradients
    of each network are apart, relative to the largest entry of the tutorial's."""
    import torch
    from dcgan_tutorial import LATENT, Tutorial

    import genkit

    torch.set_default_dtype(torch.float64)
    torch.manual_seed(seed)
    reals = pictures(CHECKED_BATCH)
    loop = Tutorial(3)
    made, config = experiment(reals, batch=CHECKED_BATCH, precision="fp32", steps=1, log_every=1)
    for ours, theirs in ((made.generator, loop.generator), (made.critic, loop.critic)):
        for own, published in zip(ours.parameters(), theirs.parameters(), strict=True):
            own.data.copy_(published.data)
    latents, judged = [], []
    made.generator.register_forward_pre_hook(lambda module, given: latents.append(given[0].clone()))
    made.critic.register_forward_pre_hook(lambda module, given: judged.append(given[0].detach().clone()))
    genkit.Trainer(made, config.train, ema=config.ema, seed=seed, device="cpu").fit()
    (latent,) = latents  # one generator forward serves both turns
    fake, _ = loop.critic_turn(judged[0], latent.view(-1, LATENT, 1, 1))
    apart = {"critic": difference(made.critic, loop.critic)}
    loop.critic_adam.step()
    loop.generator_turn(fake)
    line.send(apart | {"generator": difference(made.generator, loop.generator)})


def difference(ours: Any, theirs: Any) -> float:
    """The largest difference of two networks' gradients, relative to the largest entry of the second's."""
    largest = max(float(one.grad.abs().max()) for one in theirs.parameters())
    pairs = zip(ours.parameters(), theirs.parameters(), strict=True)
    return max(float((own.grad - other.grad).abs().max()) for own, other in pairs) / largest


def parameters(network: Any) -> int:
    """How many a network has."""
    return sum(one.numel() for one in network.parameters())


def peak_mib() -> float:
    """The most memory this process has held."""
    unit = 1 if platform.system() == "Darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, 1)


# --- the referee -----------------------------------------------------------------------------------------------------


def start(target: Callable[..., None], *told: Any) -> Connection:
    """Start a worker in a process that has imported what any of them needs, and has run nothing; the line to it."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(IMPORTED)
    ours, theirs = context.Pipe()
    context.Process(target=target, args=(*told, theirs), daemon=True).start()
    theirs.close()  # so that a worker that dies is noticed
    return ours


def hear(line: Connection, who: str) -> Any:
    """What a worker says next. Exits when it has died; its traceback is on stderr."""
    try:
        return line.recv()
    except EOFError:
        sys.exit(f"the worker of {who} has died")


def measure(plan: Plan) -> dict[str, Any]:
    """The gradients' check, then all variants in turn."""
    say("comparing gradients in float64")
    apart = hear(start(compare_gradients, plan.seed), "the gradients' check")
    if max(apart.values()) > AGREES:
        sys.exit(f"genkit and the tutorial compute different gradients: {apart}")
    lines = {variant: start(work, variant, plan) for variant in VARIANTS}
    facts = {variant: hear(line, variant) for variant, line in lines.items()}
    for variant, known in facts.items():
        if known["parameters"] != PUBLISHED:
            sys.exit(f"{variant} has {known['parameters']} parameters, not the published {PUBLISHED}")
    laps: dict[str, list[tuple[float, float]]] = {variant: [] for variant in VARIANTS}
    for turn in range(plan.rounds + 1):
        for variant, line in lines.items():
            line.send("go")
            clock, processor = (1000 * seconds / plan.iterations for seconds in hear(line, variant))
            say(f"round {turn}{'' if turn else ' (warm-up)'} {variant}: {clock:.1f} ms, {processor:.1f} of a processor")
            if turn:
                laps[variant].append((clock, processor))
            time.sleep(SETTLE_SECONDS)
    found: dict[str, Any] = {}
    for variant, line in lines.items():
        clock, processor = (statistics.median(column) for column in zip(*laps[variant], strict=True))
        found[variant] = {
            "samples_per_second": round(1000 * plan.batch / clock, 2),
            "ms_per_iteration": round(clock, 2),
            "processor_ms_per_iteration": round(processor, 2),
            "ms_of_each_round": [round(lap, 2) for lap, _ in laps[variant]],
            "peak_mib": hear(line, variant),
            "base_mib": facts[variant]["base_mib"],
            "precision": facts[variant]["precision"],
        }
    tutorial = found["tutorial"]
    return {
        **found,
        "ratios": {
            variant: {
                "speed": round(known["samples_per_second"] / tutorial["samples_per_second"], 3),
                "processor_time": round(
                    known["processor_ms_per_iteration"] / tutorial["processor_ms_per_iteration"], 3
                ),
                "peak_memory": round(known["peak_mib"] / tutorial["peak_mib"], 3),
            }
            for variant, known in found.items()
            if variant != "tutorial"
        },
        "parameters": PUBLISHED,
        "gradient_difference": apart,
        "machine": facts["tutorial"]["machine"],
        "protocol": {
            "batch": plan.batch,
            "rounds": plan.rounds,
            "iterations": plan.iterations,
            "seed": plan.seed,
            "time": "median over the rounds, each the mean of its iterations; one warm-up round is not counted; the "
            "variants take turns in processes of their own",
            "processor_time": "of all threads, spinning included; on a busy machine it says more than the clock",
            "memory": "ru_maxrss of the process, shared libraries included; base_mib is what it had held before its "
            "optimisers and first iteration",
            "networks": "Radford et al. 2016 at 64 pixels, 3 channels: nz 100, ngf = ndf = 64",
            "tutorial": "BCELoss on sigmoids, reals and fakes apart, critic unfrozen, default Adam, five .item() reads",
            "genkit": "Trainer.fit on image.dcgan: non_saturating, no penalty, no EMA, reuse_fakes, compile=auto",
            "data": f"{BATCHES} batches of floats in memory; genkit gathers its own by index",
            "gradient_difference": f"one iteration of {CHECKED_BATCH} in float64, relative to the largest entry",
        },
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=5, help="turns of each variant that count")
    parser.add_argument("--iterations", type=int, default=6, help="iterations in a turn")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--threads", type=int, help="torch's threads; its own choice when not given")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line of stdout")
    given = parser.parse_args()
    if min(given.rounds, given.iterations, given.batch - 1) < 1:
        parser.error("--rounds and --iterations are at least 1, --batch at least 2 (batch norm)")
    plan = Plan(given.rounds, given.iterations, given.batch, given.threads, given.seed)
    answer(measure(plan), as_json=given.json)


if __name__ == "__main__":
    main()
