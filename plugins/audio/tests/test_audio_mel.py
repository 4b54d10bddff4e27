from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from genkit import ConfigError, UsageError
from genkit_audio.mel import MelSpectrogram, mel_filters
from genkit_audio.melspec import PRESETS, MelSpec


def noise(samples: int, rows: int = 2) -> torch.Tensor:
    return 0.3 * torch.randn(rows, samples, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_agrees_with_librosa(name):
    librosa = pytest.importorskip("librosa")
    spec = PRESETS[name]
    wave = noise(8192)
    around = (spec.fft - spec.hop) // 2
    given = wave.numpy() if spec.centre else np.pad(wave.numpy(), ((0, 0), (around, around)), mode="reflect")
    theirs = librosa.feature.melspectrogram(
        y=given, sr=spec.rate, n_fft=spec.fft, hop_length=spec.hop, win_length=spec.window, window="hann",
        center=spec.centre, pad_mode="reflect", power=spec.power, n_mels=spec.bands, fmin=spec.low_hz,
        fmax=spec.top_hz, htk=spec.scale == "htk", norm=spec.norm,
    )  # fmt: skip
    ours = MelSpectrogram(spec)(wave)
    assert ours.shape == (2, spec.bands, 8192 // spec.hop)
    expected = torch.from_numpy(np.log(np.maximum(theirs, spec.floor)))[:, :, : ours.shape[-1]]
    torch.testing.assert_close(ours, expected.float(), atol=2e-4, rtol=1e-4)


def test_filters_have_area_one_in_hz_or_peak_one():
    slaney = mel_filters(replace(PRESETS["hifigan-22k"], fft=8192, window=8192))
    assert (slaney.sum(1) * 22050 / 8192 - 1).abs().max() < 0.03
    plain = mel_filters(replace(PRESETS["vocos-24k"], fft=8192, window=8192))
    assert plain.amax(1).min() > 0.8
    assert plain.amax() <= 1


def test_a_tone_is_loudest_in_the_band_around_it():
    spec = PRESETS["vocos-24k"]
    for hz in (300.0, 3000.0):
        mel = MelSpectrogram(spec)(torch.sin(2 * np.pi * hz / spec.rate * torch.arange(8192.0))[None])[0, :, 16]
        edges = torch.linspace(0, 2595 * np.log10(1 + spec.top_hz / 700), spec.bands + 2)
        assert abs(mel.argmax().item() - torch.bucketize(2595 * np.log10(1 + hz / 700), edges).item() + 1) <= 1


@pytest.mark.parametrize("centre", [True, False])
def test_there_are_as_many_frames_as_whole_hops(centre):
    mel = MelSpectrogram(replace(PRESETS["small-16k"], centre=centre))
    assert [mel(noise(samples)).shape[-1] for samples in (1024, 1279, 1280, 8192)] == [4, 4, 5, 32]


@pytest.mark.parametrize("centre", [True, False])
def test_a_frame_stands_on_its_hop(centre):
    spec = replace(PRESETS["small-16k"], centre=centre)
    wave = torch.zeros(1, 4096)
    wave[0, 8 * 256 + (0 if centre else 128)] = 1.0
    loudness = MelSpectrogram(replace(spec, log="none"))(wave).sum(1)[0]
    assert loudness.argmax().item() == 8
    torch.testing.assert_close(loudness[7], loudness[9])


def test_too_short_a_wave_is_refused_with_the_length_it_needs():
    with pytest.raises(UsageError, match="400 samples") as error:
        MelSpectrogram(PRESETS["vocos-24k"])(noise(400))
    assert "513" in str(error.value)


def test_logarithm_power_and_floor_are_those_of_the_specification():
    spec, wave = PRESETS["small-16k"], noise(4096)
    plain = MelSpectrogram(replace(spec, log="none"))(wave)
    torch.testing.assert_close(MelSpectrogram(replace(spec, log="log10"))(wave), plain.log10())
    assert MelSpectrogram(spec)(torch.zeros(1, 2048)).unique().item() == pytest.approx(np.log(1e-5))
    assert MelSpectrogram(replace(spec, power=2, log="none"))(wave).mean() != pytest.approx(plain.mean().item())


def test_it_runs_on_meta_and_is_computed_in_full_precision_under_autocast():
    spec, wave = PRESETS["small-16k"], noise(4096)
    assert MelSpectrogram(spec).to("meta")(torch.empty(2, 4096, device="meta")).shape == (2, 80, 16)
    mel = MelSpectrogram(spec)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(mel(wave), mel(wave.clone()))
        assert mel(wave).dtype == torch.float32
    assert not mel.state_dict()


def test_specifications_survive_facts_and_tell_their_differences():
    spec = PRESETS["hifigan-22k"]
    assert MelSpec.from_facts(spec.to_facts()) == spec
    assert spec.difference(spec) == []
    assert spec.difference(replace(spec, hop=300, log="log10")) == [
        "hop: 256 here, 300 there",
        "log: ln here, log10 there",
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"hop": 0}, "hop is 0"),
        ({"window": 2048}, "ascending"),
        ({"high_hz": 20000.0}, "11025"),
        ({"floor": 0.0}, "logarithm"),
        ({"scale": "bark"}, "bark"),
        ({"hop": 255}, "odd"),
        ({"window": 1023}, "odd"),
    ],
)
def test_impossible_specifications_are_refused(changes, message):
    with pytest.raises(ConfigError, match=message):
        replace(PRESETS["hifigan-22k"], **changes)


@pytest.mark.parametrize(
    ("changes", "messages"),
    [
        ({"hop": "abc"}, ["hop is 'abc', which is no whole number"]),
        ({"hop": 256.0, "bands": True}, ["hop is 256.0, which", "bands is True, which"]),
        ({"rate": None, "floor": "1e-5"}, ["rate is None, which", "floor is '1e-5', which is no number"]),
        ({"high_hz": "8000", "low_hz": None}, ["high_hz is '8000', which", "low_hz is None, which"]),
        ({"floor": float("inf")}, ["floor is inf, which is no number"]),
        (
            {"centre": "no", "log": ["ln"]},
            ["centre is 'no', which is neither true nor false", "log is ['ln'], not one"],
        ),
        ({"power": True, "norm": 0}, ["power is True, not one of 1, 2", "norm is 0, not one of slaney, None"]),
    ],
)
def test_values_of_another_kind_are_all_refused_at_once(changes, messages):
    with pytest.raises(ConfigError) as caught:
        MelSpec.from_facts({**PRESETS["hifigan-22k"].to_facts(), **changes})
    assert caught.value.where == "mel"
    assert all(message in str(caught.value) for message in messages)


@pytest.mark.parametrize("facts", [[1], "small-16k", None, 3])
def test_what_names_no_fields_is_no_specification(facts):
    with pytest.raises(ConfigError, match="no mel specification"):
        MelSpec.from_facts(facts)


def test_facts_of_another_shape_are_refused_by_name():
    facts = PRESETS["vocos-24k"].to_facts()
    del facts["hop"]
    with pytest.raises(ConfigError, match="hop is missing"):
        MelSpec.from_facts({**facts, "hops": 256})
