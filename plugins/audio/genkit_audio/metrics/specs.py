"""What the plugin offers to measure. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping

from genkit import Better, MetricSpec, figures

FIGURES: Mapping[str, Mapping[str, Better]] = {
    "mel_l1": figures(lower=("mel_l1",)),
    "stft": figures(lower=("spectral_convergence", "log_magnitude_l1")),
    "lsd": figures(lower=("lsd_db",)),
    "mcd": figures(lower=("mcd_db",)),
    "pitch": figures(lower=("f0_rmse_cents",), higher=("voicing_f1",)),
    "pesq": figures(higher=("pesq",), lower=("pesq_left_out",)),
    "stoi": figures(higher=("stoi",), lower=("stoi_left_out",)),
    "frechet": figures(lower=("frechet",)),
    "label_agreement": figures(higher=("label_agreement", "label_agreement_worst")),
    "nearest": figures(real=("nearest_copies", "nearest_ratio")),
    "distillmos": figures(higher=("distillmos",)),
    "dnsmos": figures(higher=("dnsmos_overall", "dnsmos_signal", "dnsmos_background")),
    "silence": figures(real=("silent", "clipped"), lower=("dc_offset",)),
}
"""Each metric's figures, without an extractor's name, and which direction is better."""


def metric_specs() -> list[MetricSpec]:
    """The audio metrics."""
    return [
        _spec("mel_l1", "L1 distance of log-mels to the real clip's, in the mel that the data name.", "spectral:MelL1"),
        _spec(
            "stft", "Spectral convergence and log magnitudes at three resolutions, to the real clip.", "spectral:Stft"
        ),
        _spec("lsd", "Log-spectral distance to the real clip, in dB.", "spectral:Lsd"),
        _spec("mcd", "Mel-cepstral distortion to the real clip, in dB, without time warping.", "spectral:Mcd"),
        _spec("pitch", "Pitch error in cents and voiced/unvoiced F1, to the real clip.", "pitch:Pitch"),
        _spec("pesq", "PESQ (ITU-T P.862) to the real clip.", "intelligibility:Pesq", needs=("pesq",)),
        _spec("stoi", "STOI (Taal et al. 2011) to the real clip.", "intelligibility:Stoi", needs=("pystoi",)),
        _spec(
            "frechet", "Fréchet distance (Heusel et al. 2017) in the features of an extractor.", "extractors:Frechet"
        ),
        _spec(
            "label_agreement", "How often a classifier hears the label that was asked for.", "agreement:LabelAgreement"
        ),
        _spec("nearest", "Whether samples are copies of training clips, by log-mel distance.", "nearest:Nearest"),
        _spec(
            "distillmos",
            "DistillMOS: the opinion listeners would have of speech, without a reference.",
            "opinion:DistillMos",
            needs=("distillmos",),
        ),
        _spec(
            "dnsmos",
            "DNSMOS P.835: opinions of speech, its signal and its background, without a reference.",
            "opinion:DnsMos",
            needs=("speechmos", "onnxruntime"),
        ),
        _spec("silence", "Share of silent samples, clipping and DC offset.", "silence:Silence"),
    ]


def _spec(name: str, summary: str, where: str, *, needs: tuple[str, ...] = ()) -> MetricSpec:
    """A metric by its module and the prefix of its config."""
    module, _, prefix = where.partition(":")
    return MetricSpec(
        name=f"audio.{name}",
        modality="audio",
        summary=summary,
        better=FIGURES[name],
        config=f"genkit_audio.metrics.config:{prefix}Config",
        build=f"genkit_audio.metrics.{module}:build_{name}",
        needs=needs,
    )
