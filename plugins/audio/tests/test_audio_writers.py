from __future__ import annotations

import numpy as np
import pytest
import soundfile
import torch
from PIL import Image

from genkit import Batch, UsageError
from genkit_audio.facts import AudioFacts
from genkit_audio.melspec import PRESETS
from genkit_audio.pictures import GAP, MEL_HEIGHT, TITLE_HEIGHT, WAVE_HEIGHT, WIDTH
from genkit_audio.writers import PAUSE, AudioWriter, build_writer

FACTS = {"modality": "audio", "rate": 22_050, "length": 4_096, "labels": ["hi hat/open", "kick"], "mel": None}


def test_single_files_hold_the_samples_at_the_rate(tmp_path):
    sample = torch.linspace(-1.2, 1.2, 2 * 4_096).view(2, 4_096)
    paths = build_writer(FACTS).write(Batch(sample), tmp_path / "out", stem="drum")
    assert [path.name for path in paths] == ["drum-00000.wav", "drum-00001.wav"]
    stored, rate = soundfile.read(paths[1], dtype="int16")
    assert rate == 22_050
    assert np.array_equal(stored, (sample[1] * 32_768).round().clamp(-32_768, 32_767).numpy())
    assert soundfile.info(paths[1]).subtype == "PCM_16"


def test_names_say_the_label(tmp_path):
    batch = Batch(torch.zeros(2, 100), torch.tensor([1, 0]))
    paths = build_writer(FACTS).write(batch, tmp_path)
    assert [path.name for path in paths] == ["sample-00000-kick.wav", "sample-00001-hi_hat_open.wav"]


def test_flac_holds_the_same(tmp_path):
    sample = torch.sin(torch.arange(8_000) / 10)[None] * 0.5
    facts = AudioFacts.of(FACTS)
    flac, wav = (AudioWriter(facts, kind).write(Batch(sample), tmp_path)[0] for kind in ("flac", "wav"))
    assert flac.suffix == ".flac"
    assert np.array_equal(soundfile.read(flac)[0], soundfile.read(wav)[0])


def test_a_preview_is_one_sound_with_pauses_and_one_picture(tmp_path):
    batch = Batch(torch.full((5, 4_096), 0.5), torch.tensor([0, 0, 1, 1, 1]))
    path = build_writer(FACTS).preview(batch, tmp_path / "samples" / "step-10", columns=2)
    assert path == tmp_path / "samples" / "step-10.wav"
    stored, rate = soundfile.read(path)
    pause = round(PAUSE * rate)
    assert len(stored) == 5 * (4_096 + pause)
    parts = stored.reshape(5, -1)
    assert (parts[:, :4_096] == 0.5).all()
    assert not parts[:, 4_096:].any()
    with Image.open(tmp_path / "samples" / "step-10.png") as image:
        cell = TITLE_HEIGHT + WAVE_HEIGHT + MEL_HEIGHT
        assert image.size == (2 * (WIDTH + GAP) + GAP, 3 * (cell + GAP) + GAP)


@pytest.mark.parametrize("length", [10, 1_000, 50_000])
def test_previews_of_any_length_have_a_picture(tmp_path, length):
    facts = {**FACTS, "labels": None, "mel": PRESETS["hifigan-22k"].to_facts(), "mels": None}
    sample = torch.randn(3, length, generator=torch.Generator().manual_seed(0)).mul(0.1).clamp(-1, 1)
    condition = torch.zeros(3, 80, 4)
    path = build_writer(facts).preview(Batch(sample, condition), tmp_path / "p", columns=9)
    with Image.open(path.with_suffix(".png")) as image:
        mel = np.asarray(image)[GAP + WAVE_HEIGHT : GAP + WAVE_HEIGHT + MEL_HEIGHT, GAP : GAP + WIDTH]
    assert mel.std() > 5


def test_a_high_tone_is_drawn_above_a_low_one(tmp_path):
    time = torch.arange(8_192) / 22_050
    sample = torch.stack([torch.sin(2 * torch.pi * hz * time) for hz in (200, 6_000)]) * 0.5
    build_writer({**FACTS, "labels": None}).preview(Batch(sample), tmp_path / "p", columns=2)
    with Image.open(tmp_path / "p.png") as image:
        brightness = np.asarray(image).astype(int).sum(2)[GAP + WAVE_HEIGHT : GAP + WAVE_HEIGHT + MEL_HEIGHT]
    rows = [brightness[:, GAP + i * (WIDTH + GAP) :][:, :WIDTH].mean(1).argmax() for i in range(2)]
    assert rows[1] < MEL_HEIGHT / 3 < rows[0]


@pytest.mark.parametrize("shape", [(2, 1, 100), (2, 0), (100,)])
def test_what_is_no_sound_is_refused(tmp_path, shape):
    with pytest.raises(UsageError, match="can not be written as sounds"):
        build_writer(FACTS).write(Batch(torch.zeros(shape)), tmp_path)


def test_samples_that_are_no_numbers_are_refused(tmp_path):
    with pytest.raises(UsageError, match="3 of 200 samples are not finite"):
        build_writer(FACTS).write(
            Batch(torch.tensor([0.0] * 97 + [float("nan")] * 3 + [0.0] * 100).view(2, 100)), tmp_path
        )
