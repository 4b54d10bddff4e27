"""Name to spec, over all plugins. A name that is not there is answered with what is, or with why its plugin is not."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Generic, TypeVar

from genkit.errors import PluginError, UnknownNameError, UsageError
from genkit.plugins import DISTRIBUTION, Plugins, PluginStatus, plugins, suggestion
from genkit.settings import Part
from genkit.specs import (
    BenchmarkSpec,
    CommandSpec,
    DatasetSpec,
    ExportSpec,
    MetricSpec,
    ModelSpec,
    ObjectiveSpec,
    RecipeSpec,
    Spec,
    ViewSpec,
    WriterSpec,
    resolve,
)

MODALITIES = ("image", "text", "audio")
"""Those whose plugins are ours, so that their distributions' names are known."""

S = TypeVar("S", bound=Spec)
PartSpec = ModelSpec | DatasetSpec | ObjectiveSpec | MetricSpec | ViewSpec
"""What has a config of its own."""


class Offers(Mapping[str, S], Generic[S]):
    """What plugins offer of one kind: name to spec, sorted by name.

    A generator and a critic may share a name; ``(generator)`` or ``(critic)`` then stands behind it here.

    Args:
        entries: each spec with the plugin it comes from.
        kind: what one of them is called.
        listing: the command that lists them, where there is one.
        key: the attribute that names them.
    """

    def __init__(
        self, entries: Sequence[tuple[PluginStatus, S]], kind: str, *, listing: str | None = None, key: str = "name"
    ) -> None:
        self.kind = kind
        self.listing = listing
        claims: dict[tuple[str, str], list[tuple[PluginStatus, S]]] = {}
        for status, spec in entries:
            claims.setdefault((getattr(spec, key), getattr(spec, "role", "")), []).append((status, spec))
        self.conflicts = {claim: [status for status, _ in made] for claim, made in claims.items() if len(made) > 1}
        """Names that are claimed more than once, and by whom: none of them can be used."""
        self._entries = {claim: made[0] for claim, made in sorted(claims.items()) if len(made) == 1}
        names = [name for name, _ in self._entries]
        self._labels = {
            name if names.count(name) == 1 else f"{name} ({role})": (name, role) for name, role in self._entries
        }

    def __getitem__(self, label: str) -> S:
        return self._entries[self._labels[label]][1]

    def __iter__(self) -> Iterator[str]:
        return iter(self._labels)

    def __len__(self) -> int:
        return len(self._labels)

    def plugin(self, label: str) -> PluginStatus:
        """The plugin that offers `label`. Raises KeyError."""
        return self._entries[self._labels[label]][0]

    def find(self, name: str, role: str = "") -> S | None:
        """The spec of this name and role; None when there is none. Raises PluginError when there are several."""
        if (name, role) in self.conflicts:
            raise PluginError(self.conflict(name, role), fix="--no-plugin, or GENKIT_PLUGINS, leaves one of them out")
        entry = self._entries.get((name, role))
        return entry[1] if entry else None

    def names(self, role: str = "") -> list[str]:
        """The names of a role, sorted."""
        return [name for name, its_role in self._entries if its_role == role]

    def roles(self, name: str) -> list[str]:
        """The roles in which `name` is offered."""
        return [role for its_name, role in self._entries if its_name == name]

    def conflict(self, name: str, role: str) -> str:
        """One line on who claims a name that is claimed more than once."""
        sources = " and ".join(f"{status.name} ({status.source})" for status in self.conflicts[name, role])
        return f"the {role or self.kind} `{name}` is offered more than once: by {sources}"


class Catalog:
    """Everything the plugins offer. Two offers of one name are reported on stderr, and using the name is an error."""

    def __init__(self, found: Plugins) -> None:
        self.plugins = found
        collected = {
            hook: found.collect(f"genkit_{hook}")
            for hook in (
                "recipes", "models", "datasets", "objectives", "metrics", "writers", "exports", "views", "benchmarks",
                "commands",
            )
        }  # fmt: skip
        self.revision = found.revision
        # A plugin that failed in one hook is broken as a whole, whatever its others returned.
        usable = {status.name for status in found.statuses if status.state == "ok"}
        offered = {hook: [one for one in made if one[0].name in usable] for hook, made in collected.items()}
        self.recipes = Offers[RecipeSpec](offered["recipes"], "recipe", listing="genkit recipes")
        self.models = Offers[ModelSpec](offered["models"], "model", listing="genkit models")
        self.datasets = Offers[DatasetSpec](offered["datasets"], "dataset", listing="genkit datasets")
        self.objectives = Offers[ObjectiveSpec](offered["objectives"], "objective")
        self.metrics = Offers[MetricSpec](offered["metrics"], "metric")
        self.writers = Offers[WriterSpec](offered["writers"], "writer", key="modality")
        self.exports = Offers[ExportSpec](offered["exports"], "export format")
        self.views = Offers[ViewSpec](offered["views"], "view")
        self.benchmarks = Offers[BenchmarkSpec](offered["benchmarks"], "benchmark", listing="genkit bench --help")
        self.commands = Offers[CommandSpec](offered["commands"], "command", listing="genkit --help")
        for line in self.conflicts():
            if found.strict:
                raise PluginError(line)
            print(f"warning: {line}", file=sys.stderr)

    def all_offers(self) -> tuple[Offers[Any], ...]:
        """Every kind of thing that plugins offer."""
        return (
            self.recipes, self.models, self.datasets, self.objectives, self.metrics, self.writers, self.exports,
            self.views, self.benchmarks, self.commands,
        )  # fmt: skip

    def conflicts(self) -> list[str]:
        """One line for each name that is offered more than once."""
        return [offers.conflict(*claim) for offers in self.all_offers() for claim in offers.conflicts]

    def recipe(self, name: str) -> RecipeSpec:
        """The recipe `name`. Raises UnknownNameError, or PluginError when its plugin can not be used."""
        return self._find(self.recipes, name)

    def part(self, role: str, name: str) -> PartSpec:
        """The part `name` for a role of `genkit.settings.Role`. Raises as `recipe`."""
        if role == "dataset":
            return self._find(self.datasets, name)
        if role == "metric":
            return self._find(self.metrics, name)
        if role in ("generator", "critic"):
            return self._find(self.models, name, role)
        if role in ("objective", "penalty", "augment"):
            return self._find(self.objectives, name, role)
        raise ValueError(f"there is no role {role!r}")

    def writer(self, modality: str) -> WriterSpec:
        """The writer of a modality. Raises as `recipe`."""
        return self._find(self.writers, modality)

    def export(self, name: str, modality: str) -> ExportSpec:
        """The export format `name` of a modality. Raises UsageError naming those there are."""
        spec = self.exports.find(name, modality)
        if spec is None:
            known = ", ".join(self.exports.names(modality)) or "none"
            raise UsageError(
                f"{modality} generators can not be exported to {name!r}", where="--to", fix=f"formats: {known}"
            )
        return spec

    def view(self, name: str, modality: str) -> ViewSpec:
        """The view `name` of a modality. Raises UsageError naming those there are."""
        spec = self.views.find(name, modality)
        if spec is None:
            names = self.views.names(modality)
            raise UsageError(
                f"there is no view `{name}` of {modality}{suggestion(name, names)}",
                fix=f"views: {', '.join(names) or 'none'}",
            )
        return spec

    def benchmark(self, name: str) -> BenchmarkSpec:
        """The benchmark `name`. Raises as `recipe`."""
        return self._find(self.benchmarks, name)

    def plugin_of(self, spec: Spec) -> PluginStatus | None:
        """The plugin a spec comes from; None for one that is in no plugin."""
        for offers in self.all_offers():
            for label, offered in offers.items():
                if offered is spec:
                    return offers.plugin(label)
        return None

    def load(self, spec: Spec, attribute: str) -> Any:
        """The object that an import string of `spec` names, such as ``load(spec, "build")``.

        Raises PluginError naming the plugin when the import fails.
        """
        import_string = getattr(spec, attribute)
        try:
            return resolve(import_string)
        except Exception as error:
            raise self._import_error(spec, f"`{import_string}` can not be imported", error) from error

    def config_class(self, spec: Spec) -> type:
        """The config dataclass of `spec`. Raises PluginError when it can not be imported or is none."""
        from genkit.fields import fields_of

        cls = self.load(spec, "config")
        try:
            fields_of(cls)
        except PluginError as error:
            raise PluginError(error.what, where=self._source(spec), fix=error.fix) from error
        return cls  # type: ignore[no-any-return]

    def build(self, spec: PartSpec, options: Mapping[str, Any], *args: Any) -> Any:
        """What ``spec.open`` or ``spec.build`` makes of its config and `args`; see `call`."""
        return self.call(spec, "open" if isinstance(spec, DatasetSpec) else "build", options, *args)

    def call(self, spec: PartSpec, attribute: str, options: Mapping[str, Any], *args: Any) -> Any:
        """What the function that an import string of `spec` names makes of its config, made from plain `options`, and
        `args`.

        Raises ConfigError when the options do not fit, PluginError when something the plugin needs is not installed.
        """
        from genkit.fields import plain
        from genkit.validation import make

        kinds = {DatasetSpec: "dataset", ViewSpec: "view"}
        role = kinds.get(type(spec), getattr(spec, "role", "metric"))
        config = make(self.config_class(spec), plain(options), what=f"the {role} `{spec.name}`")
        function = self.load(spec, attribute)
        try:
            return function(config, *args)
        except ImportError as error:
            raise self._import_error(spec, f"the {role} `{spec.name}` can not be used", error) from error

    def _find(self, offers: Offers[S], name: str, role: str = "") -> S:
        spec = offers.find(name, role)
        if spec is not None:
            return spec
        kind = role or offers.kind
        prefix = name.partition(".")[0]
        status = self.plugins.status(prefix)
        if status and status.state != "ok":
            error = status.as_error()
            raise PluginError(f"the {kind} `{name}` is not there: {error.what}", where=error.where, fix=error.fix)
        if prefix in MODALITIES and status is None:
            raise PluginError(
                f"the {kind} `{name}` is not there: no plugin for the modality `{prefix}` is installed",
                fix=f"pip install {DISTRIBUTION}-{prefix}",
            )
        names = offers.names(role)
        other_roles = offers.roles(name)
        if other_roles:
            why = f"the {' and the '.join(other_roles)} `{name}` is no {kind}"
        else:
            endings = [one for one in names if one.rpartition(".")[2] == name]
            why = f"there is no {kind} `{name}`" + (
                f"; did you mean `{endings[0]}`?" if endings else suggestion(name, names)
            )
        listed = f"choose one of {', '.join(names)}" if names else f"no plugin offers a {kind}"
        raise UnknownNameError(why, fix=listed if offers.listing is None else f"`{offers.listing}` lists what there is")

    def _import_error(self, spec: Spec, what: str, error: Exception) -> PluginError:
        status = self.plugin_of(spec)
        name = status.name if status else "(none)"
        needs = spec.needs if isinstance(spec, MetricSpec) else ()
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        fix = None
        if needs:
            fix = f"pip install {' '.join(needs)}"
        elif missing and missing.partition(".")[0] not in what:
            fix = f"install what provides the module `{missing}`, perhaps an extra of the plugin"
        return PluginError(
            f"plugin `{name}`: {what}: {type(error).__name__}: {error}", where=self._source(spec), fix=fix
        )

    def _source(self, spec: Spec) -> str | None:
        status = self.plugin_of(spec)
        return status.source if status else None


_catalog: Catalog | None = None


def catalog() -> Catalog:
    """The catalog of this process's plugins, made when first asked for and whenever the plugins have changed."""
    global _catalog
    found = plugins()
    if _catalog is None or _catalog.plugins is not found or _catalog.revision != found.revision:
        _catalog = Catalog(found)
    return _catalog


def build_part(role: str, part: Part, *args: Any) -> Any:
    """Build the dataset, generator, critic, objective, penalty, augmentation or metric that `part` names.

    Args:
        role: a role of `genkit.settings.Role`.
        part: its name and options, which are checked against the config class of its spec.
        args: what the spec's function takes besides the config, such as the data's facts.

    Raises UnknownNameError, ConfigError (options that do not fit) or PluginError (the plugin, or what it needs, is not
    there).
    """
    found = catalog()
    return found.build(found.part(role, part.name), part.options, *args)
