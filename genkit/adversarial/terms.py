"""Losses of the generator beside the adversarial one. Values are unweighted, in fp32 or wider."""

from __future__ import annotations

from typing import Literal

from torch import Tensor
from torch.utils._pytree import tree_leaves

from genkit.adversarial.judging import kept, reduced, widen
from genkit.adversarial.settings import Reduce
from genkit.errors import UsageError
from genkit.interfaces import Draw, GeneratorTurn, Term, TokenGenerator
from genkit.schedules import Scheduled


class FeatureMatching(Term):
    """Σ_k Σ_i mean|φ_ki(r) - φ_ki(f)| over the feature maps i of the sub-critics k (Kumar et al. 2019, MelGAN;
    Kong et al. 2020, HiFi-GAN, section 2.3). Only the fakes' features carry gradients.

    Args:
        weight: see `Term`.
        reduce: add up the sub-critics, each times the weight its verdict gives it, or average them.
        maps: add up the maps of a sub-critic, or average them.
    """

    name = "feature_matching"
    needs_verdict = True

    def __init__(self, weight: Scheduled = 1.0, *, reduce: Reduce = "sum", maps: Reduce = "sum") -> None:
        super().__init__(weight)
        self.reduce = reduce
        self.maps = maps

    def forward(self, turn: GeneratorTurn) -> Tensor:
        """Raises UsageError when the critic gives no features, or those of real and fake do not match."""
        real, fake = turn.real_verdict, turn.fake_verdict
        if real is None or fake is None or not any(fake.features):
            raise UsageError("feature matching needs the critic's feature maps of real and fake: Verdict(features=...)")
        shapes = [[[one.shape for one in maps] for maps in verdict.features] for verdict in (real, fake)]
        if shapes[0] != shapes[1]:
            raise UsageError("feature matching needs maps of the same shapes for real and fake, row by row")
        each = [
            reduced([(widen(f) - widen(r.detach())).abs().mean() for r, f in zip(*maps, strict=True)], self.maps)
            for maps in zip(real.features, fake.features, strict=True)
        ]
        return reduced(each, self.reduce, fake.weights)


class Reconstruction(Term):
    """mean|x - y| or mean (x - y)² between the draw and what it should be, averaged over the leaves of a tree.

    Where the draw has a mask [B, L], a leaf [B, L, ...] is averaged over each row's positions that count, then rows.

    Args:
        weight: see `Term`.
        distance: ``l1`` or ``l2``.
        against: ``real``: the real sample of the same row; ``target``: the draw's own target, for generators that
            choose what to imitate.
    """

    name = "reconstruction"

    def __init__(
        self,
        weight: Scheduled = 1.0,
        *,
        distance: Literal["l1", "l2"] = "l1",
        against: Literal["real", "target"] = "real",
    ) -> None:
        super().__init__(weight)
        self.distance = distance
        self.against = against
        self.needs_real = against == "real"

    def forward(self, turn: GeneratorTurn) -> Tensor:
        """Raises UsageError when there is nothing to compare with, or it has another shape."""
        draw = turn.draw
        wanted = (turn.real and turn.real.sample) if self.against == "real" else (draw and draw.target)
        if draw is None or wanted is None:
            raise UsageError(f"a reconstruction against {self.against} was given none")
        made, wanted = tree_leaves(draw.sample), tree_leaves(wanted)
        if [leaf.shape for leaf in made] != [leaf.shape for leaf in wanted]:
            raise UsageError(
                f"a reconstruction against {self.against} compares tensors of the same shape, not "
                f"{[list(leaf.shape) for leaf in made]} with {[list(leaf.shape) for leaf in wanted]}"
            )
        return reduced([self._mean(x, y, draw.mask) for x, y in zip(made, wanted, strict=True)], "mean")

    def _mean(self, made: Tensor, wanted: Tensor, mask: Tensor | None) -> Tensor:
        apart = widen(made) - widen(wanted.detach())
        apart = apart.abs() if self.distance == "l1" else apart.square()
        if mask is None or made.shape[:2] != mask.shape:
            return apart.mean()
        return (kept(apart.flatten(2).mean(2) if apart.dim() > 2 else apart, mask).sum(1) / _lengths(mask)).mean()


class Likelihood(Term):
    """-E[Σ_t log p(x_t | x_<t)] / L over the reals: maximum likelihood by teacher forcing.

    L is the common length, padding included, and not a row's own: dividing by each row's own length would fit the data
    reweighted towards short rows. Reports ``nll``, in nats a token.
    """

    name = "likelihood"
    needs_draw = False
    autocast = True

    def forward(self, turn: GeneratorTurn) -> Tensor:
        """Raises UsageError when there are no reals, or the generator has no log-probabilities."""
        if turn.real is None:
            raise UsageError("a likelihood needs real tokens")
        if not isinstance(turn.generator, TokenGenerator):
            raise UsageError(f"{type(turn.generator).__name__} is no TokenGenerator: it has no log_prob")
        draw = Draw(turn.real.sample, turn.real.mask)
        lost = -kept(widen(turn.generator.log_prob(draw, turn.real.condition)), draw.mask)
        tokens = lost.numel() if draw.mask is None else _lengths(draw.mask).sum()
        turn.report["nll"] = lost.detach().sum() / tokens
        return lost.mean()


def _lengths(mask: Tensor) -> Tensor:
    return mask.sum(1).clamp(min=1)
