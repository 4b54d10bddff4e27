"""What ``genkit data prepare`` writes and `image.folder` reads: pictures that are decoded already, in one array.

The folder holds ``pictures.npy``, uint8 [N, C, R, R], and ``genkit-pictures.json``, which says what they are.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from genkit import ConfigError, DataError
from genkit_image.data.collection import Collection, chosen_by_name, listed
from genkit_image.data.config import FolderConfig, LabelledConfig
from genkit_image.data.decode import Decoding
from genkit_image.data.images import Images, Pictures, say_unseen
from genkit_image.data.loading import MEMORY_BYTES, decoding, read_all

ARRAY, INDEX = "pictures.npy", "genkit-pictures.json"
VERSION = 1
KEYS = ("version", "names", "resolution", "channels", "fit", "background", "classes", "labels", "held_out")


class MappedPictures(Pictures):
    """Pictures of a prepared folder, read where they lie in its array.

    Args:
        array: the file.
        rows: which of its pictures, int64 [N]; None: all.
    """

    def __init__(self, array: Path, rows: Tensor | None = None) -> None:
        self.array, self.rows = array, rows
        self._map: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self._mapped()) if self.rows is None else len(self.rows)

    def __getitem__(self, index: int) -> Tensor:
        row = index if self.rows is None else int(self.rows[index])
        return torch.from_numpy(np.array(self._mapped()[row]))

    def whole(self) -> Tensor | None:
        """All of them: the map itself, or a copy of those that are meant where it is small enough."""
        mapped = torch.from_numpy(self._mapped())
        if self.rows is None:
            return mapped
        return mapped[self.rows] if len(self.rows) * mapped[0].numel() < MEMORY_BYTES else None

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_map": None}  # a loader process maps the file itself

    def _mapped(self) -> np.ndarray:
        if self._map is None:
            self._map = np.load(self.array, mmap_mode="c", allow_pickle=False)
        return self._map


@dataclass(frozen=True)
class Laid:
    """What was written."""

    pictures: int
    bytes: int
    small: int
    """Pictures that were enlarged."""
    left_out: Mapping[str, str]
    """Broken files, and what is wrong with each."""
    decode: Decoding


def lay_out(collection: Collection, config: LabelledConfig, out: Path) -> Laid:
    """Decode a collection into the folder `out`. Broken files are left out.

    All is written into a hidden folder beside `out`, which takes its name once everything is on the disk: an
    interruption leaves no `out`. Raises DataError when no file can be read, or `out` can not be written.
    """
    decode = decoding(collection.sources, config)
    hidden = out.parent / f".{out.name}.{os.getpid()}.partial"
    try:
        hidden.mkdir(parents=True)
        laid, kept = _write_array(collection, decode, hidden / ARRAY)
        _write_index(collection, config, laid, kept, hidden / INDEX)
        os.rename(hidden, out)
        _sync(out.parent)
    except OSError as error:
        raise DataError(f"{out}: can not be written ({error.strerror or error})", where="--out") from error
    finally:
        shutil.rmtree(hidden, ignore_errors=True)  # not there any more when all went well
    return laid


def _write_array(collection: Collection, decode: Decoding, path: Path) -> tuple[Laid, list[int]]:
    """What was written, and which of the sources it was."""
    kept: list[int] = []
    left_out: dict[str, str] = {}
    small = 0
    shape = (decode.channels, decode.resolution, decode.resolution)
    with path.open("wb") as file:
        _write_header(file, (len(collection.sources), *shape))
        start = file.tell()
        for index, read in enumerate(read_all(collection.sources, decode)):
            if isinstance(read, DataError):
                left_out[collection.sources[index].name] = read.what
                continue
            file.write(read[0].numpy().tobytes())
            kept.append(index)
            small += read[1]
        if not kept:
            first = next(iter(left_out.values()))
            raise DataError(f"{collection.name}: none of its {len(left_out)} files can be read; the first: {first}")
        total = file.tell()
        file.seek(0)
        _write_header(file, (len(kept), *shape))  # numpy leaves room for a first dimension of any length
        if file.tell() != start:
            raise DataError(f"{path}: this version of numpy writes headers of varying length")
        file.flush()
        os.fsync(file.fileno())
    return Laid(len(kept), total, small, left_out, decode), kept


def _write_header(file: Any, shape: tuple[int, ...]) -> None:
    np.lib.format.write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": shape})


def _write_index(collection: Collection, config: LabelledConfig, laid: Laid, kept: Sequence[int], path: Path) -> None:
    def chosen(values: Sequence[Any] | None) -> list[Any] | None:
        return None if values is None else [values[i] for i in kept]

    index = {
        "version": VERSION,
        "from": collection.name,
        "resolution": config.resolution,
        "channels": "grey" if laid.decode.channels == 1 else "rgb",
        "fit": config.fit,
        "background": list(config.background),
        "classes": collection.classes,
        "labels": chosen(collection.labels),
        "held_out": chosen(collection.held_out),
        "names": [collection.sources[i].key for i in kept],
        "left_out": dict(laid.left_out),
    }
    with path.open("w", encoding="utf-8") as file:
        json.dump(index, file)
        file.flush()
        os.fsync(file.fileno())
    _sync(path.parent)


def _sync(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def is_prepared(path: Path) -> bool:
    """Whether ``genkit data prepare`` wrote this folder."""
    return (path / INDEX).is_file()


def open_prepared(path: Path, config: FolderConfig) -> Images:
    """The pictures of a prepared folder.

    Raises ConfigError when the config wants them otherwise than they were prepared, DataError when it is damaged.
    """
    index = _read_index(path)
    _check(path, index, config)
    rest, names = MappedPictures(path / ARRAY), index["names"]
    labels, classes = index["labels"], index["classes"]
    if config.labels == "none":
        labels = classes = None
    elif config.labels == "folders" and labels is None:
        raise DataError(f"{path}: was prepared without labels", where="data.labels", fix="--set data.labels=none")
    apart = index["held_out"] or chosen_by_name(names, config.held_out)

    def part(side: bool, title: str, other: Images | None) -> Images:
        rows = torch.tensor([i for i, out in enumerate(apart) if out == side], dtype=torch.int64)
        chosen = MappedPictures(path / ARRAY, rows) if any(apart) else rest
        own = None if labels is None else torch.tensor(labels, dtype=torch.int64)[rows]
        return Images(
            chosen,
            own,
            classes,
            name=title,
            licence="yours",
            flip=config.flip and not side,
            sampling="pictures" if side else config.sampling,
            held_out=other,
        )

    data = part(False, str(path), part(True, f"{path}, held out", None) if any(apart) else None)
    say_unseen(data)
    return data


def _read_index(path: Path) -> dict[str, Any]:
    try:
        index = json.loads((path / INDEX).read_text(encoding="utf-8"))
        lacking = [key for key in KEYS if key not in index]
        if lacking:
            raise ValueError(f"{INDEX} lacks {', '.join(lacking)}")
        version, names, side = index["version"], index["names"], index["resolution"]
        shape = np.load(path / ARRAY, mmap_mode="r", allow_pickle=False).shape
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path}: is damaged ({error})", where="data.path", fix="prepare it anew") from error
    if version != VERSION:
        raise DataError(f"{path}: has version {version}; this genkit reads {VERSION}", fix="prepare it anew")
    if shape != (len(names), 1 if index["channels"] == "grey" else 3, side, side):
        raise DataError(f"{path}: {ARRAY} is of shape {list(shape)}, and {INDEX} says otherwise", fix="prepare it anew")
    checked: dict[str, Any] = index
    return checked


def _check(path: Path, index: Mapping[str, Any], config: FolderConfig) -> None:
    """Raises ConfigError listing what the config wants otherwise."""
    wanted: dict[str, object] = {
        "resolution": config.resolution,
        "fit": config.fit,
        "background": list(config.background),
    }
    if config.channels != "auto":
        wanted["channels"] = config.channels
    other = [key for key, value in wanted.items() if index[key] != value]
    if other:
        raise ConfigError(
            f"{path} was prepared otherwise: {listed([f'{key} is {index[key]}' for key in other])}",
            where=", ".join(f"data.{key}" for key in other),
            fix=f"{' '.join(f'--set data.{key}={json.dumps(index[key])}' for key in other)}, or prepare it anew",
        )
