"""The stored history of one session, with every limit enforced before the store is asked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from igdash.domain.errors import EventNotFound, InvalidQuery
from igdash.domain.events import Event, LogLine, Malformed, Tick
from igdash.domain.gadgets import DataSource
from igdash.domain.losses import Loss
from igdash.domain.ports import EventReader, RecordReader, SessionReader
from igdash.domain.queries import MAX_LIMIT, Bucket, EventPage, EventRange, TickPage
from igdash.domain.sessions import SessionId
from igdash.domain.times import MAX_NS
from igdash.services.merge import MergedPage, merged_page

MAX_BUCKETS = 1_000
MAX_MERGED = 50
"""How many sessions one merged listing may name."""


def check_limit(limit: int, most: int = MAX_LIMIT) -> None:
    """Raise `InvalidQuery` unless 1 ≤ `limit` ≤ `most`."""
    if not 1 <= limit <= most:
        raise InvalidQuery("limit", f"must be 1 to {most}")


def check_window(start: int | None, end: int | None) -> None:
    """Raise `InvalidQuery` when a time window is empty or turned around."""
    if start is not None and end is not None and start >= end:
        raise InvalidQuery("to", "must be later than from")


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """Reads what sessions stored. Thread-safe; raises `SessionNotFound` for unknown sessions."""

    sessions: SessionReader
    events: EventReader
    records: RecordReader

    def page(self, session: SessionId, wanted: EventRange) -> EventPage:
        """Return one page of events in seq order. Raises `InvalidQuery`."""
        if wanted.after is not None and wanted.before is not None:
            raise InvalidQuery("before", "give after or before, not both")
        check_limit(wanted.limit)
        check_window(wanted.start, wanted.end)
        return self.events.page(session, wanted)

    def event(self, session: SessionId, seq: int) -> Event:
        """Return one event. Raises `EventNotFound`."""
        if not 1 <= seq <= MAX_NS:
            raise EventNotFound(f"no event {seq}")
        return self.events.get(session, seq)

    def merged(
        self,
        sessions: Sequence[SessionId],
        *,
        start: int | None,
        end: int | None,
        limit: int,
        cursor: str,
    ) -> MergedPage:
        """Return events of several sessions in time order. Raises `InvalidQuery`."""
        unique = tuple(sorted(set(sessions)))
        if not 1 <= len(unique) <= MAX_MERGED:
            raise InvalidQuery("session", f"name 1 to {MAX_MERGED} sessions")
        check_limit(limit)
        check_window(start, end)
        return merged_page(
            self.sessions, self.events, unique, start=start, end=end, limit=limit, cursor=cursor
        )

    def ticks(self, session: SessionId, *, before: int | None, limit: int) -> TickPage:
        """Return ticks below `before`, newest first. Raises `InvalidQuery`."""
        check_limit(limit)
        return self.events.ticks(session, before=before, limit=limit)

    def tick(self, session: SessionId, tick: int) -> tuple[Tick, tuple[Event, ...]]:
        """Return one tick with its rows. Raises `EventNotFound`."""
        if not 1 <= tick < MAX_NS:
            raise EventNotFound(f"no tick {tick}")
        found = self.events.ticks(session, before=tick + 1, limit=1).ticks
        if not found or found[0].tick != tick:
            raise EventNotFound(f"no tick {tick}")
        return found[0], self.events.tick_at(session, tick)

    def histogram(
        self, session: SessionId, *, start: int | None, end: int | None, buckets: int
    ) -> tuple[Bucket, ...]:
        """Return events and losses per equal slice of time. Raises `InvalidQuery`."""
        if not 1 <= buckets <= MAX_BUCKETS:
            raise InvalidQuery("buckets", f"must be 1 to {MAX_BUCKETS}")
        check_window(start, end)
        return self.events.histogram(session, start=start, end=end, buckets=buckets)

    def losses(self, session: SessionId, *, limit: int) -> tuple[tuple[Loss, ...], int]:
        """Return the newest loss records and the total lost. Raises `InvalidQuery`."""
        check_limit(limit)
        return self.records.losses(session, limit=limit)

    def logs(
        self, session: SessionId, *, after: int, limit: int
    ) -> tuple[tuple[LogLine, ...], int]:
        """Return log lines and how many there are in all. Raises `InvalidQuery`."""
        check_limit(limit)
        return self.records.logs(session, after=after, limit=limit), self.sessions.get(session).logs

    def malformed(
        self, session: SessionId, *, after: int, limit: int
    ) -> tuple[tuple[Malformed, ...], int]:
        """Return kept lines that were no events, and how many there are. Raises `InvalidQuery`."""
        check_limit(limit)
        kept = self.records.malformed(session, after=after, limit=limit)
        return kept, self.sessions.get(session).malformed

    def fields(self, session: SessionId) -> tuple[DataSource, ...]:
        """Return the data sources with their fields, as stored with the session."""
        return self.sessions.schema(session)
