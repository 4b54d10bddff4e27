"""What goes wrong in adversarial training, noticed between steps: divergence stops the run, the rest is warned of."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from genkit.errors import DivergedError
from genkit.interfaces import Tree

DEAD_GRADIENT = 1e-12  # a norm that float32 arithmetic can not tell from no signal at all
ALWAYS_RIGHT = 0.9999
COLLAPSED = 0.1  # share of the reals' mean pairwise distance below which a preview has collapsed


def diverged(step: int, names: Sequence[str], written: str) -> DivergedError:
    """The error for figures `names` that were not finite at `step`; `written` says where its batch is written down."""
    return DivergedError(
        f"training diverged at step {step}: {', '.join(names)} not finite",
        where=f"the update was held back, the last checkpoint stands; the batch is in {written}",
        fix="lower optim.*.lr, raise the penalty's weight, clip gradients (train.clip_critic), or train.precision=fp32",
    )


class DeadPlayers:
    """Warns once when a player has stopped learning, and again only after it has recovered."""

    def __init__(self) -> None:
        self._warned: set[str] = set()

    def warnings(self, means: Mapping[str, float]) -> list[str]:
        """What the interval's means give reason to say."""
        found: dict[str, str] = {}
        for player in ("critic", "generator"):
            norm = means.get(f"gradient/{player}")
            if norm is not None and norm < DEAD_GRADIENT:
                found[player] = f"the {player} is dead: its mean gradient norm is {norm:.2g}"
        accuracy, norm = means.get("critic/accuracy"), means.get("gradient/generator", 1.0)
        if accuracy is not None and accuracy >= ALWAYS_RIGHT and norm < 1e-6:
            found["overwhelmed"] = (
                f"the critic is always right (accuracy {accuracy:.4f}) and the generator hears nothing "
                f"(gradient norm {norm:.2g})"
            )
        new = [text for kind, text in found.items() if kind not in self._warned]
        self._warned = set(found)
        return new


def spread(sample: Tree) -> Tensor:
    """How far a batch's samples lie apart: the median over neighbours (i, i+1) of their root-mean-square difference
    (share of differing entries for integers), a scalar on the device.

    Neighbours instead of all pairs cost N instead of N². The median, because a preview shows a class a row: when every
    class has collapsed on its own, the few neighbours of different classes must not hide it.
    """
    distances = []
    for leaf in tree_leaves(sample):
        after = leaf.roll(1, 0)
        if leaf.is_floating_point():
            distances.append((leaf - after).float().flatten(1).square().mean(1).sqrt().median())
        else:
            distances.append((leaf != after).float().flatten(1).mean(1).median())
    return torch.stack(distances).mean()


class Diversity:
    """Warns when a preview's samples lie much closer together than real ones do."""

    def __init__(self, real: Tree) -> None:
        self._real = spread(real)

    def warning(self, sample: Tree) -> str | None:
        """What a preview gives reason to say; nothing for one sample, which has no neighbour."""
        if len(tree_leaves(sample)[0]) < 2:
            return None
        ratio = float(spread(sample) / self._real.clamp(min=1e-12))
        if ratio >= COLLAPSED:
            return None
        return f"the preview has collapsed: its samples lie {ratio:.3f} times as far apart as real ones do"
