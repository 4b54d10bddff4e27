from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from genkit import Labels, Random, UsageError
from genkit_audio.conditions import Mels, conditions, pack_mels, read_mel, unpack_mels, write_mel
from genkit_audio.mel import MelSpectrogram
from genkit_audio.melspec import PRESETS

SPEC = PRESETS["small-16k"]
FACTS = {"modality": "audio", "rate": 16_000, "length": 4_096, "labels": None, "mel": SPEC.to_facts()}


@pytest.fixture
def known():
    return torch.randn(3, 80, 16, generator=torch.Generator().manual_seed(0)) - 5


@pytest.fixture
def mels(known):
    return conditions({**FACTS, "mels": json.loads(json.dumps(pack_mels(known)))})


def test_labels_are_the_condition_of_labelled_sounds():
    facts = {**FACTS, "mel": None, "labels": ["kick", "snare"], "label_counts": [3, 1]}
    found = conditions(facts)
    assert isinstance(found, Labels)
    assert found.parse({"label": "snare"}, 2).tolist() == [1, 1]
    assert conditions({**FACTS, "mel": None}) is None


def test_without_a_file_mels_of_the_data_are_drawn(mels, known):
    assert isinstance(mels, Mels)
    assert mels.paired
    drawn = mels.draw(20, rng=Random(0))
    assert drawn.shape == (20, 80, 16)
    distances = (drawn[:, None] - known).abs().amax((2, 3))
    assert distances.min(1).values.max() < 0.01
    assert len(set(distances.argmin(1).tolist())) == 3
    assert mels.grid(3)[0].shape == (3, 80, 16)


def test_packing_keeps_mels_to_half_precision(known):
    assert (unpack_mels(pack_mels(known)) - known).abs().max() < 0.005


def test_a_recording_of_any_kind_gives_its_mel(mels, save, tone):
    path = save("a.ogg", np.stack([tone(0.5, 44_100, 1_000)] * 2, 1), 44_100)
    mel = mels.parse({"audio": str(path)}, 2)
    assert mel.shape == (2, 80, 32)  # 8,000 samples, filled up to whole frames
    wave = torch.from_numpy(tone(0.512, 16_000, 1_000))
    wanted = MelSpectrogram(SPEC)(wave[None])[0]
    around = (wanted[:, 10] - wanted[:, 10].max() > -4).nonzero()[:, 0]  # the tone and its skirts
    assert 3 <= len(around) <= 8
    inside = slice(2, 28)  # the codec fades the ends
    assert (mel[0] - wanted)[around, inside].abs().max() < 0.2
    assert (mel[0, :, inside].argmax(0) == wanted[:, inside].argmax(0)).all()
    quiet = [band for band in range(80) if band < around[0] or band > around[-1]]
    assert mel[0][quiet, inside].max() < wanted[:, 10].max() - 4


def test_a_recording_of_a_lower_rate_is_taken_and_said(mels, save, tone, capsys):
    path = save("slow.wav", tone(0.5, 8_000), 8_000)
    assert mels.parse({"audio": str(path)}, 1).shape == (1, 80, 32)
    assert "nothing above 4000 Hz" in capsys.readouterr().err


def test_a_mel_file_is_read_as_it_is(mels, known, tmp_path):
    np.save(tmp_path / "a.npy", known[0].numpy())
    assert torch.equal(mels.parse({"mel": str(tmp_path / "a.npy")}, 1)[0], known[0])
    write_mel(known[1], SPEC, tmp_path / "b.npz")
    both = mels.parse({"mel": [str(tmp_path / "a.npy"), str(tmp_path / "b.npz")]}, 3)
    assert torch.equal(both, known[[0, 1, 0]])
    assert np.array_equal(mels.describe(both), both.numpy())


def test_a_mel_of_another_specification_is_refused_with_both_values(mels, known, tmp_path):
    write_mel(known[0], PRESETS["hifigan-22k"], tmp_path / "a.npz")
    with pytest.raises(UsageError, match=r"a\.npz.*rate: 22050 here, 16000 there"):
        mels.parse({"mel": str(tmp_path / "a.npz")}, 1)
    np.save(tmp_path / "b.npy", np.zeros((100, 7), np.float32))
    with pytest.raises(UsageError, match=r"b\.npy.*\[100, 7\].*80 bands"):
        mels.parse({"mel": str(tmp_path / "b.npy")}, 1)
    np.save(tmp_path / "c.npy", known[0].numpy().T)
    with pytest.raises(UsageError, match="transpose"):
        mels.parse({"mel": str(tmp_path / "c.npy")}, 1)
    np.save(tmp_path / "d.npy", np.full((80, 7), -80.0))
    with pytest.raises(UsageError, match=r"d\.npy.*-80\.000.*-11\.513"):
        mels.parse({"mel": str(tmp_path / "d.npy")}, 1)
    np.save(tmp_path / "e.npy", np.full((80, 7), np.nan))
    with pytest.raises(UsageError, match=r"e\.npy: 560 of its 560"):
        mels.parse({"mel": str(tmp_path / "e.npy")}, 1)


def test_a_mel_without_its_logarithm_is_refused(mels, tmp_path):
    np.save(tmp_path / "a.npy", np.full((80, 7), 40.0))
    with pytest.raises(UsageError, match=r"a\.npy.*40\.000.*no logarithm"):
        mels.parse({"mel": str(tmp_path / "a.npy")}, 1)


@pytest.mark.parametrize("changes", [{}, {"log": "log10"}, {"log": "none"}, {"power": 2}, {"norm": None}])
def test_the_loudest_wave_has_a_mel_that_is_taken(tmp_path, changes):
    spec = replace(SPEC, **changes)
    time = torch.arange(8_192) / spec.rate
    waves = [torch.ones(8_192), *(torch.sin(2 * torch.pi * hz * time).sign() for hz in (110.0, 125.0, 1_000.0))]
    for wave in waves:
        np.save(tmp_path / "a.npy", MelSpectrogram(spec)(1.2 * wave[None])[0].numpy())
        assert read_mel(tmp_path / "a.npy", spec).shape == (80, 32)


def test_a_specification_that_is_none_is_named_with_its_file(mels, known, tmp_path):
    for spec in ({**SPEC.to_facts(), "hop": "256"}, [1]):
        np.savez(tmp_path / "a.npz", mel=known[0].numpy(), spec=json.dumps(spec))
        with pytest.raises(UsageError, match=r"a\.npz: its mel specification can not be read.*(256|\[1\])"):
            mels.parse({"mel": str(tmp_path / "a.npz")}, 1)


@pytest.mark.parametrize("kind", ["mel", "audio"])
def test_a_file_that_is_none_is_named(mels, tmp_path, kind):
    (tmp_path / "a.wav").write_text("nothing")
    for name in ("a.wav", "missing.npy"):
        with pytest.raises(UsageError, match=name):
            mels.parse({kind: str(tmp_path / name)}, 1)


def test_pickled_arrays_are_not_loaded(mels, tmp_path):
    np.save(tmp_path / "a.npy", np.array([{}], dtype=object), allow_pickle=True)
    with pytest.raises(UsageError, match=r"a\.npy"):
        mels.parse({"mel": str(tmp_path / "a.npy")}, 1)


def test_files_of_several_lengths_are_asked_for_one_at_a_time(mels, known, tmp_path):
    np.save(tmp_path / "a.npy", known[0].numpy())
    np.save(tmp_path / "b.npy", known[0, :, :9].numpy())
    with pytest.raises(UsageError, match=r"a\.npy has 16 frames and .*b\.npy 9"):
        mels.parse({"mel": [str(tmp_path / "a.npy"), str(tmp_path / "b.npy")]}, 2)


@pytest.mark.parametrize("given", [{}, {"label": "kick"}, {"mel": "a", "audio": "b"}, {"mel": 3}, {"audio": []}])
def test_what_is_no_condition_is_refused(mels, given):
    with pytest.raises(UsageError, match="condition"):
        mels.parse(given, 1)
