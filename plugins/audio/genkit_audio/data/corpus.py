"""Clips -> a dataset: which are left out, which held out, how they are kept, and what is said of it."""

from __future__ import annotations

import hashlib
import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from genkit import ConfigError, DataError, Random
from genkit_audio.conditions import KNOWN_MELS, pack_mels
from genkit_audio.data.clips import Clip, Measured, each, measure
from genkit_audio.data.config import SoundConfig
from genkit_audio.data.parts import Part
from genkit_audio.data.sounds import Preparation, Sounds
from genkit_audio.data.windows import Cut
from genkit_audio.melspec import PRESETS, MelSpec

MEMORY_BYTES = 1 << 30
"""Windows are held in memory up to this size."""
DEFAULT_RATE = 22_050
FILLED = {"repeat": "repeated", "silence": "followed by silence"}
"""What becomes of clips that are shorter than an example."""


@dataclass(frozen=True, kw_only=True)
class Corpus:
    """Clips as they were found."""

    source: str
    """The dataset's name in the catalog; it begins what is said on stderr."""
    name: str
    licence: str
    clips: Sequence[Clip]
    said: Mapping[str, int] = field(default_factory=dict)
    """What was left out before."""
    rate: int = DEFAULT_RATE
    """Samples a second where neither the config nor its mel says."""


def build(corpus: Corpus, config: SoundConfig) -> Sounds:
    """The dataset of a corpus. What was left out or changed is said in one line on stderr, and in the summary.

    Raises DataError when nothing is left to train on or a recording is broken or of the wrong kind, ConfigError when
    options do not go together.
    """
    rate, mel = spec_of(config, corpus.rate)
    if config.level_db is not None and config.loudness == "none":
        raise ConfigError(
            "a level is given, and clips are not brought to one",
            where="data.level_db",
            fix="--set data.loudness=peak or rms, or data.level_db=null",
        )
    if not corpus.clips:
        raise DataError(f"{corpus.name}: holds no recordings", where="data.path")
    given = [corpus.clips[i] for i in spread(len(corpus.clips), config.limit)]
    clips, broken = each(lambda clip: measure(clip, rate), given, skip_broken=config.skip_broken)
    said = {**corpus.said, **check(clips, config, rate)}
    apart = chosen_by_name(clips, config.held_out)
    heard, unheard = ([one for one, out in zip(clips, apart, strict=True) if out == side] for side in (False, True))
    cut = Cut(config.length, config.crop, config.short, config.fade)
    whole = replace(cut, length=config.held_out_length or cut.length)
    sides = (
        ([one.at_speed(speed) for one in heard for speed in config.speeds], cut),
        (unheard, replace(whole, crop="pieces") if cut.crop == "random" else whole),
    )
    in_memory = _fits(sides, config, corpus.name)
    parts = [Part(chosen, cut, config, in_memory=in_memory) for chosen, cut in sides]
    broken += {fault.what: fault for one in parts for fault in one.broken}.values()  # once, at whatever speeds
    if not len(parts[0]):
        raise DataError(
            f"{corpus.name}: of its {len(given)} clips none is left to train on"
            + (f"; {len(broken)} are broken, the first: {broken[0].what}" if broken else ""),
            where="data",
            fix="bring more data, or look at data.held_out and data.trim_db",
        )
    labelled = mel is None and clips[0].clip.label is not None
    classes = sorted({str(one.clip.label) for one in clips}) if labelled else []
    if config.sampling == "labels" and not classes:
        raise ConfigError(
            "each label can not be drawn as often as the others: "
            + ("with a mel there are no labels" if mel is not None else f"{corpus.name} has none"),
            where="data.sampling",
            fix="--set data.sampling=duration or clips",
        )
    said |= _counts(parts, config, len(broken))
    said = {what: count for what, count in said.items() if count}
    _say(corpus.source, said, broken)
    facts: dict[str, Any] = {
        "modality": "audio",
        "name": corpus.name,
        "rate": rate,
        "length": config.length,
        "labels": classes or None,
        "mel": None if mel is None else mel.to_facts(),
    }
    weights = parts[0].weights(config.sampling, classes)
    if classes:
        facts["label_counts"] = parts[0].label_counts(classes, weights)
    if mel is not None:
        shown = parts[1] if len(parts[1]) else parts[0]
        known = Preparation(facts)(shown.some(KNOWN_MELS), rng=Random(0)).condition
        assert known is not None, "the facts name a mel"
        facts["mels"] = pack_mels(known)
    about: dict[str, Any] = {"licence": corpus.licence}
    held_out = None
    if len(parts[1]):
        held_out = parts[1].sounds(facts, weights=None, name=f"{corpus.name}, held out", **about)
    return parts[0].sounds(
        facts, weights=weights, name=corpus.name, said=said, gain_db=config.gain_db, held_out=held_out, **about
    )


def spec_of(config: SoundConfig, rate: int) -> tuple[int, MelSpec | None]:
    """The rate and the mel specification that a config asks for; `rate` where it asks for none.

    Raises ConfigError when they, the length and the crop do not go together, or the specification is none.
    """
    if config.fade and config.crop == "random":
        raise ConfigError("a fade goes with `crop: start` alone", where="data.fade", fix="--set data.fade=0")
    if config.mel is None:
        return config.rate or rate, None
    if isinstance(config.mel, str):
        mel = _preset(config.mel)
    else:
        fields = dict(config.mel)
        base = fields.pop("preset", None)
        mel = MelSpec.from_facts({**({} if base is None else _preset(str(base)).to_facts()), **fields})
    if config.rate not in (None, mel.rate):
        raise ConfigError(
            f"the data's rate, {config.rate} Hz, is not that of its mel, {mel.rate} Hz",
            where="data.rate",
            fix="--set data.rate=null, or a mel of that rate",
        )
    for name, length in (("length", config.length), ("held_out_length", config.held_out_length)):
        if length is not None and length % mel.hop:
            raise ConfigError(
                f"an example of {length} samples does not hold whole frames of {mel.hop}",
                where=f"data.{name}",
                fix=f"--set data.{name}={max(1, round(length / mel.hop)) * mel.hop}",
            )
    return mel.rate, mel


def _preset(name: str) -> MelSpec:
    if name not in PRESETS:
        raise ConfigError(
            f"there is no mel specification {name!r}", where="data.mel", fix=f"choose one of {', '.join(PRESETS)}"
        )
    return PRESETS[name]


def spread(size: int, limit: int | None) -> Sequence[int]:
    """At most `limit` of `size` indices, evenly over all of them: files are often sorted."""
    if limit is None or limit >= size:
        return range(size)
    return [i * size // limit for i in range(limit)]


def chosen_by_name(clips: Sequence[Measured], share: float) -> list[bool]:
    """Which clips are held out, where they do not say so themselves: of each label this share of the recordings, by
    what their names hash to, and never all of them. Parts of one recording stay together."""
    labels: dict[str, str] = {}
    for one in clips:
        labels.setdefault(one.clip.source.key, str(one.clip.label))
    groups: dict[str, list[str]] = {}
    for key, label in labels.items():
        groups.setdefault(label, []).append(key)
    chosen: set[str] = set()
    for label, keys in groups.items():
        # Where a share is no whole number of recordings, the label's own name decides whether it is rounded up.
        count = min(len(keys) - 1, math.floor(share * len(keys) + fraction(label))) if share else 0
        chosen.update(sorted(keys, key=fraction)[:count])
    return [one.clip.source.key in chosen if one.clip.held_out is None else one.clip.held_out for one in clips]


def fraction(name: str) -> float:
    """A number in [0, 1) that the name alone decides."""
    digest = hashlib.blake2b(name.encode(errors="replace"), digest_size=6).digest()
    return int.from_bytes(digest, "little") / 2**48


def check(clips: Sequence[Measured], config: SoundConfig, rate: int) -> dict[str, int]:
    """Raises DataError when recordings have a lower rate than is wanted, or channels that are not; else what is done
    to them, to be said."""
    low = [one for one in clips if one.header.rate < rate]
    if low and not config.allow_upsampling:
        worst = min(low, key=lambda one: one.header.rate)
        raise DataError(
            f"{worst.clip.source.name}: has a rate of {worst.header.rate} Hz, and {rate} Hz are wanted; "
            f"{len(low)} of {len(clips)} clips have too low a rate",
            where="data.rate",
            fix=(f"--set data.rate={worst.header.rate}" if config.mel is None else "a data.mel of a lower rate")
            + ", or data.allow_upsampling=true",
        )
    several = [one for one in clips if one.header.channels > 1]
    if several and config.channels == "refuse":
        raise DataError(
            f"{several[0].clip.source.name}: has {several[0].header.channels} channels, as {len(several)} of "
            f"{len(clips)} clips have several",
            where="data.channels",
            fix="--set data.channels=mix, left or right",
        )
    reduced = "mixed to one channel" if config.channels == "mix" else f"reduced to the {config.channels} channel"
    return {f"clips {reduced}": len(several), f"clips upsampled to {rate} Hz": len(low)}


def _fits(sides: Sequence[tuple[Sequence[Measured], Cut]], config: SoundConfig, name: str) -> bool:
    """Whether the windows of both parts, at all speeds, can be held in memory. Raises ConfigError when not and yet
    whole clips are needed."""
    size = 2 * sum(len(cut.windows(one.samples)) * cut.size for clips, cut in sides for one in clips)
    if size <= MEMORY_BYTES:
        return True
    kept = 2 * sum(one.samples for clips, _ in sides for one in clips)
    if config.cache is None and (config.trim_db is not None or config.loudness != "none"):
        raise ConfigError(
            f"{name}: {size / 2**30:.1f} GiB of windows are too much for the memory, and to trim or level a clip it "
            "must be read whole",
            where="data.cache",
            fix=f"--set data.cache=FOLDER, which takes {kept / 2**30:.1f} GiB",
        )
    return False


def _counts(parts: Sequence[Part], config: SoundConfig, broken: int) -> dict[str, int]:
    return {
        "clips louder than full scale, clipped": sum(one.over for one in parts),
        f"clips shorter than an example, {FILLED[config.short]}": sum(
            one.short for one in parts if one.cut.length == config.length
        ),
        "silent clips left out": sum(one.silent for one in parts),
        "broken recordings left out": broken,
    }


def _say(source: str, said: Mapping[str, int], broken: Sequence[DataError]) -> None:
    """One line; that silence follows a one-shot was asked for and needs no word."""
    told = [f"{count:,} {what}" for what, count in said.items() if not what.endswith(FILLED["silence"])]
    if told:
        first = f"; the first: {broken[0].what}" if broken else ""
        print(f"{source}: {', '.join(told)}{first}", file=sys.stderr)
