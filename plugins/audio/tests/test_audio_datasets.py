from __future__ import annotations

import json
import subprocess
import sys
from importlib.resources import files

import pytest
import torch

from genkit import ConfigError, DataError, Random
from genkit_audio.conditions import unpack_mels
from genkit_audio.data.config import DrumsConfig, FolderConfig, PromptsConfig
from genkit_audio.data.embedded import find_prompts, open_drums, open_prompts
from genkit_audio.data.folder import open_folder
from genkit_audio.data.sounds import Preparation
from genkit_audio.facts import AudioFacts
from genkit_audio.mel import MelSpectrogram
from genkit_audio.melspec import PRESETS

ASSETS = files("genkit_audio") / "assets"


# --- what comes with the package -------------------------------------------------------------------------------------


def test_drums_are_one_shots_of_six_classes():
    data = open_drums(DrumsConfig(held_out=0.0))
    assert len(data) == 97
    assert dict(zip(data.facts["labels"], data.facts["label_counts"], strict=True)) == {
        "cymbal": 8, "kick": 18, "perc": 27, "snare": 11, "tabla": 26, "tom": 7,
    }  # fmt: skip
    assert data.weights is None
    assert data.facts["rate"] == 22_050
    sample = data.prepare(data.resident(), rng=Random(0)).sample
    power = sample.view(97, 4, -1).square().mean(2)
    assert (power[:, 0] > power[:, 3]).float().mean() > 0.95  # each begins at once and dies away
    assert sample.abs().amax(1).min() > 0.25


def test_drums_have_no_labels_where_none_are_asked_for():
    assert open_drums(DrumsConfig(labels=False)).facts["labels"] is None


def test_drums_are_held_out_by_class():
    held = open_drums(DrumsConfig(held_out=0.2)).held_out()
    counts = torch.bincount(held.labels, minlength=6)
    assert counts.min() >= 1
    assert 17 <= counts.sum() <= 22


def test_prompts_are_speech_of_16_khz_with_their_words():
    data = open_prompts(PromptsConfig())
    assert data.facts["rate"] == 16_000
    assert data.seconds + data.held_out().seconds == pytest.approx(150.9, abs=0.1)
    assert 0.1 < data.held_out().seconds / 150.9 < 0.2
    words = [clip.text for clip in find_prompts(PromptsConfig()).clips]
    assert len(words) == 59
    assert min(map(len, words)) > 2


def test_embedded_files_are_small_and_have_their_licences():
    sizes = {
        name: sum(file.stat().st_size for file in (ASSETS / name).rglob("*") if file.is_file())
        for name in ("drums", "prompts")
    }
    assert sizes["prompts"] <= 3_000_000
    assert sizes["drums"] <= 1_600_000
    licences = {name: (ASSETS / f"{name}.LICENCE.txt").read_text(encoding="utf-8") for name in sizes}
    assert "CC0" in licences["drums"]
    assert "CC BY-SA 3.0" in licences["prompts"]
    assert all(f"{file.parent.name}/{file.name}:" in licences["drums"] for file in (ASSETS / "drums").rglob("*.flac"))


# --- mels as conditions ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def speech():
    return open_prompts(PromptsConfig(mel="small-16k", length=4_096, limit=12))


def test_the_condition_is_the_mel_of_the_very_crop(speech):
    stored = speech.collate([speech.read(i) for i in range(3)])
    batch = speech.prepare(stored, rng=Random(3))
    assert AudioFacts.of(speech.facts).mel == PRESETS["small-16k"]
    assert batch.condition.shape == (3, 80, 16)
    assert torch.equal(batch.condition, MelSpectrogram(PRESETS["small-16k"])(batch.sample))


def test_facts_keep_some_mels_of_what_is_held_out_as_json(speech):
    facts = json.loads(json.dumps(speech.facts))
    assert facts["mels"]["shape"] == [min(16, len(speech.held_out())), 80, 16]
    held = speech.held_out().prepare(speech.held_out().resident(), rng=Random(0)).condition
    assert (unpack_mels(facts["mels"])[0] - held[0]).abs().max() < 0.01
    assert len(json.dumps(facts)) < 100_000


def test_preparation_runs_on_the_meta_device(speech):
    stored = {name: leaf.to("meta") for name, leaf in speech.collate([speech.read(0)] * 4).items()}
    batch = speech.prepare(stored, rng=Random(0, "meta"))
    assert (batch.sample.device.type, batch.condition.device.type) == ("meta", "meta")
    assert batch.condition.shape == (4, 80, 16)
    louder = Preparation(speech.facts, (-6.0, -1.0))(stored, rng=Random(0, "meta"))
    assert louder.sample.shape == (4, 4_096)


def test_preparation_runs_in_float64(speech):
    torch.set_default_dtype(torch.float64)
    try:
        batch = speech.prepare(speech.collate([speech.read(0)] * 2), rng=Random(0))
    finally:
        torch.set_default_dtype(torch.float32)
    assert (batch.sample.dtype, batch.condition.dtype) == (torch.float64, torch.float64)


def test_a_mel_may_be_a_preset_with_changes():
    config = PromptsConfig(mel={"preset": "small-16k", "hop": 128, "bands": 40}, length=4_096, limit=4)
    mel = AudioFacts.of(open_prompts(config).facts).mel
    assert (mel.hop, mel.bands, mel.fft) == (128, 40, 1024)


@pytest.mark.parametrize(
    ("options", "what"),
    [
        ({"mel": "small-16k", "length": 4_000}, r"4000 samples does not hold whole frames of 256"),
        ({"mel": "nothing"}, "'nothing'.*"),
        ({"mel": {"hop": 256}}, "no mel specification"),
        ({"mel": "small-16k", "rate": 8_000}, r"8000 Hz.*16000 Hz"),
    ],
)
def test_a_mel_that_does_not_fit_is_refused(options, what):
    with pytest.raises(ConfigError, match=what):
        open_prompts(PromptsConfig(**options))


def test_a_mel_of_a_higher_rate_than_the_data_is_refused():
    with pytest.raises(DataError, match=r"\.flac: has a rate of 16000 Hz, and 24000 Hz are wanted"):
        open_prompts(PromptsConfig(mel="vocos-24k"))


def test_labels_give_way_to_a_mel(save, tone, tmp_path):
    for label in "ab":
        save(f"{label}/0.wav", tone(0.5, 22_050), 22_050)
    data = open_folder(FolderConfig(path=str(tmp_path), mel="hifigan-22k", length=2_048, held_out=0.0))
    assert data.facts["labels"] is None
    assert data.prepare(data.resident(), rng=Random(0)).condition.shape[1:] == (80, 8)


def test_facts_of_another_modality_are_refused():
    with pytest.raises(ConfigError, match="'text'"):
        AudioFacts.of({"modality": "text"})


@pytest.mark.parametrize("module", ["genkit_audio.data.config", "genkit_audio.facts"])
def test_configs_and_facts_need_no_torch(module):
    code = f"import sys, {module}; sys.exit(any(name in sys.modules for name in ('torch', 'soundfile', 'soxr')))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
