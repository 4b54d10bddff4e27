"""What can be asked of a conditional generator: class labels, or conditions kept from the data."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves, tree_map

from genkit.errors import UsageError
from genkit.inspection import Conditions
from genkit.interfaces import Facts, Tree
from genkit.random import Random


class Labels(Conditions):
    """Class labels, int64 [B], drawn as often as the data has them.

    Args:
        names: the name of each class.
        counts: how many examples of each class the data has.
    """

    def __init__(self, names: Sequence[str], counts: Sequence[int] | None = None) -> None:
        self.names = [str(name) for name in names]
        self.counts = list(counts) if counts is not None else [1] * len(self.names)

    def draw(self, count: int, *, rng: Random) -> Tensor:
        edges = torch.tensor(self.counts, dtype=torch.float64).cumsum(0)
        edges = (edges / edges[-1]).to(rng.device, torch.get_default_dtype())
        return torch.bucketize(rng.uniform(count), edges, right=True).clamp_(max=len(self.names) - 1)

    def grid(self, count: int) -> tuple[Tensor, int]:
        """One class a row when the classes fit, else the classes in turn."""
        classes = len(self.names)
        columns = max(1, count // classes if classes <= count else math.isqrt(count))
        rows = max(1, count // columns)
        return torch.arange(rows).remainder(classes).repeat_interleave(columns), columns

    def parse(self, given: Mapping[str, Any], count: int) -> Tensor:
        """One label a sample, of those asked for in turn: names of classes, or a tensor of their numbers from 0 on.

        What is no name but a whole number means the class of that number, unless all names are whole numbers. Raises
        UsageError for what means no class.
        """
        unknown = sorted(set(given) - {"label"})
        if unknown or "label" not in given:
            raise UsageError(
                f"this generator takes the condition `label`, not {', '.join(unknown) or 'nothing'}",
                fix=f"--condition label=NAME, where NAME is one of {', '.join(self.names)}",
            )
        asked = given["label"]
        if isinstance(asked, str):
            asked = asked.split(",")
        chosen = [self._index(one) for one in (asked if isinstance(asked, Sequence | Tensor) else [asked])]
        if not chosen:
            raise UsageError("the condition `label` is empty")
        return torch.tensor([chosen[i % len(chosen)] for i in range(count)])

    def describe(self, condition: Tree) -> Any:
        return condition.cpu().numpy()

    def _index(self, label: Any) -> int:
        by_number = isinstance(label, Tensor)
        text = str(int(label)) if by_number else str(label).strip()
        if not by_number and text in self.names:
            return self.names.index(text)
        by_number = by_number or not all(name.removeprefix("-").isdecimal() for name in self.names)
        if by_number and text.isdecimal() and int(text) < len(self.names):
            return int(text)
        raise UsageError(f"unknown label {text!r}", fix=f"choose one of {', '.join(self.names)}")


class Bank(Conditions):
    """Conditions kept from the data, for generators whose conditions can not be named in words.

    Args:
        bank: a pytree of tensors [N, ...].
    """

    paired = True

    def __init__(self, bank: Tree) -> None:
        self.bank = bank
        self.size = len(tree_leaves(bank)[0])

    def draw(self, count: int, *, rng: Random) -> Tree:
        chosen = rng.integers(0, self.size, count)
        return tree_map(lambda leaf: leaf.to(rng.device)[chosen], self.bank)

    def grid(self, count: int) -> tuple[Tree, int]:
        chosen = torch.arange(count) % self.size
        return tree_map(lambda leaf: leaf[chosen], self.bank), max(1, math.isqrt(count))

    def parse(self, given: Mapping[str, Any], count: int) -> Tree:
        raise UsageError(f"this generator's conditions can not be given as {', '.join(given)} on the command line")

    def describe(self, condition: Tree) -> Any:
        return {str(i): leaf.cpu().numpy() for i, leaf in enumerate(tree_leaves(condition))}


def labels_from(facts: Facts) -> Labels | None:
    """`Labels` when the facts name classes (``labels``, and ``label_counts`` where known), else None."""
    if not facts.get("labels"):
        return None
    return Labels(facts["labels"], facts.get("label_counts"))
