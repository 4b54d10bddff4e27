"""The distribution that is checked: its plugins, and what they announce. Nothing here imports torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution, entry_points
from typing import Any

from genkit.catalog import catalog
from genkit.errors import UsageError
from genkit.plugins import GROUP, ITEMS, PluginStatus, suggestion
from genkit.specs import RecipeSpec, Spec


@dataclass(frozen=True)
class Subject:
    """A distribution with entry points of the group ``genkit``."""

    distribution: str
    version: str
    targets: Mapping[str, str]
    """Its entry points: the names of its plugins, and the module that each of them is."""

    @property
    def plugins(self) -> tuple[str, ...]:
        """The names of its plugins."""
        return tuple(self.targets)

    def statuses(self) -> list[PluginStatus]:
        """What became of each of its plugins, all registration hooks called. Loads every plugin."""
        catalog()
        return [status for status in catalog().plugins.statuses if status.name in self.plugins]

    def specs(self) -> Iterator[Spec]:
        """Everything its plugins announce, but for checks of the environment."""
        found = catalog().plugins
        for hook in ITEMS:
            if hook == "genkit_doctor":
                continue
            for status, item in found.collect(hook):
                if status.name in self.plugins:
                    yield item

    def recipes(self) -> list[str]:
        """The names of its recipes, sorted."""
        return sorted({spec.name for spec in self.specs() if isinstance(spec, RecipeSpec)})

    def require(self) -> None:
        """Raise PluginError when a plugin of it was not even imported: it is blocked, needs another genkit, or shares
        its name with another."""
        for status in self.statuses():
            if status.state not in ("ok", "broken"):
                raise status.as_error()


def find(name: str) -> Subject:
    """The installed distribution `name`.

    Raises UsageError when it is not installed, or has no entry point of the group ``genkit``.
    """
    points = entry_points(group=GROUP)
    known = sorted({point.dist.name for point in points if point.dist})
    try:
        found = distribution(name)
    except (PackageNotFoundError, ValueError):
        raise UsageError(
            f"there is no distribution `{name}`{_close(name, known, points)}",
            fix=f"`pip install -e DIRECTORY` installs it; with plugins are installed: {', '.join(known) or 'none'}",
        ) from None
    own = _own(found)
    if not own:
        raise UsageError(
            f"the distribution `{found.name}` has no plugin: no entry point of the group `{GROUP}`",
            fix='add [project.entry-points.genkit] NAME = "PACKAGE.plugin" to its pyproject.toml and install it again',
        )
    return Subject(found.name, found.version, {point.name: point.value for point in own})


def _own(found: Distribution) -> list[Any]:
    return sorted((point for point in found.entry_points if point.group == GROUP), key=lambda point: point.name)


def _close(name: str, known: Sequence[str], points: Any) -> str:
    owner = next((point.dist.name for point in points if point.dist and point.name == name), None)
    return f"; the plugin `{name}` comes from `{owner}`" if owner else suggestion(name, known)
