"""What the models read from a dataset's facts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from genkit import ConfigError, UsageError


def image_shape(facts: Mapping[str, Any]) -> tuple[int, int]:
    """Channels and pixels a side. Raises ConfigError unless the data are square images."""
    shape = facts.get("shape", ())
    if facts.get("modality") != "image" or len(shape) != 3 or shape[1] != shape[2]:
        raise ConfigError(
            f"this model makes square images; the data has {facts.get('modality')} of shape {list(shape)}",
            where="model",
        )
    return shape[0], shape[1]


def class_count(facts: Mapping[str, Any]) -> int:
    """How many labels a conditional model tells apart; 0 makes an unconditional one."""
    return len(facts.get("labels") or ())


def halvings(size: int) -> tuple[int, int]:
    """`size` as base·2^n with a base of 4 to 7 pixels -> (base, n). Raises ConfigError when it has no such form."""
    base, times = size, 0
    while base > 7 and base % 2 == 0:
        base, times = base // 2, times + 1
    if not 4 <= base <= 7 or times == 0:
        raise ConfigError(f"{size} pixels a side are not 4, 5, 6 or 7 times a power of two", where="data.resolution")
    return base, times


def asked_label(condition: Tensor | None) -> Tensor:
    """The labels [B] a conditional model needs. Raises UsageError without any."""
    if condition is None:
        raise UsageError("this model is conditional: it needs a label for each row", fix="--condition label=NAME")
    return condition


def base_size(size: int, halvings: int, where: str, *, least: int = 3) -> int:
    """`size` halved that often. Raises ConfigError at the key `where` when it is no whole number, or under `least`."""
    base, rest = divmod(size, 1 << halvings)
    if rest or base < least:
        fitting = [
            times for times in range(1, size.bit_length()) if size % (1 << times) == 0 and size >> times >= least
        ]
        raise ConfigError(
            f"{size} pixels a side can not be halved {halvings} times to {least} or more",
            where=where,
            fix=f"it can be halved {max(fitting)} times" if fitting else "choose another data.resolution",
        )
    return base
