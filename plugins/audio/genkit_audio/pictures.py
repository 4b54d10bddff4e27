"""Waveforms and mel spectrograms as pictures."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from torch import Tensor

from genkit_audio.mel import MelSpectrogram
from genkit_audio.melspec import MelSpec

WIDTH, WAVE_HEIGHT, MEL_HEIGHT, TITLE_HEIGHT, GAP = 240, 60, 96, 14, 6
"""Pixels of one cell and between cells."""
RANGE_DB = 80.0
"""What lies so far below the loudest band of a sheet is black."""
COLOURS = ((0, 0, 4), (66, 10, 104), (147, 38, 103), (221, 81, 58), (252, 165, 10), (252, 255, 164))
"""From silence to loud; even steps look even, also in grey."""
INK, PAPER, LOUD = (32, 64, 128), (255, 255, 255), (200, 30, 30)

Pixels = NDArray[np.uint8]


def sheet(
    waves: Sequence[Tensor], rate: int, *, columns: int, titles: Sequence[str] | None = None, mel: MelSpec | None = None
) -> Image.Image:
    """Waveforms in rows of `columns`, each above its mel spectrogram, all at one scale of loudness.

    Args:
        waves: each [T], in [-1, 1]; a cell is as long as its own wave.
        rate: samples a second.
        titles: what stands above each.
        mel: the specification that colours show; None: 80 bands up to half the rate.
    """
    spec = mel or MelSpec(rate, 1024, 256, 1024, 80, 0.0, None, "slaney", "slaney", 1, "ln", 1e-5, True)
    columns = max(1, min(columns, len(waves)))
    rows = -(-len(waves) // columns)
    cell = (TITLE_HEIGHT if titles else 0) + WAVE_HEIGHT + MEL_HEIGHT
    picture = Image.new("RGB", (columns * (WIDTH + GAP) + GAP, rows * (cell + GAP) + GAP), PAPER)
    draw = ImageDraw.Draw(picture)
    levels = [_levels(wave, spec) for wave in waves]
    loudest = max((float(level.max()) for level in levels), default=0.0)
    for index, (wave, level) in enumerate(zip(waves, levels, strict=True)):
        row, column = divmod(index, columns)
        left, top = GAP + column * (WIDTH + GAP), GAP + row * (cell + GAP)
        if titles:
            draw.text((left, top), _fitting(draw, titles[index]), fill=(0, 0, 0))
            top += TITLE_HEIGHT
        picture.paste(Image.fromarray(wave_picture(wave.detach().float().cpu().numpy())), (left, top))
        picture.paste(_mel_picture(level, loudest), (left, top + WAVE_HEIGHT))
    return picture


def wave_picture(wave: NDArray[np.float32], width: int = WIDTH, height: int = WAVE_HEIGHT) -> Pixels:
    """A waveform [T] as pixels [height, width, 3]: in each column a bar from its lowest to its highest sample; red
    where one of them is not within (-1, 1), or no number."""
    pixels = np.full((height, width, 3), PAPER, np.uint8)
    pixels[height // 2] = (210, 210, 210)
    if not len(wave):
        return pixels
    edges = np.linspace(0, len(wave), width + 1).astype(int)
    for column in range(width):
        part = wave[min(edges[column], len(wave) - 1) : max(edges[column] + 1, edges[column + 1])]
        finite = part[np.isfinite(part)]
        over = len(finite) < len(part) or bool((np.abs(part) >= 1).any())
        low, high = (float(finite.min()), float(finite.max())) if len(finite) else (-1.0, 1.0)
        top, bottom = (round((1 - min(1.0, max(-1.0, level))) / 2 * (height - 1)) for level in (high, low))
        pixels[top : bottom + 1, column] = LOUD if over else INK
    return pixels


def _levels(wave: Tensor, spec: MelSpec) -> NDArray[np.float32]:
    """A wave's bands in dB, [bands, F]."""
    wave = torch.nan_to_num(wave.detach().float().cpu())
    size = max(2 * spec.fft, -(-len(wave) // spec.hop) * spec.hop)
    with torch.no_grad():
        mel = MelSpectrogram(spec)(torch.nn.functional.pad(wave, (0, size - len(wave)))[None])[0]
    mel = mel[:, : max(1, -(-len(wave) // spec.hop))]
    decades = {"ln": mel / np.log(10), "log10": mel, "none": mel.clamp(min=spec.floor).log10()}[spec.log]
    found: NDArray[np.float32] = (decades * (20 / spec.power)).numpy()
    return found


def _mel_picture(level: NDArray[np.float32], loudest: float) -> Image.Image:
    """Bands in dB [bands, F], the lowest at the bottom, coloured from `loudest` down."""
    shade = np.clip((level - loudest) / RANGE_DB + 1, 0, 1)[::-1]
    steps = np.linspace(0, 1, len(COLOURS))
    colours = np.stack([np.interp(shade, steps, [one[i] for one in COLOURS]) for i in range(3)], axis=-1)
    pixels = Image.fromarray(colours.round().astype(np.uint8))
    return pixels.resize((WIDTH, MEL_HEIGHT), Image.Resampling.BILINEAR)


def _fitting(draw: ImageDraw.ImageDraw, text: str) -> str:
    """The text, or as much of its end as a cell holds."""
    text = text.encode("ascii", "replace").decode()  # Pillow's own font has no more
    while text and draw.textlength(text) > WIDTH:
        text = text[1:]
    return text
