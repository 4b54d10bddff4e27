"""Homogeneous matrices of the plane [B, 3, 3] and of colours [B, 4, 4], one for each row."""

from __future__ import annotations

import torch
from torch import Tensor

LUMA = 3**-0.5
"""Each entry of the unit vector along which the three colours grow alike."""


def translation(by: Tensor) -> Tensor:
    """x -> x + by, for `by` [B, n]: [B, n + 1, n + 1]."""
    rows, size = by.shape
    matrix = torch.eye(size + 1, dtype=by.dtype, device=by.device).repeat(rows, 1, 1)
    return torch.cat([matrix[:, :, :size], torch.cat([by, torch.ones_like(by[:, :1])], 1)[:, :, None]], 2)


def scaling(by: Tensor) -> Tensor:
    """x -> by * x, for `by` [B, n]: [B, n + 1, n + 1]."""
    return torch.diag_embed(torch.cat([by, torch.ones_like(by[:, :1])], 1))


def rotation(angle: Tensor) -> Tensor:
    """A turn of the plane by `angle` [B], from x towards y: [B, 3, 3]."""
    cosine, sine, zero, one = angle.cos(), angle.sin(), torch.zeros_like(angle), torch.ones_like(angle)
    rows = [[cosine, -sine, zero], [sine, cosine, zero], [zero, zero, one]]
    return torch.stack([torch.stack(row, 1) for row in rows], 1)


def luma_reflection(by: Tensor) -> Tensor:
    """Colours mirrored in luma where `by` [B] is 1, untouched where it is 0: I - 2 by v vᵀ, [B, 4, 4]."""
    return _identity(by) - 2 * by[:, None, None] * _along_luma(by)


def luma_rotation(angle: Tensor) -> Tensor:
    """Hues turned by `angle` [B] around the luma axis (Rodrigues): [B, 4, 4]."""
    along = _along_luma(angle)
    cross = angle.new_zeros(4, 4)
    step = torch.eye(3, dtype=angle.dtype, device=angle.device).roll(1, 0)
    cross[:3, :3] = LUMA * (step - step.t())  # x -> v × x
    cosine, sine = angle.cos()[:, None, None], angle.sin()[:, None, None]
    fixed = along + _unit(angle)
    return cosine * (_identity(angle) - fixed) + sine * cross + fixed


def saturation(by: Tensor) -> Tensor:
    """What colours have beside luma scaled by `by` [B]: v vᵀ + by (I - v vᵀ), [B, 4, 4]."""
    fixed = _along_luma(by) + _unit(by)
    return fixed + by[:, None, None] * (_identity(by) - fixed)


def _identity(like: Tensor) -> Tensor:
    return torch.eye(4, dtype=like.dtype, device=like.device)


def _along_luma(like: Tensor) -> Tensor:
    """v vᵀ [4, 4] of the luma axis."""
    axis = torch.cat([like.new_full((3,), LUMA), like.new_zeros(1)])
    return axis[:, None] * axis


def _unit(like: Tensor) -> Tensor:
    """[4, 4]: what keeps a homogeneous coordinate of 1."""
    axis = torch.cat([like.new_zeros(3), like.new_ones(1)])
    return axis[:, None] * axis
