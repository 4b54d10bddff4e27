"""What listeners would say of speech, as networks guess it, without a reference."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from genkit import Metric, PluginError, Samples
from genkit_audio.facts import AudioFacts
from genkit_audio.metrics import distillmos
from genkit_audio.metrics.config import DistillMosConfig, DnsMosConfig
from genkit_audio.metrics.specs import FIGURES
from genkit_audio.metrics.waves import Waves, choose, package_file, parts, read_rows, resample

REFERENCE: Literal["train"] = "train"
"""There is none; but so the floor is that of the held-out clips, which are as long as the samples."""
DNSMOS_INSTALL = 'pip install "genkit-gan-audio[mos]", or onnxruntime and speechmos==0.0.1.1 alone'
DNSMOS_RATE, DNSMOS_SAMPLES = 16000, 144160
"""What DNSMOS hears at once, 9.01 s."""
DNSMOS_CURVES = {
    "dnsmos_signal": (-0.08397278, 1.22083953, 0.0052439),
    "dnsmos_background": (-0.13166888, 1.60915514, -0.39604546),
    "dnsmos_overall": (-0.06766283, 1.11546468, 0.04602535),
}
"""Figures in the order of the network's outputs, and the polynomials that bring those to the listeners' scale."""


class DistillMos(Metric):
    """DistillMOS (Stahl and Gamper 2025): the mean opinion of the quality of speech, 1 to 5. Short clips score lower,
    being followed by silence up to 7.68 s: read it beside the floor.

    Args:
        rate: of the data, Hz.
        clips, seed: how many are heard, and what their choice depends on.

    Raises:
        PluginError: the package with the weights is not installed.
    """

    better = FIGURES["distillmos"]
    reference = REFERENCE

    def __init__(self, rate: int, *, clips: int = 64, seed: int = 0) -> None:
        self.net, self.rate, self.clips, self.seed = distillmos.load_distillmos(), rate, clips, seed

    def __call__(self, real: Samples, fake: Samples) -> dict[str, float]:
        waves = chosen_waves(fake, self.clips, self.seed)
        opinions = []
        with torch.no_grad():
            for (part,) in parts(resample(waves, self.rate, distillmos.RATE)):
                opinions += [self.net(some) for some in part.split(4)]
        return {"distillmos": float(torch.cat(opinions).double().mean())}

    def protocol(self) -> dict[str, Any]:
        return {"distillmos": "weights of distillmos 0.9.1, variant 7", **heard(self.clips, self.seed)}


class DnsMos(Metric):
    """DNSMOS P.835 (Reddy et al. 2022): mean opinions of speech, of its signal and of its background, 1 to 5. Clips
    shorter than 9.01 s are repeated up to that length.

    Args:
        rate: of the data, Hz.
        clips, seed: how many are heard, and what their choice depends on.

    Raises:
        PluginError: onnxruntime or the package with the weights is not installed.
    """

    better = FIGURES["dnsmos"]
    reference = REFERENCE

    def __init__(self, rate: int, *, clips: int = 64, seed: int = 0) -> None:
        try:
            import onnxruntime  # type: ignore[import-untyped]
        except ImportError as error:
            raise PluginError("audio.dnsmos needs onnxruntime", fix=DNSMOS_INSTALL) from error
        file = package_file("speechmos", "dnsmos_models/sig_bak_ovr.onnx", "audio.dnsmos", DNSMOS_INSTALL)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        self.session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
        self.rate, self.clips, self.seed = rate, clips, seed

    def __call__(self, real: Samples, fake: Samples) -> dict[str, float]:
        waves = resample(chosen_waves(fake, self.clips, self.seed), self.rate, DNSMOS_RATE).numpy()
        opinions = np.mean([self.hear(wave) for wave in waves], 0)
        return dict(zip(DNSMOS_CURVES, map(float, opinions), strict=True))

    def hear(self, wave: Waves) -> Waves:
        """The three opinions [3] on a clip [T] of 16 kHz: of signal, background and whole."""
        if len(wave) < DNSMOS_SAMPLES:
            wave = np.resize(wave, DNSMOS_SAMPLES)
        starts = range(0, len(wave) - DNSMOS_SAMPLES + 1, DNSMOS_RATE)
        raw = [self.session.run(None, {"input_1": wave[None, at : at + DNSMOS_SAMPLES]})[0][0] for at in starts]
        opinions: Waves = np.mean(
            [[np.polyval(curve, x) for curve, x in zip(DNSMOS_CURVES.values(), row, strict=True)] for row in raw], 0
        )
        return opinions

    def protocol(self) -> dict[str, Any]:
        return {"dnsmos": "P.835, sig_bak_ovr.onnx of speechmos 0.0.1.1", **heard(self.clips, self.seed)}


def chosen_waves(samples: Samples, clips: int, seed: int) -> Tensor:
    """Waveforms [B, T] of the clips that are heard."""
    waves: Tensor = read_rows(samples).sample
    return waves[choose(len(waves), clips, seed)]


def heard(clips: int, seed: int) -> dict[str, Any]:
    """What a protocol says of them."""
    return {"clips": f"{clips}, or all of a smaller set, chosen by seed {seed}"}


def build_distillmos(config: DistillMosConfig, facts: Mapping[str, Any]) -> DistillMos:
    """DistillMOS. Raises PluginError without the package."""
    return DistillMos(AudioFacts.of(facts).rate, clips=config.clips, seed=config.seed)


def build_dnsmos(config: DnsMosConfig, facts: Mapping[str, Any]) -> DnsMos:
    """DNSMOS. Raises PluginError without the packages."""
    return DnsMos(AudioFacts.of(facts).rate, clips=config.clips, seed=config.seed)
