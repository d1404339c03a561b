"""Several sessions as one listing in time order.

The store keeps each session by seq, without an index on time, and a session's own times may run
backwards a little (several nodes, array rows). So a page is made from a time window: small enough
to be read whole and sorted, grown where little happened, shrunk where much did. The cursor names
the last event given (time, session, seq), hence a page never depends on an offset.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from igdash.domain.errors import InvalidQuery, QueryBusy
from igdash.domain.events import Event
from igdash.domain.filters import Filter
from igdash.domain.ports import QueryReader, SessionReader
from igdash.domain.queries import (
    MAX_LIMIT,
    Budget,
    EventPage,
    EventQuery,
    EventRange,
    QueryPage,
    Where,
)
from igdash.domain.sessions import Session, SessionId
from igdash.domain.times import MAX_NS, NS

Key = tuple[int, str, int]
"""Time, session, seq: the total order of the listing."""
Pair = tuple[Key, Event]

_CURSOR = re.compile(r"(-?\d{1,19})\.([0-9a-f]{12})\.(\d{1,19})")
_MOST = 2 * MAX_LIMIT
"""Most events of one session read for one page."""
_TRIES = 3
"""How often a first window that takes too long is made smaller."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedPage:
    """Events with their session, in time order; `next` continues, "" = end.

    Not `complete`: time ran out, and `next` goes on looking where this page stopped.
    """

    events: tuple[tuple[SessionId, Event], ...]
    next: str
    complete: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class MergeWanted:
    """Which events of which sessions (different ones, sorted); times in ns."""

    sessions: tuple[SessionId, ...]
    start: int | None
    end: int | None
    limit: int
    cursor: str


class Pages(Protocol):
    """The part of `EventReader` that is needed here."""

    def page(self, session: SessionId, wanted: EventRange) -> EventPage:
        """Return one page of events, in seq order."""


class _TooManyEvents(Exception):
    """The window holds more of one session than may be read at once."""


class _OutOfTime(Exception):
    """The window could not be read to its end in time."""


def merged_matches(
    sessions: SessionReader,
    queries: QueryReader,
    wanted: MergeWanted,
    filter: Filter | None,
    budget: Budget,
) -> MergedPage:
    """Return the events that match, as `merged_page` does, as far as the budget goes.

    Raises `QueryBusy` when not even the shortest stretch of time can be searched within it.
    """
    for shrink in range(_TRIES):
        pages = _Matches(queries, filter, budget)
        try:
            return merged_page(
                sessions,
                pages,
                wanted.sessions,
                start=wanted.start,
                end=wanted.end,
                limit=wanted.limit,
                cursor=wanted.cursor,
                width=NS >> (6 * shrink),
            )
        except _OutOfTime:
            continue
    raise QueryBusy("too many events at one time to search them; name fewer sessions")


class _Matches:
    """Pages of the events that match, until the time is over."""

    def __init__(self, queries: QueryReader, filter: Filter | None, budget: Budget) -> None:
        self._queries = queries
        self._filter = filter
        self._budget = budget
        self._until = None if budget.seconds is None else time.monotonic() + budget.seconds

    def page(self, session: SessionId, wanted: EventRange) -> EventPage:
        """Return one page. Raises `_OutOfTime`, `QueryCancelled`."""
        left = None if self._until is None else self._until - time.monotonic()
        if left is not None and left <= 0:
            raise _OutOfTime
        where = Where(filter=self._filter, start=wanted.start, end=wanted.end, after=wanted.after)
        query = EventQuery(where=where, limit=wanted.limit)
        found = self._queries.page(session, query, replace(self._budget, seconds=left))
        if not found.scope.complete:
            raise _OutOfTime
        return _as_event_page(found)


def _as_event_page(found: QueryPage) -> EventPage:
    return EventPage(
        events=found.events,
        first_seq=found.first_seq,
        last_seq=found.last_seq,
        next=found.events[-1].seq if found.next and found.events else None,
    )


def merged_page(
    sessions: SessionReader,
    events: Pages,
    ids: Sequence[SessionId],
    *,
    start: int | None,
    end: int | None,
    limit: int,
    cursor: str,
    width: int = NS,
) -> MergedPage:
    """Return up to `limit` events after `cursor`. Raises `InvalidQuery`, `SessionNotFound`.

    The first window is `width` ns wide.
    """
    past = _parse(cursor, ids)
    known = [sessions.get(session) for session in ids]
    edge = past[0] if past else start
    if edge is None:
        edge = _beginning(events, known)
    newest = max((s.last_event for s in known if s.last_event is not None), default=0)
    first, forced = edge, False
    found: list[Pair] = []
    while len(found) <= limit:
        high, last = _window_end(edge, width, None if forced else newest, end)
        try:
            found += (part := _read(events, ids, edge, high, past))
        except _OutOfTime:
            if edge == first:
                raise
            return _page(found, limit, stopped=(edge - 1, max(ids), MAX_NS))
        except _TooManyEvents:
            forced = True
            if width > 1:
                width = max(1, min(width, (high or newest) - edge) // 8)
                continue
            found += (part := _instant(events, ids, edge, past, limit + 1))
            high, last = edge + 1, False
        if last or high is None:
            break
        edge = high
        width = width * 8 if len(part) * 4 < limit else width
    return _page(found, limit)


def _beginning(events: Pages, known: Sequence[Session]) -> int:
    """Return a time no event is older than; usually that of the first event received."""
    first = min((s.first_event for s in known if s.first_event is not None), default=0)
    wanted = EventRange(limit=1, end=first)
    stray = any(events.page(session.id, wanted).events for session in known)
    return -MAX_NS if stray else first


def _window_end(
    edge: int, width: int, newest: int | None, end: int | None
) -> tuple[int | None, bool]:
    """Return where the window ends (None = open) and whether nothing can come after it."""
    high = edge + width
    if end is not None and high >= end:
        return end, True
    if high >= MAX_NS or (newest is not None and high > newest):
        return end, True
    return high, False


def _read(
    events: Pages, ids: Sequence[SessionId], start: int, end: int | None, past: Key | None
) -> list[Pair]:
    """Read all of `[start, end)` after `past`, sorted. Raises `_TooManyEvents`."""
    found: list[Pair] = []
    for session in ids:
        after: int | None = None
        taken = 0
        while True:
            wanted = EventRange(after=after, limit=MAX_LIMIT, start=start, end=end)
            page = events.page(session, wanted)
            taken += len(page.events)
            found += [((e.ts, session, e.seq), e) for e in page.events]
            if page.next is None:
                break
            if taken >= _MOST:
                raise _TooManyEvents
            after = page.next
    if past is not None:
        found = [pair for pair in found if pair[0] > past]
    return sorted(found, key=lambda pair: pair[0])


def _instant(
    events: Pages, ids: Sequence[SessionId], at: int, past: Key | None, limit: int
) -> list[Pair]:
    """Read one single nanosecond: there the order is session, then seq, as the store has it."""
    found: list[Pair] = []
    for session in ids:
        after: int | None = None
        if past is not None and past[0] == at:
            if session < past[1]:
                continue
            after = past[2] if session == past[1] else None
        while len(found) < limit:
            wanted = EventRange(after=after, limit=MAX_LIMIT, start=at, end=at + 1)
            page = events.page(session, wanted)
            found += [((e.ts, session, e.seq), e) for e in page.events]
            after = page.next
            if after is None:
                break
    return found


def _page(found: list[Pair], limit: int, stopped: Key | None = None) -> MergedPage:
    """Make the page; `stopped` is where looking ended before its time."""
    shown = found[:limit]
    last = shown[-1][0] if len(found) > limit else stopped
    return MergedPage(
        events=tuple((SessionId(key[1]), event) for key, event in shown),
        next=f"{last[0]}.{last[1]}.{last[2]}" if last else "",
        complete=stopped is None,
    )


def _parse(cursor: str, ids: Sequence[SessionId]) -> Key | None:
    if not cursor:
        return None
    match = _CURSOR.fullmatch(cursor)
    if match is None or match[2] not in ids or abs(int(match[1])) > MAX_NS:
        raise InvalidQuery("cursor", "is not a cursor of this listing")
    return int(match[1]), match[2], int(match[3])
