"""Questions to the history and the shapes of their answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from igdash.domain.events import Event, Tick
from igdash.domain.filters import Filter, Value
from igdash.domain.sessions import Session, SessionState

MAX_LIMIT = 1_000


class SessionSort(StrEnum):
    """By what a list of sessions can be sorted."""

    STARTED = "started"
    CREATED = "created"
    STOPPED = "stopped"
    LAST_EVENT = "last_event"
    EVENTS = "events"
    LOST = "lost"
    MALFORMED = "malformed"
    BYTES = "bytes"
    RATE = "rate"
    GADGET = "gadget"
    NAMESPACE = "namespace"
    POD = "pod"
    CONTAINER = "container"
    NODE = "node"
    NAME = "name"
    STATE = "state"
    ENVIRONMENT = "environment"
    ID = "id"


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionQuery:
    """Which sessions, in what order. Empty = no condition.

    `text` is looked for (case-insensitive) in gadget, name, namespace, pod, container, node,
    environment and id. `cursor` is a `SessionPage.next` of the same query; `offset` may be given
    instead, for tables that jump.
    """

    states: tuple[SessionState, ...] = ()
    gadget: str = ""
    namespace: str = ""
    environment: str = ""
    text: str = ""
    sort: SessionSort = SessionSort.STARTED
    descending: bool = True
    limit: int = 50
    cursor: str = ""
    offset: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionPage:
    """One page; `total` counts all that match; `next` is "" at the end."""

    sessions: tuple[Session, ...]
    total: int
    next: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRange:
    """Which events of one session.

    `after` (exclusive) reads upwards from a seq, `before` (exclusive) downwards; the answer is in
    seq order either way. At most one of them is set. Without both, the page starts at the first
    event. `start`/`end` (ns, inclusive/exclusive) limit by the events' own time.
    """

    after: int | None = None
    before: int | None = None
    limit: int = 100
    start: int | None = None
    end: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPage:
    """Events in seq order. `first_seq`/`last_seq` are the session's; `next` continues (None = end).

    `next` is the last seq of the page when reading upwards (use it as `after`), the first one when
    reading downwards (use it as `before`).
    """

    events: tuple[Event, ...]
    first_seq: int
    last_seq: int
    next: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TickPage:
    """Ticks, newest first; `total` counts all ticks of the session."""

    ticks: tuple[Tick, ...]
    total: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Bucket:
    """One bar of a histogram: `start` inclusive, `end` exclusive, in ns."""

    start: int
    end: int
    events: int
    lost: int


# ---------------------------------------------------------------- questions with a filter


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """What an answer covers: the events `from_seq` to `to_seq` (both included; an empty session
    has 1 to 0). `complete` = all that was asked about; else the answer is true for the events
    covered and says nothing of the others. `examined` counts the events covered, `total` those
    asked about ("newest 1.2 M of 5.0 M").
    """

    from_seq: int
    to_seq: int
    complete: bool
    examined: int
    total: int


def _never() -> bool:
    return False


def _ignore(_scope: Scope) -> None:
    pass


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """How long a question may take. `seconds` None = until done.

    `cancelled` is asked often (every few ms); once true, the call raises `QueryCancelled`.
    `progress` is told what is covered so far, at most some times a second.
    """

    seconds: float | None = 1.5
    cancelled: Callable[[], bool] = _never
    progress: Callable[[Scope], None] = _ignore


UNLIMITED = Budget(seconds=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Where:
    """Which events of one session: a filter, a time range (ns, inclusive/exclusive), a range of
    seqs (`after` and `before` exclusive). None = no condition."""

    filter: Filter | None = None
    start: int | None = None
    end: int | None = None
    after: int | None = None
    before: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class EventQuery:
    """A page of the events that match.

    Without `sort`: in seq order. `newest` False begins with the first event (or follows
    `where.after`), True gives the newest ones (or those before `where.before`); the page itself is
    upwards in both cases. With `sort` (a path, as `filter_text.sort_path` gives it) in that order:
    ties by seq in the same direction, rows without the field last. `cursor` is a `QueryPage.next`
    of the same query.
    """

    where: Where = field(default_factory=Where)
    newest: bool = False
    sort: str = ""
    descending: bool = False
    limit: int = 100
    cursor: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryPage:
    """`next` is "" at the end. A page cut short by its budget has fewer events (or none) and a
    `next` that goes on where it stopped; under a sort it is the order among the events covered,
    and `next` pages on among these."""

    events: tuple[Event, ...]
    next: str
    scope: Scope
    first_seq: int
    last_seq: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """How many events match."""

    count: int
    scope: Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitBucket:
    """One bar: `events` that match, `lost` around them, and the events per value of the split."""

    start: int
    end: int
    events: int
    lost: int
    split: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class SplitHistogram:
    """Bars; `values` are the split's most frequent values, most frequent first.

    In each bar the keys of `split` are texts of `values`; what is missing to `events` are other
    values and rows without the field.
    """

    buckets: tuple[SplitBucket, ...]
    values: tuple[str, ...]
    scope: Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class TopValue:
    """A value of a field, as a filter takes it, and how many events have it."""

    value: Value
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Top:
    """The most frequent values of a field, most frequent first, ties by value.

    `count` events match, of these `missing` lack the field. An event with an array counts once for
    each different element. `distinct` values there are, `other` is the sum of the counts not
    listed. `exact` False: there were more different values than are kept apart; then `distinct` is
    a lower bound and `other` is right.
    """

    path: str
    values: tuple[TopValue, ...]
    count: int
    distinct: int
    other: int
    missing: int
    exact: bool
    scope: Scope


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldStats:
    """Numbers of a field: `quantiles` are at 0, 0.25, 0.5, 0.75, 0.9, 0.99 and 1 (nearest rank).

    `count` events match, of these `numbers` values were numbers. Empty when there are none. `exact`
    False: the quantiles were worked out on a sample, the least and the greatest are exact.
    """

    path: str
    count: int
    numbers: int
    quantiles: tuple[tuple[float, int | float], ...]
    mean: float | None
    exact: bool
    scope: Scope
