"""`image.idx`: the file format of MNIST and its kin (http://yann.lecun.com/exdb/mnist, "the IDX file format")."""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from genkit import DataError
from genkit_image.data.config import IdxConfig
from genkit_image.data.images import Images, enlarge, say_unseen, split_end

_UNSIGNED_BYTE = 0x08


def open_idx(config: IdxConfig) -> Images:
    """The pictures of IDX files, [1, H, W] (or [3, H, W] from [N, H, W, 3]).

    Raises DataError, naming the file, when one is missing, truncated or of another kind.
    """
    path = Path(config.path).expanduser()
    if not path.is_dir():
        labels = None if config.labels in {"auto", "none"} else Path(config.labels).expanduser()
        pixels, numbers = _pair(path, labels, config)
        classes = _classes(numbers, config, path)
        return _split(pixels, numbers, classes, path, config)
    images = _member(path, "train-images-idx3-ubyte")
    if images is None:
        raise DataError(f"{path}: has no train-images-idx3-ubyte or train-images-idx3-ubyte.gz", where="data.path")
    pixels, numbers = _pair(images, _labels(path, "train", config), config)
    classes = _classes(numbers, config, path)
    tests = _member(path, "t10k-images-idx3-ubyte")
    if tests is None:
        return _split(pixels, numbers, classes, path, config)
    test_pixels, test_numbers = _pair(tests, _labels(path, "t10k", config), config)
    if (numbers is None) != (test_numbers is None):
        raise DataError(f"{path}: only one of the training and the test pictures has labels")
    if test_numbers is not None and classes is not None and int(test_numbers.max()) >= len(classes):
        raise DataError(f"{path}: the test labels go up to {int(test_numbers.max())}, the training labels do not")
    held_out = Images(test_pixels, test_numbers, classes, name=f"{path}, t10k", licence="yours")
    data = Images(
        pixels,
        numbers,
        classes,
        name=str(path),
        licence="yours",
        flip=config.flip,
        sampling=config.sampling,
        held_out=held_out,
    )
    say_unseen(data)
    return data


def _split(pixels: Tensor, numbers: Tensor | None, classes: list[str] | None, path: Path, config: IdxConfig) -> Images:
    """The pictures of one file, the last of them held out."""
    data = split_end(
        pixels,
        numbers,
        classes,
        share=config.held_out,
        name=str(path),
        licence="yours",
        flip=config.flip,
        sampling=config.sampling,
    )
    say_unseen(data)
    return data


def read_idx(path: Path) -> np.ndarray:
    """The array of unsigned bytes in an IDX file, gzipped or not. Raises DataError."""
    try:
        data = path.read_bytes()
        if data[:2] == b"\x1f\x8b":
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path}: can not be read ({error})") from error
    if len(data) < 4 or data[:2] != b"\0\0":
        raise DataError(f"{path}: is no IDX file")
    kind, dimensions = data[2], data[3]
    if kind != _UNSIGNED_BYTE:
        raise DataError(f"{path}: holds numbers of kind 0x{kind:02x}; pictures and labels are unsigned bytes, 0x08")
    start = 4 + 4 * dimensions
    shape = [int(size) for size in np.frombuffer(data[4:start], dtype=">u4")]
    if len(shape) != dimensions or len(data) - start != math.prod(shape):
        raise DataError(
            f"{path}: its header says {shape}, but {max(0, len(data) - start)} bytes follow; is it truncated?"
        )
    return np.frombuffer(data, dtype=np.uint8, offset=start).reshape(shape)


def _member(folder: Path, name: str) -> Path | None:
    """The file in either of its two spellings, zipped or not."""
    names = (name, f"{name}.gz", name.replace("-idx", ".idx"), f"{name.replace('-idx', '.idx')}.gz")
    return next((folder / one for one in names if (folder / one).is_file()), None)


def _labels(folder: Path, part: str, config: IdxConfig) -> Path | None:
    """The file of labels of a part, ``train`` or ``t10k``."""
    if config.labels in {"auto", "none"}:
        return _member(folder, f"{part}-labels-idx1-ubyte") if config.labels == "auto" else None
    raise DataError(
        f"{folder}: in a folder the labels lie beside the pictures", where="data.labels", fix="auto or none"
    )


def _pair(images: Path, labels: Path | None, config: IdxConfig) -> tuple[Tensor, Tensor | None]:
    """uint8 [N, C, H, W] at the wanted resolution, and int64 [N]."""
    array = read_idx(images)
    if array.ndim == 4 and array.shape[-1] == 3:
        array = array.transpose(0, 3, 1, 2)
    elif array.ndim == 3:
        array = array[:, None]
    if array.ndim != 4 or 0 in array.shape:
        raise DataError(f"{images}: holds an array of shape {list(array.shape)}, which is no pictures")
    pixels = enlarge(torch.from_numpy(array.copy()), config.resolution, where="data.resolution")
    if labels is None:
        return pixels, None
    numbers = read_idx(labels)
    if numbers.shape != (len(pixels),):
        raise DataError(f"{labels}: holds {list(numbers.shape)} labels for {len(pixels)} pictures")
    return pixels, torch.from_numpy(numbers.astype(np.int64))


def _classes(labels: Tensor | None, config: IdxConfig, path: Path) -> list[str] | None:
    if labels is None:
        return None
    top = int(labels.max())
    if config.classes is None:
        return [str(label) for label in range(top + 1)]
    if top >= len(config.classes):
        raise DataError(f"{path}: has the label {top}, but data.classes names only {len(config.classes)}")
    return list(config.classes)
