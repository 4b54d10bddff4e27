"""What the image plugin offers. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from genkit import (
    BenchmarkSpec,
    DatasetSpec,
    MetricSpec,
    ModelSpec,
    ObjectiveSpec,
    RecipeSpec,
    ViewSpec,
    WriterSpec,
    hookimpl,
)
from genkit_image.data.specs import dataset_specs

_RESIDUAL_SMOKE = {
    "model.generator.widths": [8, 8, 8, 8],
    "model.generator.latent": 16,
    "model.critic.widths": [8, 8],
    "model.critic.flat": [8],
    "train.batch_size": 8,
    "train.critic_steps": 2,
    "train.eval_samples": 128,
    "preview": 10,
}


_TO_PICTURE_SMOKE = {
    "model.generator.width": 8,
    "model.critic.width": 8,
    "train.adversarial_start": 0,
    "train.batch_size": 8,
    "train.eval_samples": 64,
    "preview": 4,
}


@hookimpl
def genkit_recipes() -> Iterable[RecipeSpec]:
    return [
        RecipeSpec(
            name="image.handwriting",
            summary="Handwritten digits by class, on two CPU cores in minutes.",
            config="genkit_image.recipes.handwriting:HandwritingRecipe",
            build="genkit_image.recipes.handwriting:build",
            smoke={"train.batch_size": 8, "train.eval_samples": 128, "preview": 10},
            tags=("conditional", "cpu"),
        ),
        RecipeSpec(
            name="image.dcgan",
            summary="DCGAN (Radford et al. 2016), with labels where the data has them.",
            config="genkit_image.recipes.dcgan:DCGANRecipe",
            build="genkit_image.recipes.dcgan:build",
            smoke={
                "data.resolution": 32,
                "model.generator.width": 8,
                "model.critic.width": 8,
                "train.batch_size": 8,
                "train.eval_samples": 128,
                "preview": 10,
            },
        ),
        RecipeSpec(
            name="image.r3gan",
            summary="R3GAN (Huang et al. 2024): RpGAN + R1 + R2 with plain residual nets.",
            config="genkit_image.recipes.r3gan:R3GANRecipe",
            build="genkit_image.recipes.r3gan:build",
            presets="genkit_image.recipes.r3gan:PRESETS",
            smoke={
                "model.generator.widths": [16, 16, 16, 8],
                "model.generator.groups": [2, 2, 2, 1],
                "model.critic.widths": [16, 16, 16, 8],
                "model.critic.groups": [2, 2, 2, 1],
                "train.batch_size": 8,
                "train.eval_samples": 128,
                "preview": 10,
            },
        ),
        RecipeSpec(
            name="image.sngan",
            summary="SNGAN (Miyato et al. 2018): hinge, spectral norm, residual nets; labels by projection.",
            config="genkit_image.recipes.sngan:SNGANRecipe",
            build="genkit_image.recipes.sngan:build",
            presets="genkit_image.recipes.sngan:PRESETS",
            smoke=_RESIDUAL_SMOKE,
        ),
        RecipeSpec(
            name="image.wgan_gp",
            summary="WGAN-GP (Gulrajani et al. 2017): Wasserstein, gradient penalty, residual nets.",
            config="genkit_image.recipes.wgan_gp:WGANGPRecipe",
            build="genkit_image.recipes.wgan_gp:build",
            presets="genkit_image.recipes.wgan_gp:PRESETS",
            smoke=_RESIDUAL_SMOKE,
        ),
        RecipeSpec(
            name="image.stylegan2",
            summary="StyleGAN2 (Karras et al. 2020): mapping network, modulated convolutions, path length, truncation.",
            config="genkit_image.recipes.stylegan2:StyleGAN2Recipe",
            build="genkit_image.recipes.stylegan2:build",
            presets="genkit_image.recipes.stylegan2:PRESETS",
            smoke={
                "model.generator.widths": [16, 16, 8, 8],
                "model.generator.latent": 16,
                "model.generator.style": 16,
                "model.generator.mapping": 2,
                "model.critic.widths": [16, 16, 8, 8],
                "train.batch_size": 8,
                "train.eval_samples": 128,
                "preview": 10,
            },
        ),
        RecipeSpec(
            name="image.reconstruct",
            summary="Completes and restores pictures: holes, low resolution, noise, missing colour, edges.",
            config="genkit_image.recipes.reconstruct:ReconstructRecipe",
            build="genkit_image.recipes.reconstruct:build",
            presets="genkit_image.recipes.reconstruct:PRESETS",
            smoke=_TO_PICTURE_SMOKE,
            tags=("conditional", "cpu"),
        ),
        RecipeSpec(
            name="image.pairs",
            summary="pix2pix (Isola et al. 2017): from one picture of a pair to the other, from two folders.",
            config="genkit_image.recipes.pairs:PairsRecipe",
            build="genkit_image.recipes.pairs:build",
            presets="genkit_image.recipes.pairs:PRESETS",
            smoke=_TO_PICTURE_SMOKE,
            tags=("conditional",),
        ),
        RecipeSpec(
            name="image.mixture",
            summary="Gaussians in the plane, 8 on a ring or 25 on a grid: are all modes found? (Lin et al. 2018)",
            config="genkit_image.recipes.coverage:MixtureRecipe",
            build="genkit_image.recipes.coverage:build",
            smoke={
                "data.examples": 256,
                "data.held_out": 128,
                "train.batch_size": 16,
                "train.eval_samples": 64,
                "preview": 16,
            },
            tags=("benchmark", "cpu"),
        ),
        RecipeSpec(
            name="image.stacked",
            summary="Three digits in one picture: are all 1,000 modes found? (StackedMNIST, Lin et al. 2018)",
            config="genkit_image.recipes.coverage:StackedRecipe",
            build="genkit_image.recipes.coverage:build",
            smoke={
                "data.examples": 256,
                "data.held_out": 128,
                "model.generator.width": 8,
                "model.critic.width": 8,
                "train.batch_size": 8,
                "train.eval_samples": 64,
                "preview": 9,
            },
            tags=("benchmark", "cpu"),
        ),
    ]


@hookimpl
def genkit_models() -> Iterable[ModelSpec]:
    return [
        *_pair("dcgan", "DCGAN", "DCGAN (Radford et al. 2016), any resolution of 4 to 7 times a power of two."),
        *_pair("r3gan", "R3GAN", "R3GAN (Huang et al. 2024): residual blocks without normalisation."),
        *_pair("resnet", "ResNet", "The residual nets of WGAN-GP and SNGAN, with spectral, layer or no norm."),
        *_pair("stylegan2", "StyleGAN2", "StyleGAN2 (Karras et al. 2020), in plain torch operations."),
        *_pair(
            "perceptron",
            "Perceptron",
            "Perceptrons over all numbers of a sample, without labels.",
            config="genkit_image.bench.config",
            build="genkit_image.bench.perceptrons",
        ),
        *_pair("small", "Small", "Residual nets at a quarter of the resolution, for small pictures on a CPU."),
        *(
            ModelSpec(
                name=f"image.{name}",
                role=role,
                modality="image",
                summary=summary,
                config=f"genkit_image.models.reconstruct_config:{config}",
                build=f"genkit_image.models.{name.partition('_')[0]}:build_{role}",
            )
            for name, role, config, summary in _TO_PICTURE
        ),
    ]


_TO_PICTURE: tuple[tuple[str, Literal["generator", "critic"], str, str], ...] = (
    (
        "reconstruct_generator",
        "generator",
        "ReconstructGeneratorConfig",
        "A U-Net of residual blocks, from what is left of a picture to the picture.",
    ),
    (
        "reconstruct_critic",
        "critic",
        "ReconstructCriticConfig",
        "Judges a picture as a whole, beside what it was made of.",
    ),
    ("patch_critic", "critic", "PatchCriticConfig", "PatchGAN (Isola et al. 2017), beside what it was made of."),
)


def _pair(
    name: str, prefix: str, summary: str, *, config: str = "genkit_image.models.config", build: str | None = None
) -> list[ModelSpec]:
    """A generator and a critic that one module holds, by default that of their name."""
    build = build or f"genkit_image.models.{name}"
    roles: tuple[Literal["generator", "critic"], ...] = ("generator", "critic")
    return [
        ModelSpec(
            name=f"image.{name}_{role}",
            role=role,
            modality="image",
            summary=summary,
            config=f"{config}:{prefix}{role.capitalize()}Config",
            build=f"{build}:build_{role}",
        )
        for role in roles
    ]


@hookimpl
def genkit_datasets() -> Iterable[DatasetSpec]:
    return dataset_specs()


@hookimpl
def genkit_objectives() -> Iterable[ObjectiveSpec]:
    return [
        ObjectiveSpec(
            name="image.diffaugment",
            role="augment",
            summary="Colour, translation and cutout (Zhao et al. 2020).",
            config="genkit_image.augment.config:DiffAugmentConfig",
            build="genkit_image.augment.diffaugment:build_diffaugment",
        ),
        ObjectiveSpec(
            name="image.ada",
            role="augment",
            summary="Geometry and colour with a probability that adapts to the critic (Karras et al. 2020).",
            config="genkit_image.augment.config:ADAConfig",
            build="genkit_image.augment.ada:build_ada",
        ),
    ]


@hookimpl
def genkit_metrics() -> Iterable[MetricSpec]:
    return [
        MetricSpec(
            name="image.frechet",
            modality="image",
            summary="Fréchet distance (Heusel et al. 2017) in the features of an extractor.",
            better={"frechet": "lower"},
            config="genkit_image.metrics.config:FrechetConfig",
            build="genkit_image.metrics.distances:build_frechet",
        ),
        MetricSpec(
            name="image.kernel",
            modality="image",
            summary="Kernel distance (Bińkowski et al. 2018) in the features of an extractor.",
            better={"kernel": "lower"},
            config="genkit_image.metrics.config:KernelConfig",
            build="genkit_image.metrics.distances:build_kernel",
        ),
        MetricSpec(
            name="image.precision_recall",
            modality="image",
            summary="Precision and recall (Kynkäänniemi et al. 2019) in the features of an extractor.",
            better={"precision": "higher", "recall": "higher"},
            config="genkit_image.metrics.config:PrecisionRecallConfig",
            build="genkit_image.metrics.distances:build_precision_recall",
        ),
        MetricSpec(
            name="image.density_coverage",
            modality="image",
            summary="Density and coverage (Naeem et al. 2020) in the features of an extractor.",
            better={"density": "higher", "coverage": "higher"},
            config="genkit_image.metrics.config:DensityCoverageConfig",
            build="genkit_image.metrics.distances:build_density_coverage",
        ),
        MetricSpec(
            name="image.authenticity",
            modality="image",
            summary="How many samples are no copies of training pictures (Alaa et al. 2022).",
            better={"authenticity": "real"},
            config="genkit_image.metrics.config:AuthenticityConfig",
            build="genkit_image.metrics.distances:build_authenticity",
        ),
        MetricSpec(
            name="image.classifier_score",
            modality="image",
            summary="How sure a classifier is of each sample, and how varied over all (Salimans et al. 2016).",
            better={"classifier_score": "higher"},
            config="genkit_image.metrics.config:ClassifierScoreConfig",
            build="genkit_image.metrics.distances:build_classifier_score",
        ),
        MetricSpec(
            name="image.classification_accuracy",
            modality="image",
            summary="How well a classifier trained on samples does on real pictures (Ravuri and Vinyals 2019).",
            better={"classification_accuracy": "higher"},
            config="genkit_image.metrics.config:ClassificationAccuracyConfig",
            build="genkit_image.metrics.classification:build_classification_accuracy",
        ),
        MetricSpec(
            name="image.agreement",
            modality="image",
            summary="How often a classifier sees the label that was asked for, over all and in the worst class.",
            better={"agreement": "higher", "worst_class": "higher"},
            config="genkit_image.metrics.config:AgreementConfig",
            build="genkit_image.metrics.agreement:build_agreement",
        ),
        MetricSpec(
            name="image.reconstruction",
            modality="image",
            summary="How far a picture is from what it should be: in the hole, over all, and as PSNR.",
            better={"hole_mae": "lower", "mae": "lower", "psnr": "higher"},
            config="genkit_image.metrics.config:ReconstructionConfig",
            build="genkit_image.metrics.reconstruction:build_reconstruction",
        ),
        MetricSpec(
            name="image.modes",
            modality="image",
            summary="Modes covered and reverse KL, by PacGAN's protocol, of data whose modes are known.",
            better={"modes": "higher", "high_quality": "higher", "reverse_kl": "lower"},
            config="genkit_image.bench.config:ModesConfig",
            build="genkit_image.bench.metrics:build_modes",
        ),
    ]


@hookimpl
def genkit_writers() -> Iterable[WriterSpec]:
    return [
        WriterSpec(
            modality="image",
            build="genkit_image.writers:build_writer",
            conditions="genkit_image.conditions:conditions",
            sampling={"truncation": "Draw styles towards their average: below 1 less variety, better pictures."},
        )
    ]


_VIEWS = (
    ("strip", "samples", "Rows that go from one sample to another."),
    ("walk", "samples", "A GIF that goes from sample to sample and back."),
    ("truncation", "samples", "The same samples with less and less variety."),
    ("classes", "samples", "A row for each label, the same latents in each."),
    ("neighbours", "neighbours", "Samples beside the training pictures nearest to them."),
    ("projection", "projection", "What comes nearest to a picture of yours: --set image=FILE."),
)


@hookimpl
def genkit_views() -> Iterable[ViewSpec]:
    return [
        ViewSpec(
            name=name,
            modality="image",
            summary=summary,
            config=f"genkit_image.looking.config:{name.capitalize()}Config",
            draw=f"genkit_image.looking.{module}:draw_{name}",
        )
        for name, module, summary in _VIEWS
    ]


@hookimpl
def genkit_benchmarks() -> Iterable[BenchmarkSpec]:
    return [
        BenchmarkSpec(
            name="image",
            summary="How many modes a generator finds: ring8, grid25, StackedMNIST (Lin et al. 2018).",
            command="genkit_image.bench.command:cover",
        )
    ]
