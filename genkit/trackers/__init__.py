"""Trackers: plugins on the run hooks that pass a run on to TensorBoard, Weights & Biases, MLflow or trackio.

They are part of genkit and active only where a run asks for them; what each writes with is an extra of genkit-gan.
Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from types import MappingProxyType

from genkit import __version__
from genkit.errors import PluginError, UnknownNameError, UsageError
from genkit.plugins import DISTRIBUTION, plugins, suggestion
from genkit.specs import resolve
from genkit.trackers.tracker import Tracker

__all__ = ["TRACKERS", "Tracker", "activated", "check_trackers"]


@dataclass(frozen=True)
class Known:
    """A tracker that genkit has."""

    module: str
    """What must be installed; the extra has the tracker's name."""
    tracker: str
    """Import string of its class."""


TRACKERS = MappingProxyType(
    {
        "mlflow": Known("mlflow", "genkit.trackers.mlflow:MLflow"),
        "tensorboard": Known("tensorboard", "genkit.trackers.tensorboard:TensorBoard"),
        "trackio": Known("trackio", "genkit.trackers.trackio:Trackio"),
        "wandb": Known("wandb", "genkit.trackers.wandb:WeightsAndBiases"),
    }
)
"""By the name that ``--tracker`` takes."""


def check_trackers(names: Sequence[str]) -> None:
    """Raises UnknownNameError for a name that is no tracker's, UsageError for one given twice, PluginError where what a
    tracker writes with is not installed."""
    for name in names:
        if name not in TRACKERS:
            raise UnknownNameError(
                f"there is no tracker `{name}`{suggestion(name, TRACKERS)}",
                where="--tracker",
                fix=f"choose one of {', '.join(TRACKERS)}",
            )
        if list(names).count(name) > 1:
            raise UsageError(f"the tracker `{name}` is asked for twice", where="--tracker")
        if find_spec(TRACKERS[name].module) is None:
            raise PluginError(
                f"the tracker `{name}` writes with a package that is not installed",
                where="--tracker",
                fix=f'pip install "{DISTRIBUTION}[{name}]"',
            )


@contextmanager
def activated(names: Sequence[str]) -> Iterator[None]:
    """Have these trackers follow the runs of this block."""
    found = plugins()
    registered: list[str] = []
    try:
        for name in names:
            tracker: Tracker = resolve(TRACKERS[name].tracker)()
            status = found.register(f"tracker-{name}", tracker, distribution=DISTRIBUTION, version=__version__)
            registered.append(status.name)
        yield
    finally:
        for name in registered:
            found.remove(name)
