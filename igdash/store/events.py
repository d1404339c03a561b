"""Events as readers see them.

`seq` is dense, so a page is one index range and nothing is ever skipped over with OFFSET. A time
limit is first turned into a range of seqs through `activity` (events may be out of order, so the
exact times are still compared inside that range). No call holds anything after it returns.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final, TypeVar

from sqlalchemy import Connection, Engine, LargeBinary, cast, func, select

from igdash.domain.errors import EventNotFound
from igdash.domain.events import TOKEN_K8S, TOKEN_RUNTIME, Event, Origin, Tick, restore
from igdash.domain.ports import EventText
from igdash.domain.queries import Bucket, EventPage, EventRange, TickPage
from igdash.domain.sessions import SessionId
from igdash.domain.times import now_ns
from igdash.store import histogram
from igdash.store.bounds import Bounds, bounds_of
from igdash.store.errors import translated
from igdash.store.lookup import session_row
from igdash.store.origins import OriginCache
from igdash.store.rows import clamp
from igdash.store.tables import events, ticks

T = TypeVar("T")
Rows = Sequence[Any]
_READING: Final = "cannot read events"
_ROW: Final = (events.c.seq, events.c.ts, events.c.origin_id, events.c.payload)


class StoredEvents:
    """The `EventReader` port on SQL."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._origins = OriginCache()

    def page(self, session: SessionId, wanted: EventRange) -> EventPage:
        """Return one page of events, in seq order, byte-exact."""
        down = wanted.before is not None
        with translated(_READING), self._engine.connect() as conn:
            row = session_row(conn, session)
            found = self._read(conn, row.id, bounds_of(conn, row, wanted), wanted.limit + 1, down)
        more, found = len(found) > wanted.limit, found[: wanted.limit]
        if down:
            found.reverse()
        edge = (found[0].seq if down else found[-1].seq) if more and found else None
        return EventPage(
            events=tuple(found), first_seq=min(1, row.last_seq), last_seq=row.last_seq, next=edge
        )

    def get(self, session: SessionId, seq: int) -> Event:
        """Return one event. Raises `EventNotFound`."""
        with translated(_READING), self._engine.connect() as conn:
            row = session_row(conn, session)
            found = self._read(conn, row.id, Bounds(clamp(seq), clamp(seq), None, None), 1)
        if not found:
            raise EventNotFound(f"session {session} has no event {seq}; its last is {row.last_seq}")
        return found[0]

    def stream(self, session: SessionId, wanted: EventRange) -> Iterator[Sequence[Event]]:
        """Yield all events of the range upwards in blocks, each its own short transaction."""
        with translated(_READING), self._engine.connect() as conn:
            bounds = bounds_of(conn, session_row(conn, session), wanted)
        return self._blocks(session, bounds, wanted.limit, _ROW, self._events)

    def texts(self, session: SessionId, wanted: EventRange) -> Iterator[Sequence[EventText]]:
        """As `stream`, but plain tuples with the text as UTF-8."""
        with translated(_READING), self._engine.connect() as conn:
            bounds = bounds_of(conn, session_row(conn, session), wanted)
        lite = self._engine.dialect.name == "sqlite"
        payload = events.c.payload
        raw = cast(payload, LargeBinary) if lite else func.convert_to(payload, "UTF8")
        return self._blocks(session, bounds, wanted.limit, (*_ROW[:3], raw), self._texts)

    def _blocks(
        self,
        session: SessionId,
        bounds: Bounds,
        size: int,
        columns: Sequence[Any],
        make: Callable[[Connection, Rows], list[T]],
    ) -> Iterator[Sequence[T]]:
        while bounds.low <= bounds.high:
            with translated(_READING), self._engine.connect() as conn:
                row = session_row(conn, session)  # deleted meanwhile: say so, never end early
                rows = _rows(conn, row.id, bounds, size, False, columns)
                block = make(conn, rows)
            if block:
                yield block
            if len(block) < size:
                return
            bounds = bounds._replace(low=rows[-1][0] + 1)

    def ticks(self, session: SessionId, *, before: int | None = None, limit: int = 100) -> TickPage:
        """Return ticks numbered below `before` (None = the newest), newest first."""
        t = ticks.c
        with translated("cannot read ticks"), self._engine.connect() as conn:
            row = session_row(conn, session)
            wanted = select(ticks).where(t.session_id == row.id)
            if before is not None:
                wanted = wanted.where(t.tick < clamp(before))
            found = conn.execute(wanted.order_by(t.tick.desc()).limit(limit)).all()
        return TickPage(ticks=tuple(_tick(one) for one in found), total=row.ticks)

    def tick_at(self, session: SessionId, tick: int) -> tuple[Event, ...]:
        """Return the rows of one tick in order. Raises `EventNotFound`."""
        t = ticks.c
        with translated("cannot read ticks"), self._engine.connect() as conn:
            row = session_row(conn, session)
            wanted = select(ticks).where(t.session_id == row.id, t.tick == clamp(tick))
            found = conn.execute(wanted).one_or_none()
            if found is None:
                raise EventNotFound(
                    f"session {session} has no tick {tick}; its last is {row.ticks}"
                )
            bounds = Bounds(found.first_seq, found.first_seq + found.n - 1, None, None)
            return tuple(self._read(conn, row.id, bounds, found.n)) if found.n else ()

    def histogram(
        self, session: SessionId, *, start: int | None, end: int | None, buckets: int
    ) -> tuple[Bucket, ...]:
        """Return `buckets` equal bars over `[start, end)`, or over the session's life."""
        with translated("cannot read the activity"), self._engine.connect() as conn:
            row = session_row(conn, session)
            return histogram.read(conn, row, start, end, buckets, now_ns())

    def _read(
        self, conn: Connection, session: int, bounds: Bounds, limit: int, down: bool = False
    ) -> list[Event]:
        return self._events(conn, _rows(conn, session, bounds, limit, down, _ROW))

    def _events(self, conn: Connection, rows: Rows) -> list[Event]:
        origins = self._origins.load(conn, {row[2] for row in rows})
        return [
            Event(
                seq=seq,
                ts=ts,
                node=(origin := origins[origin_id]).node,
                source=origin.source,
                data=restore(payload, origin.k8s, origin.runtime),
            )
            for seq, ts, origin_id, payload in rows
        ]

    def _texts(self, conn: Connection, rows: Rows) -> list[EventText]:
        ids = {row[2] for row in rows}
        origins = self._origins.load(conn, ids)
        cut = {id_: _cut(origins[id_]) for id_ in ids}
        texts: list[EventText] = []
        for seq, ts, origin_id, data in rows:
            node, source, pieces = cut[origin_id]
            for token, piece in pieces:
                data = data.replace(token, piece, 1)
            texts.append((seq, ts, node, source, data))
        return texts


def _rows(
    conn: Connection, session: int, bounds: Bounds, limit: int, down: bool, columns: Sequence[Any]
) -> Rows:
    e = events.c
    low, high = bounds.low, bounds.high
    if bounds.start is None and bounds.end is None:  # dense: the answer's seqs are known
        low = max(low, high - limit + 1) if down else low
        high = high if down else min(high, low + limit - 1)
    wanted = select(*columns).where(e.session_id == session, e.seq >= low, e.seq <= high)
    if bounds.start is not None:
        wanted = wanted.where(e.ts >= bounds.start)
    if bounds.end is not None:
        wanted = wanted.where(e.ts < bounds.end)
    found = conn.execute(wanted.order_by(e.seq.desc() if down else e.seq).limit(limit))
    return found.cursor.fetchall()  # plain tuples: a `Row` each would cost as much again


def _cut(origin: Origin) -> tuple[str, str, tuple[tuple[bytes, bytes], ...]]:
    """Return node, source, and what `restore` puts in the place of what, in UTF-8."""
    pieces = [(TOKEN_K8S, "k8s", origin.k8s), (TOKEN_RUNTIME, "runtime", origin.runtime)]
    return (
        origin.node,
        origin.source,
        tuple(
            (token.encode(), f'"{name}":{text}'.encode()) for token, name, text in pieces if text
        ),
    )


def _tick(row: Any) -> Tick:
    return Tick(
        tick=row.tick,
        ts=row.ts,
        node=row.node,
        source=row.source,
        first_seq=row.first_seq,
        events=row.n,
    )
