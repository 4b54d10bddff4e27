"""`text.style`: sentences in the manner that a label names. Needs no torch to be read."""

from __future__ import annotations

from dataclasses import dataclass

from genkit import Model, Part
from genkit_text.recipes.sentences import MEASURES, SentencesRecipe

NETS = Model(generator=Part("text.lstm", width=256, tied=True), critic=Part("text.lstm_critic", width=128, dropout=0.1))


@dataclass(frozen=True, kw_only=True)
class StyleRecipe(SentencesRecipe):
    """Sentences by label: `text.sentences` with the label read by both players. The embedded novels' labels are the
    books; your own JSON lines name theirs under ``label``."""

    data: Part = Part("text.sentences", labels="book", length=48, vocabulary=1024)
    """What to learn from: text with labels."""
    model: Model = NETS
    """The two players."""
    metrics: tuple[Part, ...] = (Part("text.label_agreement"), *MEASURES)
    """What an evaluation measures."""
    preview: int = 18
    """Samples in a preview."""
