"""The options of the audio datasets. Free of torch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Literal

from pydantic import Field

Count = Annotated[int, Field(ge=1)]
Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Rate = Annotated[int, Field(ge=1000, le=384_000)]
Speed = Annotated[float, Field(ge=0.5, le=2.0)]
Decibels = Annotated[float, Field(ge=-120.0, le=0.0)]


@dataclass(frozen=True, kw_only=True)
class SoundConfig:
    """How recordings of any rate, length and channel count become examples of one kind."""

    rate: Rate | None = None
    """Samples a second; null: the mel's, or 22,050 without one. Recordings of other rates are resampled."""
    length: Annotated[int, Field(ge=16)] = 16_384
    """Samples in an example; with `mel`, a multiple of its hop."""
    mel: str | Mapping[str, Any] | None = None
    """Give each example's log-mel spectrogram as the condition: a preset such as ``hifigan-22k``, or a specification's
    fields, of which those left out are those of the preset that it names under ``preset``. Labels are then left out."""
    crop: Literal["random", "start"] = "random"
    """random: an example is a part of a clip, drawn anew for each batch; start: the clip's first `length` samples."""
    short: Literal["repeat", "silence"] = "repeat"
    """What fills an example whose clip is shorter: the clip again and again, or silence after it."""
    fade: Annotated[int, Field(ge=0)] = 0
    """With ``crop: start``, fade a clip that goes on after the example over so many last samples, so that it does not
    end in a click."""
    sampling: Literal["duration", "clips", "labels"] = "duration"
    """How often a clip is drawn: by its duration, each as often as the others, or each label as often as the others and
    its clips by their duration."""
    channels: Literal["mix", "left", "right", "refuse"] = "mix"
    """What becomes of recordings with several channels: their mean, the first, the second, or an error."""
    allow_upsampling: bool = False
    """Take recordings of a lower rate than `rate`, which have nothing in the top of the spectrum."""
    trim_db: Decibels | None = None
    """Cut off both ends of a clip while they are so many dB below its loudest 1,024 samples, such as -40; null: keep
    them. A clip of nothing but silence is then left out."""
    loudness: Literal["none", "peak", "rms"] = "none"
    """Bring each clip to one level: its highest sample, or its root mean square as far as full scale allows."""
    level_db: Decibels | None = None
    """That level below full scale; null: -0.45 for peak, which is 0.95, and -20 for rms."""
    gain_db: tuple[Decibels, Decibels] | None = None
    """Change each example's level by a gain drawn between these two, anew for each batch; (-6, -1) with ``loudness:
    peak`` and ``level_db: 0`` is what Vocos does. Not for held-out examples."""
    speeds: Annotated[tuple[Speed, ...], Field(min_length=1)] = (1.0,)
    """Speeds that each clip is heard at, pitch and all, as from a sampler: (0.94, 1.0, 1.06) makes three clips of one.
    Not for held-out examples."""
    held_out: Share = 0.1
    """Share of the recordings, of each label where there are any, that training never sees; which ones depends on their
    names alone."""
    held_out_length: Annotated[int, Field(ge=16)] | None = None
    """Samples in a held-out example; null: `length`. A vocoder makes waves of any length, and what listeners would say
    of them is only known of seconds."""
    limit: Count | None = None
    """Take only so many clips, evenly over all of them."""
    skip_broken: bool = False
    """Leave out recordings that can not be read, and say how many; otherwise the first of them ends the run."""
    cache: str | None = None
    """A folder for the decoded and resampled clips, 16 bit, so that a second run starts at once, and so that what is
    too large for the memory needs no decoding again; null: keep none."""


@dataclass(frozen=True, kw_only=True)
class FolderConfig(SoundConfig):
    """A folder of recordings, or a list of them."""

    path: str
    """A folder with sub-folders, or a CSV or JSON Lines file whose rows have `path`, from its own place, and maybe
    `label`, `start` and `stop` in seconds, and `text`."""
    labels: Literal["auto", "none", "folders"] = "auto"
    """auto: a list's labels; of a folder, the first folder below `path` where every recording lies in one of two or
    more, else none. folders: these or an error."""


@dataclass(frozen=True, kw_only=True)
class DrumsConfig(SoundConfig):
    """The 97 embedded one-shots: cymbal, kick, perc, snare, tabla, tom. 22,050 Hz."""

    crop: Literal["random", "start"] = "start"
    """random: an example is a part of a clip, drawn anew for each batch; start: the clip's first `length` samples."""
    short: Literal["repeat", "silence"] = "silence"
    """What fills an example whose clip is shorter: the clip again and again, or silence after it."""
    fade: Annotated[int, Field(ge=0)] = 1024
    """With ``crop: start``, fade a clip that goes on after the example over so many last samples, so that it does not
    end in a click."""
    sampling: Literal["duration", "clips", "labels"] = "clips"
    """How often a clip is drawn: by its duration, each as often as the others, or each label as often as the others."""
    labels: bool = True
    """Learn the sounds by class; false learns them as one."""


@dataclass(frozen=True, kw_only=True)
class PromptsConfig(SoundConfig):
    """The 59 embedded telephone prompts, 151 seconds of one speaker. 16,000 Hz."""

    rate: Rate | None = None
    """Samples a second; null: the mel's, or 16,000 without one."""
    held_out: Share = 0.15
    """Share of the prompts that training never sees; which ones depends on their names alone."""


@dataclass(frozen=True, kw_only=True)
class HubConfig(SoundConfig):
    """A dataset of the Hugging Face hub, or one that `datasets` saved to a local folder."""

    path: str
    """A name on the hub, or a folder written by ``save_to_disk``."""
    subset: str | None = None
    """The dataset's configuration, where it has several."""
    split: str = "train"
    """The split that is trained on."""
    held_out_split: str | None = None
    """The split that is evaluated on; null: `held_out` decides."""
    audio: str | None = None
    """The column of the recordings; null: the only one there is."""
    label: str = "auto"
    """The column of the labels; auto: the only column of class labels, if there is one; none: no labels."""
    streaming: bool = False
    """Read the recordings while training instead of before it; without labels, `cache`, `held_out_split`, `speeds`."""
    sample: Count = 64
    """Streamed: of the first so many recordings, those held out are evaluated on."""
    buffer: Count = 1_000
    """Streamed: examples come in the order of their recordings, shuffled within a window of this many."""
