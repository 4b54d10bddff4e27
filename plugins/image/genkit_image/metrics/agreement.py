"""Whether a conditional generator makes what it is asked for, in the eyes of a classifier."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from genkit import Batch, ConfigError, DataError, Metric, Samples
from genkit_image.metrics.config import AgreementConfig
from genkit_image.metrics.extractors import DIGITS, as_written, load_lenet, own_network
from genkit_image.metrics.lenet import as_digits


class Agreement(Metric):
    """The share of samples whose label, as a classifier sees it, is the one asked for; of all, and in the worst class.

    On real samples it is the classifier's accuracy, which is the ceiling of an honest generator.

    Args:
        classify: images in a batch -> logits [B, K].
        name, version: the classifier's.
        classes: the name of each label.
    """

    better = {"agreement": "higher", "worst_class": "higher"}  # noqa: RUF012 (the contract's own form)

    def __init__(self, classify: Callable[[Batch], Tensor], name: str, version: str, classes: list[str]) -> None:
        self.classify, self.name, self.version, self.classes = classify, name, version, classes

    def __call__(self, real: Samples, fake: Samples) -> dict[str, float]:
        """The shares. Raises DataError for samples without labels, ConfigError for a classifier of other labels."""
        count = len(self.classes)
        right, seen = torch.zeros(count, dtype=torch.float64), torch.zeros(count, dtype=torch.float64)
        for batch in fake.batches():
            if batch.condition is None:
                raise DataError("image.agreement compares with the label asked for, and the samples have none")
            asked = batch.condition.cpu()
            logits = self.classify(batch)
            if logits.shape[1] != count:
                raise ConfigError(
                    f"the classifier {self.name} tells {logits.shape[1]} labels apart, and the data has {count}",
                    where="metrics.classifier",
                    fix="name a classifier of the data's own labels, in their order",
                )
            agreed = logits.argmax(1).cpu() == asked
            seen += torch.bincount(asked, minlength=count)
            right += torch.bincount(asked[agreed], minlength=count)
        shares = (right / seen)[seen > 0]
        return {"agreement": float(right.sum() / seen.sum()), "worst_class": float(shares.min())}

    def protocol(self) -> dict[str, Any]:
        return {"classifier": self.name, "classifier_version": self.version}


def build_agreement(config: AgreementConfig, facts: Mapping[str, Any]) -> Agreement:
    """Agreement with the labels of the data. Raises ConfigError when the data has none, or not the digits' ones."""
    classes = list(facts.get("labels") or ())
    if not classes:
        raise ConfigError("image.agreement needs labels, and the data has none", where="metrics")
    if config.classifier != "lenet-digits":
        net = own_network(config.classifier, "metrics.classifier", "lenet-digits")
        return Agreement(net, net.name, net.version, classes)
    if classes != DIGITS:
        raise ConfigError(
            f"lenet-digits knows the labels 0 to 9, and the data has {', '.join(classes[:10])}",
            where="metrics",
            fix="--set metrics=[], or name a classifier of your own",
        )
    lenet, about = load_lenet()

    def classify(batch: Batch) -> Tensor:
        with torch.no_grad():
            logits: Tensor = lenet.to(batch.sample.device)(as_digits(as_written(batch.sample)))
        return logits

    return Agreement(classify, "lenet-digits", f"seed {about['seed']}, accuracy {about['accuracy']}", classes)
