"""Distances between the spectra of a sample and the real one of the same condition."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from genkit import ConfigError, Metric, Samples, evaluation
from genkit_audio.facts import AudioFacts
from genkit_audio.mel import MelSpectrogram
from genkit_audio.melspec import MelSpec
from genkit_audio.metrics.config import LsdConfig, McdConfig, MelL1Config, StftConfig
from genkit_audio.metrics.specs import FIGURES
from genkit_audio.metrics.waves import parts, read_aligned

RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))
"""FFT, hop and window in samples (Yamamoto et al. 2020, table 1)."""
STFT_FLOOR = 1e-7
"""Powers below this count as it (Yamamoto et al. 2020, in their code)."""
LSD_FFT, LSD_HOP, LSD_FLOOR = 2048, 512, 1e-8
DYNAMIC_DB = 50.0
"""Mel-cepstra are compared in frames at most this far below the reference's loudest one: what stands in silence is
rounding."""
DB = 10 / math.log(10)


def magnitudes(waves: Tensor, fft: int, hop: int, window: int) -> Tensor:
    """|STFT| [B, fft / 2 + 1, F] of waveforms [B, T], frames centred, with silence beyond the ends."""
    hann = torch.hann_window(window, device=waves.device, dtype=waves.dtype)
    spectra = torch.stft(waves, fft, hop, window, hann, center=True, pad_mode="constant", return_complex=True)
    return spectra.abs()


def stft_distances(real: Tensor, fake: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
    """What spectral convergence and the log-magnitude distance are made of, at each of `RESOLUTIONS`: Σ(|S| - |Ŝ|)²,
    Σ|S|², and the mean of |ln|S| - ln|Ŝ||, over all of [B, T]."""
    found = []
    for fft, hop, window in RESOLUTIONS:
        s, s_hat = (magnitudes(waves, fft, hop, window).square().clamp(min=STFT_FLOOR).sqrt() for waves in (real, fake))
        found.append(((s - s_hat).square().sum(), s.square().sum(), (s.log() - s_hat.log()).abs().mean()))
    return found


def log_spectral_distance(real: Tensor, fake: Tensor) -> Tensor:
    """Of each frame the root of the mean over frequencies of (10 log₁₀(P / P̂))², [B, F] in dB (Gray and Markel 1976,
    the L2 norm)."""
    p, p_hat = (magnitudes(waves, LSD_FFT, LSD_HOP, LSD_FFT).square().clamp(min=LSD_FLOOR) for waves in (real, fake))
    return (DB * (p.log() - p_hat.log())).square().mean(1).sqrt()


def cepstral_distortion(real: Tensor, fake: Tensor, coefficients: int) -> Tensor:
    """Mel-cepstral distortion of each frame, [B, F] in dB: 10 / ln 10 · √(2 Σ_{d=1..D} (c_d - ĉ_d)²) (Kubichek 1993).

    The cepstra c are those of ln|H| = c_0 + Σ c_d cos(πd(k + ½) / M): a DCT of the log-mel. With all of them the figure
    is the root mean square of the difference of the log-mels in dB, the level left out.

    Args:
        real, fake: natural logarithms of mel magnitudes [B, M, F].
        coefficients: D, below M.
    """
    bands = real.shape[1]
    degree = torch.arange(1, coefficients + 1, dtype=real.dtype, device=real.device).unsqueeze(1)
    middle = torch.arange(bands, dtype=real.dtype, device=real.device) + 0.5
    basis = (2 / bands) * torch.cos(math.pi / bands * degree * middle)
    difference = basis @ (real - fake)
    return DB * (2 * difference.square().sum(1)).sqrt()


class MelL1(Metric):
    """The mean absolute difference of log-mels of samples and of the real clips of the same conditions. Other reals are
    of other conditions, so there is no floor.

    Args:
        spec: the mel.
    """

    better = FIGURES["mel_l1"]

    def __init__(self, spec: MelSpec) -> None:
        self.spec, self.mel = spec, MelSpectrogram(spec)

    def __call__(self, real: Samples, fake: Samples) -> dict[str, float]:
        """The figure. Raises DataError unless the sets are aligned."""
        if isinstance(fake, evaluation.RealSamples):
            return {}
        total, count = 0.0, 0
        for ours, theirs in parts(*read_aligned(real, fake)):
            distance = (self.mel(ours) - self.mel(theirs)).abs()
            total, count = total + float(distance.sum()), count + distance.numel()
        return {"mel_l1": total / count}

    def protocol(self) -> dict[str, Any]:
        return {"mel": self.spec.to_facts()}


class Stft(Metric):
    """Spectral convergence and the L1 distance of log magnitudes, means over three resolutions (Yamamoto et al. 2020,
    section 2.2). There is no floor.

    Spectral convergence is pooled: the norm over all clips of the difference, over that of the reals, so that a silent
    clip divides by nothing.
    """

    better = FIGURES["stft"]

    def __call__(self, real: Samples, fake: Samples) -> dict[str, float]:
        """The figures; spectral convergence is left out where all reals are silent. Raises DataError unless aligned."""
        if isinstance(fake, evaluation.RealSamples):
            return {}
        sums = torch.zeros(len(RESOLUTIONS), 3, dtype=torch.float64)
        pair = read_aligned(real, fake)
        for ours, theirs in parts(*pair):
            found = torch.stack([torch.stack(one) for one in stft_distances(ours, theirs)]).double()
            sums += found * torch.tensor([1, 1, len(ours)])
        figures = {"log_magnitude_l1": float(sums[:, 2].mean()) / len(pair[0])}
        if bool(pair[0].any()):
            figures["spectral_convergence"] = float((sums[:, 0] / sums[:, 1]).sqrt().mean())
        return figures

    def protocol(self) -> dict[str, Any]:
        return {
            "stft": "; ".join(f"FFT {f}, hop {h}, Hann window {w}" for f, h, w in RESOLUTIONS),
            "powers": f"below {STFT_FLOOR:g} count as it",
            "spectral_convergence": "norms over all clips at once, mean over resolutions",
        }


class Lsd(Metric):
    """The log-spectral distance, mean over all frames. There is no floor."""

    better = FIGURES["lsd"]

    def __call__(self, real: Samples, fake: Samples) -> dict[str, float]:
        """The figure. Raises DataError unless the sets are aligned."""
        return _mean_of_frames("lsd_db", real, fake, log_spectral_distance)

    def protocol(self) -> dict[str, Any]:
        return {
            "lsd_db": f"FFT and Hann window {LSD_FFT}, hop {LSD_HOP}, root mean square over frequencies of 10 lg of "
            f"powers, those below {LSD_FLOOR:g} counting as it; mean over all frames"
        }


class Mcd(Metric):
    """The mel-cepstral distortion, mean over the frames in which the real clip sounds. There is no floor.

    Args:
        rate: of the data, Hz.
        coefficients: how many are compared.
    """

    better = FIGURES["mcd"]

    def __init__(self, rate: int, *, coefficients: int = 24) -> None:
        self.coefficients = coefficients
        fft = 2 ** round(math.log2(rate * 0.046))
        self.spec = MelSpec(rate, fft, fft // 4, fft, 80, 0.0, None, None, "htk", 1, "ln", 1e-5, True)
        self.mel = MelSpectrogram(self.spec)

    def __call__(self, real: Samples, fake: Samples) -> dict[str, float]:
        """The figure; it is left out where all reals are silent. Raises DataError unless the sets are aligned."""
        return _mean_of_frames("mcd_db", real, fake, self.distances)

    def distances(self, real: Tensor, fake: Tensor) -> Tensor:
        """The distortion in each frame of waveforms [B, T] that counts, [N] in dB."""
        length = max(real.shape[-1], self.spec.fft)
        length += -length % self.spec.hop
        ours, theirs = (self.mel(F.pad(waves, (0, length - waves.shape[-1]))) for waves in (real, fake))
        level = 2 * DB * ours.logsumexp(1)
        loudest = level.amax(1, keepdim=True)
        silence = 2 * DB * math.log(self.spec.floor * self.spec.bands)
        counts = (level >= loudest - DYNAMIC_DB) & (level > silence + 1)
        return cepstral_distortion(ours, theirs, self.coefficients)[counts]

    def protocol(self) -> dict[str, Any]:
        return {
            "mcd_db": f"10/ln 10 · sqrt(2 Σ (c_d - c'_d)²), d = 1 to {self.coefficients}, c the DCT of the log-mel "
            "by which ln|H| = c_0 + Σ c_d cos(pi d (k + 1/2) / bands); no time warping",
            "mel": self.spec.to_facts(),
            "frames": f"those at most {DYNAMIC_DB:g} dB below the loudest one of the real clip",
        }


def _mean_of_frames(
    figure: str, real: Samples, fake: Samples, distances: Callable[[Tensor, Tensor], Tensor]
) -> dict[str, float]:
    if isinstance(fake, evaluation.RealSamples):
        return {}
    frames = torch.cat([distances(ours, theirs).flatten() for ours, theirs in parts(*read_aligned(real, fake))])
    return {figure: float(frames.double().mean())} if len(frames) else {}


def build_mel_l1(config: MelL1Config, facts: Mapping[str, Any]) -> MelL1:
    """L1 of log-mels. Raises ConfigError when the data name no mel."""
    spec = AudioFacts.of(facts).mel
    if spec is None:
        raise ConfigError(
            "audio.mel_l1 is measured in the mel of the data, which name none",
            where="metrics",
            fix="--set data.mel=small-16k, or take audio.mel_l1 out of `metrics`",
        )
    return MelL1(spec)


def build_stft(config: StftConfig, facts: Mapping[str, Any]) -> Stft:
    """Multi-resolution STFT distances."""
    AudioFacts.of(facts)
    return Stft()


def build_lsd(config: LsdConfig, facts: Mapping[str, Any]) -> Lsd:
    """Log-spectral distance."""
    AudioFacts.of(facts)
    return Lsd()


def build_mcd(config: McdConfig, facts: Mapping[str, Any]) -> Mcd:
    """Mel-cepstral distortion."""
    return Mcd(AudioFacts.of(facts).rate, coefficients=config.coefficients)
