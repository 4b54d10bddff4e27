from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genkit import DataError
from genkit_image.data import loading
from genkit_image.data.config import FolderConfig
from genkit_image.data.folder import open_folder
from genkit_image.data.inspection import inspect
from genkit_image.data.preparation import prepare


def _open(path: Path, **options):
    return open_folder(FolderConfig(path=str(path), **{"resolution": 16, **options}))


def _zip(folder: Path, target: Path, below: str = "") -> Path:
    with zipfile.ZipFile(target, "w") as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, f"{below}{file.relative_to(folder).as_posix()}")
    return target


def test_folder_gives_pictures_and_labels_of_its_sub_folders(folder):
    data = _open(folder)
    assert len(data) == 6
    assert data.facts == {
        "modality": "image", "shape": [3, 16, 16], "range": [-1, 1], "labels": ["cats", "dogs"], "label_counts": [3, 3],
    }  # fmt: skip
    first, last = data.read(0), data.read(5)
    assert first["image"][:, 8, 8].tolist() == [200, 30, 30]
    assert (int(first["label"]), int(last["label"])) == (0, 1)
    resident = data.resident()
    assert resident["image"].shape == (6, 3, 16, 16)
    assert torch.equal(resident["image"][5], last["image"])
    json.dumps(data.facts)


@pytest.mark.parametrize("below", ["", "export/"])
def test_zip_reads_like_the_folder_it_was_made_of(folder, tmp_path, below):
    plain, zipped = _open(folder), _open(_zip(folder, tmp_path / "p.zip", below))
    assert zipped.facts == plain.facts
    assert torch.equal(zipped.resident()["image"], plain.resident()["image"])
    assert torch.equal(zipped.resident()["label"], plain.resident()["label"])


def test_labels_none_gives_none(folder):
    data = _open(folder, labels="none")
    assert data.facts["labels"] is None
    assert set(data.read(0)) == {"image"}


def test_a_flat_folder_has_no_labels_and_folders_may_not_be_asked_for(folder):
    assert _open(folder / "cats").facts["labels"] is None
    with pytest.raises(DataError, match="cats"):
        _open(folder / "cats", labels="folders")


def test_a_picture_beside_the_folders_leaves_all_without_labels_and_is_named(folder, capsys):
    _open(folder / "cats")
    assert capsys.readouterr().err == ""
    Image.new("RGB", (16, 16)).save(folder / "stray.png")
    assert _open(folder).facts["labels"] is None
    said = f"{folder}: 1 picture lies beside the class folders (stray.png): no labels are learnt; data.labels=none"
    assert capsys.readouterr().err.startswith(said)
    _open(folder, labels="none")
    assert capsys.readouterr().err == ""


def test_stylegan_list_gives_the_labels(folder):
    names = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*.png"))
    (folder / "dataset.json").write_text(json.dumps({"labels": [[name, i % 3] for i, name in enumerate(names)]}))
    assert _open(folder).resident()["label"].tolist() == [0, 1, 2, 0, 1, 2]
    (folder / "dataset.json").write_text(json.dumps({"labels": None}))
    assert _open(folder).facts["labels"] is None
    (folder / "dataset.json").write_text(json.dumps({"labels": [["cats/0.png", 0]]}))
    with pytest.raises(DataError, match=r"dataset\.json.*cats/1\.png"):
        _open(folder)
    (folder / "dataset.json").unlink()
    (folder / "dataset.json").mkdir()
    with pytest.raises(DataError, match=r"dataset\.json: is no list of labels"):
        _open(folder)


def test_grey_pictures_have_one_channel_until_one_has_colour(tmp_path):
    for index in range(3):
        Image.new("L", (9, 9), 50 * index).save(tmp_path / f"{index}.png")
    assert _open(tmp_path).facts["shape"] == [1, 16, 16]
    assert _open(tmp_path, channels="rgb").facts["shape"] == [3, 16, 16]
    Image.new("RGB", (9, 9), (255, 0, 0)).save(tmp_path / "red.jpg")
    assert _open(tmp_path).facts["shape"] == [3, 16, 16]
    assert _open(tmp_path, channels="grey").facts["shape"] == [1, 16, 16]


def test_a_broken_file_ends_the_run_unless_it_may_be_skipped(folder, capsys):
    (folder / "cats" / "1.png").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"cats/1\.png") as caught:
        _open(folder)
    assert "data.skip_broken=true" in str(caught.value)
    data = _open(folder, skip_broken=True)
    assert len(data) == 5
    assert data.facts["label_counts"] == [2, 3]
    assert data.resident()["label"].tolist() == [0, 0, 1, 1, 1]
    assert capsys.readouterr().err.count("1 of 6 files left out") == 1


def test_a_damaged_member_of_a_zip_is_named(folder, tmp_path):
    content = bytearray(_zip(folder, tmp_path / "p.zip").read_bytes())
    at = content.index(b"\x89PNG") + 40
    content[at : at + 8] = b"\0" * 8
    (tmp_path / "p.zip").write_bytes(content)
    with pytest.raises(DataError, match=r"p\.zip:cats/0\.png"):
        _open(tmp_path / "p.zip")


@pytest.fixture
def deflated(tmp_path) -> Path:
    """A compressed zip file of three pictures of 16 pixels."""
    with zipfile.ZipFile(tmp_path / "p.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for index in range(3):
            noise, file = np.random.default_rng(index).integers(0, 256, (16, 16, 3), dtype=np.uint8), io.BytesIO()
            Image.fromarray(noise).save(file, "BMP")
            archive.writestr(f"{index}.bmp", file.getvalue())
    return tmp_path / "p.zip"


def test_a_member_that_can_not_be_unpacked_is_a_broken_file_like_any_other(deflated, tmp_path):
    content = bytearray(deflated.read_bytes())
    with zipfile.ZipFile(deflated) as archive:
        start = archive.infolist()[1].header_offset + 30 + len("1.bmp")
    content[start : start + 40] = b"\xff" * 40
    deflated.write_bytes(content)
    with pytest.raises(DataError, match=r"p\.zip:1\.bmp: can not be taken out") as caught:
        _open(deflated)
    assert "data.skip_broken=true" in str(caught.value)
    assert len(_open(deflated, skip_broken=True)) == 2
    config = FolderConfig(path=str(deflated), resolution=16)
    assert list(inspect(config, tmp_path / "sheet.png")["broken"]) == [f"{deflated}:1.bmp"]
    assert list(prepare(config, tmp_path / "out")["left_out"]) == [f"{deflated}:1.bmp"]


def test_a_zip_file_whose_list_is_damaged_is_named(deflated):
    content = bytearray(deflated.read_bytes())
    content[content.index(b"PK\x01\x02")] = 0
    deflated.write_bytes(content)
    with pytest.raises(DataError, match=r"p\.zip: is a damaged zip file") as caught:
        _open(deflated, skip_broken=True)
    assert caught.value.where == "data.path"
    assert caught.value.fix


def test_nothing_but_broken_files_is_an_error_even_when_skipping(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    with pytest.raises(DataError, match=r"a\.png"):
        _open(tmp_path, skip_broken=True)


@pytest.mark.parametrize("content", ["empty", "text", "missing", "file"])
def test_a_path_without_pictures_is_named(tmp_path, content):
    path = tmp_path / content
    if content in {"empty", "text"}:
        path.mkdir()
    if content == "text":
        (path / "notes.txt").write_text("no picture")
        (path / ".hidden.png").write_bytes(b"")
    if content == "file":
        path.write_text("neither")
    with pytest.raises(DataError, match=str(path)):
        _open(path)


def test_held_out_pictures_are_the_same_wherever_the_folder_lies(tmp_path):
    for place in ("here", "there"):
        (tmp_path / place).mkdir()
        for index in range(20):
            Image.new("L", (16, 16), 10 * index).save(tmp_path / place / f"{index:02d}.png")
    here, there = (_open(tmp_path / place, held_out=0.25) for place in ("here", "there"))
    apart = here.held_out()
    assert (len(here), len(apart)) == (15, 5)
    assert torch.equal(apart.resident()["image"], there.held_out().resident()["image"])
    seen = {int(image[0, 0, 0]) for image in here.resident()["image"]}
    assert seen.isdisjoint(int(image[0, 0, 0]) for image in apart.resident()["image"])


def test_a_dataset_too_large_for_memory_is_read_picture_by_picture(folder, monkeypatch, capsys):
    whole = _open(folder).resident()["image"]
    monkeypatch.setattr(loading, "MEMORY_BYTES", 0)
    data = _open(folder)
    assert data.resident() is None
    assert torch.equal(torch.stack([data.read(index)["image"] for index in range(6)]), whole)
    (folder / "cats" / "1.png").write_bytes(b"broken")
    with pytest.raises(DataError, match=r"cats/1\.png"):
        data.read(1)
    skipping = _open(folder, skip_broken=True)
    assert torch.equal(skipping.read(1)["image"], whole[2])
    assert torch.equal(skipping.read(1)["image"], whole[2])
    assert capsys.readouterr().err.count("left out") == 1


def test_a_zip_is_read_by_loader_processes(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(loading, "MEMORY_BYTES", 0)
    data = _open(_zip(folder, tmp_path / "p.zip"))
    data.read(0)  # the parent has the file open
    loader = torch.utils.data.DataLoader(
        range(6), batch_size=3, num_workers=2, collate_fn=lambda rows: data.collate([data.read(i) for i in rows])
    )
    assert [batch["label"].tolist() for batch in loader] == [[0, 0, 0], [1, 1, 1]]


def test_linked_folders_are_followed_once(folder, tmp_path):
    (folder / "again").symlink_to(folder / "cats", target_is_directory=True)
    (folder / "loop").symlink_to(folder, target_is_directory=True)
    assert len(_open(folder, labels="none")) == 6
