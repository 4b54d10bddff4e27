"""One method of `fashion_mnist.py`: trains it on Fashion-MNIST for a time, and leaves its samples in a file.

genkit: ``image.r3gan`` with its preset ``small``, as it is. tutorial: the networks and loop of PyTorch's DCGAN tutorial
(`dcgan_tutorial.py`), pictures stretched to their 64 pixels and samples brought back as in `digits.py`. mimicry:
torch-mimicry's SNGAN for 32 pixels with its own trainer, sizes and settings (its README's), grey pictures as RGB and
samples as the mean of their colours. No method is shown labels. All pictures lie in memory: no loader is measured.

torch-mimicry 0.1.16 is of 2020. Its package imports TensorFlow for its scores, torchvision and tensorboard for its logs
and scikit-image for a function of its tests; none of them takes part in training. So its networks and trainer are
imported without the package's own ``__init__``, and empty modules stand for those of the others that are missing.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from dcgan_tutorial import Tutorial
from digits import brought_back, resized
from fashion import open_fashion
from machine import say
from safetensors.torch import save_file
from torch import Tensor

import genkit
from genkit.runs import Run
from genkit_image.data.images import Images
from genkit_image.writers import to_bytes

SIZE = 28
BORDER = 2
"""Black pixels around a picture of 32."""
TUTORIAL_SIZE, TUTORIAL_BATCH = 64, 128
MIMICRY_BATCH, MIMICRY_CRITIC_STEPS, MIMICRY_STEPS = 64, 5, 100_000
SMALL_BATCH = 4
NEVER = 1_000_000_000
SAY_EVERY_SECONDS = 30.0
SAMPLES = "samples.safetensors"

Made = tuple[Tensor, dict[str, Any]]
"""Samples uint8 [N, 1, 28, 28], and what was done."""


def train_genkit(place: Path, given: argparse.Namespace) -> Made:
    """``genkit run image.r3gan --set preset=small``; samples of the averaged generator."""
    values: dict[str, Any] = {
        "preset": "small",
        "data": {"name": "image.idx", "path": str(given.data), "resolution": SIZE + 2 * BORDER, "labels": "none"},
        "metrics": [],
        "train.resident": "on",
    }
    result = genkit.run(
        "image.r3gan",
        minutes=given.minutes,
        seed=given.seed,
        device="cpu",
        out=place / "run",
        values=values,
        overrides=given.set,
        report=False,
    )
    records = [record for record in Run.open(place / "run").records() if record["kind"] == "train"]
    made = genkit.load(place / "run", device="cpu").sample(given.count, seed=given.seed).sample
    return to_bytes(cropped(made)), {"steps": result.step, "seconds": records[-1]["seconds"]}


def train_tutorial(place: Path, given: argparse.Namespace) -> Made:
    """The tutorial's loop in batches of 128, sampled in training mode, as it samples."""
    pictures, batch = training_pictures(given.data), SMALL_BATCH if given.small else TUTORIAL_BATCH
    torch.manual_seed(given.seed)
    loop, clock = Tutorial(1), Clock("tutorial", given.minutes)
    steps = 0
    while not clock.over:
        for chosen in torch.randperm(len(pictures)).split(batch):
            loop.iterate(resized(as_floats(pictures[chosen]), TUTORIAL_SIZE))
            steps += 1
            if clock.tick(f"step {steps}, losses {loop.losses[-1][2]:.3f} and {loop.losses[-1][4]:.3f}"):
                break
    done = {"steps": steps, "seconds": clock.taken}
    made = loop.sample(given.count, batch=batch, rng=torch.Generator().manual_seed(given.seed))
    return to_bytes(brought_back(made)), done


def train_mimicry(place: Path, given: argparse.Namespace) -> Made:
    """torch-mimicry's SNGAN, stopped by what its trainer understands, an interrupt; sampled in evaluation mode, as its
    own scores sample."""
    sngan, training = import_mimicry()
    torch.manual_seed(given.seed)
    wide = {"generator": {"ngf": 8}, "critic": {"ndf": 8}} if given.small else {"generator": {}, "critic": {}}
    generator = sngan.SNGANGenerator32(**wide["generator"])
    critic = sngan.SNGANDiscriminator32(**wide["critic"])
    adams = [torch.optim.Adam(network.parameters(), 2e-4, betas=(0.0, 0.9)) for network in (critic, generator)]
    clock = Clock("mimicry", given.minutes)
    loader = Colours(training_pictures(given.data), SMALL_BATCH if given.small else MIMICRY_BATCH, clock)
    trainer = training.Trainer(
        netD=critic,
        netG=generator,
        optD=adams[0],
        optG=adams[1],
        n_dis=MIMICRY_CRITIC_STEPS,
        num_steps=MIMICRY_STEPS,
        lr_decay="linear",
        dataloader=loader,
        log_dir=str(place / "log"),
        device=torch.device("cpu"),
        print_steps=NEVER,
        vis_steps=NEVER,
        log_steps=NEVER,
        save_steps=NEVER,
    )
    clock.start()
    trainer.train()
    done = {"steps": loader.served // MIMICRY_CRITIC_STEPS, "seconds": loader.stopped}
    generator.eval()
    with torch.no_grad():
        sizes = [min(MIMICRY_BATCH, given.count - start) for start in range(0, given.count, MIMICRY_BATCH)]
        made = torch.cat([cropped(generator.generate_images(size)).mean(1, keepdim=True) for size in sizes])
    return to_bytes(made), done


METHODS: Mapping[str, Callable[[Path, argparse.Namespace], Made]] = {
    "genkit": train_genkit,
    "tutorial": train_tutorial,
    "mimicry": train_mimicry,
}


class Clock:
    """The time a method may take.

    Args:
        name: the method's.
        minutes: from now on, or from `start`.
    """

    def __init__(self, name: str, minutes: float) -> None:
        self.name, self.seconds = name, 60 * minutes
        self.start()

    def start(self) -> None:
        self.began, self.spoken = time.monotonic(), 0.0

    @property
    def taken(self) -> float:
        return time.monotonic() - self.began

    @property
    def over(self) -> bool:
        return self.taken >= self.seconds

    def tick(self, state: str) -> bool:
        """Says now and then how it goes; whether the time is over."""
        if self.taken - self.spoken >= SAY_EVERY_SECONDS:
            self.spoken = self.taken
            say(f"{self.name}: {self.taken:.0f} s, {state}")
        return self.over


class Colours:
    """Grey pictures as RGB of 32 pixels, in the form of the loader that torch-mimicry's trainer wants.

    Args:
        pictures: uint8 [N, 1, 28, 28].
        batch_size: pictures at once.
        clock: when it is over, the next batch is an interrupt.
    """

    def __init__(self, pictures: Tensor, batch_size: int, clock: Clock) -> None:
        self.pictures, self.batch_size, self.clock = pictures, batch_size, clock
        self.served, self.stopped = 0, 0.0

    def __len__(self) -> int:
        return -(-len(self.pictures) // self.batch_size)

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        for chosen in torch.randperm(len(self.pictures)).split(self.batch_size):
            if self.served and self.clock.tick(f"critic update {self.served}"):
                self.stopped = self.clock.taken
                raise KeyboardInterrupt
            self.served += 1
            padded = torch.nn.functional.pad(self.pictures[chosen], (BORDER,) * 4)
            yield as_floats(padded).expand(-1, 3, -1, -1), torch.zeros(len(chosen), dtype=torch.int64)


def import_mimicry() -> tuple[Any, Any]:
    """Its modules ``nets.sngan`` and ``training``. Exits saying how to get it when it is not there."""
    found = find_spec("torch_mimicry")
    if found is None or found.submodule_search_locations is None:
        sys.exit("torch-mimicry is not installed: pip install --no-deps --target DIR torch-mimicry==0.1.16")
    bare = ModuleType("torch_mimicry")
    bare.__path__ = list(found.submodule_search_locations)
    sys.modules["torch_mimicry"] = bare
    for module, name in (("torch.utils.tensorboard", "SummaryWriter"), ("torchvision", "utils"), ("skimage", "io")):
        _stand_in_for(module, name)
    return import_module("torch_mimicry.nets.sngan"), import_module("torch_mimicry.training")


def _stand_in_for(module: str, name: str) -> None:
    """Where `module` can not be imported, an empty one takes its place, whose `name` is None."""
    try:
        import_module(module)
    except (ImportError, RuntimeError):  # RuntimeError: a torchvision that is not torch's
        say(f"mimicry: an empty module stands for {module}, which training does not use")
        sys.modules[module] = ModuleType(module)
        setattr(sys.modules[module], name, None)


def training_pictures(path: Path) -> Tensor:
    """uint8 [60000, 1, 28, 28]."""
    data: Images = open_fashion(path)
    assert isinstance(data.pictures, Tensor), "IDX files are read whole"
    return data.pictures


def as_floats(pictures: Tensor) -> Tensor:
    """uint8 pictures in [-1, 1]."""
    return pictures.float() / 127.5 - 1


def cropped(images: Tensor) -> Tensor:
    """Images [B, C, 32, 32] without their border."""
    return images[..., BORDER : BORDER + SIZE, BORDER : BORDER + SIZE]


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("method", choices=list(METHODS))
    parser.add_argument("--minutes", type=float, required=True, help="training time")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--count", type=int, required=True, help="samples")
    parser.add_argument("--data", type=Path, required=True, help="the folder of the IDX files")
    parser.add_argument("--out", type=Path, required=True, help="a folder; what an earlier try left there is removed")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a setting of genkit's run")
    parser.add_argument("--small", action="store_true", help="batches of 4, and narrow nets where they can be: a test")
    given = parser.parse_args()
    shutil.rmtree(given.out, ignore_errors=True)
    given.out.mkdir(parents=True)
    images, done = METHODS[given.method](given.out, given)
    done = {
        **done,
        "minutes": given.minutes,
        "count": given.count,
        "set": given.set,
        "small": given.small,
        "threads": torch.get_num_threads(),
    }
    unfinished = given.out / f"{SAMPLES}.unfinished"
    save_file({"images": images.contiguous()}, unfinished, metadata={"about": json.dumps(done)})
    os.replace(unfinished, given.out / SAMPLES)
    say(f"{given.method}, seed {given.seed}: {done['steps']} steps in {done['seconds']:.0f} s")


if __name__ == "__main__":
    main()
