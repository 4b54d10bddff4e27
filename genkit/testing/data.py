"""Checks of the data: the same examples in the same order, whoever reads them."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch.utils._pytree import tree_leaves, tree_map

from genkit.interfaces import Dataset, StreamedDataset, Tree
from genkit.random import Random, Rows
from genkit.testing.outcome import CheckFailure
from genkit.testing.recipe import Recipe
from genkit.training.loader import Batches

LOOKED_AT = 8
"""Examples that are read from each of two openings."""
BATCHES = 3
SEEDED = (
    "draw from `genkit.Random(config.seed)` where the dataset is opened and from `rng` in prepare; never from torch's, "
    "numpy's or Python's global source"
)


def order_is_a_function_of_the_seed(recipe: Recipe) -> None:
    """Two openings under other global seeds hold the same examples, and batches are the same whether this process,
    two loader processes or a copy on the device serves them."""
    config = recipe.config()
    first, again = (_opened(recipe, seed) for seed in (1, 2))
    if _json(first.facts) != _json(again.facts):
        raise CheckFailure("two openings of the dataset state other facts", SEEDED)
    _same(_examples(first, 3), _examples(again, 4), "two openings of the dataset hold other examples")
    held = [data.held_out() for data in (first, again)]
    if all(one is not None for one in held):
        _same(_examples(held[0], 3), _examples(held[1], 4), "two openings of the dataset hold out other examples")
    batch_size = config.train.batch_size
    rows = Rows(0, batch_size, batch_size)
    ways: dict[str, dict[str, Any]] = {
        "this process": {"workers": 0, "resident": "off"},
        "2 loader processes": {"workers": 2, "resident": "off"},
    }
    if isinstance(first, Dataset) and first.resident() is not None:
        ways["a copy on the device"] = {"resident": "on"}
    served: dict[str, list[Tree]] = {}
    for number, (way, settings) in enumerate(ways.items()):
        _seed_globals(number)
        batches = Batches(
            first, dataclasses.replace(config.train, **settings), seed=1, rows=rows, device=torch.device("cpu")
        )
        served[way] = [batches.take(number) for number in range(BATCHES)]
        batches.close()
    whole = served.pop("this process")
    for way, other in served.items():
        _same(whole, other, f"{way} serve other batches than this process")
    prepared = []
    for seed in (5, 6):
        _seed_globals(seed)
        stored = tree_map(torch.clone, whole[0])
        prepared.append(first.prepare(stored, rng=Random(7, "cpu", rows)))
    _same(
        [(one.sample, one.condition, one.mask) for one in prepared[:1]],
        [(one.sample, one.condition, one.mask) for one in prepared[1:]],
        "prepare makes another batch of the same examples and the same `rng`",
    )


def _opened(recipe: Recipe, seed: int) -> Dataset | StreamedDataset:
    _seed_globals(seed)
    return recipe.build(seed=seed).data


def _examples(data: Any, seed: int) -> list[Tree]:
    """Some examples, spread over the dataset, read under a global seed."""
    _seed_globals(seed)
    if isinstance(data, StreamedDataset):
        stream: Iterator[Tree] = data.examples(seed=1, epoch=0, shard=0, shards=1)
        return list(islice(stream, LOOKED_AT))
    size = len(data)
    chosen = sorted({round(i * (size - 1) / (LOOKED_AT - 1)) for i in range(LOOKED_AT)})
    return [torch.tensor(size), *(data.read(index) for index in chosen)]


def _same(one: list[Tree], other: list[Tree], what: str) -> None:
    pairs = list(zip(tree_leaves(one), tree_leaves(other), strict=False))
    equal = len(tree_leaves(one)) == len(tree_leaves(other)) and all(
        torch.equal(a, b) if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor) else a == b for a, b in pairs
    )
    if not equal:
        raise CheckFailure(what, SEEDED)


def _seed_globals(seed: int) -> None:
    torch.manual_seed(seed)
    random.seed(seed)
    np.random.seed(seed)  # the old global source, which a dataset must not use either


def _json(value: Any) -> str:
    return json.dumps(dict(value), sort_keys=True, default=str)
