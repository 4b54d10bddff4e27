"""How the names of files of pictures end. Imports nothing, so that the plugin can say it."""

from __future__ import annotations

SUFFIXES = frozenset(
    f".{suffix}"
    for suffix in (
        "png", "jpg", "jpeg", "jpe", "jfif", "webp", "avif", "bmp", "gif", "tif", "tiff", "ppm", "pgm", "pbm", "pnm",
        "tga", "jp2", "qoi",
    )
)  # fmt: skip
