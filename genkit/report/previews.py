"""What a run drew, made small enough for a page: pictures, sounds and texts, by the kind of the file."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from io import BytesIO
from pathlib import Path
from typing import Literal

Kind = Literal["picture", "sound", "text", "other"]

KINDS: dict[str, tuple[Kind, str]] = {
    ".png": ("picture", "image/png"),
    ".jpg": ("picture", "image/jpeg"),
    ".jpeg": ("picture", "image/jpeg"),
    ".webp": ("picture", "image/webp"),
    ".gif": ("picture", "image/gif"),
    ".wav": ("sound", "audio/wav"),
    ".flac": ("sound", "audio/flac"),
    ".ogg": ("sound", "audio/ogg"),
    ".mp3": ("sound", "audio/mpeg"),
    ".txt": ("text", "text/plain"),
}
"""What is done with a file, and its media type, by suffix. Others are named and not shown."""

MOST = 256
"""Previews of a run that are looked at; more are thinned evenly before any is read."""
LONGEST_SIDE = 1600
"""Pixels of a picture's longer side in the page."""
SMALL = 48 * 2**10
"""Bytes up to which a picture or sound stays the file it is."""
QUALITY = 82
"""Of the WebP that larger pictures become."""
LONGEST_TEXT = 20_000
"""Characters of a text in the page."""


@dataclass(frozen=True)
class Medium:
    """One file as the page holds it."""

    name: str
    """The file's name."""
    kind: Kind
    type: str
    """Its media type in the page."""
    data: str
    """base64; a text as it is. Empty where `note` says why it is not shown."""
    width: int = 0
    height: int = 0
    """Pixels of a picture in the page; 0: not known."""
    note: str = ""

    @property
    def label(self) -> str:
        """What the name says after the step, as the files of ``genkit inspect`` do: ``00000100-strip.png`` is strip."""
        said = re.fullmatch(r"\d+-(.+)\.\w+", self.name)
        return said[1].replace("-", " ") if said else ""

    @property
    def size(self) -> int:
        """Bytes it takes in the page."""
        return len(self.data.encode()) if self.kind == "text" else len(self.data)


@dataclass(frozen=True)
class Preview:
    """What the run's fixed latents gave at one step."""

    step: int
    media: tuple[Medium, ...]

    @property
    def size(self) -> int:
        """Bytes it takes in the page."""
        return sum(medium.size for medium in self.media)


@dataclass(frozen=True)
class Previews:
    """The previews of a run that a page shows."""

    shown: tuple[Preview, ...] = ()
    there: int = 0
    """How many the run has."""
    notes: tuple[str, ...] = ()
    """What was left out or changed."""


Cache = MutableMapping[tuple[str, int, int], Medium]
"""Files that were made small before, by path, size and time of change."""


def read_previews(samples: Path, *, budget: int, cache: Cache | None = None) -> Previews:
    """The previews in a run's ``samples/``, thinned evenly until they take at most `budget` bytes.

    Args:
        samples: the directory; it may be missing.
        budget: bytes in the page. A file that takes more than half of it is named and not shown.
        cache: kept between calls for one run, so that a file is made small once.
    """
    cache = {} if cache is None else cache
    by_step = _by_step(samples)
    steps = sorted(by_step)
    stride = 2 ** max(0, math.ceil(math.log2(max(len(steps), 1) / MOST)))
    # Twice the stride keeps half of the same files, so that what was made small serves again, now and next time.
    while (shown := _within(every(steps, stride), by_step, budget, cache)) is None:
        stride *= 2
    notes = []
    if len(shown) < len(steps):
        notes.append(f"{len(shown)} of {len(steps)} previews are in this page, evenly spaced, to keep it small.")
    changed = sorted({medium.note for preview in shown for medium in preview.media if medium.note and medium.data})
    return Previews(tuple(shown), len(steps), (*notes, *changed))


def every(steps: Sequence[int], stride: int) -> list[int]:
    """Each `stride`-th step, and the last; the last alone where the stride is twice as long as the run."""
    if stride >= 2 * len(steps):
        return list(steps[-1:])
    kept = list(steps[::stride])
    return kept if kept[-1] == steps[-1] else [*kept, steps[-1]]


def _within(
    steps: Sequence[int], by_step: Mapping[int, Sequence[Path]], budget: int, cache: Cache
) -> list[Preview] | None:
    """The previews of these steps; None when they take more than `budget` and there are several."""
    shown: list[Preview] = []
    for step in steps:
        shown.append(Preview(step, tuple(_medium(path, cache, budget // 2) for path in by_step[step])))
        if sum(preview.size for preview in shown) > budget and len(steps) > 1:
            return None
    return shown


def _by_step(samples: Path) -> dict[int, list[Path]]:
    found: dict[int, list[Path]] = {}
    # By the stem first: the preview itself stands before what `genkit inspect` drew at its step.
    for path in sorted(samples.iterdir(), key=lambda path: (path.stem, path.name)) if samples.is_dir() else []:
        number = re.match(r"\d+", path.name)
        if number and path.is_file():
            found.setdefault(int(number[0]), []).append(path)
    return found


def _medium(path: Path, cache: Cache, most: int) -> Medium:
    try:
        state = path.stat()
        key = (str(path), state.st_size, state.st_mtime_ns)
        if key not in cache:
            cache[key] = read_medium(path, most=most)
        return cache[key]
    except OSError as error:
        return Medium(path.name, "other", "", "", note=f"{path.name} can not be read: {error.strerror}")


def read_medium(path: Path, *, most: int) -> Medium:
    """A file as a page can hold it, in at most `most` bytes. Raises OSError when it can not be read."""
    kind, media_type = KINDS.get(path.suffix.lower(), ("other", ""))
    if kind == "text":
        text = path.read_text(encoding="utf-8", errors="replace")
        cut = f"{path.name} is cut after {LONGEST_TEXT:,} characters." if len(text) > LONGEST_TEXT else ""
        return Medium(path.name, kind, media_type, text[:LONGEST_TEXT], note=cut)
    if kind == "other":
        return Medium(path.name, kind, "", "", note=f"{path.name} is of a kind that a page does not show")
    data, width, height, note = path.read_bytes(), 0, 0, ""
    if kind == "picture":
        data, media_type, width, height, note = small_picture(data, media_type)
    elif media_type == "audio/wav":
        data, media_type = small_sound(data)
    if len(data) * 4 / 3 > most:
        megabytes = len(data) / 1e6
        return Medium(path.name, "other", "", "", note=f"{path.name} is too large for this page ({megabytes:.1f} MB)")
    return Medium(path.name, kind, media_type, base64.b64encode(data).decode(), width, height, note)


def small_picture(data: bytes, media_type: str) -> tuple[bytes, str, int, int, str]:
    """A picture's bytes, type, width, height and what was done to it. Without Pillow it stays as it is."""
    if find_spec("PIL") is None:
        note = "" if len(data) <= SMALL else "Pictures are as large as their files: Pillow is not installed."
        return data, media_type, 0, 0, note
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(BytesIO(data)) as picture:
            width, height = picture.size
            if getattr(picture, "is_animated", False):
                return data, media_type, width, height, ""  # a smaller one would stand still
            if len(data) <= SMALL and max(width, height) <= LONGEST_SIDE:
                return data, media_type, width, height, ""
            shrink = LONGEST_SIDE / max(width, height)
            note = ""
            mode = "RGBA" if "A" in picture.getbands() or "transparency" in picture.info else "RGB"
            smaller = picture.convert(mode)
            if shrink < 1:
                width, height = max(1, round(width * shrink)), max(1, round(height * shrink))
                smaller = smaller.resize((width, height), Image.Resampling.LANCZOS)
                note = f"Pictures with a side of more than {LONGEST_SIDE:,} pixels are scaled down."
            out = BytesIO()
            smaller.save(out, "WEBP", quality=QUALITY, method=2)
    except (OSError, UnidentifiedImageError, ValueError, SyntaxError):
        return data, media_type, 0, 0, ""  # the browser may know better; where it does not, it shows the file's name
    if len(out.getvalue()) >= len(data) and shrink >= 1:
        return data, media_type, width, height, ""
    return out.getvalue(), "image/webp", width, height, note or "Larger pictures are WebP here; the files are as drawn."


def small_sound(data: bytes) -> tuple[bytes, str]:
    """A wave file without loss as FLAC, where soundfile is installed and 16 bits are all there is, else as it is."""
    # Chromium 156 does not play a FLAC of a single block, 4,096 samples; one this small gains nothing by it either.
    if len(data) <= SMALL or find_spec("soundfile") is None:
        return data, "audio/wav"
    import soundfile

    try:
        with soundfile.SoundFile(BytesIO(data)) as sound:
            if sound.subtype != "PCM_16":
                return data, "audio/wav"
            samples, rate = sound.read(dtype="int16"), sound.samplerate
        out = BytesIO()
        soundfile.write(out, samples, rate, format="FLAC", subtype="PCM_16")
    except (soundfile.LibsndfileError, ValueError):
        return data, "audio/wav"
    return (out.getvalue(), "audio/flac") if len(out.getvalue()) < len(data) else (data, "audio/wav")
