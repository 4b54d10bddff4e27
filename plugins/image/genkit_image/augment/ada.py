"""Adaptive discriminator augmentation (Karras, Aittala, Hellsten, Laine, Lehtinen and Aila 2020, arXiv 2006.06676).

The pipeline of appendix B: one affine map of the plane, one of the colours, and a cutout, put together from
transformations that happen with probability p. Affine in the pictures, so twice differentiable.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from genkit import Augment, Objective, Ramp, Random, UsageError, Verdict
from genkit_image.augment import matrices
from genkit_image.augment.config import ADAConfig

Parameters = dict[str, Tensor]

GEOMETRY = ("flip", "turn", "shift", "scale", "rotate", "rotate", "stretch", "drift")
COLOUR = ("brightness", "contrast", "luma_flip", "hue", "saturation")
CUT = 0.5
"""Side of the cutout, as a share of the picture's."""
# The low-pass filter of Daubechies' symlet with 6 vanishing moments. It is orthogonal to its own shifts by two, so that
# doubling and halving through it leave a picture as it was.
SYMLET6 = (
    0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633, 0.4910559419267466,
    0.787641141030194, 0.3379294217276218, -0.07263752278646252, -0.021060292512300564, 0.04472490177066578,
    0.0017677118642428036, -0.007800708325034148,
)  # fmt: skip
REACH = len(SYMLET6) // 2
LEAST = REACH // 2 + 1
"""Pixels a side that can be mirrored as far as the filter reaches."""


class ADA(Augment):
    """Augmentation whose probability follows how sure the critic is of the reals.

    After each `interval` critic updates p moves up if the mean of sign(D(r) - m) over them was above `target`, else
    down, as fast as from 0 to 1 in `length` reals (section 3.2, r_t). m is the objective's midpoint. Where it has none,
    relativistic or Wasserstein, the mean of sign(D(r) - D(f)) over pairs stands in: our reading, not the paper's.
    Logs ``augment/probability`` and ``augment/sign``.

    Args:
        config: see `ADAConfig`.
    """

    taps: Tensor
    """[12]: the filter that pictures are doubled and halved by."""
    adapted: Tensor
    """[]: p, where it adapts."""
    signs: Tensor
    """[2]: sum of the signs, and number of the reals, since p last moved."""
    updates: Tensor
    """[]: critic updates since p last moved."""

    def __init__(self, config: ADAConfig) -> None:
        super().__init__(config.probability)
        self.config = config
        self.register_buffer("taps", torch.tensor(SYMLET6), persistent=False)
        ramp = config.probability
        self.most = max(ramp.start, ramp.end) if isinstance(ramp, Ramp) else ramp
        if config.target is not None:
            self.register_buffer("adapted", torch.zeros(()))
            self.register_buffer("signs", torch.zeros(2))
            self.register_buffer("updates", torch.zeros((), dtype=torch.int64))

    def draw(self, sample: Tensor, *, probability: float, rng: Random) -> Parameters:
        """For pictures [B, C, H, W]: ``geometry`` [B, 3, 3] leads from a place of the result to one of the picture, in
        pixels (x, y, 1) from the middle; ``colour`` is [B, 4, 4]; ``cutout`` [B, 2] is its middle, in shares of the
        sides. A row's numbers are its own in any batch and do not depend on which transformations are on."""
        rows, config = len(sample), self.config
        chance, uniform, normal = rng.uniform(rows, 14), rng.uniform(rows, 10), rng.normal(rows, 7)
        limit = chance.new_full((), probability)
        p = limit if config.target is None else torch.minimum(self.adapted.to(chance), limit)
        drawn: Parameters = {}
        if any(getattr(config, name) for name in GEOMETRY):
            drawn["geometry"] = self._geometry(sample, p, chance[:, :8], uniform[:, :6], normal[:, :4])
        if any(getattr(config, name) for name in COLOUR):
            drawn["colour"] = self._colour(p, chance[:, 8:13], uniform[:, 6:8], normal[:, 4:])
        if config.cutout:
            far = torch.full_like(uniform[:, 8:], -1.0)  # a square there cuts nothing
            drawn["cutout"] = torch.where((chance[:, 13] < config.cutout * p)[:, None], uniform[:, 8:], far)
        return {name: one.to(sample.dtype) for name, one in drawn.items()}

    def _geometry(self, sample: Tensor, p: Tensor, chance: Tensor, uniform: Tensor, normal: Tensor) -> Tensor:
        config, (height, width) = self.config, sample.shape[2:]
        # Two chances to turn, before and after the stretch, that together turn with probability p.
        turns = 1 - (1 - config.rotate * p).sqrt()
        shares = torch.stack(
            [*(getattr(config, name) * p for name in GEOMETRY[:4]), turns, turns, config.stretch * p, config.drift * p]
        )
        flip, turn, shift, scale, before, after, stretch, drift = (chance < shares).to(chance.dtype).unbind(1)
        side = torch.stack([torch.full_like(p, width), torch.full_like(p, height)])
        mirror = 1 - 2 * flip * (2 * uniform[:, 0]).floor()
        larger = 2 ** (0.2 * normal[:, 0] * scale)
        wider = 2 ** (0.2 * normal[:, 1] * stretch)
        # Each is the inverse of what happens to the picture; what happens first stands first.
        steps = [
            matrices.scaling(torch.stack([mirror, torch.ones_like(mirror)], 1)),
            matrices.rotation(math.pi / 2 * turn * (4 * uniform[:, 1]).floor()),
            matrices.translation(((2 * uniform[:, 2:4] - 1) * 0.125 * side).round() * shift[:, None]),
            matrices.scaling(torch.stack([larger, larger], 1)),
            matrices.rotation(math.pi * (2 * uniform[:, 4] - 1) * before),
            matrices.scaling(torch.stack([wider, 1 / wider], 1)),
            matrices.rotation(math.pi * (2 * uniform[:, 5] - 1) * after),
            matrices.translation(0.125 * normal[:, 2:4] * side * drift[:, None]),
        ]
        return _product(steps)

    def _colour(self, p: Tensor, chance: Tensor, uniform: Tensor, normal: Tensor) -> Tensor:
        shares = torch.stack([getattr(self.config, name) * p for name in COLOUR])
        brightness, contrast, luma, hue, saturation = (chance < shares).to(chance.dtype).unbind(1)
        steps = [
            matrices.translation((0.2 * normal[:, 0] * brightness)[:, None].expand(-1, 3)),
            matrices.scaling((2 ** (0.5 * normal[:, 1] * contrast))[:, None].expand(-1, 3)),
            matrices.luma_reflection(luma * (2 * uniform[:, 0]).floor()),
            matrices.luma_rotation(math.pi * (2 * uniform[:, 1] - 1) * hue),
            matrices.saturation(2 ** (normal[:, 2] * saturation)),
        ]
        return _product(steps[::-1])  # the first to happen stands last

    def forward(self, sample: Tensor, parameters: Parameters) -> Tensor:
        """The augmented pictures [B, C, H, W]. Raises UsageError for colours of pictures neither grey nor RGB."""
        kind = sample.device.type
        if torch.amp.is_autocast_available(kind):
            with torch.autocast(kind, enabled=False):  # its bf16 would round pictures to 8 bits on their way
                return self._seen(sample, parameters)
        return self._seen(sample, parameters)

    def _seen(self, sample: Tensor, parameters: Parameters) -> Tensor:
        if "geometry" in parameters:
            sample = warped(sample, parameters["geometry"], self.taps)
        if "colour" in parameters:
            sample = recoloured(sample, parameters["colour"])
        if "cutout" in parameters:
            sample = sample * _uncut(sample, parameters["cutout"])
        return sample

    def heard(
        self, pairs: Sequence[tuple[Verdict, Verdict]], objective: Objective, total: Callable[[Tensor], Tensor]
    ) -> Mapping[str, Tensor]:
        """Move p, on the device, where it adapts."""
        target = self.config.target
        if target is None:
            return {}
        rows = torch.cat([_row_signs(real, fake, objective.midpoint) for real, fake in pairs]).to(self.signs)
        self.signs.add_(total(torch.stack([rows.sum(), torch.full_like(self.adapted, len(rows))])))
        self.updates.add_(1)
        due = self.updates >= self.config.interval
        mean = self.signs[0] / self.signs[1]
        moved = self.adapted + (mean - target).sign() * self.signs[1] / self.config.length
        self.adapted.copy_(torch.where(due, moved.clamp(0.0, self.most), self.adapted))
        self.signs.mul_(~due)
        self.updates.mul_(~due)
        return {"augment/probability": self.adapted.clone(), "augment/sign": mean}


def warped(sample: Tensor, geometry: Tensor, taps: Tensor) -> Tensor:
    """Pictures [B, C, H, W] seen through `geometry` [B, 3, 3] (see `ADA.draw`), mirrored at their edges. They are taken
    at twice the resolution, doubled and halved again through the orthogonal filter `taps` [12]. A row whose map is the
    identity stays as it is."""
    height, width = sample.shape[2:]
    fine = _along_both(sample, _doubling(sample, height, taps), _doubling(sample, width, taps))
    ys, xs = (torch.arange(2 * side + 10, dtype=sample.dtype, device=sample.device) for side in (height, width))
    # Places of the result in pixels from the middle: two to a pixel, with a margin of five for the filter.
    ys, xs = (ys - 4.5) / 2 - height / 2, (xs - 4.5) / 2 - width / 2
    places = torch.stack(torch.broadcast_tensors(xs[None, :], ys[:, None], ys.new_ones(1, 1)), -1)  # [h, w, 3]
    # grid_sample counts from -1 to 1.
    leads = torch.stack([geometry[:, 0] * (2 / width), geometry[:, 1] * (2 / height)], 1)
    grid = torch.einsum("bij,hwj->bhwi", leads, places)
    taken = F.grid_sample(fine, grid, mode="bilinear", padding_mode="reflection", align_corners=False)
    same = (geometry == torch.eye(3, dtype=geometry.dtype, device=geometry.device)).flatten(1).all(1)
    result = _along_both(taken, _halving(sample, height, taps), _halving(sample, width, taps))
    return torch.where(same[:, None, None, None], sample, result)


def recoloured(sample: Tensor, colour: Tensor) -> Tensor:
    """Pictures [B, C, H, W], grey or RGB, with their colours mapped by `colour` [B, 4, 4]; of grey ones the mean of
    what becomes of the three equal colours. Raises UsageError for others."""
    if sample.shape[1] == 3:
        return torch.einsum("bij,bjhw->bihw", colour[:, :3, :3], sample) + colour[:, :3, 3, None, None]
    if sample.shape[1] == 1:
        mean = colour[:, :3].mean(1)
        return sample * mean[:, None, None, :3].sum(3, keepdim=True) + mean[:, 3, None, None, None]
    raise UsageError(
        f"colours can be changed of grey and RGB pictures, not of {sample.shape[1]} channels",
        where="augment",
        fix="set brightness, contrast, luma_flip, hue and saturation to 0",
    )


def _doubling(like: Tensor, size: int, taps: Tensor) -> Tensor:
    """[size, 2 size]: x @ this doubles the length of x [..., size] through the filter, mirrored at its ends."""
    pad = REACH // 2
    lines = F.pad(torch.eye(size, dtype=like.dtype, device=like.device)[:, None], (pad, pad), mode="reflect")
    long = F.conv_transpose1d(lines, taps.to(like.dtype)[None, None] * math.sqrt(2), stride=2)[:, 0]
    first = 2 * pad + REACH - 1  # pixel k came to lie at 2k + 5 and 2k + 6
    return long[:, first : first + 2 * size]


def _halving(like: Tensor, size: int, taps: Tensor) -> Tensor:
    """[2 size + 10, size]: x @ this halves the length of x through the filter, which takes five from either end."""
    lines = torch.eye(2 * size + 2 * REACH - 2, dtype=like.dtype, device=like.device)[:, None]
    return F.conv1d(lines, taps.to(like.dtype)[None, None] / math.sqrt(2), stride=2)[:, 0]


def _along_both(x: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """`x` [B, C, H, W] times `columns` [W, w] along its rows and `rows` [H, h] along its columns: [B, C, h, w]."""
    return ((x @ columns).transpose(2, 3) @ rows).transpose(2, 3)


def _uncut(sample: Tensor, middle: Tensor) -> Tensor:
    """[B, 1, H, W]: 0 in a square of `CUT` of the side around each `middle` [B, 2], (x, y) in shares; 1 elsewhere."""
    inside = []
    for dim, which in ((2, 1), (3, 0)):
        size = sample.shape[dim]
        place = (torch.arange(size, dtype=sample.dtype, device=sample.device) + 0.5) / size
        inside.append((place - middle[:, which, None]).abs() < CUT / 2)
    rows, columns = inside
    return 1 - (rows[:, None, :, None] & columns[:, None, None, :]).to(sample.dtype)


def _product(steps: Sequence[Tensor]) -> Tensor:
    result = steps[0]
    for step in steps[1:]:
        result = result @ step
    return result


def _row_signs(real: Verdict, fake: Verdict, midpoint: float | None) -> Tensor:
    """[B]: the mean sign of each real's logits, against the midpoint or, without one, against the fake's beside it."""
    signs = [
        (r - (f if midpoint is None else midpoint)).sign().reshape(len(r), -1).mean(1)
        for r, f in zip(real.logits, fake.logits, strict=True)
    ]
    return torch.stack(signs).mean(0)


def build_ada(config: ADAConfig) -> ADA:
    """The augmentation of `config`."""
    return ADA(config)
