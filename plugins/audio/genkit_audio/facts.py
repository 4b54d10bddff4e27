"""What models, metrics, writers and conditions read from an audio dataset's facts. Imports no torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from genkit import ConfigError
from genkit_audio.melspec import MelSpec

BINDING = ("modality", "rate", "length", "labels", "mel")
"""Facts that networks are made for: see `genkit.Dataset.binding`."""


@dataclass(frozen=True)
class AudioFacts:
    """The facts of an audio dataset."""

    rate: int
    """Samples a second."""
    length: int
    """Samples in an example; with `mel`, a multiple of its hop."""
    labels: tuple[str, ...] = ()
    """The name of each label; a condition is then int64 [B]."""
    mel: MelSpec | None = None
    """How the condition, a log-mel [B, bands, length / hop], is made of the waveform; None when it is no mel."""

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> AudioFacts:
        """Read a dataset's facts. Raises ConfigError when they are not those of audio."""
        if facts.get("modality") != "audio":
            raise ConfigError(f"this part is for audio; the data's modality is {facts.get('modality')!r}", where="data")
        mel = facts.get("mel")
        return cls(
            rate=int(facts["rate"]),
            length=int(facts["length"]),
            labels=tuple(str(name) for name in facts.get("labels") or ()),
            mel=None if mel is None else MelSpec.from_facts(mel),
        )
