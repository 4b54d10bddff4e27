"""The options of the image datasets. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

Resolution = Annotated[int, Field(ge=4, le=4096)]
Share = Annotated[float, Field(ge=0.0, lt=1.0)]
Byte = Annotated[int, Field(ge=0, le=255)]
Sampling = Literal["pictures", "labels"]


@dataclass(frozen=True, kw_only=True)
class DigitsConfig:
    """The 10,000 embedded handwritten digits."""

    resolution: Resolution = 28
    """Pixels a side: 28 as stored, 32 with a black border, or 32·2^k enlarged."""
    held_out: Share = 0.2
    """Share of the digits, taken from the end, that training never sees."""
    labels: bool = True
    """Learn the digits by class; false learns them as one."""


@dataclass(frozen=True, kw_only=True)
class PicturesConfig:
    """How pictures of any size and kind become squares of one size. Of an animation the first frame counts."""

    resolution: Resolution = 64
    """Pixels a side."""
    channels: Literal["auto", "grey", "rgb"] = "auto"
    """auto: grey when every picture is, else rgb."""
    fit: Literal["crop", "pad", "stretch"] = "crop"
    """crop: the largest centred square; pad: the whole picture with borders; stretch: to the square."""
    background: tuple[Byte, Byte, Byte] = (255, 255, 255)
    """The red, green and blue that transparent pixels and borders take."""
    flip: bool = False
    """Mirror each picture left to right by chance, anew for each batch."""
    held_out: Share = 0.0
    """Share of the pictures that training never sees; which ones depends on their names alone."""
    skip_broken: bool = False
    """Leave out files that can not be read, and say how many; otherwise the first of them ends the run. What
    ``genkit data prepare`` writes is always without them."""


@dataclass(frozen=True, kw_only=True)
class LabelledConfig(PicturesConfig):
    """Pictures that may have labels."""

    sampling: Sampling = "pictures"
    """What is drawn alike: pictures: each once an epoch; labels: by chance, each label as often as the others."""


@dataclass(frozen=True, kw_only=True)
class FolderConfig(LabelledConfig):
    """A folder or a zip file of pictures, or a folder that ``genkit data prepare`` wrote."""

    path: str
    """The folder, with sub-folders, or the zip file."""
    labels: Literal["auto", "none", "folders"] = "auto"
    """folders: the first folder below `path` names the class. auto: a ``dataset.json`` in StyleGAN's form where there
    is one, else folders where every picture lies in one of two or more, else none, which is said where some do."""


@dataclass(frozen=True, kw_only=True)
class PairedConfig(PicturesConfig):
    """Two folders whose pictures belong together by name, such as ``A/1.jpg`` and ``B/1.png``."""

    path: str
    """The folder that holds both."""
    given: str = "A"
    """The folder of what is given, below `path`, or anywhere by its full path."""
    made: str = "B"
    """The folder of what is to be made of it, likewise."""
    margin: Annotated[int, Field(ge=0, le=1024)] = 0
    """Pictures are read at this many pixels a side more than `resolution`, which are cut off by chance, anew for each
    batch and for both pictures alike. The paper has 30 for 256."""


@dataclass(frozen=True, kw_only=True)
class OutlinesConfig:
    """The embedded digits as pairs: their edges, and themselves."""

    resolution: Resolution = 28
    """Pixels a side: 28 as stored, 32 with a black border, or 32·2^k enlarged."""
    held_out: Share = 0.2
    """Share of the pairs, taken from the end, that training never sees."""


@dataclass(frozen=True, kw_only=True)
class WebDatasetConfig(LabelledConfig):
    """Pictures in WebDataset's form: .tar files in which members of one name, such as ``0017.jpg`` and ``0017.cls``,
    are one example."""

    path: str
    """A .tar file, a folder of them, or a pattern such as ``train-{0000..0146}.tar`` or ``train-*.tar``."""
    held_out_path: str | None = None
    """The shards that are evaluated on, likewise; null: `held_out` decides."""
    image: str | None = None
    """The ending of the pictures, such as jpg; null: any that a picture may have."""
    label: str = "auto"
    """The label's place: cls, a member with a number or a word; else a key of the member json; none: no labels. auto:
    cls where the first example has one, else the key ``label`` where its json has it, else none, and then a later
    example with a label is refused."""
    classes: tuple[str, ...] | None = None
    """The names of labels that are numbers, from 0 on; null: the numbers themselves."""


@dataclass(frozen=True, kw_only=True)
class HubConfig(LabelledConfig):
    """A dataset of the Hugging Face hub, or one that `datasets` saved to a local folder."""

    path: str
    """A name on the hub such as ``uoft-cs/cifar10``, or a folder written by ``save_to_disk``."""
    subset: str | None = None
    """The dataset's configuration, where it has several."""
    revision: str | None = None
    """The commit, branch or tag on the hub; null: the newest. A stream goes on exactly only where it does not move."""
    split: str = "train"
    """The split that is trained on."""
    held_out_split: str | None = None
    """The split that is evaluated on; null: `held_out` decides."""
    image: str | None = None
    """The column of the pictures; null: the only one there is."""
    label: str = "auto"
    """The column of the labels; auto: the only column of class labels, if there is one; none: no labels."""
    streaming: bool = False
    """Read the pictures one after the other while training, for what no disk here holds."""
    buffer: Annotated[int, Field(ge=1)] = 1000
    """Streamed: pictures that are held, as they were compressed, to be drawn from by chance."""
    held_out_limit: Annotated[int, Field(ge=1)] = 10_000
    """Streamed: how many pictures of `held_out_split`, the first ones, are evaluated on."""


@dataclass(frozen=True, kw_only=True)
class IdxConfig:
    """IDX files, gzipped or not, as MNIST, Fashion-MNIST and EMNIST ship."""

    path: str
    """A file of images, or a folder with ``train-images-idx3-ubyte`` and its companions; ``t10k-`` is then held out."""
    labels: str = "auto"
    """auto: the companion file in the folder, none where `path` is a file; none: no labels; else a file of labels."""
    classes: tuple[str, ...] | None = None
    """The names of the labels from 0 on; null: the numbers themselves."""
    sampling: Sampling = "pictures"
    """What is drawn alike: pictures: each once an epoch; labels: by chance, each label as often as the others."""
    resolution: Resolution | None = None
    """Pixels a side: null as stored, where that is square, else the next power of two; a number: that of the stored, or
    a power of two, reached by a black border and by doubling."""
    flip: bool = False
    """Mirror each picture left to right by chance, anew for each batch."""
    held_out: Share = 0.0
    """Share of the pictures, taken from the end, that training never sees, where no test files lie in the folder."""
