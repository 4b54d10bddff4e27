"""`audio.frames`: short sounds from noise, made at the rate of frames and turned into a wave by an inverse transform.

All work is products over a few hundred channels at some hundred positions, which a CPU does well; a wave of 16384
samples never passes through a convolution.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genkit import Draw, Generator, Random
from genkit_audio.facts import AudioFacts
from genkit_audio.models.config import FramesConfig
from genkit_audio.models.convnext import ConvNeXtBlock, initialise
from genkit_audio.models.labels import asked_label, label_count
from genkit_audio.models.vocos import SpectralHead


class Frames(Generator):
    """z, label -> a few positions -> blocks and doublings of the rate -> blocks -> magnitudes and phases -> a wave.

    z and label scale and shift the channels of every block. A phase is counted from that of a tone in the middle of its
    bin, so that a constant output is a steady tone. A part of the latent is noise of its own for each frame.

    Args:
        config: its options.
        facts: the data's.
    """

    advance: Tensor
    """[F, fft / 2 + 1]: the phase of a tone in the middle of each bin."""

    def __init__(self, config: FramesConfig, facts: AudioFacts) -> None:
        super().__init__()
        self.length = facts.length
        self.frames = math.ceil(facts.length / config.hop)
        self.first = math.ceil(self.frames / (1 << config.doublings))
        self.latent_size, self.noise_size = config.latent, config.noise
        self.doublings = config.doublings
        classes = label_count(facts)
        self.embedding = nn.Embedding(classes, config.embedding) if classes else None
        self.style = nn.Sequential(
            nn.Linear(config.latent + (config.embedding if classes else 0), config.width),
            nn.SiLU(),
            nn.Linear(config.width, config.width),
            nn.SiLU(),
        )
        blocks = config.layers + config.doublings
        self.start = nn.Linear(config.width, config.width * self.first)
        self.speak = nn.Linear(config.width, 2 * config.width * blocks)
        self.noise = nn.Linear(config.noise, config.width, bias=False) if config.noise else None
        self.blocks = nn.ModuleList(ConvNeXtBlock(config.width, config.hidden, 0.5) for _ in range(blocks))
        self.norm = nn.LayerNorm(config.width, eps=1e-6)
        self.head = SpectralHead(config.width, config.fft, config.hop, centre=False)
        turns = torch.outer(torch.arange(self.frames), torch.arange(config.fft // 2 + 1)) * config.hop % config.fft
        self.register_buffer("advance", turns * (2 * math.pi / config.fft), persistent=False)
        self._initialise()

    def latent(self, count: int, *, rng: Random) -> Tensor:
        """Standard normal [count, latent + F·noise]: what speaks of the whole sound, then what of each frame."""
        return rng.normal(count, self.latent_size + self.frames * self.noise_size)

    def forward(self, latent: Tensor, condition: Tensor | None = None) -> Draw:
        """Waveforms [B, T] from latents and, when conditional, labels [B]."""
        whole, noise = latent.split([self.latent_size, self.frames * self.noise_size], 1)
        if self.embedding is not None:
            whole = torch.cat([whole, self.embedding(asked_label(condition))], 1)
        style = self.style(whole)
        spoken = self.speak(style).chunk(len(self.blocks), 1)
        x = self.start(style).unflatten(1, (self.first, -1))
        for number, block in enumerate(self.blocks):
            if number == self.doublings:
                x = x[:, : self.frames]
                if self.noise is not None:
                    x = x + self.noise(noise.unflatten(1, (self.frames, -1)))
            x = block(x, spoken[number])
            if number < self.doublings:
                x = F.interpolate(x.mT, scale_factor=2.0, mode="linear", align_corners=False).mT
        wave = self.head(self.norm(x), self.advance)
        return Draw(wave[:, : self.length])

    def _initialise(self) -> None:
        """Small weights as Vocos has them, except where a latent enters: there channels start near size one."""
        self.apply(initialise)
        for layer in (*self.style, self.start, self.noise):
            if isinstance(layer, nn.Linear):
                nn.init.normal_(layer.weight, std=layer.weight.shape[1] ** -0.5)
        with torch.no_grad():
            # Frames start near silence: a sound is mostly decay, and exp() of zero would be noise at full scale.
            self.head.out.bias[: self.advance.shape[1]] = -1.0


def build_frames(config: FramesConfig, facts: Mapping[str, Any]) -> Frames:
    """The generator for the data that `facts` describe."""
    return Frames(config, AudioFacts.of(facts))
