"""What the plugin offers to measure. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping

from genkit import Better, MetricSpec, figures

# What colder sampling, nonsense or repetition can push past real text is best as real text has it.
FIGURES: Mapping[str, Mapping[str, Better]] = {
    "divergence": figures(lower=("j", "forward_kl", "reverse_kl", "nll_gen"), real=("nll_oracle", "entropy_gen")),
    "likelihood": figures(lower=("nll", "bits_per_character")),
    "bleu": figures(real=tuple(f"{name}{order}" for name in ("bleu", "self_bleu") for order in (2, 3, 4, 5))),
    "diversity": figures(
        lower=("length_difference",), real=("distinct1", "distinct2", "distinct3", "unique", "repetition")
    ),
    "ngram_perplexity": figures(lower=("reverse_ngram_perplexity",), real=("ngram_perplexity",)),
    "memorisation": figures(
        real=("copied_share", "copied_share_max", "copied_words", "copied_words_max", "exact_copies")
    ),
    "frechet": figures(lower=("frechet",)),
    "mauve": figures(higher=("mauve",), lower=("mauve_spread",)),
    "rouge": figures(higher=("rouge1", "rouge2", "rougeL")),
    "pairs": figures(lower=("length_ratio_error",), real=("prompt_copies",)),
    "intent": figures(higher=("intent", "intent_worst")),
    "label_agreement": figures(higher=("label_agreement", "label_agreement_over_chance")),
}
"""Each metric's figures, without an extractor's name, and which direction is better."""


def metric_specs() -> list[MetricSpec]:
    """The text metrics."""
    return [
        _spec("divergence", "Forward and reverse KL from an oracle, and their sum J.", "Divergence"),
        _spec("likelihood", "Likelihood of held-out texts under the generator.", "Likelihood"),
        _spec(
            "bleu", "BLEU-2 to 5 against real texts, and self-BLEU with each sample left out of its references.", "Bleu"
        ),
        _spec(
            "diversity",
            "Distinct n-grams and samples, repetition, and how far the length is from real.",
            "Diversity",
        ),
        _spec(
            "ngram_perplexity",
            "Perplexity of samples under an n-gram model of real texts, and the reverse.",
            "NgramPerplexity",
            module="perplexity",
        ),
        _spec("memorisation", "The longest spans that samples copy from the training texts.", "Memorisation"),
        _spec("frechet", "Fréchet distance in the features of an extractor.", "Frechet", module="embedding"),
        _spec("mauve", "MAUVE (Pillutla et al. 2021) in the features of an extractor.", "Mauve", module="mauve"),
        _spec("rouge", "ROUGE-1, 2 and L of responses against the real ones to the same prompts.", "Rouge"),
        _spec(
            "pairs",
            "Lengths of responses beside the real ones, and responses that copy the prompt.",
            "Pairs",
            module="rouge",
        ),
        _spec("intent", "Template e-mails: replies whose intent is the message's.", "Intent"),
        _spec(
            "label_agreement",
            "How often a bag-of-words classifier sees the label that was asked for.",
            "LabelAgreement",
        ),
    ]


def _spec(name: str, summary: str, prefix: str, *, module: str | None = None) -> MetricSpec:
    """A metric whose module, unless named, is called as it is."""
    return MetricSpec(
        name=f"text.{name}",
        modality="text",
        summary=summary,
        better=FIGURES[name],
        config=f"genkit_text.metrics.config:{prefix}Config",
        build=f"genkit_text.metrics.{module or name}:build_{name}",
    )
