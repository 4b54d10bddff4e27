from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from genkit import ConfigError, Random, UsageError
from genkit_audio.melspec import PRESETS, MelSpec
from genkit_audio.models import bigvgan, frames, hifigan, vocos, wavegan
from genkit_audio.models.config import (
    HIFIGAN,
    BigVGANConfig,
    FramesConfig,
    HiFiGANConfig,
    ISTFTNetConfig,
    VocosConfig,
    WaveGANConfig,
)
from genkit_audio.models.vocoder import Synthesis, folded

MEL = MelSpec(8000, 64, 16, 64, 12, 0.0, None, None, "htk", 1, "ln", 1e-5, True)
SMALL = {"block_kernels": (3, 5), "block_dilations": ((1, 2), (1, 3)), "width": 16}
VOCODERS = {
    "vocos": (vocos.build_vocos, VocosConfig(width=16, hidden=32, layers=2)),
    "hifigan": (hifigan.build_hifigan, HiFiGANConfig(rates=(4, 4), kernels=(8, 8), **SMALL)),
    "hifigan-single": (hifigan.build_hifigan, HiFiGANConfig(rates=(4, 4), kernels=(8, 8), block="single", **SMALL)),
    "istftnet": (hifigan.build_istftnet, ISTFTNetConfig(rates=(4,), kernels=(8,), **SMALL)),
    "bigvgan": (bigvgan.build_bigvgan, BigVGANConfig(rates=(4, 4), kernels=(8, 8), **SMALL)),
    "bigvgan-2": (
        bigvgan.build_bigvgan,
        BigVGANConfig(rates=(4, 4), kernels=(8, 8), end="clamp", activation="snake", **SMALL),
    ),
}
NOISE = {
    "wavegan": (wavegan.build_wavegan, WaveGANConfig(width=2, post_filter=9)),
    "frames": (frames.build_frames, FramesConfig(width=16, hidden=24, layers=2, fft=64, hop=16, latent=8, noise=3)),
}


def facts(length: int = 1024, classes: int = 0, mel: MelSpec | None = None) -> dict:
    labels = [f"class {i}" for i in range(classes)]
    return {
        "modality": "audio", "rate": 8000, "length": length, "labels": labels, "mel": mel and mel.to_facts()
    }  # fmt: skip


def vocoder(name: str, mel: MelSpec = MEL):
    torch.manual_seed(0)
    build, config = VOCODERS[name]
    return build(config, facts(mel=mel))


def mels(count: int, rows: int = 1, bands: int = 12) -> torch.Tensor:
    return torch.randn(rows, bands, count, generator=torch.Generator().manual_seed(1))


def millions(network: torch.nn.Module) -> float:
    return round(sum(parameter.numel() for parameter in folded(network).parameters()) / 1e6, 2)


# --- as published ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("build", "config", "preset", "size"),
    [
        (hifigan.build_hifigan, HIFIGAN["v1"], "hifigan-22k", 13.93),
        (hifigan.build_hifigan, HIFIGAN["v2"], "hifigan-22k", 0.93),
        (hifigan.build_hifigan, HIFIGAN["v3"], "hifigan-22k", 1.46),
        (hifigan.build_istftnet, ISTFTNetConfig(), "hifigan-22k", 13.25),
        (bigvgan.build_bigvgan, BigVGANConfig(), "vocos-24k", 14.02),
        (vocos.build_vocos, VocosConfig(), "vocos-24k", 13.53),
    ],
)
def test_a_vocoder_has_the_published_number_of_parameters(build, config, preset, size):
    with torch.device("meta"):
        network = build(config, facts(mel=PRESETS[preset]))
    assert millions(network) == size


def test_wavegan_has_the_published_number_of_parameters():
    with torch.device("meta"):
        assert millions(wavegan.build_wavegan(WaveGANConfig(), facts(16384))) == 19.07


def test_hifigan_is_the_one_of_transformers():
    speecht5 = pytest.importorskip("transformers.models.speecht5")
    from genkit_audio.published import load_published_weights

    config = HiFiGANConfig(width=32, rates=(4, 4), kernels=(8, 8))
    theirs = speecht5.modeling_speecht5.SpeechT5HifiGan(
        speecht5.SpeechT5HifiGanConfig(
            model_in_dim=12, upsample_initial_channel=32, upsample_rates=[4, 4], upsample_kernel_sizes=[8, 8],
            resblock_kernel_sizes=list(config.block_kernels), normalize_before=False,
            resblock_dilation_sizes=[list(dilations) for dilations in config.block_dilations],
        )
    ).eval()  # fmt: skip
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    ours = hifigan.build_hifigan(config, facts(mel=MEL)).eval()
    load_published_weights(ours, theirs.state_dict(), where="transformers")
    mel = mels(20, 2)
    with torch.no_grad():
        expected = theirs(mel.mT)
        assert expected.std() > 0.05
        torch.testing.assert_close(ours.synthesise(mel), expected, atol=1e-5, rtol=1e-5)


def test_bigvgan_is_the_one_of_transformers():
    omni = pytest.importorskip("transformers.models.qwen2_5_omni")
    from genkit_audio.published import load_published_weights

    config = BigVGANConfig(width=32, rates=(4, 4), kernels=(8, 8), end="clamp")
    theirs = omni.modeling_qwen2_5_omni.Qwen2_5OmniToken2WavBigVGANModel(
        omni.configuration_qwen2_5_omni.Qwen2_5OmniBigVGANConfig(
            mel_dim=12, upsample_initial_channel=32, upsample_rates=[4, 4], upsample_kernel_sizes=[8, 8],
            resblock_kernel_sizes=list(config.block_kernels),
            resblock_dilation_sizes=[list(dilations) for dilations in config.block_dilations],
        )
    ).eval()  # fmt: skip
    for parameter in theirs.parameters():
        torch.nn.init.normal_(parameter, std=0.1)
    theirs.process_mel_spectrogram = lambda mel: mel
    ours = bigvgan.build_bigvgan(config, facts(mel=MEL)).eval()
    load_published_weights(ours, theirs.state_dict(), where="transformers")
    mel = mels(20)
    with torch.no_grad():
        expected = theirs(mel)
        assert 0.02 < expected.std() < 0.9
        torch.testing.assert_close(ours.synthesise(mel)[0], expected, atol=1e-5, rtol=1e-5)


# --- vocoders --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", VOCODERS)
@pytest.mark.parametrize("centre", [True, False])
def test_a_vocoder_makes_a_hop_of_samples_for_each_frame_and_nothing_random(name, centre):
    network = vocoder(name, replace(MEL, centre=centre))
    latent = network.latent(2, rng=Random(0))
    assert latent.shape == (2, 0)
    wave = network(latent, mels(9, 2)).sample
    assert wave.shape == (2, 9 * 16)
    assert torch.equal(wave, network(latent, mels(9, 2)).sample)


@pytest.mark.parametrize("name", VOCODERS)
def test_a_frame_is_heard_within_the_context_and_nowhere_else(name):
    network = vocoder(name).double().eval()
    context, middle = network.context, network.context + 20
    mel = mels(2 * middle + 1).double()
    changed = mel.clone()
    changed[:, :, middle] += 1
    with torch.no_grad():
        apart = (network.synthesise(mel) - network.synthesise(changed)).abs().view(-1, 16).amax(1)
    heard = apart.nonzero()[:, 0]
    assert middle in heard
    reach = (heard - middle).abs().max().item()
    assert reach <= context
    assert reach >= context - 4  # and the context is no wilder guess than that


@pytest.mark.parametrize("name", VOCODERS)
def test_folding_weight_norm_changes_nothing_but_the_names(name):
    network = vocoder(name)
    before = network.state_dict().keys()
    with torch.no_grad():
        torch.testing.assert_close(Synthesis(network)(mels(9)), network.synthesise(mels(9)), atol=1e-6, rtol=1e-5)
    assert network.state_dict().keys() == before
    assert not any("parametrizations" in key for key in folded(network).state_dict())


@pytest.mark.parametrize("name", ["vocos", "hifigan", "istftnet", "bigvgan"])
def test_a_vocoder_compiles_whole(name):
    network = vocoder(name)
    compiled = torch.compile(network.synthesise, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(mels(9)), network.synthesise(mels(9)))


@pytest.mark.parametrize("name", VOCODERS)
def test_a_vocoder_asks_for_its_mel(name):
    network = vocoder(name)
    with pytest.raises(UsageError, match="mel spectrogram"):
        network(torch.zeros(1, 0))
    with pytest.raises(UsageError, match="12"):
        network(torch.zeros(1, 0), mels(9, bands=13))
    with pytest.raises(ConfigError, match="mel"):
        VOCODERS[name][0](VOCODERS[name][1], facts())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rates": (4, 2)}, "16"),
        ({"kernels": (8,)}, "kernels"),
        ({"kernels": (8, 7)}, "exactly 4"),
        ({"block_kernels": (3,)}, "dilations"),
        ({"block_kernels": (3, 4)}, "odd"),
        ({"width": 2}, "halved"),
    ],
)
def test_upsamplings_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        hifigan.build_hifigan(replace(VOCODERS["hifigan"][1], **changes), facts(mel=MEL))


def test_an_activation_without_aliasing_folds_less_of_a_high_tone_down():
    snake = bigvgan.AntiAliased(1, beta=True).double()
    tone = torch.sin(2 * torch.pi * 0.35 * torch.arange(4096, dtype=torch.float64))[None, None]
    window, place = torch.hann_window(3096, dtype=torch.float64), round(0.3 * 3096)  # its square's, at 0.7, folded
    with torch.no_grad():
        plain, ours = (
            torch.fft.rfft((y - y.mean())[0, 0, 500:-500] * window).abs()[place].item()
            for y in (tone + torch.sin(tone).square(), snake(tone))
        )
    assert ours < 0.3 * plain


# --- from noise ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NOISE)
@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("length", [512, 1024])
def test_a_generator_makes_waves_of_the_datas_length(name, classes, length):
    build, config = NOISE[name]
    network = build(config, facts(length, classes))
    label = torch.tensor([0, 2]) if classes else None
    assert network(network.latent(2, rng=Random(0)), label).sample.shape == (2, length)


@pytest.mark.parametrize("name", NOISE)
def test_latent_and_label_matter(name):
    torch.manual_seed(0)
    build, config = NOISE[name]
    network = build(config, facts(classes=3)).eval()
    z, label = network.latent(2, rng=Random(0)), torch.tensor([0, 2])
    made = network(z, label).sample
    assert not torch.allclose(made, network(z, label.flip(0)).sample)
    assert not torch.allclose(made, network(z.flip(0), label).sample)
    with pytest.raises(UsageError, match="label"):
        network(z)


def test_frames_takes_any_length():
    build, config = NOISE["frames"]
    network = build(config, facts(1000))
    assert network(network.latent(1, rng=Random(0))).sample.shape == (1, 1000)


def test_frames_noise_reaches_its_own_time_only():
    torch.manual_seed(0)
    build, config = NOISE["frames"]
    network = build(config, facts(4096)).eval()
    z = network.latent(1, rng=Random(0))
    other = z.clone()
    other[:, 8 : 8 + 3] += 1.0  # the first frame's
    apart = (network(z).sample - network(other).sample).abs()[0]
    assert apart[:64].max() > 0
    assert apart[64 * 16 :].max() == 0


def test_frames_starts_quiet_and_a_constant_output_is_a_steady_tone():
    torch.manual_seed(0)
    build, config = NOISE["frames"]
    network = build(config, facts(1024))
    assert 0.001 < network(network.latent(8, rng=Random(0))).sample.std().item() < 0.3
    with torch.no_grad():
        network.head.out.weight.zero_()
        network.head.out.bias.fill_(-30.0)
        network.head.out.bias[33:] = 0.0
        network.head.out.bias[5] = 2.0
        wave = network(network.latent(1, rng=Random(0))).sample[0, 64:-64]
    spectrum = torch.fft.rfft(wave[:896]).abs()
    assert spectrum.argmax().item() == 5 * 896 // 64
    assert spectrum.amax() > 100 * spectrum[: 5 * 14 - 3].amax()


@pytest.mark.parametrize("length", [1000, 16, 48])
def test_wavegan_refuses_other_lengths(length):
    with pytest.raises(ConfigError, match=str(length)):
        wavegan.build_wavegan(WaveGANConfig(), facts(length))


# --- all -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [*VOCODERS, *NOISE])
def test_a_generator_plays_on_meta(name):
    mel = MEL if name in VOCODERS else None
    build, config = {**VOCODERS, **NOISE}[name]
    with torch.device("meta"):
        network = build(config, facts(classes=3, mel=mel))
    condition = torch.empty(2, 12, 64, device="meta") if mel else torch.zeros(2, dtype=torch.int64, device="meta")
    wave = network(network.latent(2, rng=Random(0, "meta")), condition).sample
    assert wave.shape == (2, 1024)
    wave.sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


@pytest.mark.parametrize("name", [*VOCODERS, *NOISE])
def test_a_generator_trains_under_autocast(name):
    mel = MEL if name in VOCODERS else None
    build, config = {**VOCODERS, **NOISE}[name]
    network = build(config, facts(classes=3, mel=mel))
    condition = mels(64, 2) if mel else torch.tensor([0, 2])
    with torch.autocast("cpu", dtype=torch.bfloat16):
        wave = network(network.latent(2, rng=Random(0)), condition).sample
    wave.float().square().mean().backward()
    assert all(torch.isfinite(parameter.grad).all() for parameter in network.parameters())
