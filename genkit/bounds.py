"""Bounds of settings: what a number may be, checked where a config class is made, every field at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import Any

from genkit.errors import ConfigError


class BoundsError(ConfigError, ValueError):
    """Fields of a config class that hold what they may not.

    Args:
        what: one sentence.
        fields: what is wrong with each field, by its name.
    """

    def __init__(self, what: str, *, fields: Mapping[str, str] | None = None) -> None:
        self.fields = dict(fields or {})
        super().__init__(what, problems=[f"{key}: {message}" for key, message in self.fields.items()])


@dataclass(frozen=True)
class Bound:
    """What a number may be."""

    words: str
    """Such as ``1 or more``."""
    holds: Callable[[float], bool]


AT_LEAST_0 = Bound("0 or more", lambda value: value >= 0)
AT_LEAST_1 = Bound("1 or more", lambda value: value >= 1)
AT_LEAST_2 = Bound("2 or more", lambda value: value >= 2)
ABOVE_0 = Bound("more than 0", lambda value: value > 0)
BELOW_1 = Bound("0 or more and less than 1", lambda value: 0 <= value < 1)
FINITE = Bound("a finite number", math.isfinite)


def check_bounds(settings: object, *bounds: tuple[Bound, str]) -> None:
    """Check the fields of `settings`, a config class's instance.

    Args:
        settings: its None and its text are passed over; of a ramp both ends are looked at.
        bounds: each a bound, and the names of the fields that it holds for.

    Raises BoundsError with every field that is out of its bound.
    """
    wrong: dict[str, str] = {}
    for bound, names in bounds:
        for name in names.split():
            value = getattr(settings, name)
            if not all(bound.holds(number) for number in _numbers(value)):
                wrong.setdefault(name, f"expected {bound.words}, got {_shown(value)}")
    if wrong:
        raise BoundsError(f"{type(settings).__name__} has values out of bounds", fields=wrong)


def _numbers(value: Any) -> Iterator[float]:
    """The numbers that a setting holds; those of a ramp are its ends."""
    if isinstance(value, Real):
        yield float(value)
    elif isinstance(value, tuple | list):
        for one in value:
            yield from _numbers(one)
    elif hasattr(value, "start"):
        yield from (float(value.start), float(value.end))


def _shown(value: Any) -> str:
    """A setting as an error quotes it: a list as YAML writes it, a ramp by its ends."""
    if isinstance(value, tuple | list):
        return f"[{', '.join(map(_shown, value))}]"
    return f"a ramp from {value.start:g} to {value.end:g}" if hasattr(value, "start") else repr(value)
