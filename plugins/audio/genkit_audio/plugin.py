"""What the audio plugin offers. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

from genkit import DatasetSpec, ExportSpec, MetricSpec, ModelSpec, RecipeSpec, WriterSpec, hookimpl
from genkit_audio.data.endings import LISTS, SUFFIXES
from genkit_audio.metrics.specs import metric_specs

SHORT = {"data.length": 4096, "train.batch_size": 4, "train.eval_samples": 16, "preview": 6}
"""Overrides of a smoke run on a few short examples."""
TINY_FRAMES = {
    "model.generator.width": 16,
    "model.generator.hidden": 16,
    "model.critic.width": 8,
    "model.critic.layers": 3,
    "metrics": [],
}
TINY_VOCODER = {**SHORT, "data.held_out_length": 4096, "train.adversarial_start": 0}


@hookimpl
def genkit_recipes() -> Iterable[RecipeSpec]:
    return [
        _recipe(
            "drums",
            "Drums",
            "Drum sounds by class, from noise, on two CPU cores in half an hour.",
            {**SHORT, **TINY_FRAMES, "data.speeds": [1.0]},
            tags=("conditional", "cpu"),
        ),
        _recipe(
            "loops",
            "Loops",
            "Two to four seconds of a user's music, from noise.",
            {**SHORT, **TINY_FRAMES, "data.length": 16384},
        ),
        _recipe(
            "wavegan",
            "WaveGAN",
            "WaveGAN (Donahue et al. 2019) as published, with labels where the data has them.",
            {
                **SHORT,
                "model.generator.width": 4,
                "model.critic.width": 4,
                "model.critic.shuffle": 0,  # each device shuffles as chance has it there, and two are compared with one
                "metrics": [],
            },
        ),
        _recipe(
            "vocoder",
            "Vocoder",
            "Waveforms from mel spectrograms: Vocos (Siuzdak 2023), and any other vocoder.",
            {
                **TINY_VOCODER,
                "model.generator": {"name": "audio.vocos", "width": 16, "hidden": 16, "layers": 1},
                "model.critic": {"name": "audio.frames_critic", "ffts": [64], "width": 4},
            },
            tags=("cpu",),
        ),
        _recipe(
            "hifigan",
            "HiFiGAN",
            "HiFi-GAN (Kong et al. 2020): V1, V2 or V3, with the critics of periods and scales.",
            {
                **TINY_VOCODER,
                "model.generator.width": 16,
                "model.generator.block_kernels": [3],
                "model.generator.block_dilations": [[1]],
                "model.critic.multi_period": {"periods": [3], "width": 1},
                "model.critic.multi_scale": {"scales": 2, "width": 4},
            },
        ),
    ]


def _recipe(
    name: str, prefix: str, summary: str, smoke: Mapping[str, Any], *, tags: tuple[str, ...] = ()
) -> RecipeSpec:
    """A recipe whose module holds ``<prefix>Recipe``, ``build`` and ``PRESETS``."""
    module = f"genkit_audio.recipes.{name}"
    return RecipeSpec(
        name=f"audio.{name}",
        summary=summary,
        config=f"{module}:{prefix}Recipe",
        build=f"{module}:build",
        presets=f"{module}:PRESETS",
        smoke=smoke,
        tags=tags,
    )


@hookimpl
def genkit_models() -> Iterable[ModelSpec]:
    return [
        _model("generator", "vocos", "vocos", "Vocos", "Vocos (Siuzdak 2023): ConvNeXt, inverse STFT."),
        _model("generator", "hifigan", "hifigan", "HiFiGAN", "HiFi-GAN (Kong et al. 2020): V1, V2 or V3."),
        _model("generator", "istftnet", "hifigan", "ISTFTNet", "iSTFTNet (Kaneko et al. 2022): C8C8I."),
        _model("generator", "bigvgan", "bigvgan", "BigVGAN", "BigVGAN (Lee et al. 2023): snake, anti-aliased."),
        _model("generator", "wavegan", "wavegan", "WaveGAN", "WaveGAN (Donahue et al. 2019): waveforms from noise."),
        _model("generator", "frames", "frames", "Frames", "Sounds from noise and a label, at the frame rate."),
        _model("critic", "multi_period", "wave_critics", "MultiPeriod", "MPD of HiFi-GAN: waveforms folded by primes."),
        _model("critic", "multi_scale", "wave_critics", "MultiScale", "MSD of MelGAN: averaged waveforms."),
        _model(
            "critic",
            "multi_resolution",
            "spectral_critics",
            "MultiResolution",
            "Magnitudes at several resolutions (UnivNet, Jang et al. 2021).",
        ),
        _model(
            "critic",
            "multi_band",
            "spectral_critics",
            "MultiBand",
            "Complex spectra in bands at several resolutions, as in Vocos.",
        ),
        _model(
            "critic",
            "frames_critic",
            "spectral_critics",
            "FramesCritic",
            "Small spectral critics, with labels.",
        ),
        _model("critic", "wavegan_critic", "wavegan", "WaveGANCritic", "WaveGAN's critic, with phase shuffle."),
        _model("critic", "combined", "combined", "Combined", "Several critics as one."),
    ]


def _model(role: Literal["generator", "critic"], name: str, module: str, prefix: str, summary: str) -> ModelSpec:
    return ModelSpec(
        name=f"audio.{name}",
        role=role,
        modality="audio",
        summary=summary,
        config=f"genkit_audio.models.config:{prefix}Config",
        build=f"genkit_audio.models.{module}:build_{name}",
    )


@hookimpl
def genkit_datasets() -> Iterable[DatasetSpec]:
    return [
        _dataset("drums", "embedded", "Drums", "97 drum sounds of six kinds that come with the package.", "CC0"),
        _dataset("prompts", "embedded", "Prompts", "Two and a half minutes of one speaker.", "CC BY-SA 3.0"),
        _dataset("folder", "folder", "Folder", "A folder or list of sounds of any format, rate and channels.", "yours"),
        _dataset("hub", "hub", "Hub", "A dataset of the Hugging Face hub (extra hub), or a saved one.", "yours"),
    ]


def _dataset(name: str, module: str, prefix: str, summary: str, licence: str) -> DatasetSpec:
    return DatasetSpec(
        name=f"audio.{name}",
        modality="audio",
        summary=summary,
        config=f"genkit_audio.data.config:{prefix}Config",
        open=f"genkit_audio.data.{module}:open_{name}",
        offline=name != "hub",
        licence=licence,
        endings=tuple(sorted(SUFFIXES | LISTS)) if name == "folder" else (),
        inspect="genkit_audio.data.inspection:inspect",
    )


@hookimpl
def genkit_metrics() -> Iterable[MetricSpec]:
    return metric_specs()


@hookimpl
def genkit_writers() -> Iterable[WriterSpec]:
    return [
        WriterSpec(
            modality="audio",
            build="genkit_audio.writers:build_writer",
            conditions="genkit_audio.conditions:conditions",
            stream="genkit_audio.streaming:stream",
        )
    ]


@hookimpl
def genkit_exports() -> Iterable[ExportSpec]:
    return [
        ExportSpec(
            name="onnx",
            modality="audio",
            summary="One file for onnxruntime: mel to wave, or latent and label to wave.",
            export="genkit_audio.export:to_onnx",
        )
    ]
