"""One recording at several speeds is one recording: in memory, in counts, at its level and where copies are sought."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from genkit import ConfigError, Random
from genkit_audio.data import corpus
from genkit_audio.data.config import DrumsConfig, FolderConfig
from genkit_audio.data.embedded import open_drums
from genkit_audio.data.folder import open_folder

RATE, LENGTH = 16_000, 1_024
FIVE = (0.9, 0.95, 1.0, 1.05, 1.1)
BENCHMARKS = Path(__file__).parents[3] / "tests" / "benchmarks"


def _open(path, **options):
    return open_folder(FolderConfig(path=str(path), **{"rate": RATE, "length": LENGTH, "held_out": 0.0, **options}))


def test_memory_is_counted_at_every_speed_and_for_what_is_held_out(save, noise, tmp_path, monkeypatch):
    for index in range(4):
        save(f"{index}.wav", noise(8 * LENGTH, index), RATE)
    options = {"held_out": 0.25, "held_out_length": 4 * LENGTH, "speeds": FIVE}
    whole = _open(tmp_path, **options)
    taken = 2 * (whole.resident()["wave"].numel() + whole.held_out().resident()["wave"].numel())
    monkeypatch.setattr(corpus, "MEMORY_BYTES", taken)
    assert _open(tmp_path, **options).resident() is not None
    monkeypatch.setattr(corpus, "MEMORY_BYTES", taken - 1)
    assert _open(tmp_path, **options).resident() is None
    with pytest.raises(ConfigError, match=r"GiB of windows.*") as caught:
        _open(tmp_path, **options, loudness="peak")
    assert "data.cache=FOLDER" in str(caught.value)


def test_what_is_said_counts_each_clip_once(save, tone, tmp_path, capsys):
    save("a.wav", tone(0.05), RATE)
    save("b.wav", tone(2.0, level=3.0), RATE, subtype="FLOAT")
    save("c.wav", np.zeros(4_000, np.float32), RATE)
    broken = tone(0.5)
    broken[5] = np.nan
    save("d.wav", broken, RATE, subtype="FLOAT")
    options = {"skip_broken": True, "trim_db": -60.0}
    one, five = (_open(tmp_path, **options, speeds=speeds).summary() for speeds in ((1.0,), FIVE))
    said = [name for name in one if "clips" in name or "broken" in name]
    assert [one[name] for name in said] == [1, 1, 1, 1]
    assert {name: five[name] for name in said} == {name: one[name] for name in said}
    assert five["seconds"] == one["seconds"] == pytest.approx(2.05, abs=0.1)
    assert capsys.readouterr().err.count("1 clips louder than full scale, clipped") == 2


def test_what_resampling_overshoots_is_scaled_and_not_clipped(save, tmp_path, capsys):
    square = np.sign(np.sin(2 * np.pi * 441 * np.arange(2 * RATE) / RATE + 0.1)).astype(np.float32)
    save("a.wav", square, RATE, subtype="FLOAT")
    plain, faster = (_open(tmp_path, speeds=(speed,), crop="start", length=RATE) for speed in (1.0, 1.06))
    assert plain.read(0)["wave"].abs().max() >= 32_767
    waves = faster.read(0)["wave"]
    assert int((waves >= 32_767).sum() + (waves <= -32_768).sum()) <= 2
    assert waves.abs().max() > 32_000
    assert capsys.readouterr().err == ""
    assert "clips louder than full scale, clipped" not in faster.summary()


def test_windows_know_their_recordings(save, noise, tmp_path):
    for index in range(3):
        save(f"{index}.wav", noise(2 * LENGTH, index), RATE)
    (tmp_path / "list.csv").write_text("path,start,stop\n0.wav,0,0.064\n1.wav,,\n0.wav,0.064,0.128\n2.wav,,\n")
    data = _open(tmp_path / "list.csv", crop="start", speeds=(0.95, 1.0))
    assert data.recordings.tolist() == [0, 0, 1, 1, 0, 0, 2, 2]


def test_still_examples_have_neither_a_gain_nor_a_chance_beginning(save, noise, tmp_path):
    for index in range(4):
        save(f"{index}.wav", noise(4 * LENGTH, index), RATE)
    data = _open(tmp_path, gain_db=(-12.0, -6.0), held_out=0.25)
    still = data.still()
    stored = still.collate([still.read(i) for i in range(len(still))])
    one, other = (still.prepare(stored, rng=Random(seed)).sample for seed in (1, 2))
    assert torch.equal(one, other)
    assert torch.equal(one, stored["wave"][:, :LENGTH].float() / 32_768)
    assert torch.equal(still.recordings, data.recordings)
    drawn = [data.prepare(data.resident(), rng=Random(seed)).sample for seed in (1, 2)]
    assert not torch.equal(*drawn)
    assert data.held_out().still() is data.held_out()


def test_the_benchmark_of_drums_finds_copies_at_any_speed(monkeypatch):
    if not BENCHMARKS.exists():
        pytest.skip("the benchmarks are in the repository, not in the package")
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])
    found = importlib.util.spec_from_file_location("drums_benchmark", BENCHMARKS / "drums.py")
    drums = importlib.util.module_from_spec(found)
    found.loader.exec_module(drums)
    clips = DrumsConfig(length=8_192, held_out=0.0)
    judge = drums.Judge(open_drums(clips), open_drums(DrumsConfig(length=8_192, held_out=0.0, speeds=(0.96, 1.0))))
    trained = [i for i in range(len(judge.clips)) if i % 5]
    assert judge.heard_of(trained).count == 2 * len(trained)
    for speed in (0.96, 1.0):
        made = open_drums(DrumsConfig(length=8_192, held_out=0.0, speeds=(speed,)))
        copies = drums.fixed(drums.RealSamples(made, split="copies").batch(0, len(made)).sample[trained])
        assert judge.nearest(judge.heard_of(trained), copies)["nearest_copies"] == 1
    others = judge.nearest(judge.heard_of(trained), judge.some([i for i in range(97) if i % 5 == 0]))
    assert others["nearest_copies"] < 0.3
