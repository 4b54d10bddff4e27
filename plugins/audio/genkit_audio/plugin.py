"""What the audio plugin offers. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from genkit import DatasetSpec, MetricSpec, ModelSpec, WriterSpec, hookimpl
from genkit_audio.metrics.specs import metric_specs


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
            suffix=".wav",
            build="genkit_audio.writers:build_writer",
            conditions="genkit_audio.conditions:conditions",
        )
    ]
