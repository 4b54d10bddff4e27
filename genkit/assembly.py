"""The usual way from a recipe's config to an experiment: every part by its name in the catalog."""

from __future__ import annotations

from collections.abc import Sequence

from genkit.catalog import build_part, catalog
from genkit.conditions import labels_from
from genkit.experiment import Experiment
from genkit.inspection import Conditions, Writer
from genkit.interfaces import Critic, Dataset, Estimator, Facts, Generator, StreamedDataset, Term
from genkit.settings import Part, RecipeConfig


def assemble(
    config: RecipeConfig,
    *,
    data: Dataset | StreamedDataset | None = None,
    generator: Generator | None = None,
    critic: Critic | None = None,
    terms: Sequence[Term] = (),
    estimator: Estimator | None = None,
    conditions: Conditions | None = None,
) -> Experiment:
    """An experiment from a config: what is not given is built from the part that the config names.

    Raises UnknownNameError for a name no plugin offers, and whatever a part raises while it is built.
    """
    data = data if data is not None else build_part("dataset", config.data)
    facts = data.facts
    return Experiment(
        generator=generator if generator is not None else build_part("generator", config.model.generator, facts),
        critic=critic if critic is not None else build_part("critic", config.model.critic, facts),
        data=data,
        objective=build_part("objective", config.objective),
        penalties={name: build_part("penalty", Part(name, **options)) for name, options in config.penalties.items()},
        terms=terms,
        estimator=estimator,
        augment=build_part("augment", config.augment) if config.augment is not None else None,
        optim=config.optim,
        metrics=[build_part("metric", part, facts) for part in config.metrics],
        conditions=conditions or conditions_for(facts),
        writer=writer_for(facts),
        preview=config.preview,
    )


def conditions_for(facts: Facts) -> Conditions | None:
    """What can be asked of a generator trained on data with these facts: the modality's own way, else labels."""
    spec = catalog().writers.get(str(facts.get("modality")))
    if spec is not None and spec.conditions is not None:
        found: Conditions | None = catalog().load(spec, "conditions")(facts)
        return found
    return labels_from(facts)


def writer_for(facts: Facts) -> Writer | None:
    """The writer of the facts' modality; None when the facts name none.

    Raises UnknownNameError or PluginError when no plugin writes that modality.
    """
    modality = facts.get("modality")
    if modality is None:
        return None
    writer: Writer = catalog().load(catalog().writer(str(modality)), "build")(facts)
    return writer
