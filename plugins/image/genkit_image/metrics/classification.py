"""How well what a generator makes serves to train a classifier of what is real."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genkit import ConfigError, DataError, Metric, Samples
from genkit_image.metrics.config import ClassificationAccuracyConfig
from genkit_image.writers import to_bytes

WIDTHS = (32, 64, 128)
GRID = 4
"""Places a side that the last layer sees."""
BATCH = 64
RATE = 2e-3


class ClassificationAccuracy(Metric):
    """The classification accuracy score (Ravuri and Vinyals 2019): a classifier is trained on samples and the labels
    they were asked for, and tested on real pictures.

    Its floor is the accuracy after training on as many real pictures. The paper's classifier is a ResNet-50; this is a
    small one, the same for any pictures, trained from the same start.

    Args:
        classes: the name of each label.
        epochs: passes over the samples.
        seed: of the classifier's first weights and of the order of samples.
    """

    better = {"classification_accuracy": "higher"}  # noqa: RUF012 (the contract's own form)

    def __init__(self, classes: list[str], *, epochs: int = 10, seed: int = 0) -> None:
        self.classes, self.epochs, self.seed = classes, epochs, seed

    def __call__(self, real: Samples, fake: Samples) -> dict[str, float]:
        """The accuracy on `real`. Raises DataError for samples without labels."""
        net = self.train(*labelled(fake))
        images, labels = labelled(real)
        with torch.no_grad():
            seen = torch.cat([net(scaled(part)).argmax(1) for part in images.split(1000)])
        return {"classification_accuracy": float((seen == labels).double().mean())}

    def train(self, images: Tensor, labels: Tensor) -> nn.Module:
        """A classifier of pictures uint8 [N, C, H, W] that has learnt from their labels [N], in evaluation mode."""
        order = torch.Generator().manual_seed(self.seed)
        net = classifier(images.shape[1], len(self.classes), order).to(images.device)
        steps = self.epochs * len(batched(torch.arange(len(images))))
        optimizer = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
        with torch.enable_grad():
            for _ in range(self.epochs):
                for chosen in batched(torch.randperm(len(images), generator=order).to(images.device)):
                    loss = F.cross_entropy(net(scaled(images[chosen])), labels[chosen])
                    optimizer.zero_grad()
                    loss.backward()
                    optimizer.step()
                    schedule.step()
        return net.eval()

    def protocol(self) -> dict[str, Any]:
        return {
            "classifier": f"{len(WIDTHS)} strided convolutions of {', '.join(map(str, WIDTHS))} channels, batch norm",
            "classifier_training": f"{self.epochs} epochs of the samples, seed {self.seed}, 8-bit input",
        }


def classifier(channels: int, classes: int, rng: torch.Generator) -> nn.Sequential:
    """Pictures [B, C, H, W] to logits [B, classes], with first weights of `rng` alone."""
    layers: list[nn.Module] = []
    with torch.random.fork_rng(devices=[]):
        for wide in WIDTHS:
            layers += [nn.Conv2d(channels, wide, 3, 2, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU()]
            channels = wide
        layers += [nn.AdaptiveAvgPool2d(GRID), nn.Flatten(), nn.Linear(channels * GRID**2, classes)]
    for layer in layers:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            nn.init.kaiming_normal_(layer.weight, generator=rng)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
    return nn.Sequential(*layers)


def batched(order: Tensor) -> list[Tensor]:
    """`order` [N] in batches. A last one of a single picture, which batch norm can not take, joins the one before."""
    batches = list(order.split(BATCH))
    if len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [torch.cat(batches[-2:])]
    return batches


def labelled(samples: Samples) -> tuple[Tensor, Tensor]:
    """All pictures uint8 [N, C, H, W], and their labels [N]. Raises DataError where there are none."""
    images, labels = [], []
    for batch in samples.batches():
        if not isinstance(batch.condition, Tensor) or batch.condition.is_floating_point():
            raise DataError(
                "image.classification_accuracy trains on samples with labels, and these have none", where="metrics"
            )
        images.append(to_bytes(batch.sample).to(batch.sample.device))
        labels.append(batch.condition)
    return torch.cat(images), torch.cat(labels)


def scaled(images: Tensor) -> Tensor:
    """uint8 pictures as floats in [-1, 1]."""
    return images.float() / 127.5 - 1


def build_classification_accuracy(
    config: ClassificationAccuracyConfig, facts: Mapping[str, Any]
) -> ClassificationAccuracy:
    """The classification accuracy score. Raises ConfigError where the data has no labels."""
    classes = list(facts.get("labels") or ())
    if not classes:
        raise ConfigError("image.classification_accuracy needs labels, and the data has none", where="metrics")
    return ClassificationAccuracy(classes, epochs=config.epochs, seed=config.seed)
