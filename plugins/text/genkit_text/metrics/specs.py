"""What the plugin offers to measure. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from genkit import MetricSpec


def metric_specs() -> list[MetricSpec]:
    """The text metrics."""
    return [
        _spec(
            "divergence",
            "Forward and reverse KL from an oracle, and their sum J.",
            "Divergence",
            lower=("j", "forward_kl", "reverse_kl", "nll_oracle", "nll_gen"),
            higher=("entropy_gen", "entropy_data"),
        ),
        _spec(
            "likelihood",
            "Likelihood of held-out texts under the generator.",
            "Likelihood",
            lower=("nll", "bits_per_character"),
        ),
        _spec(
            "bleu",
            "BLEU-2 to 5 against real texts, and self-BLEU with each sample left out of its references.",
            "Bleu",
            higher=("bleu2", "bleu3", "bleu4", "bleu5"),
            lower=("self_bleu2", "self_bleu3", "self_bleu4", "self_bleu5"),
        ),
        _spec(
            "diversity",
            "Distinct n-grams and samples, repetition, and how far the length is from real.",
            "Diversity",
            higher=("distinct1", "distinct2", "distinct3", "unique"),
            lower=("repetition", "length_difference"),
        ),
        _spec(
            "ngram_perplexity",
            "Perplexity under a Kneser-Ney n-gram model, from real to samples and back.",
            "NgramPerplexity",
            module="perplexity",
            lower=("ngram_perplexity", "reverse_ngram_perplexity"),
        ),
        _spec(
            "memorisation",
            "The longest spans that samples copy from the training data.",
            "Memorisation",
            lower=("copied_share", "copied_share_max", "copied_words", "copied_words_max", "exact_copies"),
        ),
        _spec(
            "frechet",
            "Fréchet distance (Heusel et al. 2017) between embeddings of texts.",
            "Frechet",
            module="embedding",
            lower=("frechet",),
        ),
        _spec(
            "mauve",
            "Area under the divergence frontier (Pillutla et al. 2021) between embeddings of texts.",
            "Mauve",
            higher=("mauve",),
            lower=("mauve_spread",),
        ),
        _spec(
            "rouge",
            "ROUGE-1, 2 and L of responses against the real ones.",
            "Rouge",
            higher=("rouge1", "rouge2", "rougeL"),
        ),
        _spec(
            "pairs",
            "Length of responses against real ones, and how many copy their prompt.",
            "Pairs",
            module="rouge",
            lower=("length_ratio_error", "prompt_copies"),
        ),
        _spec(
            "intent",
            "The share of replies that answer what the e-mail asks for (text.emails).",
            "Intent",
            higher=("intent", "intent_worst"),
        ),
        _spec(
            "label_agreement",
            "The share of samples that a bag-of-words classifier gives the label asked for.",
            "LabelAgreement",
            higher=("label_agreement", "label_agreement_over_chance"),
        ),
    ]


def _spec(
    name: str,
    summary: str,
    prefix: str,
    *,
    module: str | None = None,
    lower: tuple[str, ...] = (),
    higher: tuple[str, ...] = (),
) -> MetricSpec:
    """A metric whose module, unless named, is called as it is."""
    better: Mapping[str, Literal["lower", "higher"]] = {
        **dict.fromkeys(lower, "lower"),
        **dict.fromkeys(higher, "higher"),
    }
    return MetricSpec(
        name=f"text.{name}",
        modality="text",
        summary=summary,
        better=better,
        config=f"genkit_text.metrics.config:{prefix}Config",
        build=f"genkit_text.metrics.{module or name}:build_{name}",
    )
