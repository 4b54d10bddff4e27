from __future__ import annotations

import json

import numpy as np
import pytest
from PIL import Image

from genkit import DataError
from genkit_audio.data.config import DrumsConfig, FolderConfig
from genkit_audio.data.inspection import inspect
from genkit_audio.pictures import INK, LOUD, WIDTH, wave_picture

RATE = 16_000


@pytest.fixture
def odd(save, tone, tmp_path):
    """One recording of every fault."""
    twice = (tone(1.0) * 32_767).astype(np.int16)
    save("odd/a/fine.wav", twice, RATE)
    save("odd/a/again.flac", twice, RATE)
    save("odd/a/clipped.wav", (4 * tone(0.5)).clip(-1, 1), RATE)
    save("odd/b/offset.wav", tone(0.5, level=0.2) + np.float32(0.25), RATE)
    save("odd/b/silent.wav", np.concatenate([tone(0.256), np.zeros(16_384, np.float32)]), RATE)
    save("odd/b/stereo.ogg", np.stack([tone(0.5, 44_100)] * 2, 1), 44_100)
    save("odd/b/slow.wav", tone(0.5, 8_000), 8_000)
    (tmp_path / "odd" / "b" / "text.mp3").write_text("no sound")
    return tmp_path / "odd"


def _inspect(path, out, **options):
    return inspect(FolderConfig(path=str(path), **{"rate": RATE, "length": 10_000, **options}), out)


def test_each_fault_is_found(odd, tmp_path):
    found = _inspect(odd, tmp_path / "out" / "sheet.png")
    json.dumps(found)
    assert (found["clips"], len(found["broken"])) == (7, 1)
    assert "text.mp3" in found["broken"][0]["what"]
    assert found["rates"] == {"16000": 5, "44100": 1, "8000": 1}
    assert found["channels"] == {"1": 6, "2": 1}
    assert found["labels"]["a"] == {"clips": 3, "seconds": 2.5}
    assert found["seconds"] == pytest.approx(2.5 + 0.5 + 1.28 + 0.5 + 0.5)
    assert [name.rpartition("/")[2] for name in found["clipped"]["worst"]] == ["clipped.wav"]
    assert next(iter(found["clipped"]["worst"].values())) == pytest.approx(1 - 2 / np.pi * np.arcsin(0.5), abs=0.01)
    assert list(found["dc_offset"]["worst"].values()) == [pytest.approx(0.25, abs=0.001)]
    assert list(found["silence"]["worst"].values()) == [pytest.approx(0.8, abs=0.01)]
    assert [[name.rpartition("/")[2] for name in names] for names in found["duplicates"]] == [
        ["again.flac", "fine.wav"]
    ]
    assert found["durations"]["least"] == 0.5
    assert found["peak_db"]["most"] == pytest.approx(0.0, abs=0.01)


def test_advice_names_the_settings(odd, tmp_path):
    advice = "\n".join(_inspect(odd, tmp_path / "out" / "sheet.png")["advice"])
    for setting in (
        "data.skip_broken=true",
        "data.rate=8000",
        "data.channels=mix",
        "data.trim_db",
        "data.short=silence",
    ):
        assert setting in advice


def test_good_data_needs_no_advice(save, noise, tmp_path):
    for index in range(3):
        save(f"good/{index}.wav", noise(16_000, index), RATE)
    found = _inspect(tmp_path / "good", tmp_path / "out" / "sheet.png")
    assert found["advice"] == []
    assert (found["duplicates"], found["broken"]) == ([], [])


def test_the_picture_shows_waveforms_and_mels(tmp_path):
    found = inspect(DrumsConfig(limit=8), tmp_path / "out" / "sheet.png")
    with Image.open(found["picture"]) as image:
        assert image.size[0] > 4 * WIDTH
        pixels = np.asarray(image).reshape(-1, 3)
    assert (pixels == INK).all(1).mean() > 0.01
    assert len(np.unique(pixels, axis=0)) > 100


def test_parts_of_a_recording_are_surveyed_one_by_one(save, tone, tmp_path):
    save("a.wav", np.concatenate([tone(0.5), np.zeros(8_000, np.float32)]), RATE)
    (tmp_path / "list.csv").write_text("path,start,stop,text\na.wav,0,0.5,one two\na.wav,0.5,1,\n")
    found = _inspect(tmp_path / "list.csv", tmp_path / "out" / "sheet.png")
    assert (found["clips"], found["recordings"], found["words"]) == (2, 1, 2)
    assert list(found["silence"]["worst"]) == [f"{tmp_path / 'a.wav'} (0.5 to 1 s)"]


def test_nothing_but_broken_files_is_a_report_and_nothing_at_all_an_error(tmp_path):
    with pytest.raises(DataError, match=str(tmp_path)):
        _inspect(tmp_path, tmp_path / "out" / "sheet.png")
    (tmp_path / "a.wav").write_text("no sound")
    found = _inspect(tmp_path, tmp_path / "out" / "sheet.png")
    assert len(found["broken"]) == 1
    assert "picture" not in found


def test_a_waveform_is_drawn_from_its_lowest_to_its_highest_sample():
    pixels = wave_picture(np.tile(np.array([-0.5, 0.5], np.float32), 500), width=10, height=101)
    drawn = (pixels == INK).all(2)
    assert drawn[25:76].all()
    assert not drawn[:25].any()
    assert not drawn[76:].any()
    loud = wave_picture(np.array([0.0, 0.0, 1.5, np.nan], np.float32), width=4, height=11)
    assert [(loud[:, column] == LOUD).all(1).any() for column in range(4)] == [False, False, True, True]
