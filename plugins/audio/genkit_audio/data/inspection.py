"""``genkit data inspect`` for audio: what a user's recordings are like, before anything is trained on them."""

from __future__ import annotations

import hashlib
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genkit import ConfigError, DataError
from genkit_audio.data.clips import Clip, Measured, each, measure
from genkit_audio.data.config import DrumsConfig, FolderConfig, HubConfig, PromptsConfig, SoundConfig
from genkit_audio.data.corpus import Corpus, spec_of, spread
from genkit_audio.data.embedded import find_drums, find_prompts
from genkit_audio.data.files import read_frames
from genkit_audio.data.folder import find
from genkit_audio.data.hub import find_hub
from genkit_audio.data.levels import FRAME
from genkit_audio.data.resampling import read_at_rate
from genkit_audio.pictures import sheet

CLIPPED = 0.9995
"""Samples from here on count as clipped."""
SILENT_DB = -60.0
"""Frames whose root mean square lies below this count as silent."""
OFFSET = 0.01
"""A mean that is worth a word, of full scale."""
PICTURED, COLUMNS, PICTURED_SECONDS = 24, 4, 10.0
"""Clips on the sheet, in rows of how many, and how much of each."""
NAMED = 5
"""Clips that are named for being the worst."""


@dataclass(frozen=True)
class Surveyed:
    """What a clip is like."""

    clip: Measured
    frames: int
    peak: float
    """Of full scale."""
    rms: float
    clipped: float
    """Share of the samples, of all channels."""
    silent: float
    """Share of the frames."""
    offset: float
    """The mean of the channel where it is farthest from 0."""
    content: str
    """What its samples hash to."""

    @property
    def name(self) -> str:
        part = self.clip.clip
        return part.source.name if part.stop is None else f"{part.source.name} ({part.start:g} to {part.stop:g} s)"

    @property
    def seconds(self) -> float:
        return self.frames / self.clip.header.rate


def inspect(config: SoundConfig, picture: Path) -> dict[str, Any]:
    """Look at every recording of a dataset; broken ones are listed, not raised.

    Args:
        config: a dataset's.
        picture: a .png, for a sheet of waveforms and mels.

    Returns: counts, durations in seconds, levels in dB of full scale, shares; ``broken``, each with its reason;
        ``duplicates``, the names of clips with the same samples; ``advice``, what could be done; ``picture``, its path.

    Raises DataError when there is no recording at all.
    """
    corpus = _find(config)
    rate, _ = spec_of(config, corpus.rate)
    given = [corpus.clips[i] for i in spread(len(corpus.clips), config.limit)]
    surveyed, broken = each(lambda clip: survey(clip, rate), given, skip_broken=True)
    found: dict[str, Any] = {
        "name": corpus.name,
        "clips": len(surveyed),
        "recordings": len({one.clip.clip.source.key for one in surveyed}),
        "seconds": round(sum(one.seconds for one in surveyed), 2),
        "durations": _quantiles(one.seconds for one in surveyed),
        "rates": _counted(one.clip.header.rate for one in surveyed),
        "channels": _counted(one.clip.header.channels for one in surveyed),
        "formats": _counted(one.clip.header.format for one in surveyed),
        "labels": _labels(surveyed),
        "words": sum(len((one.clip.clip.text or "").split()) for one in surveyed),
        "peak_db": _quantiles(_decibels(one.peak) for one in surveyed),
        "rms_db": _quantiles(_decibels(one.rms) for one in surveyed),
        "clipped": _worst(surveyed, lambda one: one.clipped, above=0.001),
        "silence": _worst(surveyed, lambda one: one.silent, above=0.5),
        "dc_offset": _worst(surveyed, lambda one: abs(one.offset), above=OFFSET),
        "duplicates": _duplicates(surveyed),
        "broken": [{"what": fault.what, "fix": fault.fix} for fault in broken],
        "left_out": dict(corpus.said),
    }
    found["advice"] = _advice(found, surveyed, config, rate)
    if surveyed:
        picture.parent.mkdir(parents=True, exist_ok=True)
        found["picture"] = str(_picture(surveyed, config, rate, picture))
    return found


def survey(clip: Clip, rate: int) -> Surveyed:
    """Go through all samples of a clip. Raises DataError, naming the file, when it is broken."""
    measured = measure(clip, rate)
    channels = measured.header.channels
    digest = hashlib.blake2b(digest_size=16)
    peak, clipped, frames, silent, judged = 0.0, 0, 0, 0, 0
    total, squares = np.zeros(channels), 0.0
    for block in read_frames(clip.source, *measured.frames):
        digest.update(block.tobytes())
        level = np.abs(block)
        peak = max(peak, float(level.max()))
        clipped += int(np.count_nonzero(level >= CLIPPED))
        power = np.square(block, dtype=np.float64).sum(1)
        frames += len(block)
        total += block.sum(0, dtype=np.float64)
        squares += float(power.sum())
        edges = np.arange(0, len(block), FRAME)
        sizes = np.diff(np.append(edges, len(block)))
        quiet = np.add.reduceat(power, edges) / (sizes * channels) < 10 ** (SILENT_DB / 10)
        silent, judged = silent + int(quiet.sum()), judged + len(edges)
    if not frames:
        raise DataError(f"{clip.source.name}: holds no samples", where="data")
    means = total / frames
    return Surveyed(
        measured,
        frames,
        peak,
        math.sqrt(squares / (frames * channels)),
        clipped / (frames * channels),
        silent / judged,
        float(means[np.abs(means).argmax()]),
        digest.hexdigest(),
    )


def _find(config: SoundConfig) -> Corpus:
    if isinstance(config, FolderConfig):
        return find(config)
    if isinstance(config, DrumsConfig):
        return find_drums(config)
    if isinstance(config, PromptsConfig):
        return find_prompts(config)
    if isinstance(config, HubConfig):
        return find_hub(config)
    raise ConfigError(f"{type(config).__name__} is the config of no dataset of sounds", where="data.name")


def _quantiles(values: Iterable[float]) -> dict[str, float | None]:
    """Of levels those that are finite: digital silence has none."""
    known = [value for value in values if math.isfinite(value)]
    if not known:
        return {}
    names = {"least": 0, "tenth": 10, "median": 50, "nine tenths": 90, "most": 100}
    return {name: round(float(np.percentile(known, place)), 3) for name, place in names.items()}


def _decibels(level: float) -> float:
    return 20 * math.log10(level) if level > 0 else -math.inf


def _counted(values: Iterable[object]) -> dict[str, int]:
    """How often each value is there, the most frequent first; names as JSON has them."""
    return {str(value): count for value, count in Counter(values).most_common()}


def _labels(surveyed: Sequence[Surveyed]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = defaultdict(lambda: {"clips": 0, "seconds": 0.0})
    for one in surveyed:
        if one.clip.clip.label is not None:
            label = found[one.clip.clip.label]
            label["clips"] += 1
            label["seconds"] = round(label["seconds"] + one.seconds, 2)
    return dict(sorted(found.items()))


def _worst(surveyed: Sequence[Surveyed], value: Callable[[Surveyed], float], *, above: float) -> dict[str, Any]:
    """The mean over all frames, how many clips lie above a bound, and the worst of them."""
    bad = sorted((one for one in surveyed if value(one) > above), key=value, reverse=True)
    frames = sum(one.frames for one in surveyed)
    mean = sum(value(one) * one.frames for one in surveyed) / frames if frames else 0.0
    worst = {one.name: float(f"{value(one):.3g}") for one in bad[:NAMED]}
    return {"mean": float(f"{mean:.3g}"), "bound": above, "clips": len(bad), "worst": worst}


def _duplicates(surveyed: Sequence[Surveyed]) -> list[list[str]]:
    same: dict[str, list[str]] = defaultdict(list)
    for one in surveyed:
        same[f"{one.clip.header.rate} {one.content}"].append(one.name)
    return [names for names in same.values() if len(names) > 1]


def _advice(found: Mapping[str, Any], surveyed: Sequence[Surveyed], config: SoundConfig, rate: int) -> list[str]:
    """What to do about what was found, one line each, with the setting."""
    low = [one.clip.header.rate for one in surveyed if one.clip.header.rate < rate]
    short = sum(one.seconds * rate < config.length for one in surveyed)
    several = sum(one.clip.header.channels > 1 for one in surveyed)
    lines = [
        (found["broken"], f"{len(found['broken'])} can not be read: mend them, or data.skip_broken=true"),
        (
            low,
            f"{len(low)} have a rate below {rate} Hz: data.rate={min(low, default=0)}, or data.allow_upsampling=true",
        ),
        (several, f"{several} have several channels, of which data.channels={config.channels} makes one"),
        (
            short if config.short == "repeat" else 0,
            f"{short} are shorter than an example of {config.length} samples and are repeated: data.short=silence adds "
            "silence, a smaller data.length needs neither",
        ),
        (found["clipped"]["clips"], f"{found['clipped']['clips']} are clipped: a net learns that too"),
        (found["silence"]["clips"], f"{found['silence']['clips']} are silent for more than half: data.trim_db=-50"),
        (found["dc_offset"]["clips"], f"{found['dc_offset']['clips']} have an offset: filter it out beforehand"),
        (found["duplicates"], f"{len(found['duplicates'])} clips are there more than once, and may be held out too"),
    ]
    return [line for due, line in lines if due]


def _picture(surveyed: Sequence[Surveyed], config: SoundConfig, rate: int, path: Path) -> Path:
    """A sheet of clips, evenly over all of them."""
    chosen = [surveyed[i] for i in spread(len(surveyed), PICTURED)]
    waves = []
    for one in chosen:
        start, stop = one.clip.frames
        stop = min(stop, start + round(PICTURED_SECONDS * one.clip.header.rate))
        source, channels = one.clip.clip.source, config.channels
        wave = read_at_rate(source, one.clip.header, rate, start=start, stop=stop, channels=channels)
        waves.append(torch.from_numpy(wave))
    titles = [f"{one.clip.clip.source.key}  {one.seconds:.2f} s" for one in chosen]
    sheet(waves, rate, columns=COLUMNS, titles=titles).save(path)
    return path
