"""Where a vocoder's weights start: in another run, or in a file that others published."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn

from genkit import CheckpointError, ConfigError, Experiment, Run, load
from genkit_audio.facts import AudioFacts
from genkit_audio.melspec import MelSpec
from genkit_audio.models.vocoder import Vocoder
from genkit_audio.published import load_published

HIFIGAN_KEYS = {
    "sampling_rate": "rate",
    "n_fft": "fft",
    "hop_size": "hop",
    "win_size": "window",
    "num_mels": "bands",
    "fmin": "low_hz",
    "fmax": "high_hz",
}
"""What the ``config.json`` beside weights of HiFi-GAN and its relatives calls the numbers of a mel specification."""
HIFIGAN_MEL = {"norm": "slaney", "scale": "slaney", "power": 1, "log": "ln", "floor": 1e-5, "centre": False}
"""What it does not say, and what their code takes (HiFi-GAN and BigVGAN, meldataset.py)."""


def start_from(source: str, experiment: Experiment) -> None:
    """Give the vocoder, and from a run the critic where it is the same, the weights that `source` has.

    Args:
        source: a run directory of genkit, whose average is taken, or a file of published weights.
        experiment: its networks are changed.

    Raises ConfigError when there is nothing at `source`, the generator is no vocoder or its mel is another than that
    of the weights, CheckpointError when they are another net's.
    """
    path, vocoder = Path(source).expanduser(), experiment.generator
    if not isinstance(vocoder, Vocoder):
        raise ConfigError(f"{type(vocoder).__name__} is no vocoder", where="model.generator")
    if path.is_dir():
        _from_run(path, vocoder, experiment.critic)
    elif path.is_file():
        _check_config(path, vocoder.mel)
        load_published(vocoder, path)
    else:
        raise ConfigError(f"{path} is neither a run directory nor a file", where="init")


def _from_run(path: Path, vocoder: Vocoder, critic: nn.Module) -> None:
    sampler = load(path, device="cpu")
    found = AudioFacts.of(sampler.facts).mel
    if found is None:
        raise ConfigError(f"{path} is no vocoder's run: it has no mel", where="init")
    _refuse_other_mel(path, vocoder.mel.difference(found))
    try:
        vocoder.load_state_dict(sampler.generator.state_dict())
    except RuntimeError as error:
        reason = " ".join(str(error).split())[:300]
        raise CheckpointError(
            f"{path} holds another vocoder: {reason}", fix="let model.generator be as in that run"
        ) from error
    file = Run.open(path).checkpoint() / "critic.safetensors"
    try:
        kept = load_file(file)
    except (OSError, SafetensorError) as error:
        raise CheckpointError(f"{file} can not be read: {error}", where="init") from error
    own = critic.state_dict()
    if {name: leaf.shape for name, leaf in kept.items()} == {name: leaf.shape for name, leaf in own.items()}:
        critic.load_state_dict(kept)
    else:
        print(f"{path}: its critic is another one, so the critic starts anew", file=sys.stderr)


def _check_config(weights: Path, mel: MelSpec) -> None:
    """Compares with the ``config.json`` that HiFi-GAN's authors put beside their weights, where there is one."""
    file = weights.parent / "config.json"
    if not file.is_file():
        return
    try:
        said: Any = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{file} can not be read: {error}") from error
    if not isinstance(said, dict):
        return
    theirs = {name: said[key] for key, name in HIFIGAN_KEYS.items() if key in said}
    if "fft" in theirs and "hop" in theirs:  # others' files of this name have a rate alone
        theirs |= HIFIGAN_MEL
    rate = theirs.get("rate")
    if "high_hz" in theirs and theirs["high_hz"] is None and isinstance(rate, int):
        theirs["high_hz"] = rate / 2
    ours = {**mel.to_facts(), "high_hz": mel.top_hz}
    _refuse_other_mel(
        weights, [f"{name}: {ours[name]} here, {there} there" for name, there in theirs.items() if ours[name] != there]
    )


def _refuse_other_mel(path: Path, differences: list[str]) -> None:
    if differences:
        raise ConfigError(
            f"{path} was trained on another mel spectrogram than the data give",
            problems=differences,
            where="init",
            fix="let data.mel be that of the weights",
        )
