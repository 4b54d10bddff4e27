"""`audio.folder`: the recordings of a folder, with labels from its sub-folders, or of a list."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path, PurePosixPath

from genkit import DataError
from genkit_audio.data.clips import Clip
from genkit_audio.data.config import FolderConfig
from genkit_audio.data.corpus import Corpus, build
from genkit_audio.data.endings import LISTS, SUFFIXES
from genkit_audio.data.files import UNREADABLE, FileSource
from genkit_audio.data.lists import read_list
from genkit_audio.data.sounds import Sounds


def open_folder(config: FolderConfig) -> Sounds:
    """The recordings below ``config.path``, or those that it lists.

    Raises DataError, naming the path, when there are none or one is broken.
    """
    return build(find(config), config)


def find(config: FolderConfig) -> Corpus:
    """The clips of a folder or a list. Raises DataError, naming the path, when there are none."""
    path = Path(config.path).expanduser()
    said: dict[str, int] = {}
    if path.is_dir():
        clips, said = clips_below(path, config.labels)
    elif path.suffix.lower() in LISTS and path.exists():
        if config.labels == "folders":
            raise DataError(f"{path}: is a list, and folders are asked for labels", where="data.labels")
        clips = read_list(path)
        clips = clips if config.labels == "auto" else [replace(clip, label=None) for clip in clips]
    elif path.exists():
        raise DataError(
            f"{path}: neither a folder nor a list", where="data.path", fix=f"a list ends in {', '.join(sorted(LISTS))}"
        )
    else:
        raise DataError(f"{path}: there is no such folder or list", where="data.path")
    if not clips:
        others = f"; {sum(said.values())} of its files are of kinds that can not be read" if said else ""
        raise DataError(
            f"{path}: holds no recordings{others}", where="data.path", fix=f"it may hold {' '.join(sorted(SUFFIXES))}"
        )
    return Corpus(source="audio.folder", name=str(path), licence="yours", clips=clips, said=said)


def clips_below(root: Path, labels: str) -> tuple[list[Clip], dict[str, int]]:
    """The recordings below `root`, sorted by name, with labels as `FolderConfig.labels` says; and what was left out."""
    found, others = _files(root)
    classes = _classes(found) if labels != "none" else None
    if labels == "folders" and classes is None:
        raise DataError(
            f"{root}: its recordings do not lie in two or more sub-folders that could be labels",
            where="data.labels",
            fix="--set data.labels=none",
        )
    given: Sequence[str | None] = classes or [None] * len(found)
    clips = [Clip(FileSource(str(root), name), label=label) for name, label in zip(found, given, strict=True)]
    return clips, {f"{suffix} files left out, which can not be read": count for suffix, count in others.items()}


def _files(root: Path) -> tuple[list[str], Counter[str]]:
    """The recordings below `root`, relative to it, linked folders too, each real folder once; and how many files there
    are of kinds that can not be read."""
    found: list[str] = []
    others: Counter[str] = Counter()
    seen: set[str] = set()
    for folder, below, names in os.walk(root, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:
            below.clear()
            continue
        seen.add(real)
        below[:] = [name for name in below if not name.startswith(".") and name != "__MACOSX"]
        inside = Path(folder).relative_to(root)
        for name in names:
            suffix = PurePosixPath(name).suffix.lower()
            if name.startswith("."):
                continue
            if suffix in SUFFIXES:
                found.append((inside / name).as_posix())
            elif suffix in UNREADABLE:
                others[suffix] += 1
    return sorted(found), others


def _classes(names: Sequence[str]) -> list[str] | None:
    """The first folder of each name; None unless each has one and there are several."""
    first = [PurePosixPath(name).parts[0] if "/" in name else None for name in names]
    labels = [label for label in first if label is not None]
    return labels if len(labels) == len(names) and len(set(labels)) > 1 else None
