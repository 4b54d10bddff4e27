"""`text.debian_descriptions`: what this machine's apt lists say of packages, at length and in one line."""

from __future__ import annotations

import bz2
import gzip
import importlib
import lzma
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from genkit import DataError
from genkit_text.data.config import DebianConfig
from genkit_text.data.corpus import Corpus, build
from genkit_text.data.text import Text

KINDS = ("*_Translation-en", "*_Translation-en.*", "*_Packages", "*_Packages.*")
APT_HELPER = "/usr/lib/apt/apt-helper"
STANDARD: Mapping[str, Callable[[bytes], bytes]] = {
    ".gz": gzip.decompress,
    ".xz": lzma.decompress,
    ".bz2": bz2.decompress,
}


def open_debian_descriptions(config: DebianConfig) -> Text:
    """Pairs of a long description's first paragraph and the synopsis, one for each different paragraph.

    Raises DataError when the lists hold none, or one of them can not be read.
    """
    folder = Path(config.lists).expanduser()
    files = sorted({file for kind in KINDS for file in folder.glob(kind)})
    pairs: dict[str, str] = {}
    for file in files:
        for synopsis, long in descriptions(read_list(file)):
            pairs.setdefault(long, synopsis)
    if not pairs:
        raise DataError(
            f"{folder}: none of its {len(files)} lists has long descriptions",
            where="data.lists",
            fix="apt-get update -o Acquire::Languages=en",
        )
    corpus = Corpus(
        source="text.debian_descriptions",
        name="Debian package descriptions",
        licence="each description is under its package's licence, all of them free",
        texts=list(pairs.values()),
        prompts=list(pairs),
        unit="synopses",
    )
    return build(corpus, config)


def descriptions(text: str) -> Iterator[tuple[str, str]]:
    """Synopsis and first paragraph of the long description of each stanza that has both."""
    for stanza in re.finditer(r"^Description(?:-en)?:[ \t]*(.+)\n((?:[ \t].*(?:\n|\Z))+)", text, re.MULTILINE):
        lines: list[str] = []
        for line in stanza[2].splitlines():
            if lines and (line.strip() == "." or line.startswith(("  ", " *", " -"))):  # a new paragraph, or a list
                break
            lines.append(line.strip())
        yield stanza[1].strip(), " ".join(lines)


def read_list(path: Path) -> str:
    """The text of an apt list, whatever it is compressed with. Raises DataError."""
    try:
        if path.suffix in STANDARD:
            content = STANDARD[path.suffix](path.read_bytes())
        elif path.suffix in {".lz4", ".zst"}:
            content = _unpack(path)
        else:
            content = path.read_bytes()
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: is not UTF-8: byte {error.start:,}", where="data.lists") from error
    except (OSError, EOFError, lzma.LZMAError, subprocess.SubprocessError) as error:
        raise DataError(f"{path}: can not be read ({error})", where="data.lists") from error


def _unpack(path: Path) -> bytes:
    """What a list holds that the standard library can not unpack, by the first of a package, a tool and apt."""
    if path.suffix == ".lz4":
        try:
            frame = importlib.import_module("lz4.frame")
        except ImportError:
            pass
        else:
            try:
                return bytes(frame.decompress(path.read_bytes()))
            except RuntimeError as error:  # what it raises for a damaged file
                raise OSError(str(error)) from error
    tool = {".lz4": "lz4", ".zst": "zstd"}[path.suffix]
    command = [tool, "-dc"] if shutil.which(tool) else [APT_HELPER, "cat-file"]
    if not shutil.which(command[0]):
        raise DataError(f"{path}: nothing here reads {path.suffix}", where="data.lists", fix=f"apt-get install {tool}")
    return subprocess.run([*command, str(path)], capture_output=True, check=True, timeout=120).stdout
