"""The networks of `torchgan.models` as genkit's players."""

import importlib.util
import sys
from types import ModuleType

from torch import nn

import genkit

found = importlib.util.find_spec("torchgan")
if found is None:
    raise genkit.PluginError("torchgan is not installed", fix="pip install --no-deps torchgan")
# An empty package in its place for a moment: its own first lines import torchvision, which no network needs.
package = sys.modules.setdefault("torchgan", ModuleType("torchgan"))
package.__path__ = found.submodule_search_locations
nets = importlib.import_module("torchgan.models")
if package.__spec__ is None:
    del sys.modules["torchgan"]


class DCGANGenerator(genkit.Generator):
    """Latents [B, latent] to pictures [B, C, S, S]."""

    def __init__(self, config, facts):
        super().__init__()
        channels, side, _ = facts["shape"]
        self.net = nets.DCGANGenerator(config.latent, side, channels, config.width)

    def latent(self, count, *, rng):
        return rng.normal(count, self.net.encoding_dims)

    def forward(self, latent, condition=None):
        return genkit.Draw(self.net(latent))


class DCGANCritic(genkit.Critic):
    """Pictures [B, C, S, S] to logits [B]. Its last LeakyReLU would bend them, and is left out."""

    def __init__(self, config, facts):
        super().__init__()
        channels, side, _ = facts["shape"]
        last = nn.Identity()
        self.net = nets.DCGANDiscriminator(side, channels, config.width, batchnorm=False, last_nonlinearity=last)

    def forward(self, sample, condition=None, mask=None):
        return genkit.Verdict([self.net(sample)])
