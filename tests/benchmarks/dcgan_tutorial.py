"""What genkit is compared with: the networks and the loop of PyTorch's DCGAN tutorial, written anew.

The tutorial (N. Inkawhich, pytorch.org/tutorials/beginner/dcgan_faces_tutorial.html) follows Radford et al. 2016 at 64
pixels: nz 100, ngf = ndf = 64, no biases, weights from N(0, 0.02²), Adam with lr 2e-4 and betas (0.5, 0.999). Its
critic ends in a sigmoid under binary cross-entropy, judges reals and fakes apart with a backward each, and stays
unfrozen in the generator's turn; five scalars are read in every iteration.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

LATENT = 100
WIDTH = 64
SIZE = 64
"""Pixels a side of what both networks take and make."""


def generator(channels: int) -> nn.Sequential:
    """Latents [B, 100, 1, 1] to images [B, channels, 64, 64] in [-1, 1]."""
    widths = [8 * WIDTH, 4 * WIDTH, 2 * WIDTH, WIDTH]
    layers: list[nn.Module] = []
    given, stride, padding = LATENT, 1, 0
    for wide in widths:
        layers += [
            nn.ConvTranspose2d(given, wide, 4, stride, padding, bias=False),
            nn.BatchNorm2d(wide),
            nn.ReLU(inplace=True),
        ]
        given, stride, padding = wide, 2, 1
    return nn.Sequential(*layers, nn.ConvTranspose2d(given, channels, 4, 2, 1, bias=False), nn.Tanh())


def critic(channels: int) -> nn.Sequential:
    """Images [B, channels, 64, 64] to the probability [B, 1, 1, 1] that they are real."""
    layers: list[nn.Module] = [nn.Conv2d(channels, WIDTH, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True)]
    for given in (WIDTH, 2 * WIDTH, 4 * WIDTH):
        layers += [
            nn.Conv2d(given, 2 * given, 4, 2, 1, bias=False),
            nn.BatchNorm2d(2 * given),
            nn.LeakyReLU(0.2, inplace=True),
        ]
    return nn.Sequential(*layers, nn.Conv2d(8 * WIDTH, 1, 4, 1, 0, bias=False), nn.Sigmoid())


@dataclass
class Tutorial:
    """Both networks, their optimisers and the iteration, which draws from torch's default generator."""

    channels: int
    losses: list[tuple[float, ...]] = field(default_factory=list)
    """What was read in each iteration: critic loss, generator loss, D(x), D(G(z)) before and after the update."""

    def __post_init__(self) -> None:
        self.generator, self.critic = generator(self.channels), critic(self.channels)
        for network in (self.generator, self.critic):
            network.apply(_initialise)
        self.loss = nn.BCELoss()
        self.generator_adam, self.critic_adam = (
            torch.optim.Adam(network.parameters(), lr=2e-4, betas=(0.5, 0.999))
            for network in (self.generator, self.critic)
        )

    def iterate(self, real: Tensor) -> None:
        """One update of each network on a batch of reals [B, channels, 64, 64]."""
        latent = torch.randn(len(real), LATENT, 1, 1)
        fake, read = self.critic_turn(real, latent)
        self.critic_adam.step()
        read += self.generator_turn(fake)
        self.generator_adam.step()
        self.losses.append(tuple(read))

    def critic_turn(self, real: Tensor, latent: Tensor) -> tuple[Tensor, list[float]]:
        """The critic's gradients; the fakes, with their graph, and what was read."""
        self.critic.zero_grad()
        label = torch.full((len(real),), 1.0, dtype=real.dtype)
        said = self.critic(real).view(-1)
        on_real = self.loss(said, label)
        on_real.backward()
        read = [said.mean().item()]
        fake = self.generator(latent)
        label.fill_(0.0)
        said = self.critic(fake.detach()).view(-1)
        on_fake = self.loss(said, label)
        on_fake.backward()
        read += [said.mean().item(), (on_real + on_fake).item()]
        return fake, read

    def generator_turn(self, fake: Tensor) -> list[float]:
        """The generator's gradients, through an unfrozen critic; what was read."""
        self.generator.zero_grad()
        label = torch.full((len(fake),), 1.0, dtype=fake.dtype)
        said = self.critic(fake).view(-1)
        loss = self.loss(said, label)
        loss.backward()
        return [said.mean().item(), loss.item()]

    @torch.no_grad()
    def sample(self, count: int, *, batch: int, rng: torch.Generator) -> Tensor:
        """Images [count, channels, 64, 64]. The tutorial never leaves training mode: batch norm uses each batch's own
        statistics, so the last batch is made whole and cut."""
        made = [self.generator(torch.randn(batch, LATENT, 1, 1, generator=rng)) for _ in range(-(-count // batch))]
        return torch.cat(made)[:count]


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
        nn.init.normal_(module.weight, 0.0, 0.02)
    elif isinstance(module, nn.BatchNorm2d):
        nn.init.normal_(module.weight, 1.0, 0.02)
        nn.init.zeros_(module.bias)
