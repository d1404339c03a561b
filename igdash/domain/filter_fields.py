"""Names in a filter to fields of a session: short names, near names, what can be compared.

A session's fields are the schema its gadget delivered. Without one (an imported file, say) every
name is taken as a path and every value as what it looks like.
"""

from __future__ import annotations

import difflib
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Final

from igdash.domain.gadgets import Field

SHORT: Final = {
    "namespace": "k8s.namespace",
    "pod": "k8s.podName",
    "comm": "proc.comm",
    "pid": "proc.pid",
    "tid": "proc.tid",
    "uid": "proc.creds.uid",
}
"""Short names for fields most gadgets have; a field of the gadget of that very name comes first."""
_CONTAINERS: Final = ("k8s.containerName", "runtime.containerName")
_MEASURES: Final = ("duration", "bytes", "timestamp")
"""Templates of texts that show a number kept beside them in a `_raw` field."""


class Type(Enum):
    """What a field holds, as far as conditions care."""

    TEXT = "a text"
    NUMBER = "a number"
    BOOL = "true or false"
    TIME = "a time"
    ANY = "anything"
    GROUP = "a group of fields"


@dataclass(frozen=True, slots=True, kw_only=True)
class Ref:
    """A field that a name stands for.

    `raw` is the path of the number behind a text ("" = none), `measure` whether the text is but a
    way to show it (`5ms`, `10 MB`).
    """

    name: str
    path: str
    type: Type
    raw: str = ""
    measure: bool = False
    one_of: tuple[str, ...] = ()
    description: str = ""


class UnknownField(Exception):
    """No field of this name; `near` are names like it, or those of several that it may be."""

    def __init__(self, message: str, near: tuple[str, ...], *, several: bool = False) -> None:
        self.message = message
        self.near = near
        self.several = several
        super().__init__(message)


_BESIDE: Final = {
    "time": Ref(name="time", path="@time", type=Type.TIME, description="When the event happened"),
    "seq": Ref(
        name="seq", path="@seq", type=Type.NUMBER, description="The event's number in the session"
    ),
    "node": Ref(name="node", path="@node", type=Type.TEXT, description="Node it came from"),
    "source": Ref(
        name="source", path="@source", type=Type.TEXT, description="Data source of the gadget"
    ),
}


class FieldIndex:
    """The fields of one session, by the names that may be used for them."""

    def __init__(self, schema: Sequence[Field] | None) -> None:
        self.open = not schema
        found = [field for field in schema or () if field.in_json]
        self._fields: dict[str, Field] = {}
        self._mixed: set[str] = set()
        for field in found:
            old = self._fields.setdefault(field.name, field)
            if _type(old) is not _type(field):
                self._mixed.add(field.name)
        self._groups = {
            name[:at] for name in self._fields for at in range(len(name)) if name[at] == "."
        }

    def resolve(self, name: str) -> Ref:
        """Return what a name stands for. Raises `UnknownField`."""
        if name in self._fields or name in self._groups:
            return self._ref(name, name)
        if name in _BESIDE:
            return _BESIDE[name]
        if name == "ts" and not self.open:  # as events call it in every answer
            return _BESIDE["time"]
        if name == "container" and (self.open or any(c in self._fields for c in _CONTAINERS)):
            return Ref(
                name=name, path="@container", type=Type.TEXT, description="Name of the container"
            )
        short = SHORT.get(name, "")
        if short in self._fields:
            return self._ref(name, short)
        if self.open:
            return Ref(name=name, path=short or name, type=Type.ANY)
        return self._ending(name)

    def _ending(self, name: str) -> Ref:
        ends = [full for full in self._fields if full.endswith(f".{name}")]
        if len(ends) == 1:
            return self._ref(name, ends[0])
        if ends:
            raise UnknownField(f"{name!r} may be {_listed(ends)}", tuple(ends), several=True)
        near = tuple(difflib.get_close_matches(name, self.names(), n=3, cutoff=0.6))
        near = near if len(name) <= 100 else ()
        hint = f"; did you mean {_listed(near)}?" if near else ""
        raise UnknownField(f"this session has no field {name[:100]!r}{hint}", near)

    def _ref(self, name: str, path: str) -> Ref:
        field = self._fields.get(path)
        if path in self._groups or field is None:
            return Ref(name=name, path=path, type=Type.GROUP)
        raw = self._fields.get(f"{path}_raw")
        return Ref(
            name=name,
            path=path,
            type=Type.ANY if path in self._mixed else _type(field),
            raw=raw.name if raw is not None and _type(raw) is Type.NUMBER else "",
            measure=field.template in _MEASURES,
            one_of=field.one_of,
            description=field.description,
        )

    def names(self) -> list[str]:
        """Return every name that can be used, short ones first."""
        short = [name for name, path in SHORT.items() if path in self._fields]
        if any(c in self._fields for c in _CONTAINERS):
            short.append("container")
        return list(dict.fromkeys([*_BESIDE, *short, *self._fields]))

    def members(self, group: str) -> list[str]:
        """Return the names of a group's fields, its own before those of groups inside it."""
        found = [name for name in self._fields if name.startswith(f"{group}.")]
        return sorted(found, key=lambda name: name.count("."))


def _type(field: Field) -> Type:
    kind = field.kind.removesuffix("[]")
    if kind.startswith(("Int", "Uint", "Float")):
        return Type.ANY if field.kind == "Uint8[]" else Type.NUMBER
    if kind == "Bool":
        return Type.BOOL
    return Type.TEXT if kind in ("String", "CString", "Bytes") else Type.ANY


def _listed(names: Sequence[str]) -> str:
    shown = [*names[:5], *(["…"] if len(names) > 5 else [])]
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} or {shown[-1]}"


def value_path(name: str, schema: Sequence[Field] | None) -> str:
    """Return the path whose values a field shows. Raises `UnknownField`, also for a group."""
    ref = FieldIndex(schema).resolve(name)
    if ref.type is Type.GROUP:
        raise UnknownField(
            f"{name!r} is a group of fields", tuple(FieldIndex(schema).members(name))
        )
    return ref.path


def number_path(name: str, schema: Sequence[Field] | None) -> str:
    """Return the path to sort or to calculate by: of `5ms` the number behind it."""
    path = value_path(name, schema)
    ref = FieldIndex(schema).resolve(name)
    return ref.raw if ref.raw and ref.measure else path
