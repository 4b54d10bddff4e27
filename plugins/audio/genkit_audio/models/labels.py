"""How generators and critics are told a label."""

from __future__ import annotations

from torch import Tensor, nn

from genkit import UsageError
from genkit_audio.facts import AudioFacts


def label_count(facts: AudioFacts) -> int:
    """How many labels a condition tells apart; 0 where it is none, or a mel."""
    return 0 if facts.mel is not None else len(facts.labels)


def asked_label(condition: Tensor | None) -> Tensor:
    """The labels [B] that a conditional model needs. Raises UsageError without any."""
    if condition is None or condition.dim() != 1:
        given = "none" if condition is None else list(condition.shape)
        raise UsageError(
            f"this model is conditional: it needs a label for each row [B], and was given {given}",
            fix="--condition label=NAME",
        )
    return condition


class Projection(nn.Module):
    """What a label adds to each logit: the inner product of its embedding with the features there (Miyato and Koyama
    2018, eq. 5), over the root of their number.

    Args:
        classes: labels; 0 adds nothing.
        width: channels of the features.
    """

    def __init__(self, classes: int, width: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(classes, width) if classes else None
        self.gain = width**-0.5

    def forward(self, logit: Tensor, features: Tensor, condition: Tensor | None) -> Tensor:
        """Logits [B, 1, ...] of features [B, width, ...], and labels [B] where the data has them."""
        if self.embedding is None:
            return logit
        direction = self.embedding(asked_label(condition)).view(*features.shape[:2], *[1] * (features.dim() - 2))
        heard: Tensor = self.gain * (features * direction).sum(1, keepdim=True)
        return logit + heard
