"""`audio.wavegan` and `audio.wavegan_critic` (Donahue, McAuley and Puckette 2019, arXiv 1802.04208, appendix D)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genkit import ConfigError, Critic, Draw, Generator, Random, Verdict
from genkit_audio.facts import AudioFacts
from genkit_audio.models.config import WaveGANConfig, WaveGANCriticConfig
from genkit_audio.models.labels import asked_label, label_count

TAPS = 25
FIRST = 16
"""Samples before the first upsampling."""


class WaveGAN(Generator):
    """z -> 16 positions -> transposed convolutions of 25 taps, each four times as long -> tanh. No normalisation.

    Args:
        config: its options.
        facts: the data's.

    Raises ConfigError when the data's length is not 16·4ⁿ or twice that.
    """

    def __init__(self, config: WaveGANConfig, facts: AudioFacts) -> None:
        super().__init__()
        strides = strides_for(facts.length)
        self.latent_size = config.latent
        classes = label_count(facts)
        self.embedding = nn.Embedding(classes, config.embedding) if classes else None
        self.wide = config.width << (len(strides) - 1)
        self.start = nn.Linear(config.latent + (config.embedding if classes else 0), FIRST * self.wide)
        widths = [self.wide >> i for i in range(len(strides))] + [1]
        self.layers = nn.ModuleList(
            nn.ConvTranspose1d(before, after, TAPS, stride, padding=TAPS // 2 - (stride > 2), output_padding=1)
            for before, after, stride in zip(widths, widths[1:], strides, strict=False)
        )
        self.post_filter = nn.Conv1d(1, 1, config.post_filter, bias=False) if config.post_filter else None
        self.apply(_initialise)

    def latent(self, count: int, *, rng: Random) -> Tensor:
        """Uniform in [-1, 1), [count, latent]."""
        return rng.uniform(count, self.latent_size) * 2 - 1

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Draw:
        """Waveforms [B, T] from latents [B, latent] and, when conditional, labels [B]."""
        if self.embedding is not None:
            latent = torch.cat([latent, self.embedding(asked_label(condition))], 1)
        x = self.start(latent).view(-1, self.wide, FIRST)
        for layer in self.layers:
            x = layer(F.relu(x))
        x = torch.tanh(x)
        if self.post_filter is not None:
            taps = self.post_filter.weight.shape[-1]
            x = self.post_filter(F.pad(x, ((taps - 1) // 2, taps // 2)))
        return Draw(x[:, 0])


class WaveGANCritic(Critic):
    """Convolutions of 25 taps, each a quarter as long, with phase shuffle between, and one logit from all of the last;
    labels by projection."""

    def __init__(self, config: WaveGANCriticConfig, facts: AudioFacts) -> None:
        super().__init__()
        strides = strides_for(facts.length)
        widths = [1] + [config.width << i for i in range(len(strides))]
        self.length, self.shuffle = facts.length, config.shuffle
        self.layers = nn.ModuleList(
            nn.Conv1d(before, after, TAPS, stride, padding=TAPS // 2 - (stride > 2))
            for before, after, stride in zip(widths, widths[1:], strides, strict=False)
        )
        self.head = nn.Linear(FIRST * widths[-1], 1)
        classes = label_count(facts)
        self.embedding = nn.Embedding(classes, widths[-1]) if classes else None
        self.apply(_initialise)

    def forward(self, sample: Tensor, condition: Tensor | None = None, mask: Tensor | None = None) -> Verdict:
        """One logit a row [B] for waveforms [B, T] of the data's length."""
        x, features = sample[:, None], []
        for number, layer in enumerate(self.layers):
            x = F.leaky_relu(layer(x), 0.2)
            features.append(x)
            if self.shuffle and number < len(self.layers) - 1:
                x = shuffle_phase(x, self.shuffle)
        logit = self.head(x.flatten(1))[:, 0]
        if self.embedding is not None:
            logit = logit + (self.embedding(asked_label(condition)) * x.mean(2)).sum(1)
        return Verdict([logit], [features])


def shuffle_phase(x: Tensor, most: int) -> Tensor:
    """[B, C, T] shifted by one number of -most..most samples for all rows, its ends mirrored (section 3.3).

    The paper draws for each row and the authors' code once a layer, as here. Drawn from torch's default generator,
    which the trainer seeds each step.
    """
    shift = torch.randint(-most, most + 1, (1,), device=x.device)
    last = x.shape[-1] - 1
    place = (torch.arange(x.shape[-1], device=x.device) + shift).abs()
    return x.index_select(2, last - (last - place).abs())


def strides_for(length: int) -> list[int]:
    """The strides between 16 positions and `length` samples. Raises ConfigError when there are none."""
    strides, made = [], FIRST
    while made * 4 <= length:
        strides.append(4)
        made *= 4
    if made * 2 == length:
        strides.append(2)
        made *= 2
    if made != length or not strides:
        raise ConfigError(
            f"WaveGAN makes 16·4ⁿ samples or twice as many, and the data has {length}",
            where="data.length",
            fix="16384 (the paper's), 32768 or 65536",
        )
    return strides


def _initialise(module: nn.Module) -> None:
    """Glorot and Bengio 2010, as TensorFlow has it by default and the authors' code relies on."""
    if isinstance(module, nn.Conv1d | nn.ConvTranspose1d | nn.Linear):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Embedding):
        nn.init.normal_(module.weight, std=module.embedding_dim**-0.5)


def build_wavegan(config: WaveGANConfig, facts: Mapping[str, Any]) -> WaveGAN:
    """The generator for the data that `facts` describe."""
    return WaveGAN(config, AudioFacts.of(facts))


def build_wavegan_critic(config: WaveGANCriticConfig, facts: Mapping[str, Any]) -> WaveGANCritic:
    """The critic for the data that `facts` describe."""
    return WaveGANCritic(config, AudioFacts.of(facts))
