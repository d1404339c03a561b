"""The reading ports over plain lists, for unit tests of services."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from igdash.domain.control import Advance
from igdash.domain.errors import EventNotFound, SessionNotFound, StoreBusy
from igdash.domain.events import Event, LogLine, Malformed, Tick
from igdash.domain.gadgets import DataSource
from igdash.domain.losses import Loss
from igdash.domain.nodes import NodeStatus
from igdash.domain.ports import EventText
from igdash.domain.queries import Bucket, EventPage, EventRange, SessionPage, SessionQuery, TickPage
from igdash.domain.sessions import Session, SessionId, SessionSpec, SessionState


class FakeReaders:
    """All three readers at once. `reads` counts pages of events; `broken` makes calls fail."""

    def __init__(self) -> None:
        self.known: dict[SessionId, Session] = {}
        self.rows: dict[SessionId, list[Event]] = {}
        self.lost: dict[SessionId, list[Loss]] = {}
        self.tick_rows: dict[SessionId, list[Tick]] = {}
        self.sources: tuple[DataSource, ...] = ()
        self.nodes: tuple[NodeStatus, ...] = ()
        self.reads = 0
        self.broken = False

    # ------------------------------------------------------------ what tests do

    def new(self, id_: str, gadget: str = "trace_tcp") -> SessionId:
        session = SessionId(id_)
        self.known[session] = Session(
            id=session,
            spec=SessionSpec(gadget=gadget, environment="demo"),
            state=SessionState.RUNNING,
            created=1,
        )
        self.rows[session] = []
        self.lost[session] = []
        self.tick_rows[session] = []
        return session

    def add(self, session: SessionId, times: Sequence[int], data: str = "{}") -> Advance:
        rows = self.rows[session]
        for ts in times:
            rows.append(Event(seq=len(rows) + 1, ts=ts, node="n", source="s", data=data))
        return self.change(
            session,
            events=len(rows),
            last_seq=len(rows),
            bytes=sum(len(row.data) for row in rows),
            first_event=rows[0].ts if rows else None,
            last_event=rows[-1].ts if rows else None,
        )

    def lose(self, session: SessionId, loss: Loss) -> Advance:
        self.lost[session].append(loss)
        return self.change(session, lost=sum(one.count for one in self.lost[session]))

    def change(self, session: SessionId, **values: object) -> Advance:
        now = replace(self.known[session], **values)  # type: ignore[arg-type]
        self.known[session] = now
        return Advance(
            session=session, state=now.state, last_seq=now.last_seq, lost=now.lost, logs=now.logs
        )

    def drop(self, session: SessionId) -> None:
        del self.known[session]

    # ------------------------------------------------------------ sessions

    def get(self, session: SessionId, seq: int | None = None) -> Session | Event:  # type: ignore[override]
        if self.broken:
            raise StoreBusy("locked")
        if session not in self.known:
            raise SessionNotFound(f"no session {session}")
        if seq is None:
            return self.known[session]
        if not 1 <= seq <= len(self.rows[session]):
            raise EventNotFound(f"no event {seq}")
        return self.rows[session][seq - 1]

    def resolve(self, prefix: str) -> SessionId:
        return next(id_ for id_ in self.known if id_.startswith(prefix))

    def list(self, query: SessionQuery) -> SessionPage:
        if self.broken:
            raise StoreBusy("locked")
        found = [s for s in self.known.values() if not query.states or s.state in query.states]
        start = int(query.cursor or 0)
        shown = found[start : start + query.limit]
        more = start + query.limit < len(found)
        return SessionPage(
            sessions=tuple(shown), total=len(found), next=str(start + query.limit) if more else ""
        )

    def sparks(
        self, sessions: Sequence[SessionId], start: int, end: int, buckets: int
    ) -> Mapping[SessionId, Sequence[int]]:
        return {session: [end - start] * buckets for session in sessions}

    def schema(self, session: SessionId) -> tuple[DataSource, ...]:
        return self.sources

    def coverage(self, session: SessionId) -> tuple[NodeStatus, ...]:
        return self.nodes

    def totals(self) -> Mapping[str, int]:
        if self.broken:
            raise StoreBusy("locked")
        return {"sessions": len(self.known)}

    # ------------------------------------------------------------ events

    def page(self, session: SessionId, wanted: EventRange) -> EventPage:
        self.reads += 1
        self.get(session)
        rows = self.rows[session]
        low, high = wanted.start, wanted.end
        found = [
            row
            for row in rows
            if row.seq > (wanted.after or 0)
            and (low is None or row.ts >= low)
            and (high is None or row.ts < high)
        ]
        shown = found[: wanted.limit]
        more = len(found) > wanted.limit
        return EventPage(
            events=tuple(shown),
            first_seq=1 if rows else 0,
            last_seq=len(rows),
            next=shown[-1].seq if more else None,
        )

    def stream(self, session: SessionId, wanted: EventRange) -> Iterator[Sequence[Event]]:
        after, last = 0, len(self.rows[session])
        while after < last:
            page = self.page(session, replace(wanted, after=after))
            rows = [row for row in page.events if row.seq <= last]
            if rows:
                yield rows
            if page.next is None:
                return
            after = page.next

    def texts(self, session: SessionId, wanted: EventRange) -> Iterator[Sequence[EventText]]:
        for block in self.stream(session, wanted):
            yield [(e.seq, e.ts, e.node, e.source, e.data.encode()) for e in block]

    def ticks(self, session: SessionId, *, before: int | None = None, limit: int = 100) -> TickPage:
        found = [t for t in self.tick_rows[session] if before is None or t.tick < before]
        return TickPage(ticks=tuple(reversed(found[-limit:])), total=len(self.tick_rows[session]))

    def tick_at(self, session: SessionId, tick: int) -> tuple[Event, ...]:
        one = self.tick_rows[session][tick - 1]
        return tuple(self.rows[session][one.first_seq - 1 : one.first_seq - 1 + one.events])

    def histogram(
        self, session: SessionId, *, start: int | None, end: int | None, buckets: int
    ) -> tuple[Bucket, ...]:
        return ()

    # ------------------------------------------------------------ records

    def losses(self, session: SessionId, *, limit: int = 1_000) -> tuple[tuple[Loss, ...], int]:
        found = self.lost[session]
        return tuple(found[-limit:]), sum(loss.count for loss in found)

    def logs(self, session: SessionId, *, after: int = 0, limit: int = 500) -> tuple[LogLine, ...]:
        return ()

    def malformed(
        self, session: SessionId, *, after: int = 0, limit: int = 100
    ) -> tuple[Malformed, ...]:
        return ()
