"""``genkit data inspect`` for pictures: what a user's files are like, before anything is trained on them."""

from __future__ import annotations

import hashlib
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageDraw
from torch import Tensor

from genkit import ConfigError, DataError
from genkit_image.data.collection import Collection, Source
from genkit_image.data.config import (
    DigitsConfig,
    FolderConfig,
    HubConfig,
    IdxConfig,
    PairedConfig,
    PicturesConfig,
    WebDatasetConfig,
)
from genkit_image.data.decode import Decoding, Header
from genkit_image.data.digits import open_digits
from genkit_image.data.folder import find_folder, picture_files
from genkit_image.data.hub import find_hub
from genkit_image.data.idx import open_idx
from genkit_image.data.images import Images
from genkit_image.data.loading import AHEAD, all_grey, fits_in_memory, open_source, read_picture
from genkit_image.data.pairs import folder_of
from genkit_image.data.prepared import is_prepared, open_prepared
from genkit_image.data.shards import find_webdataset
from genkit_image.writers import picture

EMPTY = 2.0
"""Pictures whose brightness has a standard deviation below this, of 255, count as near-empty."""
PICTURED, COLUMNS, SIDE, CAPTION = 48, 8, 112, 24
"""Pictures on the sheet, in rows of how many, the largest side of one in pixels, and the height of its caption."""
FEW = 0.2
"""Labels with less than this share of the largest one's pictures are worth a word."""


@dataclass(frozen=True)
class Surveyed:
    """What a picture is like, once it is decoded as training would see it."""

    name: str
    label: int | None
    header: Header | None
    """None where pictures are stored without one."""
    small: bool
    """Whether it was enlarged."""
    spread: float
    """Standard deviation of its brightness, of 255."""
    content: bytes
    """What its pixels hash to."""


def inspect(config: PicturesConfig | IdxConfig | DigitsConfig, picture: Path) -> dict[str, Any]:
    """Look at every picture of a dataset; broken ones are listed, not raised.

    Args:
        config: a dataset's.
        picture: a .png, for a contact sheet.

    Returns: counts of sizes, modes, formats and labels; ``empty``, pictures of hardly more than one colour;
        ``duplicates``, names of pictures that are alike once they are brought to the resolution; ``broken``, each with
        its reason; ``memory``, what all take once decoded and where they will be; ``advice``, what could be done;
        ``picture``, the sheet's path.

    Raises DataError when there is no picture at all.
    """
    if isinstance(config, PairedConfig):
        return _inspect_pairs(config, picture)
    if isinstance(config, IdxConfig | DigitsConfig):
        return _inspect_stored(open_idx(config) if isinstance(config, IdxConfig) else open_digits(config), picture)
    if isinstance(config, FolderConfig) and is_prepared(Path(config.path).expanduser()):
        return _inspect_stored(open_prepared(Path(config.path).expanduser(), config), picture)
    collection = find(config)
    decode = Decoding(config.resolution, 3, config.fit, config.background)
    surveyed: list[Surveyed] = []
    broken: dict[str, str] = {}
    for source, read in zip(collection.sources, survey_all(collection, decode), strict=True):
        if isinstance(read, DataError):
            broken[source.name] = read.what.removeprefix(f"{source.name}: ")
        else:
            surveyed.append(read)
    channels = 1 if all_grey(collection.sources, config) else 3
    found = {
        "name": collection.name,
        "pictures": len(surveyed),
        **_described(surveyed),
        "labels": _labels(surveyed, collection.classes),
        "small": {"resolution": config.resolution, "pictures": sum(one.small for one in surveyed)},
        "empty": [one.name for one in surveyed if one.spread < EMPTY],
        "duplicates": _duplicates(surveyed),
        "broken": broken,
        "other_files": dict(collection.others),
        "memory": _memory(len(surveyed), replace(decode, channels=1 if channels == 1 else 3)),
    }
    found["advice"] = _advice(found, surveyed, config)
    if surveyed:
        at = _spread([i for i, source in enumerate(collection.sources) if source.name not in broken], collection.labels)
        tiles = [_tile(collection.sources[i], decode) for i in at]
        found["picture"] = _draw(tiles, [_caption(collection, i) for i in at], picture)
    return found


def _inspect_pairs(config: PairedConfig, place: Path) -> dict[str, Any]:
    """As `inspect`, of either folder by itself, and the pictures ``without_partner``."""
    folders = {role: folder_of(config, role) for role in ("given", "made")}
    sheets = {"given": place.with_stem(f"{place.stem}-given"), "made": place}
    found: dict[str, Any] = {}
    for role, folder in folders.items():
        side = FolderConfig(
            path=str(folder),
            labels="none",
            resolution=config.resolution + config.margin,
            channels=config.channels,
            fit=config.fit,
            background=config.background,
        )
        found[role] = inspect(side, sheets[role])
    keys = {role: {_partner(name): name for name in picture_files(folder)} for role, folder in folders.items()}
    alone = {
        role: sorted(str(folders[role] / keys[role][key]) for key in keys[role].keys() - keys[other].keys())
        for role, other in (("given", "made"), ("made", "given"))
    }
    found["without_partner"] = alone["given"] + alone["made"]
    missing = len(found["without_partner"])
    found["advice"] = [f"{missing} have no partner: add it, or take them out"] if missing else []
    found["picture"] = str(place)
    return found


def _partner(name: str) -> str:
    """What a picture and its partner are both called."""
    return str(PurePosixPath(name).with_suffix(""))


def find(config: PicturesConfig) -> Collection:
    """The pictures of a dataset that are files. Raises ConfigError for another dataset's config."""
    if isinstance(config, FolderConfig):
        return find_folder(config)
    if isinstance(config, WebDatasetConfig):
        return find_webdataset(config)
    if isinstance(config, HubConfig):
        return find_hub(config)
    raise ConfigError(f"{type(config).__name__} is the config of no dataset of picture files", where="data.name")


def survey_all(collection: Collection, decode: Decoding) -> Iterator[Surveyed | DataError]:
    """What each picture is like, in order, by all processor cores; an error for a broken one."""

    def survey(index: int) -> Surveyed | DataError:
        source = collection.sources[index]
        try:
            with open_source(source) as file:
                pixels, header = decode.described(file, source.name)
        except DataError as error:
            return DataError(error.what)  # without the frames that it came through
        small = decode.enlarges(header.width, header.height)
        label = collection.labels[index] if collection.labels is not None else None
        return Surveyed(source.name, label, header, small, _brightness_spread(pixels), _hashed(pixels))

    with ThreadPoolExecutor(os.cpu_count() or 1) as pool:
        waiting = iter(range(len(collection.sources)))
        while block := list(islice(waiting, AHEAD)):
            yield from pool.map(survey, block)


def _inspect_stored(data: Images, place: Path) -> dict[str, Any]:
    """As `inspect`, of pictures that are stored as pixels of one size. Those that are held out are among them."""
    rest = data.held_out()
    parts = [data, rest] if rest is not None else [data]
    surveyed, tiles = [], []
    total = sum(map(len, parts))
    for part in parts:
        for index in range(len(part)):
            pixels = part.read(index)["image"]
            label = None if part.labels is None else int(part.labels[index])
            name = f"{part.name}[{index}]"
            surveyed.append(Surveyed(name, label, None, False, _brightness_spread(pixels), _hashed(pixels)))
    classes = data.facts["labels"]
    channels, height, width = data.facts["shape"]
    found: dict[str, Any] = {
        "name": data.name,
        "pictures": total,
        "sizes": {f"{width}x{height}": total},
        "modes": {"L" if channels == 1 else "RGB": total},
        "labels": _labels(surveyed, classes),
        "empty": [one.name for one in surveyed if one.spread < EMPTY],
        "duplicates": _duplicates(surveyed),
        "broken": {},
        "memory": _memory(total, Decoding(height, channels, "crop", (255, 255, 255))),
    }
    found["advice"] = _advice(found, surveyed, None)
    at = _spread(range(len(data)), None if data.labels is None else data.labels.tolist())
    tiles = [_shrunk(picture(data.read(i)["image"])) for i in at]
    captions = [str(i) if data.labels is None else f"{classes[int(data.labels[i])]}\n{i}" for i in at]
    found["picture"] = _draw(tiles, captions, place)
    return found


def _described(surveyed: Sequence[Surveyed]) -> dict[str, Any]:
    """What the headers say."""
    headers = [one.header for one in surveyed if one.header is not None]
    sides = np.array([(header.width, header.height) for header in headers]).reshape(-1, 2)
    return {
        "formats": _counted(header.format for header in headers),
        "modes": _counted(header.mode for header in headers),
        "sizes": _counted((f"{width}x{height}" for width, height in sides), most=8),
        "shorter_side": _quantiles(sides.min(1)) if len(sides) else {},
        "not_square": int((sides[:, 0] != sides[:, 1]).sum()),
        "turned_by_exif": sum(header.turned for header in headers),
        "transparent": sum(header.transparent for header in headers),
        "animated": sum(header.animated for header in headers),
    }


def _counted(values: Iterable[str], most: int | None = None) -> dict[str, int]:
    """How often each value is there, the most frequent first, and all beyond `most` together."""
    counts = Counter(values)
    found = dict(counts.most_common(most))
    rest = len(counts) - len(found)
    return found | ({f"{rest} others": counts.total() - sum(found.values())} if rest else {})


def _quantiles(values: np.ndarray) -> dict[str, int]:
    names = {"least": 0, "tenth": 10, "median": 50, "nine tenths": 90, "most": 100}
    return {name: round(float(np.percentile(values, place))) for name, place in names.items()}


def _labels(surveyed: Sequence[Surveyed], classes: Sequence[str] | None) -> dict[str, int]:
    if classes is None:
        return {}
    counts = Counter(one.label for one in surveyed)
    return {name: counts[label] for label, name in enumerate(classes)}


def _duplicates(surveyed: Sequence[Surveyed]) -> list[list[str]]:
    """Names of pictures that are alike; near-empty ones, which are, are left out."""
    same: dict[bytes, list[str]] = defaultdict(list)
    for one in surveyed:
        if one.spread >= EMPTY:
            same[one.content].append(one.name)
    return [names for names in same.values() if len(names) > 1]


def _memory(count: int, decode: Decoding) -> dict[str, Any]:
    """What the pictures take once they are decoded, and where training will have them."""
    size = count * decode.channels * decode.resolution**2
    if not fits_in_memory(count, decode):
        where = "read one by one by loader processes; once prepared, from one mapped file"
    elif not torch.accelerator.is_available():
        where = "in memory"
    else:
        free = torch.accelerator.get_memory_info()[0] if torch.cuda.is_available() else None
        held = free is None or size <= free // 3
        where = f"on the device, {torch.accelerator.current_accelerator()}" if held else "in memory, copied by batches"
    return {"bytes": size, "shape": [decode.channels, decode.resolution, decode.resolution], "where": where}


def _advice(found: Mapping[str, Any], surveyed: Sequence[Surveyed], config: PicturesConfig | None) -> list[str]:
    """What to do about what was found, one line each, with the setting."""
    labels = {name: count for name, count in found["labels"].items() if count}
    rare = [name for name, count in labels.items() if count < FEW * max(labels.values())]
    unseen = [name for name, count in found["labels"].items() if not count]
    copies = sum(len(names) - 1 for names in found["duplicates"])
    lines = [
        (found["broken"], f"{len(found['broken'])} can not be read: mend them, or data.skip_broken=true"),
        (found["empty"], f"{len(found['empty'])} are nearly of one colour: look at them"),
        (copies, f"{copies} are copies of others: a net learns them by heart first, and may be tested on them"),
        (rare, f"{len(rare)} labels are rare: data.sampling=labels draws all alike"),
        (unseen, f"{len(unseen)} labels have no picture: nothing is learnt of them"),
        (found.get("animated"), f"{found.get('animated')} are animated: their first picture counts"),
    ]
    if config is not None:
        small, side = found["small"]["pictures"], config.resolution
        least = found["shorter_side"].get("least", 0)
        lines.append((small, f"{small} are smaller than {side} and enlarged: the smallest has {least} pixels a side"))
        heavy = found["shorter_side"].get("median", 0) >= 4 * side or "prepared" in found["memory"]["where"]
        lines.append((heavy and surveyed, f"`genkit data prepare` decodes them once, to {side} pixels a side"))
        if config.fit == "crop":
            cut = found["not_square"]
            lines.append((cut, f"{cut} are not square, and cut to the largest centred one: data.fit=pad keeps all"))
    return [line for due, line in lines if due]


def _brightness_spread(pixels: Tensor) -> float:
    return float(pixels.float().mean(0).std(correction=0))


def _hashed(pixels: Tensor) -> bytes:
    return hashlib.blake2b(pixels.numpy().tobytes(), digest_size=16).digest()


# --- the sheet -------------------------------------------------------------------------------------------------------


def _spread(rows: Sequence[int], labels: Sequence[int] | None) -> list[int]:
    """Some of the rows, evenly over all of them, ordered by label."""
    ordered = sorted(rows, key=lambda row: labels[row]) if labels is not None else list(rows)
    count = min(PICTURED, len(ordered))
    return [ordered[i * len(ordered) // count] for i in range(count)]


def _tile(source: Source, decode: Decoding) -> Image.Image:
    return _shrunk(picture(read_picture(source, decode)))


def _shrunk(tile: Image.Image) -> Image.Image:
    """The picture at no more than `SIDE`, and enlarged by whole pixels where it is small."""
    if tile.width > SIDE:
        return tile.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    times = max(1, SIDE // max(tile.size))
    return tile.resize((tile.width * times, tile.height * times), Image.Resampling.NEAREST)


def _caption(collection: Collection, row: int) -> str:
    key = collection.sources[row].key
    name = key if collection.labels is None or "/" not in key else key.partition("/")[2]
    label = (
        "" if collection.labels is None or collection.classes is None else collection.classes[collection.labels[row]]
    )
    return f"{label}\n{name}" if label else name


def _draw(tiles: Sequence[Image.Image], captions: Sequence[str], place: Path) -> str:
    """The pictures in rows, each above its caption, as a PNG at `place`."""
    gap = 6
    columns = min(COLUMNS, len(tiles))
    rows = -(-len(tiles) // columns)
    width, height = SIDE + gap, SIDE + CAPTION + gap
    sheet = Image.new("RGB", (columns * width + gap, rows * height + gap), (255, 255, 255))
    draw = ImageDraw.Draw(sheet)
    for index, (tile, caption) in enumerate(zip(tiles, captions, strict=True)):
        left, top = gap + index % columns * width, gap + index // columns * height
        sheet.paste(tile.convert("RGB"), (left, top))
        for line, text in enumerate(caption.split("\n")):
            shown = text.encode("ascii", "replace").decode()
            while len(shown) > 1 and draw.textlength(shown) > SIDE:
                shown = shown[1:]  # the end of a name tells more than its beginning
            draw.text((left, top + tile.height + 11 * line), shown, fill=(60, 60, 60))
    place.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(place)
    return str(place)
