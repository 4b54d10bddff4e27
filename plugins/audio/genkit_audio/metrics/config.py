"""The options of the audio metrics. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field

Count = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, kw_only=True)
class MelL1Config:
    """The L1 distance of log-mel spectrograms. No options: the mel is the data's."""


@dataclass(frozen=True, kw_only=True)
class StftConfig:
    """Spectral convergence and log magnitudes at three resolutions. No options."""


@dataclass(frozen=True, kw_only=True)
class LsdConfig:
    """The log-spectral distance. No options."""


@dataclass(frozen=True, kw_only=True)
class McdConfig:
    """The mel-cepstral distortion."""

    coefficients: Annotated[int, Field(ge=1, le=40)] = 24
    """Mel-cepstral coefficients that are compared, from the first on; the zeroth, the level, is not among them."""


@dataclass(frozen=True, kw_only=True)
class PitchConfig:
    """Pitch and voicing."""

    low_hz: Annotated[float, Field(ge=30)] = 65.0
    """The lowest pitch looked for."""
    high_hz: Annotated[float, Field(gt=30, le=2000)] = 500.0
    """The highest one."""
    voiced: Annotated[float, Field(gt=0, lt=1)] = 0.5
    """How alike, as a correlation, neighbouring periods of a voiced frame are."""


@dataclass(frozen=True, kw_only=True)
class ClipsConfig:
    """What every slow metric can be set to."""

    clips: Count = 64
    """Clips that are measured."""
    seed: int = 0
    """What their choice depends on."""


@dataclass(frozen=True, kw_only=True)
class PesqConfig(ClipsConfig):
    """PESQ (ITU-T P.862), wide band at 16 kHz, narrow band for data of less."""


@dataclass(frozen=True, kw_only=True)
class StoiConfig(ClipsConfig):
    """STOI (Taal et al. 2011)."""

    extended: bool = False
    """Whether the extended form is measured (Jensen and Taal 2016)."""


@dataclass(frozen=True, kw_only=True)
class DistillMosConfig(ClipsConfig):
    """DistillMOS (Stahl and Gamper 2025). No options of its own."""


@dataclass(frozen=True, kw_only=True)
class DnsMosConfig(ClipsConfig):
    """DNSMOS P.835 (Reddy et al. 2022). No options of its own."""


@dataclass(frozen=True, kw_only=True)
class FrechetConfig:
    """Fréchet distance (Heusel et al. 2017)."""

    extractor: str = "drum-classifier"
    """drum-classifier: the embedded classifier of one-shots; aisfx: sounds of all kinds, from the package of that name;
    resemblyzer: voices, from the package of that name; a path: a network saved with ``torch.export`` (.pt2) or as
    TorchScript that maps waveforms [B, T] of the data's rate to [B, D]. The name stands in the figure."""


@dataclass(frozen=True, kw_only=True)
class LabelAgreementConfig:
    """How often a classifier hears the label that was asked for."""

    classifier: str = "drum-classifier"
    """drum-classifier, or the path of a network saved with ``torch.export`` (.pt2) or as TorchScript that maps
    waveforms [B, T] of the data's rate to logits [B, classes] in the order of the data's labels."""


@dataclass(frozen=True, kw_only=True)
class NearestConfig:
    """How near samples are to the training set."""

    quantile: Annotated[float, Field(gt=0, lt=1)] = 0.01
    """A sample counts as a copy when it is nearer to the training set than this share of the training clips are to one
    of another recording."""


@dataclass(frozen=True, kw_only=True)
class SilenceConfig:
    """Silence, clipping and DC offset."""

    silent_db: Annotated[float, Field(lt=0)] = -50.0
    """A clip whose loudest 20 ms have a lower level than this, in dB of full scale, is silent."""
