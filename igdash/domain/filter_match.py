"""What a filter means, in Python: the one definition that every engine is held against.

Three-valued (Kleene): a condition on a field that the row lacks (absent, `null`, an object) is
unknown, also under `not`; a row matches when the whole is true. Of an array any element counts.
Values of another type than the condition's are simply not equal, not less, not contained.

Rows come in several shapes (an event; a partly decoded payload in the store), so a filter is
compiled against an `Access` that says how to get a path's value from a row.
"""

from __future__ import annotations

import ipaddress
import json
import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, Generic, NamedTuple, Protocol, TypeAlias, TypeVar

from igdash.domain.events import Event
from igdash.domain.filters import (
    And,
    Compare,
    Exists,
    Filter,
    In,
    Network,
    Not,
    Op,
    Or,
    Range,
    Text,
    Value,
    ValueKind,
    Virtual,
)

R = TypeVar("R")
R_contra = TypeVar("R_contra", contravariant=True)
Scalar: TypeAlias = str | int | float | bool
Truth: TypeAlias = bool | None
Check: TypeAlias = Callable[[Any], bool]
CompilePattern: TypeAlias = Callable[[str], Callable[[str], bool]]
"""Pattern → whether it is found in a text, in time linear in the text. Raises `ValueError` with a
readable reason."""


class Access(Protocol, Generic[R_contra]):
    """How values are got from rows of type R. Both may raise nothing for any row."""

    def path(self, path: str) -> Callable[[R_contra], Any]:
        """Return what gets the JSON value at `path`; None when the row lacks it."""

    def texts(self) -> Callable[[R_contra], Iterable[str]]:
        """Return what gets every text value of the row."""


def refuse_patterns(pattern: str) -> Callable[[str], bool]:
    """Stand in for a `CompilePattern` where there is none."""
    raise ValueError(f"regular expressions are not available here: {pattern!r}")


def compile_filter(
    node: Filter, access: Access[R], patterns: CompilePattern = refuse_patterns
) -> Callable[[R], Truth]:
    """Return a function that says whether a row matches (None = unknown, so no).

    Raises `ValueError` for a regular expression that `patterns` does not take.
    """
    if isinstance(node, And):
        return _all([compile_filter(part, access, patterns) for part in node.parts])
    if isinstance(node, Or):
        return _any([compile_filter(part, access, patterns) for part in node.parts])
    if isinstance(node, Not):
        return _not(compile_filter(node.part, access, patterns))
    if isinstance(node, Virtual):
        return _never
    if isinstance(node, Text):
        return _contains(access.texts(), node.word.casefold())
    if isinstance(node, Exists):
        return _exists(access.path(node.path))
    return _leaf(access.path(node.path), _check(node, patterns))


def matcher(
    node: Filter,
    patterns: CompilePattern = refuse_patterns,
    load: Callable[[str], Any] = json.loads,
) -> Callable[[Event], bool]:
    """Return a function that says whether an event matches.

    An event whose text `load` refuses (`ValueError`, `RecursionError`) lacks every field.
    """
    test = compile_filter(node, _EventAccess(), patterns)

    def matches(event: Event) -> bool:
        try:
            data = load(event.data)
        except (ValueError, RecursionError):
            data = {}
        return test(_Loaded(event, data)) is True

    return matches


# ---------------------------------------------------------------- values of an event


class _Loaded(NamedTuple):
    event: Event
    data: Any


class _EventAccess:
    def path(self, path: str) -> Callable[[_Loaded], Any]:
        special = _SPECIAL.get(path)
        if special is not None:
            return special
        find = finder(path)
        return lambda row: find(row.data)

    def texts(self) -> Callable[[_Loaded], Iterable[str]]:
        return lambda row: texts_in(row.data)


def finder(path: str) -> Callable[[Any], Any]:
    """Return what finds a dotted path in decoded JSON, or `@container`.

    An array on the way stands for what is found in its elements.
    """
    if path == "@container":
        return container_in
    parts = tuple(path.split("."))
    return lambda data: _walk(data, parts)


def _walk(node: Any, parts: tuple[str, ...]) -> Any:
    for index, part in enumerate(parts):
        if isinstance(node, list):
            rest = parts[index:]
            found = [value for one in node if (value := _walk(one, rest)) is not None]
            return found or None
        if not isinstance(node, dict):
            return None
        node = node.get(part)
    return node


_k8s_container = finder("k8s.containerName")
_runtime_container = finder("runtime.containerName")


def container_in(data: Any) -> Any:
    """Return the container's name: `k8s.containerName` unless empty, else the runtime's."""
    first = _k8s_container(data)
    if first:
        return first
    second = _runtime_container(data)
    return first if second is None else second


_SPECIAL: Final[Mapping[str, Callable[[_Loaded], Any]]] = {
    "@time": lambda row: row.event.ts,
    "@seq": lambda row: row.event.seq,
    "@node": lambda row: row.event.node or None,
    "@source": lambda row: row.event.source or None,
}


def texts_in(node: Any) -> Iterator[str]:
    """Yield every text value of decoded JSON (not the keys)."""
    if isinstance(node, str):
        yield node
    elif isinstance(node, dict):
        for value in node.values():
            yield from texts_in(value)
    elif isinstance(node, list):
        for value in node:
            yield from texts_in(value)


def scalars(node: Any) -> Iterator[Scalar]:
    """Yield the values a condition looks at: the value, or an array's elements; no objects."""
    if isinstance(node, list):
        for one in node:
            yield from scalars(one)
    elif isinstance(node, str | int | float):
        yield node


def is_filled(node: Any) -> bool:
    """Whether a JSON value is there and not empty; an object or array: whether any part is."""
    if isinstance(node, dict):
        return any(is_filled(one) for one in node.values())
    if isinstance(node, list):
        return any(is_filled(one) for one in node)
    return node is not None and node != ""


# ---------------------------------------------------------------- truth


def _all(tests: list[Callable[[R], Truth]]) -> Callable[[R], Truth]:
    def test(row: R) -> Truth:
        result: Truth = True
        for one in tests:
            found = one(row)
            if found is False:
                return False
            if found is None:
                result = None
        return result

    return test


def _any(tests: list[Callable[[R], Truth]]) -> Callable[[R], Truth]:
    def test(row: R) -> Truth:
        result: Truth = False
        for one in tests:
            found = one(row)
            if found:
                return True
            if found is None:
                result = None
        return result

    return test


def _not(inner: Callable[[R], Truth]) -> Callable[[R], Truth]:
    def test(row: R) -> Truth:
        found = inner(row)
        return None if found is None else not found

    return test


def _never(_row: object) -> Truth:
    return False


def _contains(get: Callable[[R], Iterable[str]], word: str) -> Callable[[R], Truth]:
    return lambda row: any(word in text.casefold() for text in get(row))


def _exists(get: Callable[[R], Any]) -> Callable[[R], Truth]:
    return lambda row: is_filled(get(row))


def _leaf(get: Callable[[R], Any], check: Check) -> Callable[[R], Truth]:
    def test(row: R) -> Truth:
        value = get(row)
        if value is None:
            return None
        if isinstance(value, list | dict):
            found = list(scalars(value))
            return any(map(check, found)) if found else None
        return check(value)

    return test


# ---------------------------------------------------------------- one value


def _check(node: Compare | In | Range | Network, patterns: CompilePattern) -> Check:
    if isinstance(node, In):
        return _one_of(node.values)
    if isinstance(node, Range):
        return _between(node.low.value, node.high.value)
    if isinstance(node, Network):
        return _inside(node.networks)
    if node.op is Op.EQ:
        return _one_of((node.value,))
    if node.op is Op.CONTAINS:
        word = str(node.value.value).casefold()
        return lambda value: isinstance(value, str) and word in value.casefold()
    if node.op is Op.LIKE:
        return _text_only(_glob(str(node.value.value)))
    if node.op is Op.REGEX:
        return _text_only(patterns(str(node.value.value)))
    return _ordered(node.op, node.value.value)


def _text_only(test: Callable[[str], bool]) -> Check:
    return lambda value: isinstance(value, str) and test(value)


def _one_of(values: tuple[Value, ...]) -> Check:
    texts = {v.value for v in values if v.kind is ValueKind.TEXT}
    bools = {v.value for v in values if v.kind is ValueKind.BOOL}
    numbers = {
        v.value for v in values if v.kind is not ValueKind.TEXT and v.kind is not ValueKind.BOOL
    }

    def check(value: Any) -> bool:
        kind = value.__class__  # True == 1 in Python, not here
        if kind is str:
            return value in texts
        return value in (bools if kind is bool else numbers)

    return check


_ORDER: Final = {
    Op.LT: operator.lt,
    Op.LE: operator.le,
    Op.GT: operator.gt,
    Op.GE: operator.ge,
}


def _ordered(op: Op, limit: Any) -> Check:
    compare = _ORDER[op]
    return lambda value: value.__class__ in (int, float) and compare(value, limit)


def _between(low: Any, high: Any) -> Check:
    return lambda value: value.__class__ in (int, float) and low <= value <= high


def _inside(networks: tuple[str, ...]) -> Check:
    parsed = [ipaddress.ip_network(network) for network in networks]

    @lru_cache(maxsize=4096)
    def inside(text: str) -> bool:
        return any(
            address.version == network.version and address in network
            for address in _addresses(text)
            for network in parsed
        )

    return lambda value: isinstance(value, str) and inside(value)


def _addresses(text: str) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    """Return the address a text is, and the IPv4 one inside an IPv6 one (`::ffff:10.0.0.1`)."""
    if len(text) > 64:
        return []
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return []
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return [address] if mapped is None else [address, mapped]


def _glob(pattern: str) -> Callable[[str], bool]:
    """Return a test of `*` (any text) and `?` (one character) over the whole value.

    Each piece between stars is looked for once, from where the last one ended, so the time is at
    most pattern times text, without the backtracking of a regular expression.
    """
    pieces = [_piece(piece) for piece in re.sub(r"\*+", "*", pattern).split("*")]
    first, middle, last = pieces[0], pieces[1:-1], pieces[-1]
    if len(pieces) == 1:
        return lambda text: first.fullmatch(text) is not None
    tail = last_size = len(pattern.rsplit("*", 1)[1])

    def test(text: str) -> bool:
        begin = first.match(text)
        if begin is None:
            return False
        at = begin.end()
        for piece in middle:
            found = piece.search(text, at)
            if found is None:
                return False
            at = found.end()
        return len(text) - last_size >= at and last.fullmatch(text, len(text) - tail) is not None

    return test


def _piece(piece: str) -> re.Pattern[str]:
    return re.compile("".join("." if char == "?" else re.escape(char) for char in piece), re.DOTALL)
