from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest

from genkit import DataError
from genkit_image.data.config import IdxConfig
from genkit_image.data.idx import open_idx


def _write(path: Path, array: np.ndarray, kind: int = 8, zipped: bool = False) -> Path:
    content = struct.pack(f">BBBB{array.ndim}I", 0, 0, kind, array.ndim, *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(content) if zipped else content)
    return path


def _numbers(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)


def test_a_folder_of_gzipped_files_holds_out_its_test_files(tmp_path):
    images = _numbers(12, 28, 28)
    labels = np.arange(12, dtype=np.uint8) % 4
    _write(tmp_path / "train-images-idx3-ubyte.gz", images, zipped=True)
    _write(tmp_path / "train-labels-idx1-ubyte.gz", labels, zipped=True)
    _write(tmp_path / "t10k-images-idx3-ubyte.gz", images[:5], zipped=True)
    _write(tmp_path / "t10k-labels-idx1-ubyte", labels[:5])
    data = open_idx(IdxConfig(path=str(tmp_path), classes=("a", "b", "c", "d")))
    assert np.array_equal(data.resident()["image"][:, 0].numpy(), images)
    assert data.resident()["label"].tolist() == labels.tolist()
    assert data.facts["labels"] == ["a", "b", "c", "d"]
    assert len(data.held_out()) == 5
    assert open_idx(IdxConfig(path=str(tmp_path), resolution=32)).facts["shape"] == [1, 32, 32]
    assert open_idx(IdxConfig(path=str(tmp_path), labels="none")).held_out().facts["labels"] is None
    with pytest.raises(DataError, match="beside the pictures"):
        open_idx(IdxConfig(path=str(tmp_path), labels=str(tmp_path / "t10k-labels-idx1-ubyte")))


def test_single_files_hold_out_a_share(tmp_path):
    images = _write(tmp_path / "pictures", _numbers(10, 8, 8))
    labels = _write(tmp_path / "numbers", np.arange(10, dtype=np.uint8))
    data = open_idx(IdxConfig(path=str(images), labels=str(labels), held_out=0.3))
    assert (len(data), len(data.held_out())) == (7, 3)
    assert data.held_out().resident()["label"].tolist() == [7, 8, 9]
    assert data.facts["labels"] == [str(digit) for digit in range(10)]
    assert open_idx(IdxConfig(path=str(images))).facts["labels"] is None


def test_colour_comes_as_the_last_dimension(tmp_path):
    images = _numbers(4, 8, 8, 3)
    data = open_idx(IdxConfig(path=str(_write(tmp_path / "p", images))))
    assert np.array_equal(data.resident()["image"][1].permute(1, 2, 0).numpy(), images[1])


@pytest.mark.parametrize(("shape", "side"), [((28, 28), 28), ((28, 20), 32), ((20, 40), 64)])
def test_pictures_stay_as_stored_where_they_are_square(tmp_path, shape, side):
    images = _numbers(4, *shape)
    data = open_idx(IdxConfig(path=str(_write(tmp_path / "p", images))))
    assert data.facts["shape"] == [1, side, side]
    down, right = (side - shape[0]) // 2, (side - shape[1]) // 2
    inside = data.resident()["image"][:, 0, down : down + shape[0], right : right + shape[1]]
    assert np.array_equal(inside.numpy(), images)


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "no IDX file"),
        (b"\x89PNG", "no IDX file"),
        (struct.pack(">BBBB3I", 0, 0, 8, 3, 4, 8, 8) + b"\0" * 100, "truncated"),
        (struct.pack(">BBBB", 0, 0, 8, 3), "truncated"),
        (struct.pack(">BBBB1I", 0, 0, 13, 1, 1) + b"\0" * 4, "0x0d"),
        (struct.pack(">BBBB1I", 0, 0, 8, 1, 1) + b"\0", "no pictures"),
        (gzip.compress(b"whatever" * 100, mtime=0)[:30], "can not be read"),
    ],
)
def test_a_file_that_is_not_what_it_says_is_named(tmp_path, content, complaint):
    (tmp_path / "odd").write_bytes(content)
    with pytest.raises(DataError, match=rf"odd: .*{complaint}"):
        open_idx(IdxConfig(path=str(tmp_path / "odd")))


def test_missing_files_and_ill_fitting_labels_are_named(tmp_path):
    with pytest.raises(DataError, match="train-images"):
        open_idx(IdxConfig(path=str(tmp_path)))
    with pytest.raises(DataError, match="gone"):
        open_idx(IdxConfig(path=str(tmp_path / "gone")))
    images = _write(tmp_path / "p", _numbers(4, 8, 8))
    labels = _write(tmp_path / "l", np.array([0, 1, 2], dtype=np.uint8))
    with pytest.raises(DataError, match=r"l: holds \[3\] labels for 4"):
        open_idx(IdxConfig(path=str(images), labels=str(labels)))
    labels = _write(tmp_path / "l", np.array([0, 1, 2, 3], dtype=np.uint8))
    with pytest.raises(DataError, match="label 3"):
        open_idx(IdxConfig(path=str(images), labels=str(labels), classes=("a", "b", "c")))
