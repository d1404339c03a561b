"""Walking a session's events block by block, within a budget.

Each block is one range of seqs and one short transaction: nothing keeps the write-ahead log from
being emptied, and stopping is possible some times a second. Blocks grow while they are quick.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, Engine, func, select

from igdash.domain.errors import InvalidQuery, QueryCancelled
from igdash.domain.events import Event, Origin, restore
from igdash.domain.queries import Budget, Scope, Where
from igdash.domain.sessions import SessionId
from igdash.store.bounds import bounds_of
from igdash.store.errors import translated
from igdash.store.lookup import session_row
from igdash.store.query.narrow import narrowed
from igdash.store.query.plan import UNDECIDED, Origins, Plan, Reading
from igdash.store.query.prefilter import prefilter
from igdash.store.query.spans import MINUTE, Span, Spans, by_minute, by_second
from igdash.store.query.walk import Ranges, fetch, rows_of, source
from igdash.store.tables import session_origin

Hit = tuple[int, int, int, str, Any]
"""A row that matches: seq, ts, origin id, payload ("" when it is not needed), and the field's value"""

READING: Final = "cannot read events"
_LARGEST: Final = 1 << 17
_QUICK_S: Final = 0.03
_SLOW_S: Final = 0.1
_PROGRESS_S: Final = 0.2
_MOST_ORIGINS: Final = 500
"""Most origins named in a statement; with more, rows are judged one by one."""
_MOST_MINUTES: Final = 300_000
"""Rows of the rollup worth reading for that: with more, the walk over the index is as quick."""
_RARE: Final = 0.2
"""Below this share of a session's events it pays to look up where an origin's events lie."""


class Scan:
    """One walk over the events of a session that match; `scope()` says what was covered."""

    def __init__(
        self,
        engine: Engine,
        origins: Origins,
        session: SessionId,
        where: Where,
        budget: Budget,
        *,
        field: str = "",
        payload: bool = False,
        down: bool = True,
        block: int = 2_048,
    ) -> None:
        self._engine = engine
        self._cache = origins
        self.session = session
        self._budget = budget
        self._field = field
        self._down = down
        self._block = block
        self._sqlite = engine.dialect.name == "sqlite"
        self._began = time.monotonic()
        self._told = self._began
        where = narrowed(where)
        self.where = where
        try:
            self._plan = Plan(where.filter, field, origins)
        except ValueError as error:
            raise InvalidQuery("filter", f"not a regular expression: {error}") from None
        with translated(READING), engine.connect() as conn:
            self.row = session_row(conn, session)
            self.bounds = bounds_of(conn, self.row, where)
            self.counts = self._origin_counts(conn)
            self.readings = self._read_origins(conn, set(self.counts))
            self._included = [i for i in self.counts if self.readings[i].verdict is not False]
            self._spans = Spans(self._where_to_look(conn), self._finer, down=down)
        self._needs_payload = payload or any(
            self.readings[i].decode is not None for i in self._included
        )
        if self._rare:  # a block is so many rows to visit, not so many to pass over in the index
            self._block = min(_LARGEST, int(block / max(self._share, block / _LARGEST)))
        self._clause = self._prefilter()
        self.done = False
        self._edge = self.bounds.high + 1 if down else self.bounds.low - 1

    # ------------------------------------------------------------ before it begins

    def _origin_counts(self, conn: Connection) -> dict[int, int]:
        o = session_origin.c
        wanted = select(o.origin_id, o.n).where(o.session_id == self.row.id)
        return {row[0]: row[1] for row in conn.execute(wanted)}

    def _read_origins(self, conn: Connection, ids: set[int]) -> dict[int, Reading]:
        known = self._cache.load(conn, ids)
        return {i: self._plan.reading(i, known[i]) for i in ids}

    def _where_to_look(self, conn: Connection) -> list[Span]:
        """Return the ranges of seqs that can hold a match, upwards, none overlapping."""
        low, high = self.bounds.low, self.bounds.high
        if low > high or not self._included:
            return []
        if not self._rare or self._minutes() > _MOST_MINUTES:
            return [Span(low, high)]
        return by_minute(conn, self.row.id, self._included, self.bounds)

    def _minutes(self) -> int:
        """Return how many rows at most the rollup has of these minutes."""
        first, last = self.row.first_ts or 0, self.row.last_ts or 0
        first = first if self.bounds.start is None else max(first, self.bounds.start)
        last = last if self.bounds.end is None else min(last, self.bounds.end)
        return max(0, last - first) // MINUTE * len(self.counts)

    def _finer(self, span: Span) -> Sequence[Span]:
        with translated(READING), self._engine.connect() as conn:
            return by_second(conn, self._still_there(conn), self._included, span)

    @property
    def _share(self) -> float:
        """Of the session's events, those of origins that can match."""
        return sum(self.counts[i] for i in self._included) / max(1, sum(self.counts.values()))

    @property
    def _rare(self) -> bool:
        return self._share <= _RARE and len(self._included) <= _MOST_ORIGINS

    def _conditions(self, columns: Any) -> list[ColumnElement[bool]]:
        """What origin and time must be, on the columns of a table."""
        found: list[ColumnElement[bool]] = []
        if self.bounds.start is not None:
            found.append(columns.ts >= self.bounds.start)
        if self.bounds.end is not None:
            found.append(columns.ts < self.bounds.end)
        if len(self._included) < len(self.counts) and len(self._included) <= _MOST_ORIGINS:
            found.append(columns.origin_id.in_(self._included))
        return found

    def _prefilter(self) -> ColumnElement[bool] | None:
        left = {self.readings[i].verdict for i in self._included}
        rest = next(iter(left)) if len(left) == 1 else True
        return None if isinstance(rest, bool) else prefilter(rest, sqlite=self._sqlite)

    def connect(self) -> Connection:
        """Return a connection of the scan's engine, to be used as a context manager."""
        return self._engine.connect()

    def origins_now(self, conn: Connection) -> tuple[dict[int, int], dict[int, Reading]]:
        """Return the session's origins with their events and how these are read, as of now."""
        counts = self._origin_counts(conn)
        return counts, self._read_origins(conn, set(counts))

    # ------------------------------------------------------------ walking

    @property
    def decided(self) -> bool:
        """Whether origins alone decide everything asked for: no payload is needed."""
        return all(self.readings[i].decode is None for i in self._included)

    @property
    def bounded(self) -> bool:
        """Whether only a part of the session is asked about."""
        b = self.bounds
        ends = (b.low, b.high) != (1, self.row.last_seq)
        return ends or b.start is not None or b.end is not None

    def hits(self) -> Iterator[list[Hit]]:
        """Yield the matches of each block in the direction of the walk."""
        for ranges in self._blocks():
            with translated(READING), self._engine.connect() as conn:
                rows = rows_of(
                    conn,
                    self._still_there(conn),
                    ranges,
                    self._conditions,
                    payload=self._needs_payload,
                    clause=self._clause,
                    few=self._rare,
                    down=self._down,
                )
            yield self._judged(rows)

    def groups(
        self, key: Callable[[Any], ColumnElement[Any]] | None = None
    ) -> Iterator[Sequence[Any]]:
        """Yield per block: origin id, the key if any, how many events. Only when origins decide.

        `key` makes it from the columns. Some rows may be of origins that do not match.
        """
        for ranges in self._blocks():
            with translated(READING), self._engine.connect() as conn:
                session, dialect = self._still_there(conn), conn.dialect.name
                rows = source(dialect, session, ranges, self._conditions).c
                if key is None:
                    wanted = select(rows.origin_id, func.count()).group_by(rows.origin_id)
                else:  # by its name: repeated, its parameters would make it another expression
                    wanted = select(rows.origin_id, key(rows).label("key"), func.count())
                    wanted = wanted.group_by(rows.origin_id, "key")
                found = fetch(conn, wanted)
            yield found

    def _still_there(self, conn: Connection) -> int:
        """Return the session's internal id: deleted meanwhile, it says so and never ends early."""
        return int(session_row(conn, self.session).id)

    def _judged(self, rows: list[Any]) -> list[Hit]:
        readings, found = self.readings, []
        payload = ""
        for row in rows:
            seq, ts, origin_id = row[0], row[1], row[2]
            reading = readings[origin_id]
            if reading.verdict is False:
                continue
            if len(row) > 3:
                payload = row[3]
            value = reading.known
            if reading.decode is not None:
                doc = reading.decode(payload, seq, ts, reading.interned)
                if reading.test is not None and reading.test(doc) is not True:
                    continue
                if value is UNDECIDED:
                    value = reading.get(doc)
            found.append((seq, ts, origin_id, payload, value))
        return found

    def _blocks(self) -> Iterator[Ranges]:
        while self._spans:
            if self._budget.cancelled():
                raise QueryCancelled("nobody waits for this answer any more")
            begun = time.monotonic()
            ranges = self._spans.take(self._block)
            if not ranges:
                continue
            yield ranges
            self._edge = ranges[-1][0] if self._down else ranges[-1][1]
            if self._after_block(begun) and self._spans:
                return
        self.done = True

    def _after_block(self, begun: float) -> bool:
        """Adapt the size of blocks, tell how far it got; return whether the time is up."""
        now = time.monotonic()
        if now - begun < _QUICK_S:
            self._block = min(2 * self._block, _LARGEST)
        elif now - begun > _SLOW_S:
            self._block = max(self._block // 2, 256)
        if now - self._told > _PROGRESS_S:
            self._told = now
            self._budget.progress(self.scope())
        limit = self._budget.seconds
        return limit is not None and now - self._began > limit

    def stopped_at(self, seq: int) -> None:
        """Say that the walk was ended at `seq`, on purpose."""
        self._edge = seq

    def scope(self) -> Scope:
        """Return what is covered so far."""
        low, high = self.bounds.low, self.bounds.high
        if self.done or low > high:
            return scope_of(low, high)
        first, last = self._covered()
        return Scope(
            from_seq=first,
            to_seq=last,
            complete=False,
            examined=max(0, last - first + 1),
            total=high - low + 1,
        )

    def _covered(self) -> tuple[int, int]:
        if self._down:
            return self._edge, self.bounds.high
        return self.bounds.low, self._edge

    # ------------------------------------------------------------ whole events

    def events(self, hits: Sequence[Hit]) -> list[Event]:
        """Return hits as events. The scan must have been made with `payload`."""
        with translated(READING), self._engine.connect() as conn:
            origins = self._cache.load(conn, {hit[2] for hit in hits})
        return [event_of(hit, origins[hit[2]]) for hit in hits]


def event_of(row: Sequence[Any], origin: Origin) -> Event:
    """Return the event of a row that begins with seq, ts, origin_id, payload."""
    return Event(
        seq=row[0],
        ts=row[1],
        node=origin.node,
        source=origin.source,
        data=restore(row[3], origin.k8s, origin.runtime),
    )


def scope_of(low: int, high: int) -> Scope:
    """Return the scope of an answer that covers all of a range of seqs; empty when turned around."""
    asked = max(0, high - low + 1)
    return Scope(from_seq=low, to_seq=high, complete=True, examined=asked, total=asked)
