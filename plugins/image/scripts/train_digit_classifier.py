"""Train the embedded digit classifier on the 8,000 training digits and test it on the 2,000 held out.

    python plugins/image/scripts/train_digit_classifier.py

Writes genkit_image/assets/lenet-digits.safetensors. Two minutes on one CPU core.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

import genkit_image
from genkit_image.metrics.lenet import WEIGHTS, LeNet

ASSETS = Path(genkit_image.__file__).parent / "assets"
HELD_OUT = 2000


def wobble(images: Tensor, generator: torch.Generator) -> Tensor:
    """Images [B, 1, 28, 28], each turned (±11°), sheared, scaled (±10 %) and shifted (±2 pixels) by chance."""
    count = len(images)
    turn, shear, wide, high, right, down = (torch.rand(6, count, generator=generator) * 2 - 1).unbind()
    turn, shear = turn * 0.2, shear * 0.2
    wide, high = 1 + 0.1 * wide, 1 + 0.1 * high
    cos, sin = turn.cos(), turn.sin()
    matrix = torch.stack(
        [
            torch.stack([wide * cos, wide * (shear * cos - sin), right * 2 / 14], 1),
            torch.stack([high * sin, high * (shear * sin + cos), down * 2 / 14], 1),
        ],
        1,
    )
    grid = F.affine_grid(matrix, list(images.shape), align_corners=False)
    return F.grid_sample(images + 1, grid, align_corners=False) - 1  # zero padding is black


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--batch-size", type=int, default=100)
    parser.add_argument("--out", type=Path, default=ASSETS / WEIGHTS)
    given = parser.parse_args()

    torch.manual_seed(given.seed)
    generator = torch.Generator().manual_seed(given.seed)
    with np.load(ASSETS / "digits.npz") as stored:
        images = torch.from_numpy(stored["images"]).unsqueeze(1).float() / 127.5 - 1
        labels = torch.from_numpy(stored["labels"]).long()
    train, test = slice(0, len(images) - HELD_OUT), slice(len(images) - HELD_OUT, None)

    net = LeNet()
    steps = given.epochs * (len(images[train]) // given.batch_size)
    optimizer = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=1e-2)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: 0.5 * (1 + math.cos(math.pi * step / steps)))
    for epoch in range(given.epochs):
        net.train()
        for chosen in torch.randperm(len(images[train]), generator=generator).split(given.batch_size):
            loss = F.cross_entropy(net(wobble(images[train][chosen], generator)), labels[train][chosen])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        net.eval()
        with torch.no_grad():
            accuracy = (net(images[test]).argmax(1) == labels[test]).double().mean().item()
        print(f"epoch {epoch + 1}: loss {loss.item():.4f}, accuracy on the held-out digits {accuracy:.4f}", flush=True)

    about = {
        "name": "lenet-digits",
        "trained_on": "the first 8,000 of genkit_image/assets/digits.npz (MNIST)",
        "tested_on": "the last 2,000",
        "accuracy": round(accuracy, 4),
        "seed": given.seed,
        "epochs": given.epochs,
    }
    save_file(
        {name: value.contiguous() for name, value in net.state_dict().items()}, given.out, {"about": json.dumps(about)}
    )
    print(f"{given.out}: {json.dumps(about)}")


if __name__ == "__main__":
    main()
