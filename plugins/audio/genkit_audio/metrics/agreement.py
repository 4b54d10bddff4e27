"""Whether a conditional generator makes the sound it is asked for, in the ears of a classifier."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor

from genkit import Batch, ConfigError, DataError, Metric, Samples
from genkit_audio.facts import AudioFacts
from genkit_audio.metrics.config import LabelAgreementConfig
from genkit_audio.metrics.drum_classifier import SPEC, load_drum_classifier
from genkit_audio.metrics.extractors import DRUMS, about_drums, own_network
from genkit_audio.metrics.specs import FIGURES
from genkit_audio.metrics.waves import as_written, resample


class LabelAgreement(Metric):
    """The share of samples whose label, as a classifier hears it, is the one asked for; of all, and in the worst class.

    On real samples it is the classifier's accuracy, which is the ceiling of an honest generator.

    Args:
        classify: waveforms in a batch -> logits [B, K].
        name, version: the classifier's.
        classes: the name of each label.
    """

    better = FIGURES["label_agreement"]

    def __init__(self, classify: Callable[[Batch], Tensor], name: str, version: str, classes: tuple[str, ...]) -> None:
        self.classify, self.name, self.version, self.classes = classify, name, version, classes

    def __call__(self, real: Samples, fake: Samples) -> dict[str, float]:
        """The figures. Raises DataError when the samples have no labels, or the classifier knows another number."""
        count = len(self.classes)
        right, seen = torch.zeros(count, dtype=torch.float64), torch.zeros(count, dtype=torch.float64)
        for batch in fake.batches():
            if not isinstance(batch.condition, Tensor) or batch.condition.dim() != 1:
                raise DataError("audio.label_agreement compares with the label asked for, and the samples have none")
            logits = self.classify(batch)
            if logits.shape[1:] != (count,):
                raise DataError(f"{self.name} gives logits {list(logits.shape)}, and the data has {count} labels")
            asked = batch.condition.cpu()
            agreed = logits.argmax(1).cpu() == asked
            seen += torch.bincount(asked, minlength=count)
            right += torch.bincount(asked[agreed], minlength=count)
        shares = (right / seen)[seen > 0]
        return {"label_agreement": float(right.sum() / seen.sum()), "label_agreement_worst": float(shares.min())}

    def protocol(self) -> dict[str, Any]:
        return {
            "classifier": self.name,
            "classifier_version": self.version,
            "classifier_data": "heard the training and the held-out clips" if self.name == DRUMS else "yours",
        }


def build_label_agreement(config: LabelAgreementConfig, facts: Mapping[str, Any]) -> LabelAgreement:
    """Agreement with the labels of the data. Raises ConfigError when it has none, or the classifier knows others."""
    audio = AudioFacts.of(facts)
    if not audio.labels:
        raise ConfigError("audio.label_agreement needs labels, and the data has none", where="metrics")
    if config.classifier != DRUMS:
        net = own_network(config.classifier, "metrics.classifier", DRUMS)
        return LabelAgreement(net, net.name, net.version, audio.labels)
    classifier, about = load_drum_classifier()
    known = list(about["classes"])
    strange = [name for name in audio.labels if name not in known]
    if strange:
        raise ConfigError(
            f"{DRUMS} knows {', '.join(known)}, and the data has {', '.join(strange[:10])}",
            where="metrics",
            fix="take audio.label_agreement out of `metrics`, or name a classifier of your own",
        )
    among = [known.index(name) for name in audio.labels]

    def classify(batch: Batch) -> Tensor:
        waves = resample(as_written(batch.sample), audio.rate, SPEC.rate)
        with torch.no_grad():
            logits: Tensor = classifier.to(waves.device)(waves)[:, among]
        return logits

    return LabelAgreement(classify, DRUMS, about_drums(about), audio.labels)
