"""What the recipes for sounds from noise promise beyond what every recipe does."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import genkit
from genkit import ConfigError, Random, UsageError
from genkit.catalog import catalog
from genkit.config import resolve_config
from genkit.specs import resolve
from genkit_audio.data.config import DrumsConfig, FolderConfig
from genkit_audio.data.embedded import open_drums
from genkit_audio.data.folder import open_folder
from genkit_audio.models.config import FramesCriticConfig
from genkit_audio.models.spectral_critics import build_frames_critic

THIN = {"model.generator.width": 4, "model.critic.width": 4}
SMALL = {"model.generator.width": 8, "model.critic.width": 8, "metrics": []}


def experiment(name: str, **values: Any) -> genkit.Experiment:
    spec = catalog().recipe(name)
    torch.manual_seed(0)
    found: genkit.Experiment = resolve(spec.build)(resolve_config(spec, values=values))
    return found


# --- recipes ---------------------------------------------------------------------------------------------------------


def test_drums_are_asked_for_by_class_as_often_as_the_data_have_them():
    made = experiment("audio.drums", **SMALL)
    facts = made.data.facts
    assert facts["labels"] == ["cymbal", "kick", "perc", "snare", "tabla", "tom"]
    assert made.data.weights is None  # each clip as often as the others
    draw = made.generator(made.generator.latent(6, rng=Random(0)), torch.arange(6)).sample
    assert draw.shape == (6, facts["length"])
    with pytest.raises(UsageError, match="label"):
        made.generator(made.generator.latent(1, rng=Random(0)))


def test_drums_are_held_out_at_their_own_speed_and_trained_on_at_several():
    made = experiment("audio.drums", **SMALL)
    plain = experiment("audio.drums", **SMALL, **{"data.speeds": [1.0]})
    apart, trained = made.data.held_out(), plain.data
    assert len(apart) == len(plain.data.held_out())
    assert len(made.data) % len(trained) == 0
    assert len(made.data) > len(trained)


@pytest.mark.parametrize("length", [32_768, 65_536])
def test_loops_have_the_length_that_is_asked_for(length):
    made = experiment("audio.loops", **SMALL, **{"data.length": length})
    assert 2 <= length / made.data.facts["rate"] <= 4.1
    assert made.generator(made.generator.latent(2, rng=Random(0))).sample.shape == (2, length)
    assert int(made.data.starts.max()) > 1  # cut anew for each batch


def test_wavegan_is_the_published_one():
    made = experiment("audio.wavegan")
    config = resolve_config(catalog().recipe("audio.wavegan"))
    assert sum(p.numel() for p in made.generator.parameters()) == pytest.approx(19.07e6, rel=0.001)
    assert (config.train.batch_size, config.train.critic_steps) == (64, 5)
    assert made.penalties["wgan_gp"].weight == 10
    assert made.critic.shuffle == 2


@pytest.mark.parametrize("preset", ["32768", "65536"])
def test_wavegan_of_longer_sounds_has_a_layer_more(preset):
    short, longer = (experiment("audio.wavegan", **THIN, **more) for more in ({}, {"preset": preset}))
    assert len(longer.generator.layers) == len(short.generator.layers) + 1
    assert longer.data.facts["length"] == int(preset)


def test_wavegan_refuses_a_length_between_its_own():
    with pytest.raises(ConfigError) as raised:
        experiment("audio.wavegan", **{"data.length": 20_000})
    assert raised.value.where == "data.length"
    assert "16384" in str(raised.value)


def test_drums_too_short_for_their_critic_are_refused_by_the_key_that_helps():
    with pytest.raises(ConfigError) as raised:
        experiment("audio.drums", **SMALL, **{"data.length": 4096})
    assert raised.value.where == "model.critic.layers"
    assert raised.value.fix == "--set model.critic.layers=4"


# --- what they are made of -------------------------------------------------------------------------------------------


def frames_critic(**options: Any) -> genkit.Critic:
    torch.manual_seed(0)
    facts = {"modality": "audio", "rate": 22_050, "length": 1024, "labels": ["a", "b"]}
    return build_frames_critic(FramesCriticConfig(ffts=(128, 64), width=8, **options), facts)


def test_a_frames_critic_says_the_same_of_a_wave_and_of_what_is_penalised():
    critic = frames_critic()
    wave, labels = 0.3 * torch.randn(3, 1024), torch.tensor([0, 1, 0])
    seen = critic.penalty_input(wave)
    assert seen.shape == (3, 1, 3 * (65 * 32 + 33 * 64))
    for one, other in zip(critic(wave, labels).logits, critic(seen, labels).logits, strict=True):
        torch.testing.assert_close(one, other)


def test_a_penalty_takes_the_slope_over_spectra_or_over_the_wave():
    batch = {"real": 0.3 * torch.randn(2, 1024), "labels": torch.zeros(2, dtype=torch.int64)}
    shapes = {}
    for penalised in ("spectra", "wave"):
        critic = frames_critic(penalised=penalised)
        point = critic.penalty_input(batch["real"]).detach().requires_grad_()
        total = torch.stack([logit.sum() for logit in critic(point, batch["labels"]).logits]).sum()
        (slope,) = torch.autograd.grad(total, point)
        assert slope.abs().sum() > 0
        shapes[penalised] = tuple(slope.shape)
    assert shapes == {"spectra": (2, 1, 3 * (65 * 32 + 33 * 64)), "wave": (2, 1024)}


def test_a_frames_critic_of_more_gain_hears_what_is_quieter():
    """At -80 dB a magnitude counts g times itself, whatever g is; at full scale hardly more with a gain ten times as
    high."""
    heard = {}
    for gain in (100.0, 1000.0):
        (member, *_) = frames_critic(gain=gain).members
        tone = torch.sin(0.6 * torch.arange(1024.0))[None]
        heard[gain] = [float(member.hear(level * tone)[:, :65].max()) for level in (1.0, 1e-4)]
    (loud, quiet), (louder, clear) = heard[100.0], heard[1000.0]
    assert clear / quiet == pytest.approx(10, rel=0.15)
    assert 1 < louder / loud < 1.7


def test_a_frames_critic_refuses_waves_of_another_length():
    with pytest.raises(UsageError, match="1024 samples, not 2048"):
        frames_critic().penalty_input(torch.zeros(1, 2048))


def test_a_clip_at_another_speed_is_higher_and_shorter(save, tone, tmp_path):
    for name in ("a", "b", "c", "d"):
        save(f"{name}.wav", tone(0.5, 16_000, 400.0))
    options = {"path": str(tmp_path), "rate": 16_000, "length": 4096, "crop": "start", "held_out": 0.3}
    data = open_folder(FolderConfig(**options, speeds=(0.5, 1.0, 2.0)))
    assert len(data) == 9
    assert len(data.held_out()) == 1
    waves = data.prepare(data.resident(), rng=Random(0)).sample
    pitch = torch.fft.rfft(waves).abs().argmax(1) * 16_000 / 4096
    assert pitch[:3].tolist() == pytest.approx([200, 400, 800], abs=4)
    plain = data.held_out()
    assert float(torch.fft.rfft(plain.prepare(plain.resident(), rng=Random(0)).sample).abs().argmax()) == pytest.approx(
        400 * 4096 / 16_000, abs=1
    )


def test_speeds_keep_the_share_of_each_label():
    one, three = (open_drums(DrumsConfig(speeds=speeds)).facts["label_counts"] for speeds in ((1.0,), (0.9, 1.0, 1.1)))
    assert three == [3 * count for count in one]
