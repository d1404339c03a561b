"""What of a filter is decided by an event's origin alone, before any payload is read.

`k8s` and `runtime` are interned: an origin names the node, the data source and the exact texts of
both. So every condition on them is decided once per origin, not once per event; what is left of
the filter (often nothing) is looked up in the payloads. Origins for which the filter cannot be
true are never read.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from igdash.domain.events import Event, Origin
from igdash.domain.filter_match import compile_filter, finder, matcher, texts_in
from igdash.domain.filters import And, Filter, Leaf, Not, Or, Text, Virtual, leaves
from igdash.store.origins import OriginCache
from igdash.store.query.docs import Docs, docs_for, load
from igdash.store.query.patterns import compile_pattern

Verdict = bool | Filter
"""What a filter is for an origin: decided, or what is left to look up."""

_REMEMBERED: Final = 50_000
_MOST_PATHS: Final = 50
UNDECIDED: Final = object()
"""A value that only the payload knows."""


class KnownOrigin:
    """The values an origin decides."""

    def __init__(self, origin: Origin) -> None:
        self._origin = origin
        self._data: dict[str, Any] = {}
        self._values: dict[str, Any] = {}
        if origin.k8s:
            self._data["k8s"] = load(origin.k8s)
        if origin.runtime:
            self._data["runtime"] = load(origin.runtime)
        self.interned = {name: _container_of(data) for name, data in self._data.items()}
        """What a payload's places stand for, as far as a row can still ask for it: the container's
        name may be half here and half in the payload; no text here is looked for any more."""

    def value(self, path: str) -> Any:
        """Return the value at a path (None = lacking), or `UNDECIDED`."""
        if path not in self._values:
            if len(self._values) >= _MOST_PATHS:  # of what questions may name there is no end
                self._values.clear()
            self._values[path] = self._look_up(path)
        return self._values[path]

    def _look_up(self, path: str) -> Any:
        if path == "@node":
            return self._origin.node or None
        if path == "@source":
            return self._origin.source or None
        if path == "@container":
            return self._container()
        top = path.partition(".")[0]
        return finder(path)(self._data) if top in self._data else UNDECIDED

    def _container(self) -> Any:
        if "k8s" not in self._data:
            return UNDECIDED
        first = finder("k8s.containerName")(self._data)
        if first or "runtime" in self._data:
            return finder("@container")(self._data)
        return UNDECIDED

    def has_text(self, word: str) -> bool:
        """Whether an interned text value contains the casefolded word."""
        return any(word in text.casefold() for text in texts_in(self._data))


def _container_of(data: Any) -> Any:
    name = data.get("containerName") if isinstance(data, dict) else None
    return None if name is None else {"containerName": name}


class _OneOrigin:
    """The `Access` whose rows are origins; only asked for paths an origin decides."""

    def path(self, path: str) -> Callable[[KnownOrigin], Any]:
        return lambda origin: origin.value(path)

    def texts(self) -> Callable[[KnownOrigin], Iterable[str]]:
        return lambda _: ()


class Origins(OriginCache):
    """The origins that questions have met, their JSON read once. Thread-safe."""

    def __init__(self) -> None:
        super().__init__()
        self._read: dict[int, KnownOrigin] = {}

    def known(self, number: int, origin: Origin) -> KnownOrigin:
        """Return the values that an origin decides."""
        found = self._read.get(number)
        if found is None:
            if len(self._read) >= _REMEMBERED:
                self._read = {}
            found = self._read[number] = KnownOrigin(origin)
        return found


class Decider:
    """A filter to be decided for one origin after the other."""

    def __init__(self, node: Filter) -> None:
        self._node = node
        self._tests: dict[int, Callable[[Any], Any]] = {}

    def decide(self, origin: KnownOrigin) -> Verdict:
        """Return what is left of the filter for the events of an origin."""
        return self._fold(self._node, origin, positive=True)

    def _fold(self, node: Filter, origin: KnownOrigin, *, positive: bool) -> Verdict:
        if isinstance(node, And | Or):
            return self._fold_list(node, origin, positive=positive)
        if isinstance(node, Not):
            inner = self._fold(node.part, origin, positive=not positive)
            if isinstance(inner, bool):
                return not inner
            return inner.part if isinstance(inner, Not) else Not(part=inner)
        return self._fold_leaf(node, origin, positive)

    def _fold_list(self, node: And | Or, origin: KnownOrigin, *, positive: bool) -> Verdict:
        ends = isinstance(node, Or)
        left: list[Filter] = []
        for part in node.parts:
            verdict = self._fold(part, origin, positive=positive)
            if verdict is ends:
                return ends
            if not isinstance(verdict, bool):
                left += verdict.parts if type(verdict) is type(node) else (verdict,)
        if not left:
            return not ends
        return left[0] if len(left) == 1 else type(node)(parts=tuple(left))

    def _fold_leaf(self, node: Leaf, origin: KnownOrigin, positive: bool) -> Verdict:
        """Decide a condition. Unknown counts as what keeps the whole from being true: for the question
        whether it is true (and no other is asked) that is the same in three-valued logic."""
        if isinstance(node, Virtual):
            return False
        if isinstance(node, Text):
            return True if origin.has_text(node.word.casefold()) else node
        if origin.value(node.path) is UNDECIDED:
            return node
        test = self._tests.get(id(node))
        if test is None:
            test = self._tests[id(node)] = compile_filter(node, _OneOrigin(), compile_pattern)
        found = test(origin)
        return (not positive) if found is None else found


class Reading:
    """How to judge the events of one origin, and where one field's value comes from.

    `verdict` False: none matches; True: all do. `decode` is None when no payload is needed. `known`
    is the field's value for all events of the origin, or `UNDECIDED`: then `get` gets it.
    """

    __slots__ = ("decode", "get", "interned", "known", "test", "verdict")

    def __init__(self, verdict: Verdict, known: Any, lookup: _Lookup, origin: KnownOrigin) -> None:
        self.verdict = verdict
        self.known = known
        self.decode = lookup.decode
        self.test = lookup.test
        self.get = lookup.get
        self.interned = origin.interned


class _Lookup:
    """What payloads are looked up for: the rest of a filter, a field, or nothing."""

    def __init__(self, verdict: Verdict, field: str) -> None:
        node = None if isinstance(verdict, bool) else verdict
        self.decode: Callable[[str, int, int, Mapping[str, Any]], Any] | None = None
        self.test: Callable[[Any], Any] | None = None
        self.get: Callable[[Any], Any] = _nothing
        if node is None and not field:
            return
        docs = _docs(node, field)
        self.decode = docs.decode
        if node is not None:
            self.test = compile_filter(node, docs, compile_pattern)
        if field:
            self.get = docs.path(field)


def _docs(node: Filter | None, field: str) -> Docs:
    found = list(leaves(node)) if node is not None else []
    paths = [leaf.path for leaf in found if not isinstance(leaf, Text | Virtual)]
    texts = any(isinstance(leaf, Text) for leaf in found)
    return docs_for([*paths, *([field] if field else [])], texts=texts)


class Plan:
    """A filter and maybe one field to look at, worked out once per origin."""

    def __init__(self, node: Filter | None, field: str, origins: Origins) -> None:
        self._decider = None if node is None else Decider(node)
        self._origins = origins
        self._field = field
        self._lookups: dict[tuple[Verdict, str], _Lookup] = {}
        self._readings: dict[int, Reading] = {}
        if node is not None:
            compile_filter(node, _OneOrigin(), compile_pattern)  # refuse a bad pattern at once

    def reading(self, origin_id: int, origin: Origin) -> Reading:
        """Return how to read the events of an origin."""
        found = self._readings.get(origin_id)
        if found is None:
            found = self._readings[origin_id] = self._read(self._origins.known(origin_id, origin))
        return found

    def _read(self, origin: KnownOrigin) -> Reading:
        verdict: Verdict = True if self._decider is None else self._decider.decide(origin)
        known = origin.value(self._field) if self._field else None
        key = (verdict, self._field if known is UNDECIDED and verdict is not False else "")
        lookup = self._lookups.get(key)
        if lookup is None:
            lookup = self._lookups[key] = _Lookup(*key)
        return Reading(verdict, known, lookup, origin)


def _nothing(_doc: object) -> None:
    return None


def event_matcher(node: Filter) -> Callable[[Event], bool]:
    """Return a test for whole events, as `filter_match.matcher`, decoding only what it needs."""
    found = list(leaves(node))
    beside = {"@node", "@source"}
    if any(isinstance(leaf, Text | Virtual) or leaf.path in beside for leaf in found):
        return matcher(node, compile_pattern, load)
    docs = _docs(node, "")
    test = compile_filter(node, docs, compile_pattern)
    decode = docs.decode
    return lambda event: test(decode(event.data, event.seq, event.ts, {})) is True
