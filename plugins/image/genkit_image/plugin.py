"""What the image plugin offers. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from genkit import (
    DatasetSpec,
    MetricSpec,
    ModelSpec,
    ObjectiveSpec,
    RecipeSpec,
    WriterSpec,
    hookimpl,
)

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
    ]


@hookimpl
def genkit_models() -> Iterable[ModelSpec]:
    return [
        *_pair("dcgan", "DCGAN", "DCGAN (Radford et al. 2016), any resolution of 4 to 7 times a power of two."),
        *_pair("r3gan", "R3GAN", "R3GAN (Huang et al. 2024): residual blocks without normalisation."),
        *_pair("resnet", "ResNet", "The residual nets of WGAN-GP and SNGAN, with spectral, layer or no norm."),
        *_pair("stylegan2", "StyleGAN2", "StyleGAN2 (Karras et al. 2020), in plain torch operations."),
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


def _pair(module: str, prefix: str, summary: str) -> list[ModelSpec]:
    """A generator and a critic that one module holds."""
    roles: tuple[Literal["generator", "critic"], ...] = ("generator", "critic")
    return [
        ModelSpec(
            name=f"image.{module}_{role}",
            role=role,
            modality="image",
            summary=summary,
            config=f"genkit_image.models.config:{prefix}{role.capitalize()}Config",
            build=f"genkit_image.models.{module}:build_{role}",
        )
        for role in roles
    ]


@hookimpl
def genkit_datasets() -> Iterable[DatasetSpec]:
    return [
        DatasetSpec(
            name="image.digits",
            modality="image",
            summary="10,000 handwritten digits that come with the package.",
            config="genkit_image.data.config:DigitsConfig",
            open="genkit_image.data.digits:open_digits",
            offline=True,
            licence="CC BY-SA 3.0",
        ),
        DatasetSpec(
            name="image.folder",
            modality="image",
            summary="A folder or zip file of pictures of any size and kind; sub-folders are labels.",
            config="genkit_image.data.config:FolderConfig",
            open="genkit_image.data.folder:open_folder",
            offline=True,
            licence="yours",
        ),
        DatasetSpec(
            name="image.paired",
            modality="image",
            summary="Two folders of pictures that belong together by name: A/1.jpg is given, B/1.jpg is made of it.",
            config="genkit_image.data.config:PairedConfig",
            open="genkit_image.data.pairs:open_paired",
            offline=True,
            licence="yours",
        ),
        DatasetSpec(
            name="image.outlines",
            modality="image",
            summary="The embedded digits as pairs: their edges, and themselves.",
            config="genkit_image.data.config:OutlinesConfig",
            open="genkit_image.data.outlines:open_outlines",
            offline=True,
            licence="CC BY-SA 3.0",
        ),
        DatasetSpec(
            name="image.idx",
            modality="image",
            summary="IDX files, as MNIST and Fashion-MNIST ship.",
            config="genkit_image.data.config:IdxConfig",
            open="genkit_image.data.idx:open_idx",
            offline=True,
            licence="yours",
        ),
        DatasetSpec(
            name="image.hub",
            modality="image",
            summary="A dataset of the Hugging Face hub (extra `hub`), or one saved to a folder.",
            config="genkit_image.data.config:HubConfig",
            open="genkit_image.data.hub:open_hub",
            offline=False,
            licence="yours",
        ),
    ]


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
    ]


@hookimpl
def genkit_writers() -> Iterable[WriterSpec]:
    return [
        WriterSpec(
            modality="image",
            suffix=".png",
            build="genkit_image.writers:build_writer",
            conditions="genkit_image.conditions:conditions",
            sampling={"truncation": "Draw styles towards their average: below 1 less variety, better pictures."},
        )
    ]
