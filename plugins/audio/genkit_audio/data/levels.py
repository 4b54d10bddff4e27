"""Silence and loudness of clips."""

from __future__ import annotations

import numpy as np

from genkit_audio.data.config import SoundConfig
from genkit_audio.data.files import Wave

FRAME = 1024
"""Samples that silence is judged by."""
LEVELS_DB = {"peak": -0.45, "rms": -20.0}
"""Where the config names none: 0.95 of full scale, and a usual level of speech."""


def trimmed(wave: Wave, below_db: float) -> Wave:
    """The clip [T] without the frames at both ends that are so far below its loudest one; [0] when all is silent."""
    frames = -(-len(wave) // FRAME)
    power = np.add.reduceat(np.square(wave, dtype=np.float64), np.arange(frames) * FRAME) if frames else np.zeros(0)
    loudest = power.max(initial=0.0)
    if loudest == 0:
        return wave[:0]
    heard = np.flatnonzero(power >= loudest * 10 ** (below_db / 10))
    return wave[heard[0] * FRAME : (heard[-1] + 1) * FRAME]


def levelled(wave: Wave, config: SoundConfig) -> Wave:
    """The clip [T] at the level that the config names. Digital silence stays; no sample passes full scale."""
    peak = float(np.abs(wave).max(initial=0.0))
    if config.loudness == "none" or peak == 0:
        return wave
    level = 10 ** ((LEVELS_DB[config.loudness] if config.level_db is None else config.level_db) / 20)
    now = peak if config.loudness == "peak" else float(np.sqrt(np.mean(np.square(wave, dtype=np.float64))))
    changed: Wave = wave * np.float32(min(level / now, 1 / peak))
    return changed
