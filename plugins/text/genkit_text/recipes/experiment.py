"""What the recipes of text have in common when they are built."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

import genkit
from genkit import ConfigError, Estimator, Experiment, Part
from genkit_text.adversary import Teaching
from genkit_text.models.language import LanguageGenerator
from genkit_text.models.pretrained import language_model_facts
from genkit_text.recipes.settings import TextRecipe

C = TypeVar("C", bound=TextRecipe)


def text_experiment(config: TextRecipe, *, estimator: Callable[[LanguageGenerator], Estimator]) -> Experiment:
    """The experiment of a recipe of text; `estimator` is given the generator.

    Raises ConfigError when the generator is none of text.
    """
    anchor = 1.0 if config.control == "likelihood" else config.likelihood
    taught = anchor > 0 or config.train.adversarial_start > 0
    experiment = genkit.assemble(with_own_tokenizer(config), terms=[Teaching(anchor)] if taught else [])
    generator = experiment.generator
    if not isinstance(generator, LanguageGenerator):
        raise ConfigError(f"{type(generator).__name__} is no generator of text", where="model.generator")
    described = language_model_facts(generator)
    if described is not None:
        experiment.data.facts = {**experiment.data.facts, "language_model": described}
    experiment.estimator = estimator(generator)
    return experiment


def with_own_tokenizer(config: C) -> C:
    """The config with ``data.tokenizer: model`` replaced by where the generator's model comes from; the vocabulary is
    then the model's too.

    Raises ConfigError when the generator has no tokenizer of its own.
    """
    if config.data.options.get("tokenizer") != "model":
        return config
    options = config.model.generator.options
    source = options.get("path") or options.get("hub")
    if not source:
        raise ConfigError(
            f"{config.model.generator.name} has no tokenizer of its own",
            where="data.tokenizer",
            fix="--set data.tokenizer=bpe, or --set model.generator='{name: text.causal_lm, path: DIR}'",
        )
    own = {**config.data.options, "tokenizer": source, "vocabulary": None}
    return replace(config, data=Part(config.data.name, **own))
