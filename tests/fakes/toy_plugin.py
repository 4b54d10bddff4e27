"""A complete plugin of a modality `toy`, as light as one must be; its parts are in `toy_parts`."""

from __future__ import annotations

import genkit


@genkit.hookimpl
def genkit_recipes():
    return [
        genkit.RecipeSpec(
            name="toy.plain",
            summary="A toy.",
            config="toy_parts:Plain",
            build="toy_parts:build_recipe",
            presets="toy_parts:PRESETS",
            tags=("small",),
        )
    ]


@genkit.hookimpl
def genkit_models():
    return [
        genkit.ModelSpec(
            name=name, role=role, modality="toy", summary=f"A {role}.", config=config, build="toy_parts:describe"
        )
        for name, role, config in (
            ("toy.net", "generator", "toy_parts:Net"),
            ("toy.net", "critic", "toy_parts:Net"),
            ("toy.deep", "generator", "toy_parts:Deep"),
        )
    ]


@genkit.hookimpl
def genkit_datasets():
    shared = {"modality": "toy", "open": "toy_parts:describe", "offline": True}
    return [
        genkit.DatasetSpec(name="toy.dots", summary="Dots.", config="toy_parts:Dots", licence="CC0-1.0", **shared),
        genkit.DatasetSpec(name="toy.folder", summary="Files.", config="toy_parts:Folder", licence="yours", **shared),
    ]


@genkit.hookimpl
def genkit_objectives():
    return [
        genkit.ObjectiveSpec(
            name="toy.pull", role="penalty", summary="Pulls.", config="toy_parts:Pull", build="toy_parts:describe"
        )
    ]


@genkit.hookimpl
def genkit_metrics():
    return [
        genkit.MetricSpec(
            name="toy.score",
            modality="toy",
            summary="A score.",
            better={"score": "lower"},
            config="toy_parts:Score",
            build="toy_parts:needs_an_extra",
            needs=("toy-extra",),
        )
    ]


@genkit.hookimpl
def genkit_writers():
    return [genkit.WriterSpec(modality="toy", build="toy_parts:describe")]


@genkit.hookimpl
def genkit_benchmarks():
    return [genkit.BenchmarkSpec(name="toy", summary="Times a toy.", command="toy_parts:bench")]


@genkit.hookimpl
def genkit_commands():
    return [
        genkit.CommandSpec(name="greet", summary="Says hello.", command="toy_parts:greet"),
        genkit.CommandSpec(name="run", summary="Would replace ours.", command="toy_parts:greet"),
        genkit.CommandSpec(name="odd", summary="Is no command.", command="toy_parts:PRESETS"),
        genkit.CommandSpec(name="fail", summary="Has a bug.", command="toy_parts:fail"),
    ]


@genkit.hookimpl
def genkit_doctor():
    return [genkit.Check(name="toy", status="warning", detail="the box is empty", fix="buy toys")]


@genkit.hookimpl
def genkit_step_end(step, metrics):
    if metrics.get("explode"):
        raise RuntimeError(f"lost at step {step}")


@genkit.hookimpl
def genkit_evaluate(step):
    return {"toys": float(step)}
