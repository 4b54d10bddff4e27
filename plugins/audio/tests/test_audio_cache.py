"""Windows that are not in memory, and the cache: what is read when, and what stands in for what broke."""

from __future__ import annotations

import pytest
import torch

from genkit import ConfigError, DataError, Random
from genkit_audio.data import corpus
from genkit_audio.data.config import FolderConfig
from genkit_audio.data.folder import open_folder

RATE, LENGTH = 16_000, 1_024


def _open(path, **options):
    return open_folder(FolderConfig(path=str(path), **{"rate": RATE, "length": LENGTH, "held_out": 0.0, **options}))


def _waves(data):
    return torch.stack([data.read(i)["wave"] for i in range(len(data))])


def test_what_is_too_large_for_the_memory_is_read_window_by_window(folder, monkeypatch, save, tone):
    save("sounds/low/far.flac", tone(1.0, 44_100, 200), 44_100)
    whole = _open(folder).resident()["wave"]
    monkeypatch.setattr(corpus, "MEMORY_BYTES", 0)
    data = _open(folder)
    assert data.resident() is None
    assert len(data) == len(whole)
    assert (_waves(data).int() - whole.int()).abs().max() <= 1
    with pytest.raises(ConfigError, match=r"data\.cache"):
        _open(folder, loudness="peak")


def test_a_file_that_breaks_later_is_named_or_stood_in_for(folder, monkeypatch, capsys):
    monkeypatch.setattr(corpus, "MEMORY_BYTES", 0)
    strict, lenient = (_open(folder, crop="start", skip_broken=skip) for skip in (False, True))
    second = strict.read(1)["wave"]
    (folder / "high" / "0.wav").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"high/0\.wav"):
        strict.read(0)
    assert torch.equal(lenient.read(0)["wave"], second)
    assert torch.equal(lenient.read(0)["wave"], second)
    assert capsys.readouterr().err.count("left out") == 1


@pytest.mark.parametrize("memory", [0, 1 << 30])
def test_the_cache_spares_decoding_and_notices_another_file(folder, tmp_path, monkeypatch, memory, save, tone):
    monkeypatch.setattr(corpus, "MEMORY_BYTES", memory)
    options = {"cache": str(tmp_path / "cache"), "loudness": "peak", "rate": 8_000}
    first = _waves(_open(folder, **options))
    kept = sorted((tmp_path / "cache").rglob("*.int16"))
    assert len(kept) == 6
    assert not list((tmp_path / "cache").rglob("*.part"))
    monkeypatch.setattr("genkit_audio.data.clips.read_with_peak", None)  # decoding again would call it
    assert torch.equal(_waves(_open(folder, **options)), first)
    monkeypatch.undo()
    save("sounds/high/0.wav", tone(0.35, RATE, 3_000), RATE)
    assert not torch.equal(_waves(_open(folder, **options))[: len(first)], first)
    assert len(list((tmp_path / "cache").rglob("*.int16"))) == 7


def test_the_cache_tells_settings_apart(folder, tmp_path):
    quiet = _waves(_open(folder, cache=str(tmp_path / "cache"), loudness="rms"))
    loud = _waves(_open(folder, cache=str(tmp_path / "cache"), loudness="peak"))
    assert loud.abs().max() > 2 * quiet.abs().max()


def test_a_cache_that_can_not_be_written_is_named(folder, tmp_path):
    (tmp_path / "taken").write_text("a file")
    with pytest.raises(DataError, match="taken"):
        _open(folder, cache=str(tmp_path / "taken"))


def test_windows_are_read_by_loader_processes(folder, monkeypatch):
    monkeypatch.setattr(corpus, "MEMORY_BYTES", 0)
    data = _open(folder, crop="start")
    loader = torch.utils.data.DataLoader(
        range(6), batch_size=3, num_workers=2, collate_fn=lambda rows: data.collate([data.read(i) for i in rows])
    )
    assert [batch["label"].tolist() for batch in loader] == [[0, 0, 0], [1, 1, 1]]


def test_what_stands_in_for_a_broken_window_has_its_own_label(folder, monkeypatch):
    monkeypatch.setattr(corpus, "MEMORY_BYTES", 0)
    data = _open(folder, crop="start", skip_broken=True)
    low = data.read(3)
    for index in range(3):
        (folder / "high" / f"{index}.wav").write_bytes(b"broken")
    stored = data.read(2)
    assert stored["label"] == low["label"] == 1
    assert torch.equal(stored["wave"], low["wave"])


def test_what_stands_in_for_a_broken_window_begins_where_its_own_examples_do(save, noise, tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "MEMORY_BYTES", 0)
    save("sounds/a.wav", noise(2 * LENGTH), RATE)
    save("sounds/b.wav", noise(LENGTH + 8, 1), RATE)
    data = _open(tmp_path / "sounds", skip_broken=True)
    assert data.starts.tolist() == [LENGTH, 1, 9]
    (tmp_path / "sounds" / "a.wav").write_bytes(b"broken")
    stored = data.collate([data.read(0)] * 32)
    assert stored["starts"].tolist() == [9] * 32
    sample = data.prepare(stored, rng=Random(0)).sample
    assert (sample == 0).double().mean() < 0.01  # none in the silence after it


def test_mels_that_are_kept_are_of_windows_that_can_be_read(save, noise, tmp_path, monkeypatch):
    monkeypatch.setattr(corpus, "MEMORY_BYTES", 0)
    save("sounds/a.wav", noise(2 * LENGTH), RATE)
    save("sounds/b.wav", noise(LENGTH + 8, 1), RATE)
    read = corpus.Part.some

    def some(part, count):
        (tmp_path / "sounds" / "a.wav").write_bytes(b"broken")
        found = read(part, count)
        assert found["starts"].tolist() == [9, 9, 9]
        return found

    monkeypatch.setattr(corpus.Part, "some", some)
    _open(tmp_path / "sounds", skip_broken=True, mel="small-16k")
