from __future__ import annotations

import pytest
import torch

from genkit import ConfigError, Judged, Random, UsageError, penalties
from genkit_audio.melspec import PRESETS
from genkit_audio.models import combined, spectral_critics, wave_critics, wavegan
from genkit_audio.models.config import (
    CombinedConfig,
    FramesCriticConfig,
    MultiBandConfig,
    MultiPeriodConfig,
    MultiResolutionConfig,
    MultiScaleConfig,
    WaveGANCriticConfig,
)

PERIOD = MultiPeriodConfig(periods=(2, 3), width=2)
SCALE = MultiScaleConfig(scales=2, width=8)
RESOLUTION = MultiResolutionConfig(ffts=(128, 64), hops=(32, 12), windows=(128, 50), width=4)
BAND = MultiBandConfig(ffts=(128, 64), bands=(0.5,), width=4)
FRAMES = FramesCriticConfig(ffts=(128, 64), width=8)
CRITICS = {
    "multi_period": (wave_critics.build_multi_period, PERIOD, 2),
    "multi_scale": (wave_critics.build_multi_scale, SCALE, 2),
    "multi_resolution": (spectral_critics.build_multi_resolution, RESOLUTION, 2),
    "multi_band": (spectral_critics.build_multi_band, BAND, 2),
    "frames": (spectral_critics.build_frames_critic, FRAMES, 2),
    "wavegan": (wavegan.build_wavegan_critic, WaveGANCriticConfig(width=2), 1),
    "combined": (
        combined.build_combined,
        CombinedConfig(
            multi_period=PERIOD, multi_scale=SCALE, multi_resolution=RESOLUTION, multi_band=BAND, frames=FRAMES
        ),
        10,
    ),
}


def facts(classes: int = 0, length: int = 1024, mel: bool = False) -> dict:
    return {
        "modality": "audio",
        "rate": 24000,
        "length": length,
        "labels": [f"class {i}" for i in range(classes)],
        "mel": PRESETS["vocos-24k"].to_facts() if mel else None,
    }


def critic(name: str, classes: int = 0):
    torch.manual_seed(0)
    build, config, _ = CRITICS[name]
    return build(config, facts(classes))


def noise(rows: int = 3, samples: int = 1024) -> torch.Tensor:
    return 0.3 * torch.randn(rows, samples, generator=torch.Generator().manual_seed(0))


def millions(network: torch.nn.Module) -> float:
    """Parameters, weight norm's gains left out, as published figures have them."""
    return round(sum(p.numel() for name, p in network.named_parameters() if "original0" not in name) / 1e6, 1)


def test_critics_have_the_published_numbers_of_parameters():
    with torch.device("meta"):
        assert millions(wave_critics.build_multi_period(MultiPeriodConfig(), facts())) == 41.1
        assert millions(wave_critics.build_multi_scale(MultiScaleConfig(), facts())) == 29.6
        assert millions(spectral_critics.build_multi_resolution(MultiResolutionConfig(), facts())) == 0.3
        assert millions(spectral_critics.build_multi_band(MultiBandConfig(), facts())) == 1.4
        assert millions(wavegan.build_wavegan_critic(WaveGANCriticConfig(), facts(length=16384))) == 17.4


@pytest.mark.parametrize("name", CRITICS)
def test_each_sub_critic_gives_logits_and_features(name):
    verdict = critic(name)(noise())
    assert len(verdict.logits) == len(verdict.features) == CRITICS[name][2]
    assert all(len(logit) == 3 for logit in verdict.logits)
    assert all(len(one) == 3 for maps in verdict.features for one in maps)
    assert all(len(maps) >= 3 for maps in verdict.features)


@pytest.mark.parametrize("name", CRITICS)
def test_a_row_is_judged_by_itself(name):
    network = critic(name).eval()
    assert not network.batch_coupled
    torch.manual_seed(1)
    together = network(noise(3)).logits
    torch.manual_seed(1)
    alone = network(noise(3)[:1]).logits
    for one, other in zip(together, alone, strict=True):
        torch.testing.assert_close(one[:1], other, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("name", CRITICS)
def test_the_label_reaches_every_logit(name):
    network = critic(name, classes=3)
    x, label = noise(), torch.tensor([0, 1, 2])
    for given in (label, label.roll(1)):
        torch.manual_seed(1)
        verdict = network(x, given)
        if given is label:
            first = verdict
    for one, other in zip(first.logits, verdict.logits, strict=True):
        assert not torch.allclose(one, other, atol=1e-7)
    with pytest.raises(UsageError, match="label"):
        network(x)


@pytest.mark.parametrize("name", CRITICS)
def test_a_mel_is_no_label(name):
    if name == "wavegan":
        pytest.skip("takes lengths of its own only")
    build, config, _ = CRITICS[name]
    network = build(config, facts(mel=True))
    assert network(noise(), torch.zeros(3, 100, 4)).logits


@pytest.mark.parametrize("name", CRITICS)
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_gradient_penalties_reach_every_weight(name, device):
    torch.manual_seed(0)
    build, config, _ = CRITICS[name]
    with torch.device(device):
        network = build(config, facts(classes=3))
    x = (noise() if device == "cpu" else torch.empty(3, 1024, device=device)).requires_grad_()
    verdict = network(x, torch.zeros(3, dtype=torch.int64, device=device))
    (gradient,) = torch.autograd.grad(sum(logit.sum() for logit in verdict.logits), x, create_graph=True)
    judged = Judged(x, verdict, gradient)
    for penalty in (penalties.R1(), penalties.R2()):
        value = penalty(judged, judged, None, Random(0, device))
        value.backward(retain_graph=True)
    for key, parameter in network.named_parameters():
        assert key.endswith("bias") or parameter.grad is not None, key
        if device == "cpu" and parameter.grad is not None:
            assert torch.isfinite(parameter.grad).all(), key


@pytest.mark.parametrize("name", CRITICS)
def test_silence_has_finite_derivatives(name):
    network = critic(name)
    x = torch.zeros(2, 1024, requires_grad=True)
    (gradient,) = torch.autograd.grad(sum(one.sum() for one in network(x).logits), x, create_graph=True)
    gradient.square().sum().backward()
    assert torch.isfinite(gradient).all()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_penalties_of_what_frames_critics_hear_reach_every_weight(device):
    torch.manual_seed(0)
    with torch.device(device):
        network = spectral_critics.build_frames_critic(FRAMES, facts(classes=3))
    wave = noise() if device == "cpu" else torch.empty(3, 1024, device=device)
    label = torch.arange(3, device=device)
    heard = network.penalty_input(wave).detach().requires_grad_()
    verdict = network(heard, label)
    for one, other in zip(verdict.logits, network(wave, label).logits, strict=True):
        if device == "cpu":
            torch.testing.assert_close(one, other)
    (gradient,) = torch.autograd.grad(sum(logit.sum() for logit in verdict.logits), heard, create_graph=True)
    judged = Judged(heard, verdict, gradient)
    for penalty in (penalties.R1(), penalties.R2()):
        penalty(judged, judged, None, Random(0, device)).backward(retain_graph=True)
    for key, parameter in network.named_parameters():
        assert key.endswith("bias") or parameter.grad is not None, key
        if device == "cpu" and not key.endswith("bias"):
            assert torch.isfinite(parameter.grad).all(), key
            assert parameter.grad.any(), key


def test_silence_has_finite_derivatives_by_what_frames_critics_hear():
    torch.manual_seed(0)
    network = spectral_critics.build_frames_critic(FRAMES, facts())
    wave = torch.zeros(2, 1024, requires_grad=True)
    heard = network.penalty_input(wave)
    (gradient,) = torch.autograd.grad(sum(one.sum() for one in network(heard).logits), heard, create_graph=True)
    (slope,) = torch.autograd.grad(gradient.square().sum() + heard.square().sum(), wave, create_graph=True)
    slope.square().sum().backward()
    for found in (heard, gradient, slope, wave.grad):
        assert torch.isfinite(found).all()
    assert all(torch.isfinite(p.grad).all() for p in network.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", [name for name in CRITICS if name != "combined"])
def test_a_critic_runs_under_autocast_and_compiles_whole(name):
    network = critic(name).eval()
    if name == "wavegan":
        network.shuffle = 0  # so that both draws are the same
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rounded = network(noise()).logits
    compiled = torch.compile(network, backend="eager", fullgraph=True)(noise()).logits
    for low, one, other in zip(rounded, network(noise()).logits, compiled, strict=True):
        torch.testing.assert_close(one, other)
        torch.testing.assert_close(low.float(), one, atol=0.05, rtol=0.1)


@pytest.mark.parametrize("samples", [1024, 1021])
def test_a_period_critic_sees_every_nth_sample(samples):
    part = wave_critics.PeriodCritic(5, 2, 0)
    x = noise(1, samples).requires_grad_()
    logit, _ = part(x, None)
    assert logit.shape[-1] == 5
    (gradient,) = torch.autograd.grad(logit[..., 2].sum(), x)
    assert set((gradient[0, :1000].nonzero()[:, 0] % 5).tolist()) == {2}


def test_scales_halve_the_rate():
    wide = [maps[0].shape[-1] for maps in critic("multi_scale")(noise()).features]
    assert wide == [1024, 513]


def test_bands_see_their_own_frequencies():
    part = spectral_critics.BandCritic(128, [0.5], 4, 0, loudness=True)
    time = torch.arange(1024.0)
    low, high = (torch.sin(2 * torch.pi * hz * time)[None] for hz in (0.1, 0.4))
    quiet, with_low, with_high = (part(wave, None)[1] for wave in (torch.zeros(1, 1024), low, high))
    inside = slice(4, -4)  # the mirrored ends have a kink, which is heard in both

    def apart(one, other, layer):
        return (one[layer] - other[layer])[:, :, inside].abs().max().item()

    assert apart(with_low, quiet, 0) > 100 * apart(with_low, quiet, 5)
    assert apart(with_high, quiet, 5) > 100 * apart(with_high, quiet, 0)


def test_bands_hear_loudness_only_when_asked():
    for loudness in (False, True):
        part = spectral_critics.BandCritic(128, [0.5], 4, 0, loudness=loudness)
        one, other = part(noise(1), None)[0], part(0.2 * noise(1) + 0.1, None)[0]
        assert torch.allclose(one, other, atol=1e-5) != loudness


def test_phases_are_shuffled_alike_in_all_rows_and_mirrored_at_the_ends():
    x = torch.arange(8.0).repeat(2, 3, 1)
    seen = set()
    for seed in range(40):
        torch.manual_seed(seed)
        y = wavegan.shuffle_phase(x, 2)
        assert (y == y[0, 0]).all()
        seen.add(tuple(y[0, 0].int().tolist()))
    assert seen == {
        (2, 1, 0, 1, 2, 3, 4, 5), (1, 0, 1, 2, 3, 4, 5, 6), (0, 1, 2, 3, 4, 5, 6, 7), (1, 2, 3, 4, 5, 6, 7, 6),
        (2, 3, 4, 5, 6, 7, 6, 5),
    }  # fmt: skip


def test_the_wavegan_critic_shuffles_after_all_layers_but_the_last():
    network, calls = critic("wavegan"), []
    torch.manual_seed(0)
    one = network(noise()).logits[0]
    torch.manual_seed(0)
    assert torch.equal(network(noise()).logits[0], one)  # the trainer's seed decides
    torch.manual_seed(3)
    assert not torch.equal(network(noise()).logits[0], one)
    original = wavegan.shuffle_phase
    try:
        wavegan.shuffle_phase = lambda x, most: calls.append(x.shape[1]) or original(x, most)
        network(noise())
    finally:
        wavegan.shuffle_phase = original
    assert calls == [2, 4]


@pytest.mark.parametrize(
    ("build", "config", "message"),
    [
        (spectral_critics.build_multi_resolution, MultiResolutionConfig(ffts=(1024,)), "hops"),
        (spectral_critics.build_multi_resolution, MultiResolutionConfig(ffts=(512, 512, 512)), "ascending"),
        (spectral_critics.build_multi_band, MultiBandConfig(bands=(0.5, 0.25)), "ascending"),
        (spectral_critics.build_multi_band, MultiBandConfig(ffts=(8,)), "two bins"),
        (combined.build_combined, CombinedConfig(multi_period=None, multi_band=None), "no critics"),
        (spectral_critics.build_frames_critic, FramesCriticConfig(ffts=(1024,), layers=5), "halved 4 times"),
        (combined.build_combined, CombinedConfig(frames=FramesCriticConfig(ffts=(1024,), layers=5)), "halved 4 times"),
    ],
)
def test_options_that_do_not_fit_are_refused(build, config, message):
    with pytest.raises(ConfigError, match=message):
        build(config, facts())
