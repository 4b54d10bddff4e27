"""Checks plain values against a config dataclass: every problem at once, each in words a user can act on.

Configs are plain dataclasses, so that a plugin needs no library to write one; pydantic does the checking here.
"""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from genkit.bounds import BoundsError
from genkit.errors import ConfigError, PluginError
from genkit.fields import fields_of, plain
from genkit.plugins import suggestion
from genkit.schedules import Ramp

if TYPE_CHECKING:
    from pydantic import TypeAdapter

Where = tuple[str, ...]
"""Where a value stands in a config: ``("optim", "critic", "lr")``."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a config."""

    where: Where
    message: str


def check(cls: type, values: Mapping[str, Any]) -> tuple[Any, list[Problem]]:
    """An instance of the config class `cls` made from plain values, or None and what is wrong with them.

    Raises PluginError when `cls` is no config class.
    """
    from pydantic import ValidationError

    try:
        return _adapter(cls).validate_python({"value": values}).value, []
    except ValidationError as error:
        return None, _problems(cls, values, error.errors(include_url=False))


def make(cls: type, values: Mapping[str, Any], *, what: str) -> Any:
    """An instance of the config class `cls` made from plain values. Raises ConfigError with every problem."""
    made, problems = check(cls, values)
    if problems:
        lines = [f"{'.'.join(problem.where)}: {problem.message}" for problem in problems]
        raise ConfigError(f"the options of {what} do not fit", problems=lines)
    return made


def json_schema(cls: type) -> dict[str, Any]:
    """The JSON schema of a config class, without references. Raises PluginError when `cls` is no config class."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydantic warns of defaults that are no JSON
        schema = _adapter(cls).json_schema()
    inlined: dict[str, Any] = _inlined(schema["properties"]["value"], schema["$defs"], ())
    return inlined


def _inlined(schema: Any, definitions: Mapping[str, Any], within: tuple[str, ...]) -> Any:
    """A schema with each reference replaced by what it means, and without pydantic's titles."""
    if isinstance(schema, list):
        return [_inlined(item, definitions, within) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        if name in within:
            return {"type": "object"}  # a config that holds itself is described once
        return _inlined(
            {**definitions[name], **{k: v for k, v in schema.items() if k != "$ref"}}, definitions, (*within, name)
        )
    return {
        key: {name: _inlined(one, definitions, within) for name, one in value.items()}
        if key == "properties"
        else _inlined(value, definitions, within)
        for key, value in schema.items()
        if key not in ("title", "discriminator")
    }


@cache
def _adapter(cls: type) -> TypeAdapter[Any]:
    """Checks ``{"value": ...}`` against a dataclass with one field `value` of type `cls`.

    The settings below hold for `cls` and all dataclasses within it only when they stand on such a root.
    """
    from pydantic import PydanticUserError, TypeAdapter

    fields_of(cls)  # raises when it is no config class
    settings = {"extra": "forbid"}
    root = dataclasses.make_dataclass("Root", [("value", cls)], namespace={"__pydantic_config__": settings})
    try:
        return TypeAdapter(root)
    except (PydanticUserError, NameError) as error:
        raise PluginError(
            f"the types of the config {cls.__module__}.{cls.__qualname__} can not be read: {error}"
        ) from error


# --- pydantic's errors, in our words ---------------------------------------------------------------------------------

_EXPECTED: Mapping[str, str] = {
    "bool": "true or false",
    "date": "a date",
    "dict": "a mapping",
    "finite": "a finite number",
    "float": "a number",
    "int": "a whole number",
    "list": "a list",
    "mapping": "a mapping",
    "none": "null",
    "path": "a path",
    "string": "text",
    "tuple": "a list",
}


@dataclass(frozen=True)
class _Fault:
    """One of pydantic's errors: where in the data it is, and the first union whose alternative it speaks of."""

    where: Where
    union: Where | None
    error: Mapping[str, Any]


def _problems(cls: type, values: Mapping[str, Any], errors: Sequence[Any]) -> list[Problem]:
    problems: list[Problem] = []
    unions: dict[Where, list[_Fault]] = {}
    for fault in (one for error in errors for one in _by_field(_locate(values, error))):
        if fault.union is None:
            problems.append(Problem(fault.where, _words(cls, fault)))
        else:
            unions.setdefault(fault.union, []).append(fault)
    for where, alternatives in unions.items():
        # What is said of a mapping's own keys helps; that a mapping is no number does not.
        inside = [fault for fault in alternatives if len(fault.where) > len(where)]
        if inside:
            problems += [Problem(fault.where, _words(cls, fault)) for fault in inside]
        else:
            expected = " or ".join(dict.fromkeys(_expected(fault.error) for fault in alternatives))
            problems.append(Problem(where, f"expected {expected}, got {shown(alternatives[0].error['input'])}"))
    return problems


def _locate(values: Any, error: Mapping[str, Any]) -> _Fault:
    """Tell the keys in a location from the tags that pydantic puts there for the alternatives of a union."""
    where: list[str] = []
    union: Where | None = None
    location = list(error["loc"][1:])
    for position, step in enumerate(location):
        is_key = isinstance(values, Mapping) and step in values
        is_index = isinstance(values, list) and isinstance(step, int) and step < len(values)
        if is_key or is_index:
            values = values[step]
            where.append(str(step))
        elif error["type"] == "missing" and position == len(location) - 1:
            where.append(str(step))
        elif union is None:
            union = tuple(where)
    return _Fault(tuple(where), union, error)


def _by_field(fault: _Fault) -> list[_Fault]:
    """`fault`, or one for each field where it is a `BoundsError`, which knows them."""
    raised = fault.error.get("ctx", {}).get("error")
    if not isinstance(raised, BoundsError):
        return [fault]
    return [
        _Fault((*fault.where, key), fault.union, {**fault.error, "ctx": {"error": message}})
        for key, message in raised.fields.items()
    ]


def _words(cls: type, fault: _Fault) -> str:
    error = fault.error
    kind = error["type"]
    context = error.get("ctx", {})
    if kind == "missing":
        return "it is needed and was not given"
    if kind == "unexpected_keyword_argument":
        return f"unknown key{suggestion(fault.where[-1], _keys_at(cls, fault.where[:-1]))}"
    if kind == "value_error":
        return str(context["error"])
    close = ""
    if kind == "literal_error":
        close = suggestion(str(error["input"]), context["expected"].replace(" or ", ", ").replace("'", "").split(", "))
    elif kind != "dataclass_type" and kind.partition("_")[0] not in _EXPECTED:
        return f"{error['msg']}, got {shown(error['input'])}"
    return f"expected {_expected(error)}, got {shown(error['input'])}{close}"


def _expected(error: Mapping[str, Any]) -> str:
    kind = str(error["type"])
    context = error.get("ctx", {})
    if kind == "literal_error":
        return str(context["expected"])
    if kind == "dataclass_type":
        name = context["class_name"]
        return "a ramp {start, end, over}" if name == Ramp.__name__ else f"a mapping with the keys of {name}"
    if kind == "int_from_float":
        return "a whole number"
    return _EXPECTED.get(kind.partition("_")[0], str(error["msg"]))


def shown(value: Any) -> str:
    """A value as an error quotes it: as YAML would write it, and not longer than a line."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    text = repr(plain(value))
    return text if len(text) <= 60 else f"{text[:57]}..."


def _keys_at(cls: type, where: Where) -> list[str]:
    """The keys of the dataclass at `where` within `cls`, as far as its field types show."""
    for step in where:
        field = fields_of(cls).get(step)
        if field is None or field.inner is None:
            return []
        cls = field.inner
    return list(fields_of(cls))
