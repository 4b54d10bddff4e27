"""What `image.reconstruct` takes from a picture, as a config says it. Free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import Field

Kind = Literal["boxes", "strokes", "half", "resolution", "noise", "colour", "edges"]
HOLES: tuple[Kind, ...] = ("boxes", "strokes", "half")
"""Those that leave some pixels as they were and take the others whole."""
DEFAULTS: dict[Kind, dict[str, object]] = {
    "boxes": {"count": 1, "size": (0.25, 0.5)},
    "strokes": {"count": 4, "size": (0.05, 0.12)},
    "half": {},
    "resolution": {"factor": 2},
    "noise": {"sigma": 0.5},
    "colour": {},
    "edges": {"threshold": 0.2},
}
"""The options of each kind, and what they are where a config does not say."""


@dataclass(frozen=True, kw_only=True)
class Degradation:
    """What is missing from a picture. An option that the kind does not read is refused."""

    kind: Kind = "boxes"
    """boxes, strokes, half: pixels, inside rectangles, free-form strokes or one half of the picture; resolution; noise:
    its absence; colour; edges: everything but the edges."""
    count: Annotated[int, Field(ge=1, le=16)] | None = None
    """boxes, strokes: how many in each picture. null: 1, or 4 strokes."""
    size: tuple[Annotated[float, Field(gt=0.0, le=1.0)], Annotated[float, Field(gt=0.0, le=1.0)]] | None = None
    """boxes: the shortest and longest side, strokes: the thinnest and thickest, as shares of the picture's side; drawn
    evenly between. null: [0.25, 0.5], or [0.05, 0.12] for strokes."""
    factor: Literal[2, 4] | None = None
    """resolution: how many times fewer pixels a side. null: 2."""
    sigma: Annotated[float, Field(gt=0.0, le=4.0)] | None = None
    """noise: its standard deviation, where black is -1 and white 1; the result is clipped to that. null: 0.5."""
    threshold: Annotated[float, Field(gt=0.0, lt=1.0)] | None = None
    """edges: how steep the brightness must be, as a share of a step from black to white. null: 0.2."""

    def __post_init__(self) -> None:
        for name in ("count", "size", "factor", "sigma", "threshold"):
            if getattr(self, name) is not None and name not in DEFAULTS[self.kind]:
                reads = ", ".join(DEFAULTS[self.kind]) or "no option"
                raise ValueError(f"{name}: the kind {self.kind} reads {reads}")
        if self.size is not None and self.size[0] > self.size[1]:
            raise ValueError(f"size: {self.size[0]:g} is above {self.size[1]:g}")

    def option(self, name: str) -> object:
        """The value of an option of this kind, its default where it is null."""
        given = getattr(self, name)
        return DEFAULTS[self.kind][name] if given is None else given
