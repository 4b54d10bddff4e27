"""The JSON schema of a recipe's config, for editors and for the documentation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from genkit.catalog import Catalog, catalog
from genkit.errors import PluginError
from genkit.fields import Field, field_docs, fields_of, plain_defaults
from genkit.specs import RecipeSpec
from genkit.validation import json_schema


def schema(spec: RecipeSpec) -> dict[str, Any]:
    """The JSON schema of a recipe's config, with the docs and the defaults of every key.

    Where a part is named, the schema has the options of each part of the recipe's modality. A part that can not be
    imported is named without its options, and says why. Raises PluginError when the recipe's own config can not be.
    """
    found = catalog()
    cls = found.config_class(spec)
    described = _Description(found, spec.name.partition(".")[0]).of(cls, plain_defaults(cls))
    presets = list(found.load(spec, "presets")) if spec.presets else []
    if presets:
        described["properties"]["preset"]["enum"] = [*presets, None]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **described, "title": spec.name}


class _Description:
    """Adds to the schema of types what only genkit knows: docs, defaults, and the options of parts.

    Args:
        modality: parts of this modality are described, and those of none.
    """

    def __init__(self, offers: Catalog, modality: str) -> None:
        self.offers = offers
        self.modality = modality

    def of(self, cls: type, given: Mapping[str, Any], entry: dict[str, Any] | None = None) -> dict[str, Any]:
        """The schema of a config class whose defaults are `given`; `entry` is what pydantic makes of it."""
        described = json_schema(cls) if entry is None else entry
        described["additionalProperties"] = False
        docs = field_docs(cls)
        for key, field in fields_of(cls).items():
            inner = self._field(field, described["properties"][key], given.get(key))
            inner.pop("default", None)
            if key in docs:
                inner["description"] = docs[key]
            if key in given:
                inner["default"] = given[key]
            described["properties"][key] = inner
        return described

    def _field(self, field: Field, entry: dict[str, Any], default: Any) -> dict[str, Any]:
        role = field.role or ""
        if field.kind == "penalties":
            names = self.offers.objectives.names("penalty")
            one_each = {name: {"anyOf": [self._options(role, name), {"type": "null"}]} for name in names}
            return {"type": "object", "properties": one_each, "additionalProperties": False}
        if field.kind == "parts":
            return {"type": "array", "items": self._part(role, optional=False)}
        if field.kind == "part":
            return self._part(role, optional=field.optional)
        if field.inner:
            given = default if isinstance(default, Mapping) else plain_defaults(field.inner)
            for alternative in entry.get("anyOf", [entry]):
                if "properties" in alternative:
                    self.of(field.inner, given, alternative)
        return entry

    def _part(self, role: str, *, optional: bool) -> dict[str, Any]:
        names = self._names(role)
        alternatives: list[dict[str, Any]] = [{"type": "string", "enum": names}] if names else [{"type": "string"}]
        alternatives += [self._options(role, name, named=True) for name in names]
        return {"anyOf": [*alternatives, {"type": "null"}] if optional else alternatives}

    def _names(self, role: str) -> list[str]:
        if role == "dataset":
            return [name for name, spec in self.offers.datasets.items() if spec.modality == self.modality]
        if role == "metric":
            return [name for name, spec in self.offers.metrics.items() if spec.modality == self.modality]
        if role in ("generator", "critic"):
            models = self.offers.models.values()
            return [spec.name for spec in models if (spec.role, spec.modality) == (role, self.modality)]
        return self.offers.objectives.names(role)

    def _options(self, role: str, name: str, *, named: bool = False) -> dict[str, Any]:
        """The schema of a part's options, with its name among them when `named`."""
        spec = self.offers.part(role, name)
        try:
            cls = self.offers.config_class(spec)
            options = self.of(cls, plain_defaults(cls))
        except PluginError as error:
            options = {"type": "object", "properties": {}, "description": error.what}
        else:
            options["description"] = spec.summary
        if named:
            options["properties"] = {"name": {"const": name}, **options["properties"]}
            options["required"] = ["name", *options.get("required", ())]
        return options
