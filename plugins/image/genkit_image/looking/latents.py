"""Ways through latent space, for latents that are standard normal."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from genkit import Subject, UsageError


def slerp(start: Tensor, end: Tensor, share: Tensor) -> Tensor:
    """Latents on the way from one to another (Shoemake 1985): sin((1-t)ω)/sin ω a + sin(tω)/sin ω b, where ω is the
    angle between a and b. What is in between is as long as they are, as normal latents of many numbers all are.

    Args:
        start, end: [B, ...].
        share: t, [T]; 0 is `start`, 1 `end`.

    Returns [B, T, ...].
    """
    a, b = start.flatten(1).double(), end.flatten(1).double()
    cosine = torch.nn.functional.cosine_similarity(a, b, dim=1).clamp(-1, 1)[:, None, None]
    angle, t = cosine.acos(), share.double()[None, :, None]
    sine = angle.sin()
    # Along one line there is no circle to follow, and the straight way is the limit.
    straight = sine < 1e-6
    safe = torch.where(straight, 1.0, sine)
    first = torch.where(straight, 1 - t, ((1 - t) * angle).sin() / safe)
    second = torch.where(straight, t, (t * angle).sin() / safe)
    way = first * a[:, None] + second * b[:, None]
    return way.to(start.dtype).view(len(start), len(share), *start.shape[1:])


def bounded(latent: Tensor, bound: float) -> Tensor:
    """Standard normal numbers as numbers of the normal distribution cut off at ±`bound` (the truncation trick of Brock
    et al. 2019, section 3.1). Theirs are drawn anew until they fit; here each number keeps its quantile, so that a
    sample can be followed from one bound to the next. An infinite bound changes nothing."""
    if math.isinf(bound):
        return latent
    below = 0.5 * (1 + math.erf(-bound / math.sqrt(2)))
    quantile = below + (1 - 2 * below) * 0.5 * (1 + torch.erf(latent.double() / math.sqrt(2)))
    return (math.sqrt(2) * torch.erfinv((2 * quantile - 1).clamp(-1 + 1e-12, 1 - 1e-12))).to(latent.dtype)


def need_latents(subject: Subject) -> None:
    """Raises UsageError when the run's latents hold no numbers, so that nothing lies between two samples."""
    if not subject.sampler.random:
        raise UsageError(
            f"{subject.run.path} has no latents to move through: a sample is decided by its condition alone"
        )
