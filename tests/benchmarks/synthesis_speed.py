"""Times genkit's vocoders: Vocos against the ``vocos`` package and HiFi-GAN against transformers' ``SpeechT5HifiGan``,
with the same weights, and how much faster than real time each vocoder is.

Before the clock starts, the two must give the same wave. Then they take turns, one synthesis of a batch of one each;
round 0 warms up and is not counted. The weights are random: speed does not depend on them.
"""

from __future__ import annotations

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before torch

import argparse
import importlib
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from types import ModuleType
from typing import Any

import torch
from machine import answer, describe, say
from torch import Tensor, nn

from genkit_audio.melspec import PRESETS, MelSpec
from genkit_audio.models.bigvgan import BigVGAN
from genkit_audio.models.config import HIFIGAN, BigVGANConfig, HiFiGANConfig, ISTFTNetConfig, VocosConfig
from genkit_audio.models.hifigan import HiFiGAN, ISTFTNet
from genkit_audio.models.vocoder import Synthesis, Vocoder
from genkit_audio.models.vocos import Vocos
from genkit_audio.published import load_published_weights

AGREES = 1e-5
"""The largest difference of two samples of a wave that fp32 may show."""
VOCOS_MEL, HIFIGAN_MEL, SMALL_MEL = PRESETS["vocos-24k"], PRESETS["hifigan-22k"], PRESETS["small-16k"]
Synthesise = Callable[[Tensor], Tensor]
"""A mel [B, bands, F] to waves [B, T]."""


# --- the other implementations ---------------------------------------------------------------------------------------


def vocos_package() -> tuple[ModuleType, ModuleType]:
    """The backbones and heads of the ``vocos`` package. Its package module imports encodec and torchaudio, which a
    synthesis needs not: where they are missing, empty modules stand in."""
    found = find_spec("vocos")
    if found is None or not found.submodule_search_locations:
        sys.exit("the comparison needs the vocos package: pip install --no-deps vocos")
    parent = ModuleType("vocos")
    parent.__path__ = list(found.submodule_search_locations)
    stand_ins = {"vocos": parent}
    if find_spec("torchaudio") is None:
        scales = ModuleType("torchaudio.functional.functional")
        scales._hz_to_mel = scales._mel_to_hz = None  # type: ignore[attr-defined]
        empty = {name: ModuleType(name) for name in ("torchaudio", "torchaudio.functional")}
        stand_ins |= empty | {scales.__name__: scales}
    sys.modules.update(stand_ins)
    try:
        return importlib.import_module("vocos.models"), importlib.import_module("vocos.heads")
    finally:
        for name in stand_ins:
            del sys.modules[name]


def vocos_pair(width: int, hidden: int, layers: int) -> tuple[Vocoder, Synthesise]:
    """Our Vocos and theirs."""
    models, heads = vocos_package()
    mel = VOCOS_MEL
    backbone = models.VocosBackbone(mel.bands, width, hidden, layers).eval()
    head = heads.ISTFTHead(width, mel.fft, mel.hop, padding="center").eval()
    ours = Vocos(VocosConfig(width=width, hidden=hidden, layers=layers), mel)
    weights = nn.ModuleDict({"backbone": backbone, "head": head}).state_dict()
    load_published_weights(ours, weights, where="the vocos package")
    return ours, lambda given: head(backbone(given))


def hifigan_pair(config: HiFiGANConfig) -> tuple[Vocoder, Synthesise]:
    """Our HiFi-GAN and transformers'."""
    try:
        from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig
    except ImportError:
        sys.exit("the comparison needs transformers: pip install transformers")
    theirs = SpeechT5HifiGan(
        SpeechT5HifiGanConfig(
            model_in_dim=HIFIGAN_MEL.bands,
            sampling_rate=HIFIGAN_MEL.rate,
            upsample_initial_channel=config.width,
            upsample_rates=list(config.rates),
            upsample_kernel_sizes=list(config.kernels),
            resblock_kernel_sizes=list(config.block_kernels),
            resblock_dilation_sizes=[list(dilations) for dilations in config.block_dilations],
        )
    ).eval()
    for parameter in theirs.parameters():
        if parameter.dim() > 1:  # its initial weights let nothing through
            nn.init.normal_(parameter, std=parameter[0].numel() ** -0.5)
    ours = HiFiGAN(config, HIFIGAN_MEL)
    load_published_weights(ours, theirs.state_dict(), where="SpeechT5HifiGan")
    return ours, lambda given: theirs(given.mT)


# --- what is measured ------------------------------------------------------------------------------------------------


def mel_for(spec: MelSpec, seconds: float) -> Tensor:
    """A mel [1, bands, F] of so many seconds."""
    frames = max(4, round(seconds * spec.rate / spec.hop))
    return torch.randn(1, spec.bands, frames, generator=torch.Generator().manual_seed(0)) - 3


@dataclass(frozen=True)
class Spent:
    """What one synthesis took, in seconds."""

    wall: float
    cpu: float
    """Of this process: what other jobs on the machine took meanwhile is not in it."""


def timed(synthesise: Synthesise, mel: Tensor) -> Spent:
    """One synthesis."""
    with torch.inference_mode():
        wall, cpu = time.perf_counter(), time.process_time()
        synthesise(mel)
        return Spent(time.perf_counter() - wall, time.process_time() - cpu)


def speed(played: float, spent: Sequence[Spent]) -> dict[str, float]:
    """Seconds heard in a second, in the middle of the rounds."""
    clocks = {"times_real_time": [one.wall for one in spent], "times_real_time_cpu": [one.cpu for one in spent]}
    return {name: round(played / statistics.median(taken), 3) for name, taken in clocks.items()}


def compared(name: str, ours: Vocoder, theirs: Synthesise, seconds: float, rounds: int) -> dict[str, Any]:
    """The check, then the rounds."""
    mel = mel_for(ours.mel, seconds)
    net = Synthesis(ours)
    with torch.inference_mode():
        expected, made = theirs(mel), net(mel)
    made = made[:, : expected.shape[1]]  # torch.istft leaves out the last hop
    apart, loudness = float((made - expected).abs().max()), float(expected.square().mean().sqrt())
    if not apart <= AGREES or loudness < 1e-3:
        sys.exit(f"{name}: the waves differ by {apart:.3g}, and theirs has a root mean square of {loudness:.3g}")
    spent: dict[str, list[Spent]] = {"genkit": [], "theirs": []}
    for turn in range(rounds + 1):
        order = [("genkit", net), ("theirs", theirs)]
        for system, synthesise in order if turn % 2 else reversed(order):
            taken = timed(synthesise, mel)
            if turn:
                spent[system].append(taken)
    pairs = list(zip(spent["genkit"], spent["theirs"], strict=True))
    ratios = [their.cpu / our.cpu for our, their in pairs]
    ratio = statistics.median(ratios)
    played = mel.shape[-1] * ours.mel.hop / ours.mel.rate
    say(f"{name}: {ratio:.3f} times as fast, waves differ by {apart:.2g}")
    return {
        "ratio": round(ratio, 4),
        "ratio_quartiles": [round(one, 4) for one in statistics.quantiles(ratios, n=4)[::2]] if rounds > 1 else None,
        "ratio_of_each_round": [round(one, 4) for one in ratios],
        "ratio_wall": round(statistics.median(their.wall / our.wall for our, their in pairs), 4),
        **{system: speed(played, taken) for system, taken in spent.items()},
        "largest_difference": apart,
        "root_mean_square": loudness,
    }


def real_time(name: str, vocoder: Vocoder, seconds: float, rounds: int) -> dict[str, Any]:
    """How much faster than real time a vocoder is."""
    mel, net = mel_for(vocoder.mel, seconds), Synthesis(vocoder)
    played = mel.shape[-1] * vocoder.mel.hop / vocoder.mel.rate
    found = speed(played, [timed(net, mel) for _ in range(rounds + 1)][1:])
    say(f"{name}: {found['times_real_time_cpu']:.3g} times real time")
    return {**found, "parameters": sum(one.numel() for one in net.parameters()), "rate": vocoder.mel.rate}


def vocoders(share: int) -> dict[str, Callable[[], Vocoder]]:
    """Every vocoder in its published size, with 1/share of its channels."""
    thin = {version: replace(config, width=config.width // share) for version, config in HIFIGAN.items()}
    hifigan = {f"hifigan-{version}": partial(HiFiGAN, config, HIFIGAN_MEL) for version, config in thin.items()}
    return {
        "vocos-24k": partial(Vocos, VocosConfig(width=512 // share, hidden=1536 // share), VOCOS_MEL),
        "vocos-small-16k": partial(Vocos, VocosConfig(width=256 // share, hidden=768 // share, layers=6), SMALL_MEL),
        **hifigan,
        "istftnet-c8c8i": partial(ISTFTNet, ISTFTNetConfig(width=512 // share), HIFIGAN_MEL),
        "bigvgan-base": partial(BigVGAN, BigVGANConfig(width=512 // share), HIFIGAN_MEL),
    }


def main() -> None:
    """The command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15, help="turns of each that count")
    parser.add_argument("--seconds", type=float, default=3.0, help="how long the wave is")
    parser.add_argument("--threads", type=int, default=1, help="torch's threads")
    parser.add_argument("--share", type=int, default=1, help="divide all channels by this: a quick look")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="one JSON object as the last line of stdout")
    given = parser.parse_args()
    if min(given.rounds, given.threads, given.share) < 1 or not given.seconds > 0:
        parser.error("--rounds, --threads and --share are at least 1, and --seconds is positive")
    torch.set_num_threads(given.threads)
    torch.manual_seed(given.seed)
    share, settings = given.share, (given.seconds, given.rounds)
    found = {
        "vocos": compared("vocos", *vocos_pair(512 // share, 1536 // share, 8), *settings),
        "hifigan": compared("hifigan", *hifigan_pair(replace(HIFIGAN["v1"], width=512 // share)), *settings),
    }
    speeds = {
        name: real_time(name, make(), given.seconds, min(given.rounds, 5)) for name, make in vocoders(share).items()
    }
    answer(
        {
            **found,
            "real_time": speeds,
            "machine": describe(),
            "protocol": {
                **{key: value for key, value in vars(given).items() if key != "json"},
                "dtype": "fp32",
                "batch": 1,
                "ratio": "median over the rounds of their processor seconds divided by genkit's; the two take turns",
                "weights": "random, the same in both; weight norm folded in, as in exports and streams",
                "time": "from a mel spectrogram in memory to a wave in memory, inference mode",
            },
        },
        as_json=given.json,
    )


if __name__ == "__main__":
    main()
