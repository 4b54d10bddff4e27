"""Losses of a vocoder beside the adversarial one, in fp32 or wider. Values are unweighted.

Each compares the draw with its own target where the generator chose what to imitate, else with the real of its row.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from genkit import GeneratorTurn, Scheduled, Term, UsageError, terms
from genkit_audio.mel import MelSpectrogram
from genkit_audio.melspec import MelSpec
from genkit_audio.recipes.vocoder import SCALES, Losses
from genkit_audio.spectra import full_precision, hann, magnitude, spectrum, widen

RESOLUTIONS = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240))
"""Transform, hop and window of each resolution of `MultiResolutionSTFT` (Yamamoto et al. 2020, table 1)."""
QUIET = 1e-3
"""Magnitudes below this count as it, as root mean square, where something is divided by them."""


def spectral_terms(losses: Losses, mel: MelSpec) -> list[Term]:
    """The terms of a vocoder whose weights are not 0.

    Args:
        losses: their weights.
        mel: the data's.
    """
    top = replace(mel, high_hz=None) if losses.full_band else mel
    each: list[Term] = [
        MelL1(top, losses.mel),
        MultiScaleMel(mel.rate, losses.multi_scale_mel, scales=losses.scales),
        MultiResolutionSTFT(losses.multi_resolution_stft),
        terms.FeatureMatching(losses.feature_matching),
    ]
    return [term for term in each if term.weight != 0]


class MelL1(Term):
    """mean|m(x) - m(y)| between log-mel spectrograms (Kong et al. 2020, eq. 5).

    Args:
        spec: the spectrogram. HiFi-GAN compares up to half the rate, though its input ends at 8 kHz.
        weight: see `Term`.
    """

    name = "mel_l1"

    def __init__(self, spec: MelSpec, weight: Scheduled = 45.0) -> None:
        super().__init__(weight)
        self.mel = MelSpectrogram(spec)

    def forward(self, turn: GeneratorTurn) -> Tensor:
        """Raises UsageError when there is nothing to compare with, or it has another length."""
        made, wanted = pair(turn)
        with torch.no_grad():
            goal = self.mel(wanted)
        apart: Tensor = self.mel(made) - goal
        return apart.abs().mean()


class MultiScaleMel(Term):
    """Σ_s mean|log10 m_s(x) - log10 m_s(y)| over several transforms, with few bands where they are short (Kumar et al.
    2023, DAC, section 3.4; Lee et al. 2024, BigVGAN-v2).

    Args:
        rate: samples a second.
        weight: see `Term`.
        scales: bands and window of each; a hop is a quarter of the window.
    """

    name = "multi_scale_mel"

    def __init__(self, rate: int, weight: Scheduled = 15.0, *, scales: Sequence[tuple[int, int]] = SCALES) -> None:
        super().__init__(weight)
        first = MelSpec(rate, 4, 1, 4, 1, 0.0, None, "slaney", "slaney", 1, "log10", 1e-5, True)
        self.mels = nn.ModuleList(
            MelSpectrogram(replace(first, fft=window, hop=window // 4, window=window, bands=bands))
            for bands, window in scales
        )

    def forward(self, turn: GeneratorTurn) -> Tensor:
        """Raises UsageError when there is nothing to compare with, or it has another length."""
        made, wanted = pair(turn)
        total = made.new_zeros((), dtype=widen(made[:0]).dtype)
        for mel in self.mels:
            with torch.no_grad():
                goal = mel(wanted)
            total = total + (mel(made) - goal).abs().mean()
        return total


class MultiResolutionSTFT(Term):
    """Spectral convergence ‖|Y| - |X|‖ / ‖|Y|‖ plus mean|log|Y| - log|X||, averaged over resolutions (Yamamoto et al.
    2020, Parallel WaveGAN, eq. 3 to 6). Norms are of each row, so that a batch is the mean of its parts; that of a
    silent row counts as one of magnitudes of 0.001.

    Args:
        weight: see `Term`.
        resolutions: transform, hop and window of each.
    """

    name = "multi_resolution_stft"

    def __init__(self, weight: Scheduled = 1.0, *, resolutions: Sequence[tuple[int, int, int]] = RESOLUTIONS) -> None:
        super().__init__(weight)
        self.resolutions = nn.ModuleList(_Magnitude(*resolution) for resolution in resolutions)

    def forward(self, turn: GeneratorTurn) -> Tensor:
        """Raises UsageError when there is nothing to compare with, or it has another length."""
        made, wanted = pair(turn)
        losses = []
        with full_precision(made.device):
            for resolution in self.resolutions:
                with torch.no_grad():
                    goal = resolution(wanted)
                found = resolution(made)
                norm = torch.linalg.vector_norm((goal - found).flatten(1), dim=1)
                whole = torch.linalg.vector_norm(goal.flatten(1), dim=1).clamp(min=QUIET * goal[0].numel() ** 0.5)
                losses.append((norm / whole).mean() + (goal.log() - found.log()).abs().mean())
        return torch.stack(losses).mean()


class _Magnitude(nn.Module):
    """Waveforms [B, T] to magnitudes [B, fft / 2 + 1, T // hop]."""

    window: Tensor

    def __init__(self, fft: int, hop: int, window: int) -> None:
        super().__init__()
        self.hop = hop
        self.register_buffer("window", hann(window, fft).float(), persistent=False)

    def forward(self, wave: Tensor) -> Tensor:
        return magnitude(spectrum(wave, self.window, self.hop))


def pair(turn: GeneratorTurn) -> tuple[Tensor, Tensor]:
    """The waveforms [B, T] that were made and those they should be, without graph, in fp32 or wider."""
    draw = turn.draw
    wanted = None if draw is None else draw.target
    if wanted is None and turn.real is not None:
        wanted = turn.real.sample
    if draw is None or wanted is None:
        raise UsageError("a spectral loss compares a draw with the real it should be, and was given none")
    if draw.sample.shape != wanted.shape:
        raise UsageError(
            f"a spectral loss compares waveforms of one length: made {list(draw.sample.shape)}, "
            f"real {list(wanted.shape)}",
            fix="let the data's length be a multiple of the mel's hop",
        )
    return widen(draw.sample), widen(wanted.detach())
