from __future__ import annotations

import re

import numpy as np
import pytest
import soundfile

from genkit import DataError
from genkit_audio.data import files
from genkit_audio.data.files import BytesSource, FileSource, read_header, read_wave
from genkit_audio.data.resampling import read_at_rate, read_window, resampled_size, to_int16

RATE = 16_000


def _source(path):
    return FileSource(str(path.parent), path.name)


@pytest.mark.parametrize("suffix", ["wav", "flac", "ogg", "mp3", "aiff"])
@pytest.mark.parametrize(("start", "stop"), [(0, 500), (37_000, 41_000), (79_000, 80_000)])
def test_a_window_is_what_the_whole_file_has_there(save, suffix, start, stop, noise):
    path = save(f"a.{suffix}", noise(80_000), RATE)
    whole, _ = soundfile.read(path, dtype="float32")
    assert np.abs(read_wave(_source(path), start, stop) - whole[start:stop]).max() < 1e-6
    assert len(read_wave(_source(path), start, stop)) == stop - start


def test_only_the_wanted_frames_are_decoded(save, monkeypatch, noise):
    path = save("long.flac", noise(400_000), RATE)
    asked = []
    read = soundfile.SoundFile.read
    monkeypatch.setattr(
        soundfile.SoundFile, "read", lambda self, frames, **rest: asked.append(frames) or read(self, frames, **rest)
    )
    header = read_header(_source(path))
    read_window(_source(path), header, 8_000, (100_000, 104_000))
    assert sum(asked) < 8_000 + 3 * 2048 + 8_000


def test_channels_become_one_as_asked(save):
    path = save("stereo.wav", np.stack([np.full(100, 0.5), np.full(100, -0.25)], 1).astype(np.float32), RATE)
    levels = {how: read_wave(_source(path), channels=how).mean() for how in ("mix", "left", "right")}
    assert levels == pytest.approx({"mix": 0.125, "left": 0.5, "right": -0.25}, abs=1e-4)


@pytest.mark.parametrize("rate", [22_050, 8_000, 48_000, 12_345])
@pytest.mark.parametrize("window", [(0, 1_000), (7_000, 9_001), (30_000, 31_000)])
def test_a_resampled_window_is_a_part_of_the_whole_resampled(save, rate, window, noise):
    path = save("a.wav", noise(100_000), 44_100)
    source = _source(path)
    header = read_header(source)
    whole = read_at_rate(source, header, rate)
    assert abs(len(whole) - resampled_size(header.frames, header.rate, rate)) <= 1
    first, last = (min(place, len(whole) - (2_000 - 1_000 * i)) for i, place in enumerate(window))
    part = read_window(source, header, rate, (first, last))
    assert len(part) == last - first
    assert np.abs(part - whole[first:last]).max() < 2e-5


def test_a_window_of_a_part_counts_from_its_start(save, noise):
    path = save("a.wav", noise(100_000), 44_100)
    header = read_header(_source(path))
    part = read_at_rate(_source(path), header, 16_000, start=441 * 20, stop=80_000)
    window = read_window(_source(path), header, 16_000, (5_000, 6_000), start=441 * 20, stop=80_000)
    assert np.abs(window - part[5_000:6_000]).max() < 2e-5


def test_sixteen_bit_samples_survive_as_they_are(save):
    stored = np.array([-32768, -1, 0, 1, 12345, 32767], np.int16)
    path = save("a.wav", stored, RATE, subtype="PCM_16")
    assert np.array_equal(to_int16(read_wave(_source(path))), stored)


def test_a_block_at_a_time_gives_the_same(save, monkeypatch, noise):
    path = save("a.flac", noise(50_000), 44_100)
    header = read_header(_source(path))
    at_once = read_at_rate(_source(path), header, 16_000)
    monkeypatch.setattr(files, "BLOCK", 1_000)
    assert np.abs(read_at_rate(_source(path), header, 16_000) - at_once).max() < 1e-5


@pytest.mark.parametrize("content", [b"", b"this is no sound", b"RIFF\x10\0\0\0WAVE"])
def test_what_is_no_sound_is_named(tmp_path, content):
    (tmp_path / "a.wav").write_bytes(content)
    with pytest.raises(DataError, match=re.escape(str(tmp_path / "a.wav"))):
        read_header(_source(tmp_path / "a.wav"))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(DataError, match=r"nowhere\.wav.*no such file"):
        read_header(_source(tmp_path / "nowhere.wav"))


def test_a_file_without_samples_is_named(save):
    path = save("none.wav", np.zeros(0, np.float32), RATE)
    with pytest.raises(DataError, match=r"none\.wav: holds no samples"):
        read_header(_source(path))


def test_samples_that_are_no_numbers_are_counted(save, noise):
    wave = noise(1000)
    wave[10:13] = np.nan
    wave[20] = np.inf
    path = save("odd.wav", wave, RATE, subtype="FLOAT")
    with pytest.raises(DataError, match=r"odd\.wav: 4 of its samples"):
        read_wave(_source(path))


@pytest.mark.parametrize("suffix", ["wav", "aiff", "flac", "mp3"])
def test_a_file_that_was_cut_off_is_named(save, suffix, noise):
    path = save(f"cut.{suffix}", noise(200_000), RATE)
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])

    def read():
        read_header(_source(path))
        read_wave(_source(path))

    with pytest.raises(DataError, match=rf"cut\.{suffix}: (ends|is damaged)"):
        read()


def test_a_header_written_before_its_size_was_known_is_no_fault(save, noise):
    path = save("streamed.wav", noise(1000), RATE)
    content = bytearray(path.read_bytes())
    at = content.index(b"data") + 4
    content[4:8] = content[at : at + 4] = b"\xff" * 4
    path.write_bytes(content)
    assert read_header(_source(path)).frames == 1000
    assert len(read_wave(_source(path))) == 1000


def test_content_in_memory_reads_as_its_file_does(save, noise):
    path = save("a.flac", noise(1000), RATE)
    held = BytesSource("row 3", "a.flac", path.read_bytes())
    assert np.array_equal(read_wave(held, 100, 200), read_wave(_source(path), 100, 200))
    with pytest.raises(DataError, match="row 4"):
        read_header(BytesSource("row 4", "x", b"nothing"))
