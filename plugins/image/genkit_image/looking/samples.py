"""Views that need the generator alone: strips, walks, truncation, labels."""

from __future__ import annotations

import math
from pathlib import Path

import torch
from torch import Tensor
from torch.utils._pytree import tree_map

from genkit import Labels, Subject, UsageError
from genkit_image.looking.config import ClassesConfig, StripConfig, TruncationConfig, WalkConfig
from genkit_image.looking.latents import bounded, need_latents, slerp
from genkit_image.looking.sheets import write_film, write_sheet

SETTINGS = (0.25, 0.5, 0.7, 0.85, 1.0)
BOUNDS = (0.25, 0.5, 1.0, 1.5, 2.0, math.inf)


def draw_strip(config: StripConfig, subject: Subject, path: Path) -> list[Path]:
    """Each row from one sample to another, under the first one's condition."""
    need_latents(subject)
    latent, condition = subject.inputs(2 * config.rows)
    share = torch.linspace(0, 1, config.columns, device=latent.device)
    ways = slerp(latent[: config.rows], latent[config.rows :], share)
    return [write_sheet(_along(subject, ways, condition), path, columns=config.columns)]


def draw_walk(config: WalkConfig, subject: Subject, path: Path) -> list[Path]:
    """Each walk from sample to sample and back, under the first one's condition."""
    need_latents(subject)
    latent, condition = subject.inputs(config.walks * config.stops)
    stops = latent.unflatten(0, (config.stops, config.walks))
    share = torch.arange(config.frames, device=latent.device) / config.frames
    legs = [slerp(stops[i], stops[(i + 1) % config.stops], share) for i in range(config.stops)]
    ways = torch.cat(legs, 1)
    pictures = _along(subject, ways, condition).unflatten(0, (config.walks, ways.shape[1]))
    columns = math.ceil(math.sqrt(config.walks))
    return [write_film(pictures.transpose(0, 1), path, columns=columns, rate=config.rate)]


def draw_truncation(config: TruncationConfig, subject: Subject, path: Path) -> list[Path]:
    """A column for each value: of the generator's setting where it has one, else of a bound on the latents."""
    need_latents(subject)
    latent, condition = subject.inputs(config.rows)
    has_setting = "truncation" in subject.sampler.generator.sampling
    values = config.values or (SETTINGS if has_setting else BOUNDS)
    columns = [
        subject.sampler.generate(latent, condition, truncation=value)
        if has_setting
        else subject.sampler.generate(bounded(latent, value), condition)
        for value in values
    ]
    pictures = torch.stack([batch.sample for batch in columns], 1).flatten(0, 1)
    sign = "ψ = " if has_setting else "|z| < "
    names = ["all" if math.isinf(value) else f"{sign}{value:g}" for value in values]
    return [write_sheet(pictures, path, columns=len(values), columns_named=names)]


def draw_classes(config: ClassesConfig, subject: Subject, path: Path) -> list[Path]:
    """A row for each label that training had a picture of, a column for each latent.

    Raises UsageError for a run without labels.
    """
    known = subject.sampler.conditions
    if not isinstance(known, Labels):
        raise UsageError(f"{subject.run.path} was trained without labels")
    if subject.condition is not None:
        raise UsageError("this view shows every label by itself", where="--condition", fix="leave it out")
    latent, _ = subject.inputs(config.columns)
    shown = [label for label, count in enumerate(known.counts) if count][: config.most]
    labels = torch.tensor(shown, device=latent.device).repeat_interleave(config.columns)
    batch = subject.sampler.generate(latent.repeat(len(shown), *[1] * (latent.dim() - 1)), labels)
    names = [known.names[label] for label in shown]
    return [write_sheet(batch.sample, path, columns=config.columns, rows_named=names)]


def _along(subject: Subject, ways: Tensor, condition: object) -> Tensor:
    """Pictures [B·T, C, H, W] for ways [B, T, ...], each way under the condition of its row."""
    rows, length = ways.shape[:2]
    given = None
    if condition is not None:
        given = tree_map(lambda leaf: leaf[:rows].repeat_interleave(length, 0), condition)
    pictures: Tensor = subject.sampler.generate(ways.flatten(0, 1), given).sample
    return pictures
