"""The networks of `vocos` as genkit's players."""

import importlib.util
import sys
from types import SimpleNamespace

import torch

import genkit

if importlib.util.find_spec("vocos") is None:
    raise genkit.PluginError("vocos is not installed", fix="pip install --no-deps vocos")
# Its modules import these for networks that are not used here: names without content do.
empty = SimpleNamespace(EncodecModel=None, Spectrogram=None, rearrange=None, _hz_to_mel=None, _mel_to_hz=None)
audio = ("torchaudio", *(f"torchaudio.{name}" for name in ("transforms", "functional", "functional.functional")))
absent = {name: empty for name in ("encodec", "einops", *audio) if name not in sys.modules}
sys.modules.update(absent)
critics, heads, nets = (importlib.import_module(f"vocos.{name}") for name in ("discriminators", "heads", "models"))
for name in absent:
    del sys.modules[name]


class Inverse(heads.ISTFT):
    """Without its assertion, for which the host would wait for the device."""

    def forward(self, spec):
        size, hop, frames = self.win_length, self.hop_length, spec.shape[-1]
        waves, weights = torch.fft.irfft(spec, dim=1) * self.window[:, None], self.window.square()[None, :, None]
        how = {"output_size": (1, frames * hop), "kernel_size": (1, size), "padding": (0, (size - hop) // 2)}
        parts = (torch.nn.functional.fold(x, stride=(1, hop), **how) for x in (waves, weights.expand(1, size, frames)))
        return torch.div(*parts)[:, 0, 0]


class Vocos(genkit.Generator):
    """Mel spectrograms [B, bands, F] to waveforms [B, F·hop]."""

    def __init__(self, config, facts):
        super().__init__()
        mel, fft = facts["mel"], config.fft or facts["mel"]["fft"]
        self.backbone = nets.VocosBackbone(mel["bands"], config.width, config.hidden, config.layers)
        self.head = heads.ISTFTHead(config.width, fft, mel["hop"])
        self.head.istft = Inverse(fft, mel["hop"], fft)

    def latent(self, count, *, rng):
        return rng.normal(count, 0)  # nothing is random

    def forward(self, latent, condition=None):
        return genkit.Draw(self.head(self.backbone(condition)))


class Periods(genkit.Critic):
    """Waveforms [B, T] to logits [B, N] and maps, of each period."""

    def __init__(self, config, facts):
        super().__init__()
        self.critics = critics.MultiPeriodDiscriminator(config.periods).discriminators

    def forward(self, sample, condition=None, mask=None):
        logits, maps = zip(*(critic(sample) for critic in self.critics), strict=True)
        return genkit.Verdict(list(logits), list(maps))
