"""Finds, checks and loads plugins, each one alone, so that a plugin that fails costs one line and nothing else.

pluggy's own loading is not used: it stops at the first plugin that raises, drops a second entry point of one name
without a word and accepts misspelt hooks (pluggy 1.7). Nothing here imports torch.
"""

from __future__ import annotations

import contextlib
import difflib
import os
import re
import sys
import traceback
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any, Literal

import pluggy

from genkit import __version__, hookspecs
from genkit.errors import GenkitError, PluginError, UnknownNameError
from genkit.specs import (
    BenchmarkSpec,
    Check,
    CommandSpec,
    DatasetSpec,
    ExportSpec,
    MetricSpec,
    ModelSpec,
    ObjectiveSpec,
    RecipeSpec,
    ViewSpec,
    WriterSpec,
)

GROUP = "genkit"
DISTRIBUTION = "genkit-gan"
CORE = "core"
CORE_MODULE = "genkit.adversarial.plugin"

ITEMS = MappingProxyType(
    {
        "genkit_recipes": RecipeSpec,
        "genkit_models": ModelSpec,
        "genkit_datasets": DatasetSpec,
        "genkit_objectives": ObjectiveSpec,
        "genkit_metrics": MetricSpec,
        "genkit_writers": WriterSpec,
        "genkit_exports": ExportSpec,
        "genkit_views": ViewSpec,
        "genkit_benchmarks": BenchmarkSpec,
        "genkit_commands": CommandSpec,
        "genkit_doctor": Check,
    }
)
"""What the hooks that return iterables return."""

State = Literal["ok", "blocked", "incompatible", "duplicate", "broken"]


@dataclass(frozen=True)
class PluginStatus:
    """What became of one entry point."""

    name: str
    distribution: str
    version: str
    state: State
    error: str | None = None
    """One line; None while the state is ok."""
    hooks: tuple[str, ...] = ()
    """The hooks it implements, sorted."""
    traceback: str | None = None
    """Where it raised, when it did."""

    @property
    def source(self) -> str:
        """Distribution and version, as errors name them."""
        return f"{self.distribution} {self.version}"

    def as_error(self) -> PluginError:
        """The error that using this plugin ends with."""
        fixes = {
            "blocked": "leave out --no-plugin, or name it in GENKIT_PLUGINS",
            "incompatible": f"pip install --upgrade {DISTRIBUTION} {self.distribution}",
            "duplicate": "uninstall one of the two",
        }
        return PluginError(
            f"plugin `{self.name}` is {self.state}: {self.error}",
            where=self.source,
            fix=fixes.get(self.state, "`genkit plugins --verbose` shows where"),
        )


class Plugins:
    """Every plugin found, with its status, and the ways to call their hooks.

    Args:
        strict: raise at the first plugin that fails instead of going on without it.
    """

    def __init__(self, *, strict: bool = False) -> None:
        self.strict = strict
        self.revision = 0
        """Counts the plugins registered; a catalog made of fewer is out of date."""
        self._manager = pluggy.PluginManager(hookspecs.PROJECT)
        self._manager.add_hookspecs(hookspecs)
        self._statuses: list[PluginStatus] = []

    @property
    def statuses(self) -> tuple[PluginStatus, ...]:
        """One for each plugin found, the core's own first, then by name."""
        return tuple(sorted(self._statuses, key=lambda status: (status.name != CORE, status.name, status.distribution)))

    def status(self, name: str) -> PluginStatus | None:
        """The status of the plugin `name`; None when there is none."""
        return next((status for status in self._statuses if status.name == name), None)

    def add(self, status: PluginStatus) -> None:
        """Take note of a plugin that was found, with one line on stderr when it can not be used."""
        self._statuses.append(status)
        self.revision += 1
        self._report(status)

    def register(
        self, name: str, plugin: object, *, distribution: str = "(this program)", version: str = ""
    ) -> PluginStatus:
        """Register a plugin that is already imported; what is wrong with its hooks makes it broken.

        Returns its status. Raises PluginError when a plugin of this name is there already, or when strict.
        """
        if self.status(name):
            raise PluginError(f"a plugin `{name}` is registered already")
        status = PluginStatus(name, distribution, version, "ok")
        try:
            status = replace(status, hooks=self._checked_hooks(name, plugin))
        except Exception as error:
            if self._manager.has_plugin(name):
                self._manager.unregister(name=name)
            status = _broken(status, error)
        self.add(status)
        return status

    def remove(self, name: str) -> None:
        """Forget a plugin that `register` made."""
        self._manager.unregister(name=name)
        self._statuses = [status for status in self._statuses if status.name != name]
        self.revision += 1

    def collect(self, hook_name: str, **kwargs: object) -> list[tuple[PluginStatus, Any]]:
        """What each plugin's registration hook returns, item by item, in the order of the plugins' names.

        A plugin whose hook raises, or returns something else than it should, becomes broken; what the others returned
        stands.
        """
        results: list[tuple[PluginStatus, Any]] = []
        for status, function in self._implementations(hook_name):
            results += [(status, item) for item in self._items(hook_name, status, function, kwargs)]
        return results

    def notify(self, hook_name: str, *, tolerant: bool = False, **kwargs: object) -> list[tuple[str, Any]]:
        """Call a run hook of every plugin. Returns (plugin, result) for each result that is not None.

        Args:
            tolerant: an exception is reported on stderr and the next plugin is called.

        Raises PluginError naming plugin and hook when a hook raises.
        """
        results: list[tuple[str, Any]] = []
        for status, function in self._implementations(hook_name):
            try:
                result = function(**kwargs)
            except Exception as error:
                what = f"plugin `{status.name}` failed in {hook_name}: {_summary(error)}"
                if tolerant:
                    print(f"warning: {what}", file=sys.stderr)
                    continue
                raise PluginError(
                    what, where=status.source, fix=f"--no-plugin {status.name} runs without it"
                ) from error
            if result is not None:
                results.append((status.name, result))
        return results

    def _items(self, hook_name: str, status: PluginStatus, function: Any, kwargs: dict[str, object]) -> list[Any]:
        kind = ITEMS[hook_name]
        try:
            result = function(**kwargs)
            if not isinstance(result, Iterable):
                raise PluginError(f"it returned {result!r} where an iterable of {kind.__name__} is expected")
            items = list(result)
            for item in items:
                if not isinstance(item, kind):
                    raise PluginError(f"it returned {item!r} where a {kind.__name__} is expected")
        except (Exception, SystemExit) as error:
            broken = _broken(status, error, f"{hook_name}: ")
            self._statuses[self._statuses.index(status)] = broken
            self._report(broken)
            return []
        return items

    def _implementations(self, hook_name: str) -> list[tuple[PluginStatus, Any]]:
        def bind(implementation: pluggy.HookImpl) -> Any:
            return lambda **kwargs: implementation.function(*(kwargs[name] for name in implementation.argnames))

        caller = getattr(self._manager.hook, hook_name)
        found = {implementation.plugin_name: implementation for implementation in caller.get_hookimpls()}
        return [
            (status, bind(found[status.name]))
            for status in self.statuses
            if status.state == "ok" and status.name in found
        ]

    def _checked_hooks(self, name: str, plugin: object) -> tuple[str, ...]:
        """Register `plugin`; the names of its hooks. Raises PluginError or PluginValidationError."""
        known = [hook for hook in vars(hookspecs) if hook.startswith("genkit_")]
        for hook in known:
            if callable(getattr(plugin, hook, None)) and not self._manager.parse_hookimpl_opts(plugin, hook):
                raise PluginError(f"`{hook}` is not marked with @genkit.hookimpl")
        self._manager.register(plugin, name)
        callers = self._manager.get_hookcallers(plugin) or []
        for caller in callers:
            if not caller.has_spec():
                raise PluginError(f"there is no hook `{caller.name}`{suggestion(caller.name, known)}")
            if any(one.plugin is plugin and (one.hookwrapper or one.wrapper) for one in caller.get_hookimpls()):
                raise PluginError(f"`{caller.name}` is a hook wrapper, which genkit has not")
        if not callers:
            raise PluginError("it implements no hook of genkit")
        return tuple(sorted(caller.name for caller in callers))

    def _report(self, status: PluginStatus) -> None:
        if status.state in ("ok", "blocked"):
            return
        if self.strict:
            raise status.as_error()
        print(f"warning: plugin `{status.name}` ({status.source}) is {status.state}: {status.error}", file=sys.stderr)


def load_plugins(*, only: Sequence[str] | None = None, blocked: Sequence[str] = (), strict: bool = False) -> Plugins:
    """Load the core's own plugin and those that the entry points of the group ``genkit`` name.

    Args:
        only: names of the plugins to load; None loads all, an empty list none. The core's own is always there.
        blocked: names of plugins that are not even imported.
        strict: raise PluginError at the first plugin that can not be used.

    Raises PluginError when `only` names a plugin that is not installed, UnknownNameError when `blocked` does.
    """
    found = Plugins(strict=strict)
    found.register(CORE, import_module(CORE_MODULE), distribution=DISTRIBUTION, version=__version__)
    by_name: dict[str, list[EntryPoint]] = defaultdict(list)
    for point in sorted(entry_points(group=GROUP), key=lambda point: (point.name, _describe(point))):
        by_name[point.name].append(point)
    _refuse_unknown(by_name, only, blocked)
    for name, points in by_name.items():
        for point in points:
            status = _refusal(point, points, only, blocked)
            if status:
                found.add(status)
                continue
            status = PluginStatus(name, *_describe(point), "ok")
            try:
                # What a plugin prints at import must not mix with data on stdout.
                with contextlib.redirect_stdout(sys.stderr):
                    module = point.load()
            except (Exception, SystemExit) as error:
                found.add(_broken(status, error))
                continue
            found.register(name, module, distribution=status.distribution, version=status.version)
    return found


def suggestion(name: str, choices: Iterable[str]) -> str:
    """`` - did you mean `x`?`` when `name` is close to one of `choices`, else nothing."""
    close = difflib.get_close_matches(name, list(choices), n=1, cutoff=0.6)
    return f"; did you mean `{close[0]}`?" if close else ""


def _refuse_unknown(installed: Iterable[str], only: Sequence[str] | None, blocked: Sequence[str]) -> None:
    there = sorted({*installed, CORE})
    for name in only or ():
        if name not in there:
            raise PluginError(
                f"GENKIT_PLUGINS names a plugin that is not installed: `{name}`{suggestion(name, there)}",
                fix=f"installed are: {', '.join(there)}",
            )
    for name in blocked:
        if name not in there:
            raise UnknownNameError(
                f"--no-plugin: there is no plugin `{name}`{suggestion(name, there)}",
                fix=f"installed are: {', '.join(there)}",
            )
        if name == CORE:
            raise UnknownNameError(f"--no-plugin: `{CORE}` is genkit itself")


def _refusal(
    point: EntryPoint, same_name: Sequence[EntryPoint], only: Sequence[str] | None, blocked: Sequence[str]
) -> PluginStatus | None:
    """Why an entry point is not even imported; None when it is."""
    status = PluginStatus(point.name, *_describe(point), "ok")
    if point.name in blocked:
        return replace(status, state="blocked", error="--no-plugin names it")
    if only is not None and point.name not in only:
        return replace(status, state="blocked", error="GENKIT_PLUGINS does not name it")
    if point.name == CORE:
        return replace(status, state="duplicate", error=f"the name `{CORE}` is {DISTRIBUTION}'s own")
    if len(same_name) > 1:
        both = " and ".join(" ".join(_describe(one)) for one in same_name)
        return replace(status, state="duplicate", error=f"{both} both offer a plugin of this name; neither is loaded")
    needed = _unmet_requirement(point)
    if needed:
        return replace(
            status, state="incompatible", error=f"it needs {needed}, and this is {DISTRIBUTION} {__version__}"
        )
    return None


def _unmet_requirement(point: EntryPoint) -> str | None:
    """The requirement on genkit-gan of the distribution behind `point` that this version does not meet."""
    for line in (point.dist.requires if point.dist else None) or ():
        # The full parser costs more than all else here; few lines are about us.
        if not re.match(r"genkit[-_.]+gan(?![-\w.])", line, re.IGNORECASE):
            continue
        from packaging.requirements import Requirement

        requirement = Requirement(line)
        if requirement.marker and not requirement.marker.evaluate({"extra": ""}):
            continue
        if not requirement.specifier.contains(__version__, prereleases=True):
            return f"{DISTRIBUTION}{requirement.specifier}"
    return None


def _describe(point: EntryPoint) -> tuple[str, str]:
    """Name and version of the distribution an entry point belongs to."""
    return (point.dist.name, point.dist.version) if point.dist else ("(unknown distribution)", "")


def _broken(status: PluginStatus, error: BaseException, prefix: str = "") -> PluginStatus:
    return replace(
        status,
        state="broken",
        error=prefix + _summary(error),
        traceback="".join(traceback.format_exception(error)),
    )


def _summary(error: BaseException) -> str:
    """An exception in one line."""
    text = " ".join(str(error).split())
    if isinstance(error, GenkitError | pluggy.PluginValidationError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


# --- the plugins of this process -----------------------------------------------------------------------------------

_DEFAULTS: dict[str, Any] = {"only": None, "blocked": (), "strict": False}
_options = dict(_DEFAULTS)
_loaded: Plugins | None = None


def configure_plugins(only: Sequence[str] | None = None, blocked: Sequence[str] = (), strict: bool = False) -> None:
    """Set how `plugins` loads: before its first use, or again, which loads anew when the options differ.

    Args:
        only: as in `load_plugins`; None leaves it to the environment variable ``GENKIT_PLUGINS``.
        blocked: as in `load_plugins`.
        strict: as in `load_plugins`; also set by ``GENKIT_STRICT_PLUGINS=1``.
    """
    global _loaded
    options = {"only": only, "blocked": tuple(blocked), "strict": strict}
    if options != _options:
        _options.update(options)
        _loaded = None


def plugins() -> Plugins:
    """The plugins of this process, loaded when first asked for."""
    global _loaded
    if _loaded is None:
        only = _options["only"]
        if only is None and "GENKIT_PLUGINS" in os.environ:
            only = [name.strip() for name in os.environ["GENKIT_PLUGINS"].split(",") if name.strip()]
        strict = _options["strict"] or os.environ.get("GENKIT_STRICT_PLUGINS", "0") not in ("", "0")
        _loaded = load_plugins(only=only, blocked=_options["blocked"], strict=bool(strict))
    return _loaded


def reset() -> None:
    """Forget the loaded plugins and the options they were loaded with."""
    global _loaded
    _loaded = None
    _options.update(_DEFAULTS)
