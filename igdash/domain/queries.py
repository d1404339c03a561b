"""Questions to the history and the shapes of their answers."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from igdash.domain.events import Event, Tick
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
    BYTES = "bytes"
    RATE = "rate"
    GADGET = "gadget"
    NAMESPACE = "namespace"
    POD = "pod"
    NODE = "node"
    NAME = "name"
    STATE = "state"
    ENVIRONMENT = "environment"


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
