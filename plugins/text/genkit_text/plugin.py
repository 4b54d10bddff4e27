"""What the text plugin offers. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from genkit import (
    BenchmarkSpec,
    DatasetSpec,
    ExportSpec,
    MetricSpec,
    ModelSpec,
    RecipeSpec,
    WriterSpec,
    hookimpl,
)
from genkit_text.metrics.specs import metric_specs

SMALL_TRAIN = {
    "train.batch_size": 8,
    "train.adversarial_start": 1,
    "train.critic_start": None,
    "train.eval_samples": 32,
}
SMALL_ROWS = {"data.length": 12, "data.vocabulary": 320, "data.limit": 200}
NO_SCORES = {"metrics": ["text.diversity"]}


@hookimpl
def genkit_recipes() -> Iterable[RecipeSpec]:
    recurrent = {"model.generator.width": 16, "model.critic.width": 16}
    attentive = {
        **{f"model.{player}.width": 16 for player in ("generator", "critic")},
        **{f"model.{player}.heads": 2 for player in ("generator", "critic")},
        **{f"model.{player}.layers": 1 for player in ("generator", "critic")},
        "train.samples_per_condition": 4,
    }
    pairs = {"data": {"name": "text.emails", "size": 100, "length": 12, "prompt_length": 60, "vocabulary": 320}}
    return [
        _recipe(
            "sentences",
            "Sentences: likelihood, then policy gradient with a critic's reward for every token.",
            smoke={**SMALL_ROWS, **SMALL_TRAIN, **NO_SCORES, **recurrent},
            tags=("cpu",),
        ),
        _recipe(
            "gumbel",
            "Sentences by straight-through one-hots and a relativistic critic of tokens.",
            smoke={**SMALL_ROWS, **SMALL_TRAIN, **NO_SCORES, **recurrent},
            tags=("cpu",),
        ),
        _recipe(
            "style",
            "Sentences in the manner that a label names, such as an author's book.",
            build="sentences",
            smoke={**SMALL_ROWS, **SMALL_TRAIN, **NO_SCORES, **recurrent},
            tags=("conditional", "cpu"),
            presets=False,
        ),
        _recipe(
            "reply",
            "The answer to a message: a language model against a critic of (prompt, response).",
            smoke={**pairs, **SMALL_TRAIN, **NO_SCORES, **attentive},
            tags=("conditional", "cpu"),
        ),
        _recipe(
            "summary",
            "The summary of an article, as text.reply.",
            build="reply",
            smoke={**pairs, **SMALL_TRAIN, **NO_SCORES, **attentive},
            tags=("conditional",),
            presets=False,
        ),
        _recipe(
            "seqgan",
            "SeqGAN (Yu et al. 2017) with Monte-Carlo roll-outs, a historical baseline.",
            smoke={
                **SMALL_TRAIN,
                "data.vocabulary": 20,
                "data.length": 6,
                "data.examples": 100,
                "data.held_out": 50,
                "model.generator.width": 8,
                "model.critic.width": 8,
                "model.critic.windows": [1, 2],
                "model.critic.filters": [4, 4],
                "train.critic_steps": 2,
                "train.steps": 4,
                "rolls": 2,
            },
        ),
    ]


def _recipe(
    name: str,
    summary: str,
    *,
    smoke: Mapping[str, Any],
    tags: tuple[str, ...] = (),
    build: str | None = None,
    presets: bool = True,
) -> RecipeSpec:
    """The recipe of a module; `build` is the module whose experiment it shares."""
    cls = {"seqgan": "SeqGAN"}.get(name, name.capitalize())
    return RecipeSpec(
        name=f"text.{name}",
        summary=summary,
        config=f"genkit_text.recipes.{name}:{cls}Recipe",
        build=f"genkit_text.recipes.{build or name}:build",
        presets=f"genkit_text.recipes.{name}:PRESETS" if presets else None,
        smoke=smoke,
        tags=tags,
    )


@hookimpl
def genkit_models() -> Iterable[ModelSpec]:
    return [
        _model("generator", "lstm", "lstm", "LSTM", "LSTM; tokens or relaxed one-hots."),
        _model("generator", "transformer", "transformer", "Transformer", "A small Llama; tokens or relaxed one-hots."),
        _model("generator", "causal_lm", "pretrained", "CausalLM", "Any causal language model (extra hf)."),
        _model("critic", "lstm_critic", "recurrent_critic", "LSTMCritic", "LSTM, a logit for each token."),
        _model(
            "critic",
            "transformer_critic",
            "transformer_critic",
            "TransformerCritic",
            "Transformer, a logit for each token or one for (prompt, response).",
        ),
        _model(
            "critic",
            "cnn_critic",
            "convolutional_critic",
            "CNNCritic",
            "SeqGAN's convolutions, one logit a row.",
        ),
        _model(
            "critic",
            "pretrained_critic",
            "pretrained",
            "PretrainedCritic",
            "Any causal language model, a linear head (extra hf).",
        ),
    ]


def _model(role: Literal["generator", "critic"], name: str, module: str, prefix: str, summary: str) -> ModelSpec:
    return ModelSpec(
        name=f"text.{name}",
        role=role,
        modality="text",
        summary=summary,
        config=f"genkit_text.models.config:{prefix}Config",
        build=f"genkit_text.models.{module}:build_{name}",
    )


@hookimpl
def genkit_datasets() -> Iterable[DatasetSpec]:
    return [
        _dataset("sentences", "austen", "Sentences", "23,049 sentences of Jane Austen's six novels.", "public domain"),
        _dataset("replies", "austen", "Replies", "2,091 lines of dialogue and their answers.", "public domain"),
        _dataset("emails", "emails", "Emails", "E-mails and their replies, made from templates.", "Apache-2.0"),
        _dataset("lines", "files", "Lines", "A text file or a folder of them, one text a line.", "yours"),
        _dataset("jsonl", "files", "Jsonl", "JSON lines: text, with label; or prompt and response.", "yours"),
        _dataset(
            "debian_descriptions",
            "debian",
            "Debian",
            "This machine's apt lists: a package's description and its synopsis.",
            "each package's own",
        ),
        _dataset("hub", "hub", "Hub", "A dataset of the Hugging Face hub (extra hub), or a saved one.", "yours"),
        _dataset("oracle", "oracle", "Oracle", "Sequences of a random network, probabilities known.", "Apache-2.0"),
    ]


def _dataset(name: str, module: str, prefix: str, summary: str, licence: str) -> DatasetSpec:
    return DatasetSpec(
        name=f"text.{name}",
        modality="text",
        summary=summary,
        config=f"genkit_text.data.config:{prefix}Config",
        open=f"genkit_text.data.{module}:open_{name}",
        offline=name != "hub",
        licence=licence,
    )


@hookimpl
def genkit_metrics() -> Iterable[MetricSpec]:
    return metric_specs()


@hookimpl
def genkit_writers() -> Iterable[WriterSpec]:
    return [
        WriterSpec(
            modality="text",
            build="genkit_text.writers:build_writer",
            conditions="genkit_text.conditions:conditions",
            stream="genkit_text.streaming:stream",
            sampling={
                "temperature": "Divides the logits; 0 takes the likeliest token.",
                "top_p": "Keep the likeliest tokens that hold this share of the probability.",
            },
        )
    ]


@hookimpl
def genkit_exports() -> Iterable[ExportSpec]:
    return [
        ExportSpec(
            name="hf",
            modality="text",
            summary="A folder that transformers' AutoModelForCausalLM and AutoTokenizer load.",
            export="genkit_text.export:to_hf",
        )
    ]


@hookimpl
def genkit_benchmarks() -> Iterable[BenchmarkSpec]:
    return [
        BenchmarkSpec(
            name="text",
            summary="A text recipe beside its controls, with seeds and standard errors.",
            command="genkit_text.comparison:compare",
        )
    ]
