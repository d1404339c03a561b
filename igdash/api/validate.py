"""From what a client sent to a typed value, naming everything that is wrong and not just the first.

msgspec stops at the first error; a form wants all of them, each at its field. So structs are built
field by field here, and msgspec judges each value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, TypeVar, get_args, get_origin

import msgspec
from msgspec.structs import FieldInfo

from igdash.api import types

S = TypeVar("S", bound=msgspec.Struct)


class Invalid(Exception):
    """A request whose `problems` map each wrong field to its reason; `where` is query or body."""

    def __init__(self, where: str, problems: Mapping[str, str]) -> None:
        self.where = where
        self.problems = dict(problems)
        super().__init__("; ".join(f"{field}: {why}" for field, why in problems.items()))


def from_query(kind: type[S] | None, values: Mapping[str, Sequence[str]]) -> S | None:
    """Build the query struct of a route from text values. Raises `Invalid`.

    A list field takes every value given, any other exactly one.
    """
    fields = {} if kind is None else {f.encode_name: f for f in msgspec.structs.fields(kind)}
    problems: dict[str, str] = {}
    given: dict[str, object] = {}
    for name, texts in values.items():
        info = fields.get(name)
        if info is None:
            problems[name[:80]] = "unknown parameter"
        elif _is_list(info):
            given[name] = list(texts)
        elif len(texts) > 1:
            problems[name] = "given more than once"
        else:
            given[name] = texts[0]
    built = None if kind is None else _build(kind, given, problems, prefix="", strict=False)
    if problems:
        raise Invalid("query", problems)
    return built


def from_body(kind: type[S], value: object) -> S:
    """Build the body struct of a route from decoded JSON; a null is as if not given. Raises `Invalid`."""
    if not isinstance(value, dict):
        raise Invalid("body", {"": "must be a JSON object"})
    problems: dict[str, str] = {}
    built = _build(kind, value, problems, prefix="", strict=True)
    if problems or built is None:
        raise Invalid("body", problems)
    return built


def _build(
    kind: type[S],
    given: Mapping[str, object],
    problems: dict[str, str],
    *,
    prefix: str,
    strict: bool,
) -> S | None:
    values: dict[str, Any] = {}
    fields = msgspec.structs.fields(kind)
    known = {info.encode_name for info in fields}
    wrong = {prefix + str(name)[:80]: "unknown field" for name in given if name not in known}
    for info in fields:
        where = prefix + info.encode_name
        if info.encode_name not in given:
            if info.required:
                wrong[where] = "is required"
            continue
        value = given[info.encode_name]
        if value is None and not info.required:
            continue  # null is as good as absent
        if _has_nul(value):
            wrong[where] = "must not contain NUL characters"  # PostgreSQL has no such text
            continue
        nested = _struct_of(info)
        if nested is not None and isinstance(value, dict):
            inner = dict[str, str]()
            values[info.name] = _build(nested, value, inner, prefix=where + ".", strict=strict)
            wrong |= inner
            continue
        try:
            values[info.name] = msgspec.convert(
                value, info.type, strict=strict, dec_hook=types.decode
            )
        except (msgspec.ValidationError, ValueError) as error:
            wrong[where] = _reason(error)
    for field, why in wrong.items():
        problems.setdefault(field, why)
    return None if wrong else kind(**values)


def _reason(error: Exception) -> str:
    text = str(error).replace("`", "")
    return text.removesuffix(" - at $")


def _has_nul(value: object) -> bool:
    if isinstance(value, dict):
        return any(_has_nul(key) or _has_nul(each) for key, each in value.items())
    if isinstance(value, list):
        return any(_has_nul(each) for each in value)
    return isinstance(value, str) and "\0" in value


def _is_list(info: FieldInfo) -> bool:
    kind = info.type
    if get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    return get_origin(kind) is list


def _struct_of(info: FieldInfo) -> type[msgspec.Struct] | None:
    for candidate in (info.type, *get_args(info.type)):
        if isinstance(candidate, type) and issubclass(candidate, msgspec.Struct):
            return candidate
    return None
