"""Fashion-MNIST (Xiao, Rasul and Vollgraf 2017), and a classifier of it whose features samples are judged in."""

from __future__ import annotations

import json
import math
from pathlib import Path

import torch
import torch.nn.functional as F
from machine import say
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from genkit import Batch, DataError, Extractor
from genkit_image.data.config import IdxConfig
from genkit_image.data.idx import open_idx
from genkit_image.data.images import Images
from genkit_image.metrics.extractors import as_written
from genkit_image.metrics.lenet import LeNet

PLACE = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package `dataset-fashion-mnist` puts the four IDX files."""
BATCH = 128


class FashionFeatures(Extractor):
    """The 84 features before the last layer of a LeNet that was trained on the training pictures.

    Args:
        net: the classifier.
        version: how it was trained, and how well it does.
        accuracy: on the test pictures.
    """

    name = "lenet-fashion"

    def __init__(self, net: LeNet, version: str, accuracy: float) -> None:
        self.net, self.version, self.accuracy = net, version, accuracy

    def __call__(self, batch: Batch) -> Tensor:
        """[B, 84] of pictures [B, 1, 28, 28] in [-1, 1]."""
        with torch.no_grad():
            return self.net.features(as_written(batch.sample))


def open_fashion(path: Path = PLACE) -> Images:
    """The training pictures; the test pictures are held out. Raises DataError saying how to get them."""
    if not path.is_dir():
        raise DataError(f"{path}: there is no such folder", fix="apt-get install dataset-fashion-mnist, or --data")
    return open_idx(IdxConfig(path=str(path)))


def train_judge(data: Images, *, epochs: int = 4, seed: int = 0) -> FashionFeatures:
    """The same classifier for the same data, epochs and seed, up to how the machine rounds."""
    torch.manual_seed(seed)
    order = torch.Generator().manual_seed(seed)
    net, images, labels = LeNet(), *_tensors(data)
    steps = epochs * -(-len(images) // BATCH)
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * step / steps)))
    for epoch in range(epochs):
        net.train()
        for chosen in torch.randperm(len(images), generator=order).split(BATCH):
            loss = F.cross_entropy(net(images[chosen].float() / 127.5 - 1), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        say(f"judge: epoch {epoch + 1} of {epochs}, loss {loss.item():.3f}")
    net.eval().requires_grad_(False)
    held_out = data.held_out()
    assert held_out is not None, "Fashion-MNIST has test pictures"
    tests, truth = _tensors(held_out)
    seen = torch.cat([net(part.float() / 127.5 - 1).argmax(1) for part in tests.split(1000)])
    accuracy = (seen == truth).double().mean().item()
    say(f"judge: {accuracy:.4f} of the test pictures")
    return FashionFeatures(net, f"seed {seed}, {epochs} epochs, accuracy {accuracy:.4f}, 8-bit input", accuracy)


def kept_judge(data: Images, place: Path | None, *, epochs: int = 4) -> FashionFeatures:
    """As `train_judge`; from the file that an earlier call left in the folder `place`, which may be missing, or into
    it."""
    if place is None:
        return train_judge(data, epochs=epochs)
    path = place / f"judge-{epochs}-epochs.safetensors"
    if path.is_file():
        with safe_open(path, framework="pt") as stored:
            weights = {name: stored.get_tensor(name) for name in stored.keys()}  # noqa: SIM118 (it is no dict)
            about = json.loads(stored.metadata()["about"])
        net = LeNet()
        net.load_state_dict(weights)
        return FashionFeatures(net.eval().requires_grad_(False), about["version"], about["accuracy"])
    judge = train_judge(data, epochs=epochs)
    place.mkdir(parents=True, exist_ok=True)
    about = {"version": judge.version, "accuracy": judge.accuracy}
    save_file(judge.net.state_dict(), path, metadata={"about": json.dumps(about)})
    return judge


def _tensors(data: Images) -> tuple[Tensor, Tensor]:
    assert isinstance(data.pictures, Tensor), "IDX files are read whole"
    assert data.labels is not None, "Fashion-MNIST has labels"
    return data.pictures, data.labels
