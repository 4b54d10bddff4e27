from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest
import soundfile
import torch

import genkit_audio
from genkit import Batch, ConfigError, DataError, PluginError, evaluation
from genkit_audio.melspec import PRESETS
from genkit_audio.metrics import config as options
from genkit_audio.metrics import intelligibility, pitch, spectral
from genkit_audio.metrics.waves import as_written, choose, read_aligned, read_rows, resample

ASSETS = Path(genkit_audio.__file__).parent / "assets"
RATE, LENGTH = 16000, 16384
FACTS = {"modality": "audio", "rate": RATE, "length": LENGTH, "mel": PRESETS["small-16k"].to_facts()}
PAIRED = {
    "mel_l1": spectral.build_mel_l1(options.MelL1Config(), FACTS),
    "stft": spectral.build_stft(options.StftConfig(), FACTS),
    "lsd": spectral.build_lsd(options.LsdConfig(), FACTS),
    "mcd": spectral.build_mcd(options.McdConfig(), FACTS),
    "pitch": pitch.build_pitch(options.PitchConfig(), FACTS),
}


class Held:
    """Waveforms held in memory, as `genkit.Samples`."""

    def __init__(self, waves, condition=None, batch=3):
        self.waves, self.condition, self.size = waves, condition, batch
        self.count, self.passes = len(waves), 0

    def batches(self):
        self.passes += 1
        for start in range(0, self.count, self.size):
            part = slice(start, start + self.size)
            yield Batch(self.waves[part], None if self.condition is None else self.condition[part])


def voices(count=4, length=LENGTH, rate=RATE):
    """Buzzes [B, T] of 110, 130, ... Hz whose loudness swells four times a second."""
    time = torch.arange(length, dtype=torch.float64) / rate
    hz = 110.0 + 20 * torch.arange(count, dtype=torch.float64).unsqueeze(1)
    buzz = sum(torch.sin(2 * math.pi * k * hz * time + k * k) / k for k in range(1, 16))
    swell = 0.55 - 0.45 * torch.cos(2 * math.pi * 4 * time)
    return (0.3 * swell * buzz).float().clamp(-1, 1)


def prompts():
    """Four spoken prompts of 2 s [4, 32000], 16 kHz."""
    found = (soundfile.read(path, dtype="float32") for path in sorted((ASSETS / "prompts").rglob("*.flac")))
    long = [torch.from_numpy(wave[: 2 * RATE]) for wave, rate in found if len(wave) >= 2 * rate]
    return torch.stack(long[:4])


def noisy(waves, level, seed=0):
    return waves + level * torch.randn(waves.shape, generator=torch.Generator().manual_seed(seed))


def pair(fake, real=None):
    """Aligned sets: the condition of a clip is its number."""
    real = voices() if real is None else real
    number = torch.arange(len(real))
    return Held(real, number), Held(fake, number.clone(), batch=2)


@pytest.mark.parametrize("name", PAIRED)
def test_a_perfect_copy_has_no_distance(name):
    figures = PAIRED[name](*pair(voices()))
    assert set(figures) == set(PAIRED[name].better)
    for figure, value in figures.items():
        assert value == (1 if PAIRED[name].better[figure] == "higher" else 0), figure


@pytest.mark.parametrize("name", PAIRED)
def test_more_noise_is_worse(name):
    metric = PAIRED[name]
    for figure, way in metric.better.items():
        found = [metric(*pair(noisy(voices(), level)))[figure] for level in (1e-3, 1e-2, 2e-1)]
        assert sorted(found, reverse=way == "higher") == found, figure
        assert found[0] != found[-1]


@pytest.mark.parametrize("name", PAIRED)
def test_silence_is_measured_or_left_out_and_never_infinite(name):
    metric = PAIRED[name]
    silent = torch.zeros(4, LENGTH)
    for real, fake in ((voices(), silent), (silent, voices()), (silent, silent)):
        figures = metric(*pair(fake, real))
        assert set(figures) <= set(metric.better)
        assert all(math.isfinite(value) for value in figures.values())
    assert not any(metric(*pair(silent, silent)).values())


@pytest.mark.parametrize("name", PAIRED)
def test_very_short_clips_are_measured(name):
    if name == "mel_l1":
        return  # the data make no clips that are too short for their mel
    real, fake = torch.rand(2, 300) - 0.5, torch.rand(2, 300) - 0.5
    assert all(math.isfinite(value) for value in PAIRED[name](*pair(fake, real)).values())


@pytest.mark.parametrize("name", [*PAIRED, "pesq", "stoi"])
def test_pairs_must_be_pairs_and_other_reals_have_no_score(name):
    if name in ("pesq", "stoi"):
        pytest.importorskip({"pesq": "pesq", "stoi": "pystoi"}[name])
    build = {"pesq": intelligibility.Pesq, "stoi": intelligibility.Stoi}
    metric = PAIRED[name] if name in PAIRED else build[name](RATE)
    real, fake = pair(voices())
    with pytest.raises(DataError, match="one by one"):
        metric(real, Held(fake.waves, fake.condition.flip(0)))
    with pytest.raises(DataError, match="condition"):
        metric(real, Held(fake.waves))
    with pytest.raises(DataError, match="as long as"):
        metric(real, Held(fake.waves[:, :-256], fake.condition))
    other = evaluation.RealSamples.__new__(evaluation.RealSamples)
    assert metric(real, other) == {}


@pytest.mark.parametrize("name", PAIRED)
def test_the_figure_does_not_depend_on_batches_or_order(name, monkeypatch):
    whole = PAIRED[name](*pair(noisy(voices(), 0.02)))
    monkeypatch.setattr("genkit_audio.metrics.waves.ROWS", 3)
    turned = PAIRED[name](*pair(noisy(voices(), 0.02).flip(0), voices().flip(0)))
    assert turned == pytest.approx(whole, rel=1e-4)


def test_mel_l1_of_half_the_level_is_ln_2():
    # bands at the floor of 1e-5 stay where they are, so the sound must fill them all
    loud = 0.3 * torch.randn(2, LENGTH, generator=torch.Generator().manual_seed(1)).clamp(-3, 3)
    assert PAIRED["mel_l1"](*pair(loud / 2, loud))["mel_l1"] == pytest.approx(math.log(2), abs=2e-3)
    with pytest.raises(ConfigError, match="mel"):
        spectral.build_mel_l1(options.MelL1Config(), {**FACTS, "mel": None})


def test_stft_distances_of_half_the_level_by_hand():
    loud = 0.3 * torch.randn(2, LENGTH, generator=torch.Generator().manual_seed(1)).clamp(-3, 3)
    found = PAIRED["stft"](*pair(loud / 2, loud))
    assert found["spectral_convergence"] == pytest.approx(0.5, abs=1e-3)
    assert found["log_magnitude_l1"] == pytest.approx(math.log(2), abs=2e-3)
    assert PAIRED["lsd"](*pair(loud / 2, loud))["lsd_db"] == pytest.approx(20 * math.log10(2), abs=0.02)


def test_a_silent_pair_does_not_dilute_spectral_convergence():
    loud = voices(2)
    alone = PAIRED["stft"](*pair(loud / 2, loud))["spectral_convergence"]
    with_silence = torch.cat([loud, torch.zeros_like(loud)])
    found = PAIRED["stft"](*pair(with_silence / 2, with_silence))["spectral_convergence"]
    assert found == pytest.approx(alone, rel=1e-3)


def test_cepstral_distortion_of_a_ripple_by_hand():
    bands, degree, height = 80, 3, 0.4
    ripple = height * torch.cos(math.pi / bands * degree * (torch.arange(bands) + 0.5))
    real = torch.randn(2, bands, 5, generator=torch.Generator().manual_seed(0))
    fake = real + ripple.unsqueeze(1) + 7  # a level is no difference
    found = spectral.cepstral_distortion(real, fake, 24)
    assert found.shape == (2, 5)
    # the ripple is c_3 alone; its root mean square in dB is 20 lg(e) · height / √2
    torch.testing.assert_close(found, torch.full((2, 5), 20 / math.log(10) * height / math.sqrt(2)))
    assert spectral.cepstral_distortion(real, fake, 2).max() < 1e-4


def test_mcd_ignores_level_and_what_stands_in_silence():
    real = noisy(voices(), 0.003)  # bands without any sound would hold the rounding to 16 bits
    assert PAIRED["mcd"](*pair(real * 0.5, real))["mcd_db"] < 0.1
    gap = real.clone()
    gap[:, LENGTH // 2 :] = 0
    hum = gap.clone()
    hum[:, LENGTH // 2 + 2048 :] = 0.001
    assert PAIRED["mcd"](*pair(hum, gap))["mcd_db"] < 0.05


@pytest.mark.parametrize("hz", [70.0, 110.3, 233.1, 440.0])
@pytest.mark.parametrize("rate", [16000, 22050])
def test_the_pitch_of_a_buzz_is_found_within_three_cents(hz, rate):
    time = torch.arange(rate, dtype=torch.float64) / rate
    wave = sum(torch.sin(2 * math.pi * k * hz * time) / k for k in range(1, 8)).float().unsqueeze(0) / 4
    found = pitch.PitchTracker(rate)(wave)
    assert found.shape == (1, found.shape[1])
    assert (found > 0).all()
    assert (1200 * (found / hz).log2()).abs().max() < 3


def test_noise_and_silence_have_no_pitch():
    tracker = pitch.PitchTracker(RATE)
    hiss = 0.1 * torch.randn(2, LENGTH, generator=torch.Generator().manual_seed(0))
    assert (tracker(hiss) > 0).double().mean() < 0.02
    assert not tracker(torch.zeros(1, LENGTH)).any()
    assert not tracker(torch.full((1, LENGTH), 0.5)).any()


def test_pitch_errors_are_cents_and_voicing_is_f1():
    time = torch.arange(LENGTH) / RATE
    tone = 0.5 * torch.sin(2 * math.pi * 200 * time).unsqueeze(0)
    sharp = 0.5 * torch.sin(2 * math.pi * 200 * 2 ** (50 / 1200) * time).unsqueeze(0)
    found = PAIRED["pitch"](*pair(sharp, tone))
    assert found["f0_rmse_cents"] == pytest.approx(50, abs=1)
    assert found["voicing_f1"] == 1
    half = tone.clone()
    half[:, LENGTH // 2 :] = 0
    assert PAIRED["pitch"](*pair(half, tone))["voicing_f1"] == pytest.approx(2 / 3, abs=0.03)
    assert PAIRED["pitch"](*pair(torch.zeros_like(tone), tone)) == {"voicing_f1": 0}
    with pytest.raises(ConfigError, match="500 and 400 Hz"):
        pitch.build_pitch(options.PitchConfig(low_hz=500, high_hz=400), FACTS)


def test_samples_are_read_once_as_a_file_would_hold_them():
    fake = Held(torch.tensor([[0.0, 0.5, 2.0, -3.0, 1e-6]]))
    rows = read_rows(fake)
    assert torch.equal(rows.sample, torch.tensor([[0.0, 0.5, 32767 / 32768, -1.0, 0.0]]))
    assert read_rows(fake) is rows
    assert fake.passes == 1
    stored = torch.arange(-32768, 32768).float() / 32768
    assert torch.equal(as_written(stored), stored)


def test_broken_samples_are_counted_and_images_refused():
    waves = torch.zeros(5, 100)
    waves[1, 7], waves[3, 3] = float("nan"), float("inf")
    with pytest.raises(DataError, match="2 of 5"):
        read_rows(Held(waves))
    with pytest.raises(DataError, match=r"\[B, T\]"):
        read_rows(Held(torch.zeros(2, 1, 8, 8)))


def test_mels_from_batches_of_other_sizes_are_still_the_same_condition():
    real, mel = voices(), torch.randn(4, 80, 10)
    assert len(read_aligned(Held(real, mel), Held(real, mel + 1e-4))[0]) == 4
    with pytest.raises(DataError, match="one by one"):
        read_aligned(Held(real, mel), Held(real, mel + 0.1))


def test_resampling_keeps_a_tone_and_the_number_of_seconds():
    time = torch.arange(22050) / 22050
    tone = torch.sin(2 * math.pi * 1000 * time).repeat(2, 1)
    found = resample(tone, 22050, 16000)
    expected = torch.sin(2 * math.pi * 1000 * torch.arange(16000) / 16000)
    assert found.shape == (2, 16000)
    assert (found - expected)[:, 500:-500].abs().max() < 1e-3
    assert resample(tone, 22050, 22050) is tone


def test_a_choice_of_clips_depends_on_its_seed_alone():
    assert choose(100, 10, 3) == choose(100, 10, 3) != choose(100, 10, 4)
    assert choose(5, 10, 3) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize(("name", "package"), [("pesq", "pesq"), ("stoi", "pystoi")])
def test_a_missing_package_is_named_with_its_extra(name, package, monkeypatch):
    monkeypatch.setitem(sys.modules, package, None)
    build = getattr(intelligibility, f"build_{name}")
    config = getattr(options, f"{name.capitalize()}Config")()
    with pytest.raises(PluginError, match=r"genkit-gan-audio\[speech\]"):
        build(config, FACTS)


@pytest.mark.parametrize(("name", "package", "most"), [("pesq", "pesq", 4.64), ("stoi", "pystoi", 1.0)])
@pytest.mark.parametrize("rate", [8000, 16000, 22050])
def test_intelligibility_falls_with_noise_and_silence_is_counted(name, package, most, rate):
    pytest.importorskip(package)
    build, config = getattr(intelligibility, f"build_{name}"), getattr(options, f"{name.capitalize()}Config")
    metric = build(config(), {**FACTS, "rate": rate})
    real = resample(prompts(), RATE, rate)
    same, some, much = (metric(*pair(noisy(real, level), real)) for level in (0, 0.003, 0.1))
    if rate > 8000:  # narrow band has another scale
        assert same[name] == pytest.approx(most, abs=0.01)
    assert same[name] > some[name] > much[name]
    assert same[f"{name}_left_out"] == 0
    broken, quiet = real.clone(), real.clone()
    broken[1], quiet[2] = 0, 0
    found = metric(*pair(broken, quiet))
    assert found == {name: pytest.approx(same[name], abs=0.01), f"{name}_left_out": 0.5}
    assert metric(*pair(torch.zeros_like(real), real)) == {f"{name}_left_out": 1}


@pytest.mark.parametrize(("name", "package"), [("pesq", "pesq"), ("stoi", "pystoi")])
def test_clips_too_short_for_intelligibility_are_left_out(name, package):
    pytest.importorskip(package)
    metric = getattr(intelligibility, f"build_{name}")(getattr(options, f"{name.capitalize()}Config")(), FACTS)
    real = voices(2, 500)
    assert metric(*pair(real.clone(), real)) == {f"{name}_left_out": 1}


def test_extended_stoi_is_another_figure_and_clips_limit_the_work():
    pytest.importorskip("pystoi")
    real, fake = pair(noisy(voices(), 0.05))
    plain = intelligibility.build_stoi(options.StoiConfig(), FACTS)(real, fake)["stoi"]
    extended = intelligibility.build_stoi(options.StoiConfig(extended=True), FACTS)
    assert extended(real, fake)["stoi"] != pytest.approx(plain, abs=1e-3)
    one = intelligibility.build_stoi(options.StoiConfig(clips=1, seed=2), FACTS)
    chosen = choose(4, 1, 2)
    alone = intelligibility.Stoi(RATE)(*pair(fake.waves[chosen], real.waves[chosen]))
    assert one(real, fake) == pytest.approx(alone)
