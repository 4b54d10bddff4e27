"""Pitch and voicing of a sample beside those of the real one of the same condition."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from genkit import ConfigError, Metric, Samples, evaluation
from genkit_audio.facts import AudioFacts
from genkit_audio.metrics.config import PitchConfig
from genkit_audio.metrics.specs import FIGURES
from genkit_audio.metrics.waves import parts, read_aligned

HOP_SECONDS, WINDOW_SECONDS = 0.01, 0.025
OCTAVE = 0.9
"""The shortest period wins whose correlation is at least this share of the best: a multiple of the true period
correlates as well as the period itself."""
QUIET = 1e-4
"""Noise of this amplitude is as good as added: what is quieter has no pitch."""


class PitchTracker:
    """The pitch of each 10 ms by normalised cross-correlation of neighbouring periods (Talkin 1995, section 3), without
    his search for the best path.

    Args:
        rate: of the waveforms, Hz.
        low_hz, high_hz: the range of pitches.
        voiced: the correlation from which on a frame is voiced.
    """

    def __init__(self, rate: int, *, low_hz: float = 65.0, high_hz: float = 500.0, voiced: float = 0.5) -> None:
        self.rate, self.low_hz, self.high_hz, self.voiced = rate, low_hz, high_hz, voiced
        self.shortest, self.longest = int(rate / high_hz), round(rate / low_hz)
        self.hop, self.window = round(rate * HOP_SECONDS), round(rate * WINDOW_SECONDS)

    def __call__(self, waves: Tensor) -> Tensor:
        """Pitch in Hz [B, F] of waveforms [B, T], 0 where unvoiced; frame i begins at sample i · hop."""
        correlation = self.correlations(waves)
        inner = correlation[..., 1:-1]
        peak = (inner > correlation[..., :-2]) & (inner >= correlation[..., 2:])
        height = torch.where(peak, inner, -1.0)
        best = height.amax(-1, keepdim=True)
        first = (peak & (height >= OCTAVE * best) & (best > 0)).byte().argmax(-1, keepdim=True)
        before, at, after = (correlation.gather(-1, first + i).squeeze(-1) for i in range(3))
        # the summit of the parabola through three points
        bend = (2 * at - before - after).clamp(min=1e-9)
        period = first.squeeze(-1) + self.shortest + ((after - before) / (2 * bend)).clamp(-0.5, 0.5)
        return torch.where((at >= self.voiced) & (best.squeeze(-1) > 0), self.rate / period, 0.0)

    def correlations(self, waves: Tensor) -> Tensor:
        """Correlation [B, F, L] of each window with the one a lag later, for the lags from the shortest period less one
        sample to the longest and one more."""
        span = self.window + self.longest + 1
        waves = F.pad(waves.float(), (0, max(0, span - waves.shape[-1])))
        frames = waves.unfold(-1, span, self.hop)
        frames = frames - frames.mean(-1, keepdim=True)
        size = 2 ** (2 * span - 1).bit_length()
        spectrum = torch.fft.rfft(frames[..., : self.window], size).conj() * torch.fft.rfft(frames, size)
        lags = slice(self.shortest - 1, self.longest + 2)
        products = torch.fft.irfft(spectrum, size)[..., lags]
        running = F.pad(frames.double().square().cumsum(-1), (1, 0))
        energy = (running[..., self.window :] - running[..., : -self.window]).clamp(min=0)
        energy = (energy + self.window * QUIET**2).float()
        correlations: Tensor = products / (energy[..., :1] * energy[..., lags]).sqrt()
        return correlations


class Pitch(Metric):
    """The root mean square pitch error in cents over the frames that are voiced in both clips, and the F1 of voiced
    frames. Other reals say other things, so there is no floor.

    Args:
        tracker: finds the pitch.
    """

    better = FIGURES["pitch"]

    def __init__(self, tracker: PitchTracker) -> None:
        self.tracker = tracker

    def __call__(self, real: Samples, fake: Samples) -> dict[str, float]:
        """The figures; the error is left out where no frame is voiced in both, F1 where none is voiced in either.
        Raises DataError unless the sets are aligned."""
        if isinstance(fake, evaluation.RealSamples):
            return {}
        squares, both, voiced = 0.0, 0, 0
        for pair in parts(*read_aligned(real, fake)):
            ours, theirs = map(self.tracker, pair)
            shared = (ours > 0) & (theirs > 0)
            squares += float((1200 * (ours[shared] / theirs[shared]).log2()).double().square().sum())
            both += int(shared.sum())
            voiced += int((ours > 0).sum()) + int((theirs > 0).sum())
        figures = {"f0_rmse_cents": (squares / both) ** 0.5} if both else {}
        return {**figures, "voicing_f1": 2 * both / voiced} if voiced else figures

    def protocol(self) -> dict[str, Any]:
        tracker = self.tracker
        return {
            "pitch": f"normalised cross-correlation, {tracker.low_hz:g} to {tracker.high_hz:g} Hz, every 10 ms, "
            f"window 25 ms, voiced from {tracker.voiced:g}, the shortest period within {OCTAVE:.0%} of the best",
            "f0_rmse_cents": "over the frames voiced in both, all clips at once",
        }


def build_pitch(config: PitchConfig, facts: Mapping[str, Any]) -> Pitch:
    """Pitch and voicing. Raises ConfigError when the range of pitches is empty or the rate is too low for it."""
    rate = AudioFacts.of(facts).rate
    if not config.low_hz < config.high_hz < rate / 4:
        raise ConfigError(
            f"no pitch lies between {config.low_hz:g} and {config.high_hz:g} Hz at {rate} samples a second",
            where="metrics.audio.pitch",
            fix="low_hz < high_hz < a quarter of the rate",
        )
    return Pitch(PitchTracker(rate, low_hz=config.low_hz, high_hz=config.high_hz, voiced=config.voiced))
