"""Values out of payload texts: only those a question needs are decoded.

A struct with just the wanted members is decoded in a third of the time of the whole object. What
does not fit it (an array or a text where an object was expected, a number out of range, a lone
surrogate) is read again the plain way, so both ways give the same values.
"""

from __future__ import annotations

import json
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol

import msgspec

from igdash.domain.filter_match import finder, texts_in

_decode_any = msgspec.json.Decoder().decode


class Docs(Protocol):
    """Decodes payloads; is the `Access` for the documents it returns."""

    def decode(self, payload: str, seq: int, ts: int, interned: Mapping[str, Any]) -> Any:
        """Return a document. `interned` are the members that the payload only has places for."""

    def path(self, path: str) -> Callable[[Any], Any]:
        """Return what gets the value at a path from a document."""

    def texts(self) -> Callable[[Any], Iterable[str]]:
        """Return what gets all text values from a document."""


def docs_for(paths: Iterable[str], *, texts: bool) -> Docs:
    """Return the cheapest way to get the values at `paths` (and all texts, if wanted)."""
    wanted = tuple(dict.fromkeys(paths))
    if not texts:
        try:
            return _Parts(wanted)
        except (ValueError, TypeError, RecursionError):  # a name that structs cannot have
            pass
    return _Whole()


def load(text: str) -> Any:
    """Decode JSON as `json.loads` does, quicker; `{}` for what is none."""
    try:
        return _decode_any(text)
    except (msgspec.DecodeError, RecursionError):
        pass
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return {}


# ---------------------------------------------------------------- all of it


class _Doc:
    __slots__ = ("data", "seq", "ts")

    def __init__(self, data: Any, seq: int, ts: int) -> None:
        self.data = data
        self.seq = seq
        self.ts = ts


class _Whole:
    def decode(self, payload: str, seq: int, ts: int, interned: Mapping[str, Any]) -> _Doc:
        data = load(payload)
        if isinstance(data, dict):
            data.update(interned)
        return _Doc(data, seq, ts)

    def path(self, path: str) -> Callable[[_Doc], Any]:
        if path in _BESIDE:
            return operator.attrgetter(_BESIDE[path])
        find = finder(path)
        return lambda doc: find(doc.data)

    def texts(self) -> Callable[[_Doc], Iterable[str]]:
        return lambda doc: texts_in(doc.data)


_BESIDE: Mapping[str, str] = {"@seq": "seq", "@time": "ts"}

# ---------------------------------------------------------------- only some members


class _Node:
    """A member on the way to wanted values: `leaf` = its own value is wanted, as it is."""

    def __init__(self) -> None:
        self.members: dict[str, _Node] = {}
        self.leaf = False
        self.struct: Any = None
        self.names: dict[str, str] = {}

    def add(self, parts: tuple[str, ...]) -> None:
        if not parts:
            self.leaf = True
        else:
            self.members.setdefault(parts[0], _Node()).add(parts[1:])

    def build(self, *, root: bool = False) -> Any:
        """Return the type to decode this member as."""
        if self.leaf or not self.members:
            return Any
        fields: list[Any] = []
        for index, (key, node) in enumerate(self.members.items()):
            name = f"m{index}"
            self.names[key] = name
            inner = node.build()
            fields.append((name, inner, None if inner is Any else inner()))
        rename = {name: key for key, name in self.names.items()}
        if root:  # of our own making; never looked for in the text
            fields += [("seq", int, 0), ("ts", int, 0)]
            rename |= {"seq": "\x7fseq", "ts": "\x7fts"}
        self.struct = msgspec.defstruct("Part", fields, rename=rename, frozen=not root, gc=False)
        return self.struct

    def attribute(self, parts: tuple[str, ...]) -> tuple[str, tuple[str, ...]]:
        """Return the attribute path to the value, and the parts left inside it."""
        if self.struct is None or not parts:
            return "", parts
        name = self.names[parts[0]]
        below, left = self.members[parts[0]].attribute(parts[1:])
        return (f"{name}.{below}" if below else name), left

    def fill(self, data: Any, parts: tuple[str, ...]) -> Any:
        """Return a struct with the values that the plain way finds in decoded JSON."""
        values: dict[str, Any] = {}
        for key, node in self.members.items():
            path = (*parts, key)
            if node.struct is None:
                values[self.names[key]] = finder(".".join(path))(data)
            else:
                values[self.names[key]] = node.fill(data, path)
        return self.struct(**values)


class _Parts:
    def __init__(self, paths: tuple[str, ...]) -> None:
        self._root = _Node()
        for path in paths:
            if path not in _BESIDE and path != "@container":
                self._root.add(tuple(path.split(".")))
            if path == "@container":
                self._root.add(("k8s", "containerName"))
                self._root.add(("runtime", "containerName"))
        if not self._root.members:
            self._root.members["\x7fnothing"] = _Node()
        self._decode = msgspec.json.Decoder(self._root.build(root=True)).decode

    def decode(self, payload: str, seq: int, ts: int, interned: Mapping[str, Any]) -> Any:
        try:
            doc = self._decode(payload)
        except (msgspec.DecodeError, RecursionError):
            data = load(payload)
            if isinstance(data, dict):
                data.update(interned)
            doc = self._root.fill(data, ())
        doc.seq = seq
        doc.ts = ts
        return doc

    def path(self, path: str) -> Callable[[Any], Any]:
        if path in _BESIDE:
            return operator.attrgetter(_BESIDE[path])
        if path == "@container":
            return self._container()
        name, left = self._root.attribute(tuple(path.split(".")))
        get: Callable[[Any], Any] = operator.attrgetter(name)
        if not left:
            return get
        find = finder(".".join(left))
        return lambda doc: find(get(doc))

    def _container(self) -> Callable[[Any], Any]:
        first, second = self.path("k8s.containerName"), self.path("runtime.containerName")

        def get(doc: Any) -> Any:
            found = first(doc)
            if found:
                return found
            other = second(doc)
            return found if other is None else other

        return get

    def texts(self) -> Callable[[Any], Iterable[str]]:
        raise TypeError("parts of an event do not hold all its texts")
