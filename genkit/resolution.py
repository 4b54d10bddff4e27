"""Lays the layers of a config over each other, as its types say, and checks what comes out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genkit.catalog import Catalog
from genkit.errors import ConfigError, PluginError, UnknownNameError
from genkit.fields import Field, fields_of, plain, plain_defaults
from genkit.layers import RESERVED, Layer, Typed, Where, values_layer
from genkit.plugins import suggestion
from genkit.validation import check, shown


class Resolution:
    """Lays layers over the defaults of a config class and checks what comes out.

    Args:
        cls: the config class.
        name: what an error says the config is of.
        presets: named values that a layer may choose as its ``preset``.
        problems: what is known to be wrong already.
        fix: what an error says can be done.
    """

    def __init__(
        self,
        offers: Catalog,
        cls: type,
        *,
        name: str,
        presets: Mapping[str, Mapping[str, Any]],
        problems: Sequence[str],
        fix: str,
    ) -> None:
        self.offers, self.cls, self.name, self.presets, self.fix = offers, cls, name, presets, fix
        self.problems: dict[str, None] = dict.fromkeys(problems)
        self.places: dict[Where, str] = {}
        """Which layer set what is at each place."""
        self.removed: set[str] = set()
        """Penalties that a layer has taken out."""

    def of(self, layers: Sequence[Layer]) -> Any:
        """The config. Raises ConfigError with every problem."""
        base = Layer("", plain_defaults(self.cls))
        merged: dict[str, Any] = {}
        for layer in [base, *self._preset([base, *layers]), *layers]:
            values = {key: value for key, value in layer.values.items() if key not in RESERVED}
            merged = self._struct(self.cls, merged, values, (), layer)
        checked = self._parts(self.cls, merged, ())
        config, problems = check(self.cls, checked)
        for problem in problems:
            self._problem(problem.where, problem.message)
        if self.problems:
            count = len(self.problems)
            raise ConfigError(
                f"the config of `{self.name}` has {count} problem{'s' if count > 1 else ''}:",
                problems=tuple(self.problems),
                fix=self.fix,
            )
        return config

    def _preset(self, layers: Sequence[Layer]) -> list[Layer]:
        chosen = next(layer for layer in reversed(layers) if "preset" in layer.values or layer is layers[0])
        name = chosen.values.get("preset")
        name = name.text if isinstance(name, Typed) and name.value is not None else name
        if not isinstance(name, str):
            return []  # null, or of a wrong type, which the check of the whole finds
        if name not in self.presets:
            listed = f"; there are: {', '.join(self.presets)}" if self.presets else "; the recipe has none"
            close = suggestion(name, self.presets)
            self._problem(("preset",), f"unknown preset {shown(name)}{close or listed}", chosen.place(("preset",)))
            return []
        return [values_layer(self.presets[name], f"preset {name}")]

    # --- laying one layer over what is there -----------------------------------------------------------------------

    def _struct(self, cls: type, base: Any, over: Mapping[str, Any], where: Where, layer: Layer) -> Any:
        fields = fields_of(cls)
        self.places[where] = layer.place(where)
        merged = dict(base) if isinstance(base, Mapping) else plain_defaults(cls)
        for key, value in over.items():
            if key not in fields:
                self._problem((*where, key), f"unknown key{suggestion(key, fields)}", layer.place((*where, key)))
            else:
                merged[key] = self._lay(fields[key], merged.get(key), value, (*where, key), layer)
        return merged

    def _lay(self, field: Field, base: Any, over: Any, where: Where, layer: Layer) -> Any:
        value = over.value if isinstance(over, Typed) else over
        if field.kind in ("part", "parts") and not (value is None and field.kind == "part"):
            lay = self._part if field.kind == "part" else self._list
            return lay(field.role or "", base, value, where, layer)
        if field.kind == "penalties":
            return self._penalties(base, value, where, layer)
        if field.inner and isinstance(value, Mapping):
            return self._struct(field.inner, base, value, where, layer)
        if field.kind == "struct" and not (value is None and field.optional):
            self._problem(where, f"expected a mapping, got {shown(value)}", layer.place(where))
            return base
        if isinstance(value, Mapping) and isinstance(base, Mapping):
            return self._mapping(base, value, where, layer)
        if isinstance(value, bool) and field.numeric:
            self._problem(where, f"expected a number, got {shown(value)}", layer.place(where))
            return base
        if isinstance(over, Typed) and field.textual and over.text.lower() not in ("", "~", "null"):
            value = over.text if not isinstance(value, str) else value
        return self._set(value, where, layer)

    def _part(self, role: str, base: Any, over: Any, where: Where, layer: Layer) -> Any:
        given = {"name": over} if isinstance(over, str) else over
        if not isinstance(given, Mapping):
            self._problem(where, f"expected a name, or a mapping with `name`, got {shown(over)}", layer.place(where))
            return base
        name = given.get("name", base.get("name") if isinstance(base, Mapping) else None)
        name = name.value if isinstance(name, Typed) else name
        if not isinstance(name, str):
            self._problem(where, f"it needs a `name`, the {role}'s", layer.place(where))
            return base
        if "name" in given:
            self._set(name, (*where, "name"), layer)
        options = {key: value for key, value in given.items() if key != "name"}
        before = base if isinstance(base, Mapping) and base.get("name") == name else {}
        before = {key: value for key, value in before.items() if key != "name"}
        cls = self._class(role, name)
        if cls is None:
            return {"name": name, **before, **_bare(options)}
        return {"name": name, **self._struct(cls, before or None, options, where, layer)}

    def _list(self, role: str, base: Any, over: Any, where: Where, layer: Layer) -> Any:
        if not isinstance(over, list):
            self._problem(where, f"expected a list, got {shown(over)}", layer.place(where))
            return base
        return [self._part(role, None, one, (*where, str(i)), layer) for i, one in enumerate(over)]

    def _penalties(self, base: Any, over: Any, where: Where, layer: Layer) -> Any:
        if not isinstance(over, Mapping):
            self._problem(where, f"expected a mapping of penalties, got {shown(over)}", layer.place(where))
            return base
        merged = dict(base or {})
        for name, options in over.items():
            inner = (*where, name)
            options = options.value if isinstance(options, Typed) else options
            self.places[inner] = layer.place(inner)
            if options is None:
                if name not in merged:
                    self._class("penalty", name, inner)  # a name that is mistyped takes nothing out
                merged.pop(name, None)
                self.removed.add(name)
            elif not isinstance(options, Mapping):
                self._problem(inner, f"expected a mapping such as {{weight: 1.0}}, or null, got {shown(options)}")
            else:
                cls = self._class("penalty", name)
                before = merged.get(name)
                laid = self._struct(cls, before, options, inner, layer) if cls else {**(before or {}), **_bare(options)}
                merged[name] = laid
        return merged

    def _mapping(self, base: Mapping[str, Any], over: Mapping[str, Any], where: Where, layer: Layer) -> Any:
        """A mapping with keys of the user's own choice: laid key by key, like everything else."""
        merged = dict(base)
        for key, value in over.items():
            both = isinstance(value, Mapping) and isinstance(merged.get(key), Mapping)
            inner = (*where, key)
            merged[key] = self._mapping(merged[key], value, inner, layer) if both else self._set(value, inner, layer)
        return merged

    def _set(self, value: Any, where: Where, layer: Layer) -> Any:
        self.places[where] = layer.place(where)
        return _bare(value)

    # --- checking what came out ------------------------------------------------------------------------------------

    def _parts(self, cls: type, values: Mapping[str, Any], where: Where) -> dict[str, Any]:
        """Check the options of every part within `values` and fill in their defaults."""
        checked = dict(values)
        for key, field in fields_of(cls).items():
            value = values.get(key)
            inner = (*where, key)
            if field.inner and isinstance(value, Mapping):
                checked[key] = self._parts(field.inner, value, inner)
            elif field.kind == "part" and isinstance(value, Mapping):
                checked[key] = self._part_checked(field.role or "", value, inner)
            elif field.kind == "parts" and isinstance(value, list):
                checked[key] = [
                    self._part_checked(field.role or "", one, (*inner, str(i))) for i, one in enumerate(value)
                ]
            elif field.kind == "penalties" and isinstance(value, Mapping):
                checked[key] = {
                    name: self._options("penalty", name, options, (*inner, name), (*inner, name))
                    for name, options in value.items()
                }
        return checked

    def _part_checked(self, role: str, part: Any, where: Where) -> Any:
        if not isinstance(part, Mapping):
            return part
        options = {key: value for key, value in part.items() if key != "name"}
        return {"name": part["name"], **self._options(role, part["name"], options, where, (*where, "name"))}

    def _options(
        self, role: str, name: str, options: Mapping[str, Any], where: Where, where_named: Where
    ) -> Mapping[str, Any]:
        """The options of the part `name`, checked, with the defaults of those left out."""
        cls = self._class(role, name, where_named)
        if cls is None:
            return options
        made, problems = check(cls, self._parts(cls, options, where))
        for problem in problems:
            self._problem((*where, *problem.where), problem.message)
        checked: Mapping[str, Any] = options if made is None else plain(made)
        return checked

    def _class(self, role: str, name: str, where: Where | None = None) -> type | None:
        """The config class of the part `name`; None when there is no such part.

        While layers are laid, `where` is None and nothing is said: a later layer may name another part.
        """
        try:
            return self.offers.config_class(self.offers.part(role, name))
        except UnknownNameError as error:
            if where is not None:
                self._problem(where, error.what if "did you" in error.what else f"{error.what}; {error.fix}")
        except PluginError:
            if where is not None:
                raise
        return None

    def _problem(self, where: Where, message: str, place: str | None = None) -> None:
        if place is None:
            place = next((self.places[where[:n]] for n in range(len(where), 0, -1) if where[:n] in self.places), "")
        self.problems.setdefault(f"{'.'.join(where)}: {message}" + (f" ({place})" if place else ""))


def _bare(value: Any) -> Any:
    """A value without what `Typed` remembers."""
    if isinstance(value, Typed):
        return value.value
    if isinstance(value, Mapping):
        return {key: _bare(item) for key, item in value.items()}
    return value
