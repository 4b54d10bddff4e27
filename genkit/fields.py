"""What the fields of a config dataclass hold: another dataclass, a part of the catalog, penalties, or a plain value."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
import types
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import Enum
from functools import cache
from itertools import pairwise
from pathlib import Path, PurePath
from typing import Annotated, Any, Literal, Union, get_args, get_origin, get_type_hints

from genkit.errors import PluginError
from genkit.settings import Part, Role

Kind = Literal["struct", "choice", "part", "parts", "penalties", "value"]


@dataclass(frozen=True)
class Field:
    """One field of a config dataclass."""

    kind: Kind
    """struct: a dataclass. choice: a plain value or a dataclass (a number or a ramp). part, parts, penalties and
    objective: names of the catalog. value: anything else."""
    optional: bool = False
    """True when null is among its values."""
    inner: type | None = None
    """The dataclass of a struct or a choice."""
    role: str | None = None
    """The list of the catalog that names are looked up in."""
    textual: bool = False
    """True when it holds text or a path, so that ``--set`` must not read 007 as a number."""
    numeric: bool = False
    """True when it holds numbers and no truth values: pydantic would take true for 1."""


def fields_of(cls: type) -> Mapping[str, Field]:
    """The fields of a config class, in order. Raises PluginError when it is no dataclass or has unreadable types."""
    if not (isinstance(cls, type) and dataclasses.is_dataclass(cls)):
        raise PluginError(f"the config {cls!r} is not a dataclass")
    return _fields_of(cls)


@cache
def _fields_of(cls: type) -> Mapping[str, Field]:
    try:
        hints = get_type_hints(cls, include_extras=True)
        inherited = [get_type_hints(base, include_extras=True) for base in cls.__mro__[1:-1]]
    except (NameError, TypeError) as error:
        raise PluginError(
            f"the types of the config {cls.__module__}.{cls.__qualname__} can not be read: {error}",
            fix="its annotations must be importable when the module is, not only for type checkers",
        ) from error
    found: dict[str, Field] = {}
    for one in dataclasses.fields(cls):
        field = _field(hints[one.name])
        if field.role is None and (field.kind in ("part", "parts") or one.name == "penalties"):
            # A recipe that narrows a default may write `data: Part = ...`; the role is then the base class's.
            above = [_field(base[one.name]) for base in inherited if one.name in base]
            field = next((other for other in above if other.role), field)
        if field.role is None and field.kind in ("part", "parts"):
            raise PluginError(
                f"the field `{one.name}` of {cls.__module__}.{cls.__qualname__} is a Part without a role",
                fix='annotate it as Annotated[Part, Role("dataset")], or with the role it has',
            )
        found[one.name] = field
    return types.MappingProxyType(found)


def _field(hint: Any) -> Field:
    role: str | None = None
    while get_origin(hint) is Annotated:
        hint, *marks = get_args(hint)
        role = next((mark.name for mark in marks if isinstance(mark, Role)), role)
    members = [hint]
    if get_origin(hint) in (Union, types.UnionType):
        members = [member for member in get_args(hint) if member is not type(None)]
        if len(members) == 1:
            field = _field(members[0])
            return dataclasses.replace(field, optional=True, role=field.role or role)
    optional = len(members) < len(get_args(hint)) if members != [hint] else False
    if hint is Part:
        return Field("part", role=role)
    if role == "penalty":
        return Field("penalties", role=role)
    if get_origin(hint) in (tuple, list) and get_args(hint):
        element = _field(get_args(hint)[0])
        if element.kind == "part":
            return Field("parts", role=element.role)
    structs = [member for member in members if isinstance(member, type) and dataclasses.is_dataclass(member)]
    others = [member for member in members if member not in structs]
    if len(structs) == 1:
        kind: Kind = "choice" if others else "struct"
        return Field(kind, optional, inner=structs[0], numeric=bool(others) and all(m in (int, float) for m in others))
    textual = not structs and all(map(_is_textual, others))
    return Field("value", optional, textual=textual, numeric=not structs and all(m in (int, float) for m in others))


def _is_textual(hint: Any) -> bool:
    if get_origin(hint) is Literal:
        return all(isinstance(value, str) for value in get_args(hint))
    return hint is str or hint is Path


# --- plain values ----------------------------------------------------------------------------------------------------


class Penalties(dict[str, Mapping[str, Any]]):
    """Penalties by name, with the names a layer took out: a config written from them must take those out again."""

    def __init__(self, chosen: Mapping[str, Mapping[str, Any]], removed: Collection[str] = ()) -> None:
        super().__init__(chosen)
        self.removed = tuple(sorted(set(removed) - set(chosen)))


def plain(value: Any) -> Any:
    """A value as YAML holds it: dataclasses and parts become mappings, tuples lists, paths text."""
    if isinstance(value, Penalties):
        return {**{key: plain(item) for key, item in value.items()}, **dict.fromkeys(value.removed)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Enum):
        return plain(value.value)
    if isinstance(value, PurePath):
        return str(value)
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, set | frozenset):
        return sorted(plain(item) for item in value)
    return value


def plain_defaults(cls: type) -> dict[str, Any]:
    """The plain defaults of a config class; fields without one are left out."""
    given: dict[str, Any] = {}
    for field in dataclasses.fields(cls):
        if field.default is not dataclasses.MISSING:
            given[field.name] = plain(field.default)
        elif field.default_factory is not dataclasses.MISSING:
            given[field.name] = plain(field.default_factory())
    return given


@cache
def field_docs(cls: type) -> Mapping[str, str]:
    """The docstrings that stand under the fields of a dataclass; its base classes' where it has none of its own."""
    docs: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if not dataclasses.is_dataclass(base):
            continue
        try:
            tree = ast.parse(textwrap.dedent(inspect.getsource(base)))
        except (OSError, TypeError, SyntaxError):
            continue  # a class made without a source file has no docstrings
        body = tree.body[0].body if isinstance(tree.body[0], ast.ClassDef) else []
        for statement, after in pairwise(body):
            if (
                isinstance(statement, ast.AnnAssign)
                and isinstance(statement.target, ast.Name)
                and isinstance(after, ast.Expr)
                and isinstance(after.value, ast.Constant)
                and isinstance(after.value.value, str)
            ):
                docs[statement.target.id] = inspect.cleandoc(after.value.value)
    return docs
