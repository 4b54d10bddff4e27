"""`audio.combined`: several critics in one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from torch import nn

from genkit import ConfigError
from genkit_audio.facts import AudioFacts
from genkit_audio.models.config import CombinedConfig
from genkit_audio.models.labels import label_count
from genkit_audio.models.spectral_critics import band_critics, frames_critics, resolution_critics
from genkit_audio.models.wave_critics import Ensemble, period_critics, scale_critics


def build_combined(config: CombinedConfig, facts: Mapping[str, Any]) -> Ensemble:
    """The critic for the data that `facts` describe. Raises ConfigError when the config names none, or their sounds are
    too short for one."""
    about = AudioFacts.of(facts)
    classes = label_count(about)
    kinds: dict[str, list[nn.Module]] = {}
    if config.multi_period is not None:
        kinds["multi_period"] = period_critics(config.multi_period, classes)
    if config.multi_scale is not None:
        kinds["multi_scale"] = scale_critics(config.multi_scale, classes)
    if config.multi_resolution is not None:
        kinds["multi_resolution"] = resolution_critics(config.multi_resolution, classes)
    if config.multi_band is not None:
        kinds["multi_band"] = band_critics(config.multi_band, classes)
    if config.frames is not None:
        config.frames.check_length(about.length, where="model.critic.frames")
        kinds["frames"] = frames_critics(config.frames, classes)
    if not kinds:
        raise ConfigError("a combined critic of no critics", where="model.critic", fix="--set model.critic.frames={}")
    members = [member for kind in kinds.values() for member in kind]
    weights = None
    if config.shares is not None:
        shares = asdict(config.shares)
        weights = [shares[name] / len(kind) for name, kind in kinds.items() for _ in kind]
    ensemble = Ensemble(members, weights)
    if not config.first_maps:
        ensemble.leave_out_first_maps()
    return ensemble
