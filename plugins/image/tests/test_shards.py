"""`image.webdataset`: shards on a disk, read at random."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import pytest
import torch
from PIL import Image

from genkit import DataError
from genkit_image.data import loading
from genkit_image.data.config import WebDatasetConfig
from genkit_image.data.preparation import prepare
from genkit_image.data.shards import open_webdataset


def _picture(value: int, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (12, 10), (value, 0, 0)).save(file, kind)
    return file.getvalue()


def shard(path: Path, members: list[tuple[str, bytes]]) -> Path:
    with tarfile.open(path, "w") as file:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            file.addfile(info, io.BytesIO(content))
    return path


@pytest.fixture
def shards(tmp_path) -> Path:
    """Three shards of four pictures, whose red is 10 times their number and whose label is that number modulo 3."""
    for number in range(3):
        members = []
        for row in range(4):
            index = 4 * number + row
            members += [
                (f"part/{index:03d}.png", _picture(10 * index)),
                (f"part/{index:03d}.cls", str(index % 3).encode()),
                (f"part/{index:03d}.json", json.dumps({"label": f"kind {index % 2}", "size": index}).encode()),
            ]
        shard(tmp_path / f"train-{number:04d}.tar", members)
    return tmp_path


def _open(path: Path | str, **options):
    return open_webdataset(WebDatasetConfig(path=str(path), **{"resolution": 8, **options}))


@pytest.mark.parametrize("pattern", ["", "train-{0000..0002}.tar", "train-*.tar"])
def test_shards_give_pictures_and_labels_in_their_order(shards, pattern):
    data = _open(shards / pattern if pattern else shards)
    resident = data.resident()
    assert resident["image"][:, 0, 4, 4].tolist() == [10 * i for i in range(12)]
    assert resident["label"].tolist() == [i % 3 for i in range(12)]
    assert data.facts["labels"] == ["0", "1", "2"]


def test_a_key_of_json_can_be_the_label_and_names_can_be_given(shards):
    assert _open(shards, label="label").facts["labels"] == ["kind 0", "kind 1"]
    assert _open(shards, label="size").facts["labels"] == [str(i) for i in range(12)]
    assert _open(shards, label="none").facts["labels"] is None
    named = _open(shards, classes=("a", "b", "c", "never"))
    assert named.facts["labels"] == ["a", "b", "c", "never"]
    assert named.facts["label_counts"] == [4, 4, 4, 0]
    with pytest.raises(DataError, match=r"has the label 2, and data\.classes names 2"):
        _open(shards, classes=("a", "b"))


def test_shards_can_be_held_out(shards):
    data = _open(shards / "train-{0000..0001}.tar", held_out_path=str(shards / "train-0002.tar"))
    assert len(data) == 8
    assert data.held_out().resident()["image"][:, 0, 4, 4].tolist() == [80, 90, 100, 110]


def test_too_many_to_hold_are_read_where_they_lie_by_loader_processes(shards, monkeypatch):
    whole = _open(shards).resident()["image"]
    monkeypatch.setattr(loading, "MEMORY_BYTES", 0)
    data = _open(shards)
    assert data.resident() is None
    loader = torch.utils.data.DataLoader(
        range(12), batch_size=6, num_workers=1, collate_fn=lambda rows: data.collate([data.read(i) for i in rows])
    )
    assert torch.equal(torch.cat([batch["image"] for batch in loader]), whole)


def test_shards_are_prepared_into_one_array(shards, tmp_path):
    made = prepare(WebDatasetConfig(path=str(shards), resolution=8), tmp_path / "out")
    assert made["pictures"] == 12


def test_damage_is_named(shards, tmp_path):
    first = shards / "train-0000.tar"
    first.write_bytes(first.read_bytes()[:1500])
    with pytest.raises(DataError, match=r"train-0000\.tar"):
        _open(shards)
    first.write_bytes(b"no archive" * 100)
    with pytest.raises(DataError, match=r"train-0000\.tar: can not be read as a \.tar file"):
        _open(shards)
    with tarfile.open(tmp_path / "z.tar", "w:gz"):
        pass
    with pytest.raises(DataError, match="compressed as a whole"):
        _open(tmp_path / "z.tar")


def test_what_an_example_lacks_is_named(tmp_path):
    one = shard(tmp_path / "a.tar", [("1.png", _picture(1)), ("1.cls", b"7"), ("2.png", _picture(2))])
    with pytest.raises(DataError, match=r"a\.tar:2\.png has no label"):
        _open(one)
    late = [("1.png", _picture(1)), ("2.png", _picture(2)), ("2.cls", b"7")]
    by_kind = [*late[:2], ("1.cls", b"7"), ("2.cls", b"8")]
    keyed = [*late[:2], ("2.json", b'{"label": "dog"}')]
    for name, members, which in (("late", late, "2"), ("by_kind", by_kind, "1"), ("keyed", keyed, "2")):
        path = shard(tmp_path / f"{name}.tar", members)
        with pytest.raises(
            DataError, match=rf"{name}\.tar:{which}: has a label, and .*{name}\.tar:1, .* none"
        ) as caught:
            _open(path)
        assert caught.value.where == "data.label"
        assert _open(path, label="none").facts["labels"] is None
    with pytest.raises(DataError, match=r"late\.tar:1\.png has no label"):
        _open(tmp_path / "late.tar", label="cls")
    captions = shard(tmp_path / "c.tar", [*late[:1], ("1.json", b"{}"), *late[1:2], ("2.json", b"no json")])
    assert _open(captions).facts["labels"] is None
    two = shard(tmp_path / "b.tar", [("1.png", _picture(1)), ("1.jpg", _picture(1, "JPEG"))])
    with pytest.raises(DataError, match="jpg and png") as caught:
        _open(two)
    assert "data.image=jpg" in str(caught.value)
    assert len(_open(two, image="png")) == 1
    for odd, match in (
        ("gone-{00..01}.tar", "gone-00.tar"),
        ("https://x/y.tar", "random places"),
        ("", "no .tar file"),
    ):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(DataError, match=match):
            _open(odd if "://" in odd else tmp_path / "empty" / odd)


def test_a_broken_picture_in_a_shard_is_named(tmp_path):
    one = shard(tmp_path / "a.tar", [("1.png", _picture(1)), ("2.png", b"broken")])
    with pytest.raises(DataError, match=r"a\.tar:2\.png"):
        _open(one)
    assert len(_open(one, skip_broken=True)) == 1
