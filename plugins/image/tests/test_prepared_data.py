"""`genkit data prepare`: what it writes trains as the files did, and an interruption leaves nothing that is read."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genkit import ConfigError, DataError
from genkit_image.data import prepared
from genkit_image.data.config import FolderConfig
from genkit_image.data.folder import open_folder
from genkit_image.data.preparation import prepare


def _config(path: Path, **options) -> FolderConfig:
    return FolderConfig(path=str(path), **{"resolution": 16, **options})


@pytest.fixture
def noisy(folder) -> Path:
    """The folder, with pictures that differ."""
    for seed, path in enumerate(sorted(folder.rglob("*.png"))):
        pixels = np.random.default_rng(seed).integers(0, 256, (20, 30, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(path)
    return folder


def test_a_prepared_folder_gives_what_the_files_gave(noisy, tmp_path):
    made = prepare(_config(noisy), tmp_path / "out")
    assert made["pictures"] == 6
    assert made["shape"] == [3, 16, 16]
    assert made["left_out"] == {}
    assert made["settings"] == {
        "data.name": "image.folder", "data.path": str(tmp_path / "out"), "data.resolution": 16,
    }  # fmt: skip
    for options in ({}, {"held_out": 0.4}, {"labels": "none"}, {"sampling": "labels"}):
        files, once = open_folder(_config(noisy, **options)), open_folder(_config(tmp_path / "out", **options))
        assert once.facts == files.facts
        for one, other in ((files, once), (files.held_out(), once.held_out())):
            if one is None:
                assert other is None
                continue
            for key, value in one.resident().items():
                assert torch.equal(value, other.resident()[key]), key
            assert torch.equal(one.read(1)["image"], other.read(1)["image"])


def test_it_is_read_where_it_lies_in_every_process(noisy, tmp_path, monkeypatch):
    prepare(_config(noisy), tmp_path / "out")
    monkeypatch.setattr(prepared, "MEMORY_BYTES", 0)
    data = open_folder(_config(tmp_path / "out", held_out=0.4))
    assert data.resident() is None, "a part of a large array is not copied"
    assert open_folder(_config(tmp_path / "out")).resident() is not None, "the whole is mapped"
    copy = pickle.loads(pickle.dumps(data))
    assert torch.equal(copy.read(0)["image"], data.read(0)["image"])
    assert len(pickle.dumps(data)) < 5000


def test_broken_files_are_left_out_and_named(noisy, tmp_path):
    (noisy / "cats" / "1.png").write_bytes(b"broken")
    (noisy / "notes.txt").write_text("no picture")
    made = prepare(_config(noisy), tmp_path / "out")
    assert made["pictures"] == 5
    assert list(made["left_out"]) == [str(noisy / "cats" / "1.png")]
    assert made["other_files"] == {".txt": 1}
    data = open_folder(_config(tmp_path / "out"))
    assert data.facts["label_counts"] == [2, 3]
    assert np.load(tmp_path / "out" / "pictures.npy").shape == (5, 3, 16, 16)


def test_an_interruption_leaves_nothing(noisy, tmp_path, monkeypatch):
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "new" / "out"
    monkeypatch.setattr(prepared, "_write_index", interrupted)
    with pytest.raises(KeyboardInterrupt):
        prepare(_config(noisy), out)
    assert list(out.parent.iterdir()) == []


def test_what_a_killed_process_leaves_is_not_read(noisy, tmp_path, monkeypatch):
    monkeypatch.setattr(prepared.shutil, "rmtree", lambda *_, **__: None)
    monkeypatch.setattr(prepared.os, "rename", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        prepare(_config(noisy), tmp_path / "out")
    (left,) = tmp_path.glob(".out.*.partial")
    assert (left / "genkit-pictures.json").exists()
    assert not (tmp_path / "out").exists()
    with pytest.raises(DataError, match="no such folder"):
        open_folder(_config(tmp_path / "out"))


def test_a_config_that_wants_it_otherwise_is_refused(noisy, tmp_path):
    prepare(_config(noisy, fit="pad"), tmp_path / "out")
    with pytest.raises(ConfigError, match="resolution is 16, fit is pad") as caught:
        open_folder(_config(tmp_path / "out", resolution=32))
    assert '--set data.resolution=16 --set data.fit="pad"' in str(caught.value)
    with pytest.raises(ConfigError, match="channels is rgb"):
        open_folder(_config(tmp_path / "out", fit="pad", channels="grey"))


def test_a_damaged_one_is_named(noisy, tmp_path):
    prepare(_config(noisy), tmp_path / "out")
    index = tmp_path / "out" / "genkit-pictures.json"
    content = json.loads(index.read_text())
    index.write_text(json.dumps({**content, "names": content["names"][:-1]}))
    with pytest.raises(DataError, match=r"out: pictures.npy is of shape \[6, 3, 16, 16\]"):
        open_folder(_config(tmp_path / "out"))
    for key in ("labels", "held_out", "fit"):
        index.write_text(json.dumps({name: value for name, value in content.items() if name != key}))
        with pytest.raises(DataError, match=rf"is damaged \(genkit-pictures\.json lacks {key}\)"):
            open_folder(_config(tmp_path / "out"))
    index.write_text("{")
    with pytest.raises(DataError, match="is damaged"):
        open_folder(_config(tmp_path / "out"))


def test_nothing_but_broken_files_prepares_nothing(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.png").write_bytes(b"")
    with pytest.raises(DataError, match="none of its 1 files"):
        prepare(_config(tmp_path / "in"), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["in"]
