"""`text.summary`: the summary of an article. Needs no torch to be read."""

from __future__ import annotations

from dataclasses import dataclass

from genkit import Model, Part
from genkit_text.recipes.reply import MEASURES, ReplyRecipe

NETS = Model(
    generator=Part("text.transformer", width=192, layers=4, heads=6),
    critic=Part("text.transformer_critic", width=128, layers=2, heads=4),
)


@dataclass(frozen=True, kw_only=True)
class SummaryRecipe(ReplyRecipe):
    """`text.reply` for articles and their summaries. By default Debian's package descriptions and their one-line
    synopses, read from the machine's apt lists; for news, your own JSON lines of ``prompt`` and ``response``."""

    data: Part = Part("text.debian_descriptions", length=24, prompt_length=128, vocabulary=4096)
    """What to learn from: a text and its summary. `data.tokenizer: model` takes the generator's own tokenizer."""
    model: Model = NETS
    """The two players. Your own language model: ``{name: text.causal_lm, path: DIR, lora: {rank: 16}}``."""
    metrics: tuple[Part, ...] = MEASURES
    """What an evaluation measures."""
