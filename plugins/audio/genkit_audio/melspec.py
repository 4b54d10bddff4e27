"""What a mel spectrogram is: nine numbers and four conventions. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from genkit import ConfigError

SIZES = ("rate", "fft", "hop", "window", "bands")
"""The fields that are whole numbers."""
CHOICES: Mapping[str, tuple[object, ...]] = {
    "norm": ("slaney", None),
    "scale": ("htk", "slaney"),
    "power": (1, 2),
    "log": ("ln", "log10", "none"),
}
"""The conventions there are."""


@dataclass(frozen=True)
class MelSpec:
    """How a log-mel spectrogram [B, bands, T / hop] is made of a waveform [B, T]. Two are the same when equal.

    Raises ConfigError when the numbers make no spectrogram.
    """

    rate: int
    """Samples a second, Hz."""
    fft: int
    """Samples in a Fourier transform."""
    hop: int
    """Samples between frames."""
    window: int
    """Samples under the periodic Hann window, in the middle of the transform."""
    bands: int
    """Mel bands."""
    low_hz: float
    """Where the lowest band starts."""
    high_hz: float | None
    """Where the highest band ends; None: half the rate."""
    norm: Literal["slaney"] | None
    """slaney: each band's area is one; None: each band's peak is one."""
    scale: Literal["htk", "slaney"]
    """htk: 2595 log10(1 + f/700); slaney: linear below 1 kHz, logarithmic above."""
    power: Literal[1, 2]
    """1: of magnitudes; 2: of powers."""
    log: Literal["ln", "log10", "none"]
    """The logarithm that is taken of the bands."""
    floor: float
    """Bands below this are raised to it before the logarithm."""
    centre: bool
    """True: frame i is centred on sample i·hop (the last one, on sample T, is dropped). False: it is centred half a hop
    later: the wave is extended by (fft - hop) / 2 on both sides. The ends are mirrored in either case."""

    def __post_init__(self) -> None:
        problems = [*self._odd_kinds()] or [*self._misfits()]
        for name, known in CHOICES.items():
            value = getattr(self, name)
            if not any(value == one and type(value) is type(one) for one in known):
                problems.append(f"{name} is {value!r}, not one of {', '.join(map(str, known))}")
        if problems:
            raise ConfigError("this is no mel spectrogram", problems=problems, where="mel")

    def _odd_kinds(self) -> Iterator[str]:
        """Fields whose value is of another type than theirs, as a file of a user's may have it."""
        given = asdict(self)
        for name in SIZES:
            if type(given[name]) is not int:
                yield f"{name} is {given[name]!r}, which is no whole number"
        for name in ("low_hz", "high_hz", "floor"):
            number = type(given[name]) in (int, float) and math.isfinite(given[name])
            if not number and (name != "high_hz" or given[name] is not None):
                yield f"{name} is {given[name]!r}, which is no number"
        if type(given["centre"]) is not bool:
            yield f"centre is {given['centre']!r}, which is neither true nor false"

    def _misfits(self) -> Iterator[str]:
        """What is wrong with the numbers."""
        for name in SIZES:
            if getattr(self, name) < 1:
                yield f"{name} is {getattr(self, name)}, which is not positive"
        if not self.hop <= self.window <= self.fft:
            yield f"hop {self.hop}, window {self.window} and fft {self.fft} must be in ascending order"
        if (self.fft - self.window) % 2:
            yield f"fft {self.fft} minus window {self.window} is odd, so the window can not stand in the middle"
        if not self.centre and (self.fft - self.hop) % 2:
            yield f"fft {self.fft} minus hop {self.hop} is odd, so frames can not stand in the middle of hops"
        if not 0 <= self.low_hz < self.top_hz <= self.rate / 2:
            yield f"{self.low_hz} to {self.top_hz} Hz is no range between 0 and {self.rate / 2} Hz"
        if not self.floor > 0:
            yield f"floor is {self.floor}, of which no logarithm can be taken"

    @property
    def top_hz(self) -> float:
        """Where the highest band ends, Hz."""
        return self.rate / 2 if self.high_hz is None else self.high_hz

    def to_facts(self) -> dict[str, Any]:
        """The specification as JSON, for a checkpoint."""
        return asdict(self)

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> MelSpec:
        """What `to_facts` wrote. Raises ConfigError when keys are missing, unknown or do not fit, or there are none."""
        if not isinstance(facts, Mapping):
            raise ConfigError(f"{facts!r} is no mel specification, which names its fields", where="mel")
        known = {field.name for field in fields(cls)}
        problems = [f"{name} is missing" for name in sorted(known - set(facts))]
        problems += [f"{name} is unknown" for name in sorted(set(facts) - known, key=str)]
        if problems:
            raise ConfigError("this is no mel specification", problems=problems, where="mel")
        return cls(**facts)

    def difference(self, other: MelSpec) -> list[str]:
        """Where two specifications differ, one line each: ``hop: 256 here, 300 there``. Empty when they are equal."""
        pairs = [(field.name, getattr(self, field.name), getattr(other, field.name)) for field in fields(self)]
        return [f"{name}: {mine} here, {theirs} there" for name, mine, theirs in pairs if mine != theirs]


PRESETS: dict[str, MelSpec] = {
    # Kong et al. 2020 (HiFi-GAN, config_v1.json, meldataset.py)
    "hifigan-22k": MelSpec(22050, 1024, 256, 1024, 80, 0.0, 8000.0, "slaney", "slaney", 1, "ln", 1e-5, False),
    # Siuzdak 2023 (Vocos, mel-24khz): torchaudio's own defaults
    "vocos-24k": MelSpec(24000, 1024, 256, 1024, 100, 0.0, None, None, "htk", 1, "ln", 1e-7, True),
    # for speech of 16 kHz and a small net: 16 ms hops
    "small-16k": MelSpec(16000, 1024, 256, 1024, 80, 0.0, 8000.0, "slaney", "slaney", 1, "ln", 1e-5, True),
}
"""Specifications by name."""
