"""`image.folder`: the pictures of a folder or a zip file, with labels from its sub-folders."""

from __future__ import annotations

import io
import json
import lzma
import os
import struct
import sys
import threading
import zipfile
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from genkit import DataError
from genkit_image.data.collection import Collection, Source, listed, number_labels
from genkit_image.data.config import FolderConfig
from genkit_image.data.endings import SUFFIXES
from genkit_image.data.images import Images
from genkit_image.data.loading import load_images
from genkit_image.data.prepared import is_prepared, open_prepared

DAMAGED = (
    zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, RuntimeError, NotImplementedError, EOFError,
    ValueError, KeyError,
)  # fmt: skip
"""What reading a zip file raises where it is damaged, encrypted or of an odd kind."""


@dataclass(frozen=True)
class FileSource:
    """A picture that is a file."""

    root: str
    key: str

    @property
    def name(self) -> str:
        return os.path.join(self.root, self.key)

    def open(self) -> IO[bytes]:
        return open(self.name, "rb")


@dataclass(frozen=True)
class ZipSource:
    """A picture inside a zip file."""

    archive: str
    key: str

    @property
    def name(self) -> str:
        return f"{self.archive}:{self.key}"

    def open(self) -> IO[bytes]:
        try:
            return io.BytesIO(_archive(self.archive).read(self.key))
        except DAMAGED as error:
            raise DataError(
                f"{self.name}: can not be taken out of the zip file ({error})",
                fix="copy the zip file anew, or leave such pictures out with --set data.skip_broken=true",
            ) from error


_opened = threading.local()


def _archive(path: str) -> zipfile.ZipFile:
    """The zip file, opened once in each thread of each process: its handle can not be shared."""
    key = (os.getpid(), path)
    if getattr(_opened, "key", None) != key:
        _opened.key, _opened.zip = key, zipfile.ZipFile(path)
    archive: zipfile.ZipFile = _opened.zip
    return archive


def open_folder(config: FolderConfig) -> Images:
    """The pictures below ``config.path``, each [channels, resolution, resolution].

    Raises DataError, naming the path, when there is no picture or a file is broken.
    """
    path = Path(config.path).expanduser()
    return open_prepared(path, config) if is_prepared(path) else load_images(find_folder(config), config)


def find_folder(config: FolderConfig) -> Collection:
    """The pictures of a folder or zip file with their labels, not yet read. Raises DataError when there is none."""
    path = Path(config.path).expanduser()
    sources: list[Source]
    if path.is_dir():
        names = files_below(path)
        sources = [FileSource(str(path), name) for name in names if _is_picture(name)]
    elif zipfile.is_zipfile(path):
        names = _members(path)
        sources = [ZipSource(str(path), name) for name in names if _is_picture(name)]
    elif path.exists():
        raise DataError(f"{path}: neither a folder nor a zip file", where="data.path")
    else:
        raise DataError(f"{path}: there is no such folder or zip file", where="data.path")
    if not sources:
        kinds = " ".join(sorted(SUFFIXES))
        raise DataError(f"{path}: no picture found in it", where="data.path", fix=f"it may hold {kinds}")
    sources.sort(key=lambda source: source.key)
    labels, classes = _labels(path, [source.key for source in sources], config.labels)
    others = Counter(PurePosixPath(name).suffix.lower() for name in names if not _is_picture(name))
    return Collection(str(path), sources, labels, classes, others=dict(others))


def _members(path: Path) -> list[str]:
    """The files that a zip file lists. Raises DataError when its list is damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            return [name for name in archive.namelist() if not name.endswith("/")]
    except (*DAMAGED, OSError) as error:
        raise DataError(
            f"{path}: is a damaged zip file ({error})",
            where="data.path",
            fix="copy it anew, or unpack what can be read of it into a folder",
        ) from error


def picture_files(root: Path) -> list[str]:
    """The pictures below `root`, relative to it."""
    return [name for name in files_below(root) if _is_picture(name)]


def files_below(root: Path) -> list[str]:
    """The files below `root`, relative to it; those of linked folders too, each real folder once."""
    found, seen = [], set()
    for folder, below, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            below.clear()
            continue
        seen.add(real)
        inside = Path(folder).relative_to(root)
        found += [(inside / name).as_posix() for name in names]
    return found


def _is_picture(name: str) -> bool:
    path = PurePosixPath(name)
    hidden = any(part.startswith(".") or part == "__MACOSX" for part in path.parts)
    return path.suffix.lower() in SUFFIXES and not hidden and not name.endswith("/")


def _labels(path: Path, names: Sequence[str], how: str) -> tuple[list[int] | None, list[str] | None]:
    """The label of each picture and the names of the labels, as `FolderConfig.labels` says."""
    if how == "none":
        return None, None
    if how == "auto":
        given = _listed(path)
        if given is not None:
            return _from_list(path, names, given)
    above = [PurePosixPath(name).parts[:-1] for name in names]
    while all(above) and len({parts[0] for parts in above}) == 1:  # a zip's only top folder is no class
        above = [parts[1:] for parts in above]
    if all(above) and len({parts[0] for parts in above}) > 1:
        return number_labels([parts[0] for parts in above], names, "data.labels")
    if how == "folders":
        raise DataError(
            f"{path}: its pictures do not lie in two or more sub-folders that could be classes",
            where="data.labels",
            fix="--set data.labels=none",
        )
    if len({parts[0] for parts in above if parts}) > 1:
        beside = [name for name, parts in zip(names, above, strict=True) if not parts]
        print(
            f"{path}: {len(beside)} {'picture lies' if len(beside) == 1 else 'pictures lie'} beside the class folders "
            f"({listed(beside)}): no labels are learnt; data.labels=none says so on purpose",
            file=sys.stderr,
        )
    return None, None


def _listed(path: Path) -> object:
    """What the folder's ``dataset.json`` holds under ``labels``; None without the file, [] where it holds none."""
    try:
        file = path / "dataset.json"
        content = file.read_bytes() if path.is_dir() else zipfile.ZipFile(path).read(file.name)
        return json.loads(content)["labels"] or []
    except (FileNotFoundError, KeyError):
        return None
    except (*DAMAGED, OSError, TypeError) as error:
        raise _odd_list(path, error) from error


def _from_list(path: Path, names: Sequence[str], given: object) -> tuple[list[int] | None, list[str] | None]:
    """Labels from StyleGAN's ``[[file name, label], ...]``; a label may be a word too."""
    if given == []:
        return None, None
    try:
        found = {str(name): label for name, label in given}  # type: ignore[attr-defined]
    except (TypeError, ValueError) as error:
        raise _odd_list(path, error) from error
    labels = [found.get(name) for name in names]
    if any(isinstance(label, str) or label is None for label in labels):
        return number_labels(labels, [f"{path}/dataset.json: {name}" for name in names], "data.labels")
    if not all(type(label) is int and label >= 0 for label in labels):
        raise DataError(f"{path}/dataset.json: its labels are not whole numbers from 0 on, nor words")
    numbers = [int(label) for label in labels if label is not None]
    return numbers, [str(label) for label in range(max(numbers) + 1)]


def _odd_list(path: Path, error: Exception) -> DataError:
    return DataError(
        f"{path}/dataset.json: is no list of labels in StyleGAN's form ({error})",
        where="data.labels",
        fix="--set data.labels=folders, or none",
    )
