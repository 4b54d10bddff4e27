"""From pictures back to latents, by the critic's features and the pixels: no network but the run's own is needed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from genkit import Critic, DataError, Sampler, Subject, UsageError
from genkit_image.data.decode import Decoding
from genkit_image.looking.config import ProjectionConfig
from genkit_image.looking.latents import need_latents
from genkit_image.looking.sheets import write_sheet

OPTION = "--set image"


@dataclass(frozen=True)
class Projection:
    """What came of projecting B pictures."""

    latent: Tensor
    """[B, ...]"""
    condition: Tensor | None
    """Labels [B]."""
    start: Tensor
    """What was begun with, [B, C, H, W] in [-1, 1]."""
    found: Tensor
    """What the latents make, likewise."""
    losses: tuple[float, ...]
    """The mean over the pictures, at the start and after each step."""


def draw_projection(config: ProjectionConfig, subject: Subject, path: Path) -> list[Path]:
    """Three rows: the pictures, the nearest of random samples, what the latents found make."""
    need_latents(subject)
    if "given" in subject.sampler.facts:
        raise UsageError(
            f"{subject.run.path} makes pictures of other pictures; it has a latent for none",
            fix="`genkit sample RUN --condition image=FILE` makes one of yours",
        )
    channels = subject.sampler.facts["shape"][0]
    if channels not in {1, 3}:
        raise UsageError(
            f"{subject.run.path} makes samples of {channels} channels; a picture file has 1 or 3", where=OPTION
        )
    named = [config.image] if isinstance(config.image, str) else list(config.image)
    targets = torch.stack([read_picture(Path(one).expanduser(), subject) for one in named])
    latent, condition = subject.inputs(config.starts)
    critic = subject.critic if config.features and config.steps else None
    found = project(targets, latent, condition, subject.sampler, critic, config)
    pictures = torch.cat([targets, found.start, found.found]).cpu()
    rows = ["given", "nearest", "found"]
    return [write_sheet(pictures, path, columns=len(targets), rows_named=rows)]


def read_picture(path: Path, subject: Subject) -> Tensor:
    """The picture [C, H, W] in [-1, 1], on the sampler's device, at the run's resolution. Raises UsageError."""
    from genkit_image.conditions import size_of

    channels, side, _ = subject.sampler.facts["shape"]
    size_of(path, OPTION)  # raises, naming the file, when there is none or it is no picture
    try:
        with path.open("rb") as file:
            stored = Decoding(side, channels, "crop", (255, 255, 255))(file, str(path))
    except DataError as error:
        raise UsageError(error.what, where=OPTION) from error
    return (stored.float() / 127.5 - 1).to(subject.sampler.device)


def project(
    targets: Tensor,
    latent: Tensor,
    condition: Tensor | None,
    sampler: Sampler,
    critic: Critic | None,
    config: ProjectionConfig,
) -> Projection:
    """Latents whose pictures come near to `targets`: of the given ones the nearest in pixels, then Adam on

    pixels · mean (x - t)² + features · mean_l ‖f_l(x) - f_l(t)‖² / ‖f_l(t)‖² + prior · (‖z‖² / D - 1)²

    where f_l are the critic's feature maps under the row's condition.

    Args:
        targets: [B, C, H, W] in [-1, 1].
        latent, condition: where to begin, S rows; the condition is a label.
        sampler: whose generator.
        critic: whose features; None leaves them out.
        config: weights, steps and rate.

    Raises UsageError when the critic gives no features.
    """
    begun = sampler.generate(latent, condition).sample
    nearest = torch.cdist(targets.flatten(1), begun.flatten(1)).argmin(1)
    given = None if condition is None else condition[nearest]
    found = latent[nearest].clone().requires_grad_()
    wanted = None if critic is None else _features(critic, targets, given)
    adam = torch.optim.Adam([found], lr=config.rate)
    losses = []
    for step in range(config.steps + 1):
        for group in adam.param_groups:
            group["lr"] = config.rate * 0.5 * (1 + math.cos(math.pi * step / max(1, config.steps)))
        made = sampler.generator(found, given).sample
        loss = config.pixels * (made - targets).square().flatten(1).mean(1)
        if critic is not None and wanted is not None:
            shares = [
                (here - there).square().flatten(1).sum(1) / there.square().flatten(1).sum(1).clamp_min(1e-12)
                for here, there in zip(_features(critic, made, given), wanted, strict=True)
            ]
            loss = loss + config.features * torch.stack(shares).mean(0)
        losses.append(float(loss.detach().mean()))
        if step == config.steps:
            break
        length = found.flatten(1).square().mean(1)
        total = (loss + config.prior * (length - 1).square()).sum()
        (found.grad,) = torch.autograd.grad(total, found)
        adam.step()
    result = found.detach()
    return Projection(result, given, begun[nearest], sampler.generate(result, given).sample, tuple(losses))


def _features(critic: Critic, images: Tensor, condition: Tensor | None) -> list[Tensor]:
    maps = [one for several in critic(images, condition).features for one in several]
    if not maps:
        raise UsageError(
            f"{type(critic).__name__} gives no features to compare", fix="--set features=0 compares pixels alone"
        )
    return maps
