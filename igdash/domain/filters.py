"""The filter language as a tree: what a filter means, apart from how it is written or evaluated.

One tree for the page, URLs, REST, sockets, the command line and exports. `filter_text` reads and
prints it, `filter_match` is what it means, the store turns it into SQL. `docs/filters.md` is the
language as users see it.

`!=`, `!~` and `not in` are a `Not` around the positive node: there is one meaning of negation (a
row that lacks the field matches neither).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field as _field
from enum import StrEnum
from typing import TypeAlias

from igdash.domain.errors import IgdashError

Span: TypeAlias = tuple[int, int]
"""Where a node stands in the text it was read from: begin and end, in characters."""


class FilterError(IgdashError):
    """A filter that cannot be read; `position` to `end` is the part of the text that is wrong.

    Each of `suggestions` may replace that part.
    """

    def __init__(
        self, message: str, position: int, end: int, suggestions: tuple[str, ...] = ()
    ) -> None:
        self.message = message
        self.position = position
        self.end = end
        self.suggestions = suggestions
        super().__init__(message)


class AmbiguousField(FilterError):
    """A name that several fields end in, or a group of fields: `suggestions` are what may be meant."""


class Op(StrEnum):
    """How a field's value is compared."""

    EQ = "="
    LT = "<"
    LE = "<="
    GT = ">"
    GE = ">="
    CONTAINS = "~"
    LIKE = "like"
    REGEX = "=~"


class ValueKind(StrEnum):
    """What a value is; sizes, durations and times are numbers that print with their unit."""

    TEXT = "text"
    NUMBER = "number"
    BOOL = "bool"
    SIZE = "size"
    DURATION = "duration"
    TIME = "time"


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """A value of a filter: numbers as plain numbers, sizes in bytes, durations and times in ns."""

    kind: ValueKind
    value: str | int | float | bool


def _nowhere() -> Span:
    return (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class And:
    """Two parts or more, none of them an `And`."""

    parts: tuple[Filter, ...]
    at: Span = _field(default_factory=_nowhere, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Or:
    """Two parts or more, none of them an `Or`."""

    parts: tuple[Filter, ...]
    at: Span = _field(default_factory=_nowhere, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Not:
    """The opposite; unknown stays unknown. The part is no `Not`."""

    part: Filter
    at: Span = _field(default_factory=_nowhere, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Compare:
    """`field op value`. `field` is the name as written, `path` where the value is found.

    A path is the dotted name in the event's JSON, or one of `VIRTUAL_PATHS`.
    """

    field: str
    path: str
    op: Op
    value: Value
    at: Span = _field(default_factory=_nowhere, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class In:
    """The value is one of some."""

    field: str
    path: str
    values: tuple[Value, ...]
    at: Span = _field(default_factory=_nowhere, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The value is a number from `low` to `high`, both included."""

    field: str
    path: str
    low: Value
    high: Value
    at: Span = _field(default_factory=_nowhere, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Network:
    """The value is an IP address inside one of the networks (`10.0.0.0/8`, `fd00::/8`)."""

    field: str
    path: str
    networks: tuple[str, ...]
    at: Span = _field(default_factory=_nowhere, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Exists:
    """The field is there and not empty; true or false for every row."""

    field: str
    path: str
    at: Span = _field(default_factory=_nowhere, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Text:
    """The word is contained, whatever its case, in any text value of the event."""

    word: str
    at: Span = _field(default_factory=_nowhere, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Virtual:
    """`lost`: the loss records; `malformed`: the lines that could not be read. No event is one."""

    name: str
    at: Span = _field(default_factory=_nowhere, compare=False)


Filter: TypeAlias = And | Or | Not | Compare | In | Range | Network | Exists | Text | Virtual
Leaf: TypeAlias = Compare | In | Range | Network | Exists | Text | Virtual

VIRTUAL_PATHS = ("@time", "@seq", "@node", "@source", "@container")
"""Values beside the event's JSON: its time (ns), number, node and data source (absent when
unknown), and the name of its container (`k8s.containerName`, else `runtime.containerName`)."""


def conjunction(*parts: Filter | None) -> Filter | None:
    """Return a filter that is true where all of `parts` are; None stands for no condition."""
    found: list[Filter] = []
    for part in parts:
        if isinstance(part, And):
            found += part.parts
        elif part is not None:
            found.append(part)
    if len(found) > 1:
        return And(parts=tuple(found))
    return found[0] if found else None


def leaves(node: Filter) -> Iterator[Leaf]:
    """Yield every condition of the tree, from left to right."""
    if isinstance(node, And | Or):
        for part in node.parts:
            yield from leaves(part)
    elif isinstance(node, Not):
        yield from leaves(node.part)
    else:
        yield node
