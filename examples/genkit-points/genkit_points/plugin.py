"""What this plugin announces. Nothing here imports torch."""

from __future__ import annotations

import genkit

SMOKE = {
    "data.examples": 256,
    "data.held_out": 128,
    "preview": 16,
    "train.steps": 2,
    "train.batch_size": 16,
    "train.eval_samples": 64,
    "train.log_every": 1,
}


@genkit.hookimpl
def genkit_recipes() -> list[genkit.RecipeSpec]:
    return [
        genkit.RecipeSpec(
            name="points.grid25",
            summary="25 narrow Gaussians on a grid: the mode-coverage benchmark of PacGAN.",
            config="genkit_points.recipes:Grid25",
            build="genkit_points.recipes:build",
            smoke=SMOKE,
            tags=("benchmark", "cpu"),
        ),
        genkit.RecipeSpec(
            name="points.ring8",
            summary="8 narrow Gaussians on a circle: the mode-coverage benchmark of PacGAN.",
            config="genkit_points.recipes:Ring8",
            build="genkit_points.recipes:build",
            smoke=SMOKE,
            tags=("benchmark", "cpu"),
        ),
    ]


@genkit.hookimpl
def genkit_datasets() -> list[genkit.DatasetSpec]:
    return [
        genkit.DatasetSpec(
            name="points.grid25",
            modality="points",
            summary="Gaussians of standard deviation 0.05 at {-4, -2, 0, 2, 4}², drawn from a seed.",
            config="genkit_points.settings:MixtureConfig",
            open="genkit_points.data:open_grid25",
            offline=True,
            licence="none needed: it is drawn from a seed",
        ),
        genkit.DatasetSpec(
            name="points.ring8",
            modality="points",
            summary="Gaussians of standard deviation 0.01 at eight places of the unit circle, drawn from a seed.",
            config="genkit_points.settings:MixtureConfig",
            open="genkit_points.data:open_ring8",
            offline=True,
            licence="none needed: it is drawn from a seed",
        ),
    ]


@genkit.hookimpl
def genkit_models() -> list[genkit.ModelSpec]:
    return [
        genkit.ModelSpec(
            name="points.mlp",
            role="generator",
            modality="points",
            summary="A multi-layer perceptron from a normal latent to a point.",
            config="genkit_points.settings:GeneratorConfig",
            build="genkit_points.models:build_generator",
        ),
        genkit.ModelSpec(
            name="points.mlp",
            role="critic",
            modality="points",
            summary="A multi-layer perceptron from a point to a logit.",
            config="genkit_points.settings:CriticConfig",
            build="genkit_points.models:build_critic",
        ),
    ]


@genkit.hookimpl
def genkit_metrics() -> list[genkit.MetricSpec]:
    return [
        genkit.MetricSpec(
            name="points.modes",
            modality="points",
            summary="Modes covered, share of high-quality samples and reverse KL, by PacGAN's protocol.",
            better={"modes": "higher", "high_quality": "higher", "reverse_kl": "lower"},
            config="genkit_points.settings:ModesConfig",
            build="genkit_points.metrics:build_modes",
        )
    ]


@genkit.hookimpl
def genkit_writers() -> list[genkit.WriterSpec]:
    return [genkit.WriterSpec(modality="points", build="genkit_points.writers:build")]
