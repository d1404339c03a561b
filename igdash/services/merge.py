"""Several sessions as one listing in time order.

The store keeps each session by seq, without an index on time, and a session's own times may run
backwards a little (several nodes, array rows). So a page is made from a time window: small enough
to be read whole and sorted, grown where little happened, shrunk where much did. The cursor names
the last event given (time, session, seq), hence a page never depends on an offset.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from igdash.domain.errors import InvalidQuery
from igdash.domain.events import Event
from igdash.domain.ports import EventReader, SessionReader
from igdash.domain.queries import MAX_LIMIT, EventRange
from igdash.domain.sessions import Session, SessionId
from igdash.domain.times import MAX_NS, NS

Key = tuple[int, str, int]
"""Time, session, seq: the total order of the listing."""
Pair = tuple[Key, Event]

_CURSOR = re.compile(r"(-?\d{1,19})\.([0-9a-f]{12})\.(\d{1,19})")
_MOST = 2 * MAX_LIMIT
"""Most events of one session read for one page."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MergedPage:
    """Events with their session, in time order; `next` continues, "" = end."""

    events: tuple[tuple[SessionId, Event], ...]
    next: str


class _TooManyEvents(Exception):
    """The window holds more of one session than may be read at once."""


def merged_page(
    sessions: SessionReader,
    events: EventReader,
    ids: Sequence[SessionId],
    *,
    start: int | None,
    end: int | None,
    limit: int,
    cursor: str,
) -> MergedPage:
    """Return up to `limit` events after `cursor`. Raises `InvalidQuery`, `SessionNotFound`."""
    past = _parse(cursor, ids)
    known = [sessions.get(session) for session in ids]
    edge = past[0] if past else start
    if edge is None:
        edge = _beginning(events, known)
    newest = max((s.last_event for s in known if s.last_event is not None), default=0)
    width, forced = NS, False
    found: list[Pair] = []
    while len(found) <= limit:
        high, last = _window_end(edge, width, None if forced else newest, end)
        try:
            found += (part := _read(events, ids, edge, high, past))
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


def _beginning(events: EventReader, known: Sequence[Session]) -> int:
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
    events: EventReader, ids: Sequence[SessionId], start: int, end: int | None, past: Key | None
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
    events: EventReader, ids: Sequence[SessionId], at: int, past: Key | None, limit: int
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


def _page(found: list[Pair], limit: int) -> MergedPage:
    shown = found[:limit]
    more = len(found) > limit
    last = shown[-1][0] if shown else (0, "", 0)
    return MergedPage(
        events=tuple((SessionId(key[1]), event) for key, event in shown),
        next=f"{last[0]}.{last[1]}.{last[2]}" if more else "",
    )


def _parse(cursor: str, ids: Sequence[SessionId]) -> Key | None:
    if not cursor:
        return None
    match = _CURSOR.fullmatch(cursor)
    if match is None or match[2] not in ids or abs(int(match[1])) > MAX_NS:
        raise InvalidQuery("cursor", "is not a cursor of this listing")
    return int(match[1]), match[2], int(match[3])
