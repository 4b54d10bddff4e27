"""What all vocoders share: a log-mel spectrogram in, a waveform out, nothing random."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn
from torch.nn.utils import parametrize

from genkit import ConfigError, Draw, Generator, Random, UsageError
from genkit_audio.facts import AudioFacts
from genkit_audio.melspec import MelSpec


class Vocoder(Generator):
    """Log-mel spectrograms [B, bands, F] to waveforms [B, F·hop].

    Args:
        mel: what the spectrograms are.
    """

    context: int
    """Frames to either side that a frame's samples depend on."""

    def __init__(self, mel: MelSpec) -> None:
        super().__init__()
        self.mel = mel

    def latent(self, count: int, *, rng: Random) -> Tensor:
        """[count, 0]: nothing is random."""
        return rng.normal(count, 0)

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Draw:
        """Waveforms for log-mel spectrograms. Raises UsageError without any, or of other bands."""
        if condition is None:
            raise UsageError("a vocoder needs a mel spectrogram for each row", fix="--condition audio=FILE.wav")
        if condition.dim() != 3 or condition.shape[1] != self.mel.bands:
            raise UsageError(
                f"this vocoder takes mel spectrograms [B, {self.mel.bands}, F]; it was given {list(condition.shape)}"
            )
        return Draw(self.synthesise(condition))

    @abstractmethod
    def synthesise(self, mel: Tensor) -> Tensor:
        """Waveforms [B, F·hop] for log-mel spectrograms [B, bands, F]."""


class Synthesis(nn.Module):
    """A vocoder as a plain function of its spectrograms, for exporting: its weight norm is folded into the weights.

    Args:
        vocoder: it is copied, not changed.
    """

    def __init__(self, vocoder: Vocoder) -> None:
        super().__init__()
        self.vocoder = folded(vocoder).eval()

    def forward(self, mel: Tensor) -> Tensor:
        """Waveforms [B, F·hop] for log-mel spectrograms [B, bands, F]."""
        wave: Tensor = self.vocoder.synthesise(mel)
        return wave


def folded(network: nn.Module) -> Any:
    """A copy of `network` whose weights stand as they are and no longer as norm and direction: it runs faster."""
    network = copy.deepcopy(network)
    for module in network.modules():
        if parametrize.is_parametrized(module):
            # Not remove_parametrizations: a copy shares its class with the original, and that changes the class.
            plain = {name: getattr(module, name).detach() for name in module.parametrizations}  # type: ignore[union-attr]
            module.__class__ = parametrize.type_before_parametrizations(module)
            del module.parametrizations
            for name, tensor in plain.items():
                module.register_parameter(name, nn.Parameter(tensor))
    return network


def mel_of(facts: Mapping[str, Any]) -> MelSpec:
    """The specification of the data's mel spectrograms. Raises ConfigError when their condition is no mel."""
    found = AudioFacts.of(facts).mel
    if found is None:
        raise ConfigError(
            "a vocoder makes waveforms of mel spectrograms, and the data gives none",
            where="model.generator",
            fix="choose data whose `mel` is set, or a generator from noise such as audio.frames",
        )
    return found
