"""A plugin of a modality `words` that trains, samples, measures and exports in milliseconds: see `words_parts`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import genkit
from genkit.settings import MetricPart

TRAIN = genkit.Train(batch_size=8, adversarial_start=1, critic_start=0, precision="fp32", workers=0, eval_samples=64)


@dataclass(frozen=True, kw_only=True)
class Nothing:
    """A part without options."""


@dataclass(frozen=True, kw_only=True)
class Chain(genkit.RecipeConfig):
    """Likelihood first, then a score function."""

    data: genkit.Part = genkit.Part("words.chain")
    model: genkit.Model = genkit.Model(generator=genkit.Part("words.chain"), critic=genkit.Part("words.causal"))
    objective: genkit.Part = genkit.Part("non_saturating")
    penalties: Mapping[str, Mapping[str, object]] = field(default_factory=dict)
    train: genkit.Train = TRAIN
    metrics: tuple[MetricPart, ...] = (genkit.Part("words.divergence"),)
    preview: int = 4


@genkit.hookimpl
def genkit_recipes():
    return [
        genkit.RecipeSpec(
            name="words.chain", summary="A chain.", config="words_plugin:Chain", build="words_parts:build_recipe"
        )
    ]


@genkit.hookimpl
def genkit_models():
    return [
        genkit.ModelSpec(
            name=name, role=role, modality="words", summary=f"A {role}.", config="words_plugin:Nothing",
            build=f"words_parts:build_{role}",
        )
        for name, role in (("words.chain", "generator"), ("words.causal", "critic"))
    ]  # fmt: skip


@genkit.hookimpl
def genkit_datasets():
    return [
        genkit.DatasetSpec(
            name="words.chain", modality="words", summary="A chain.", config="words_plugin:Nothing",
            open="words_parts:open_chain", offline=True, licence="CC0-1.0",
        )
    ]  # fmt: skip


@genkit.hookimpl
def genkit_metrics():
    return [
        genkit.MetricSpec(
            name="words.divergence", modality="words", summary="Both divergences, exactly known densities.",
            better={"forward_kl": "lower", "reverse_kl": "lower", "nll": "lower"}, config="words_plugin:Nothing",
            build="words_parts:build_divergence",
        )
    ]  # fmt: skip


@genkit.hookimpl
def genkit_writers():
    return [
        genkit.WriterSpec(
            modality="words", build="words_parts:build_writer",
            sampling={"temperature": "Divides the logits.", "first_word": "The index of the first word."},
        )
    ]  # fmt: skip


@genkit.hookimpl
def genkit_exports():
    return [
        genkit.ExportSpec(name=name, modality=modality, summary="A file.", export="words_parts:export_table")
        for name, modality in (("table", "words"), ("flac", "sounds"))
    ]
