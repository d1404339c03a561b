"""The `QueryReader` port on SQL."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final

from sqlalchemy import Engine, func, select

from igdash.domain.errors import EventNotFound, InvalidQuery, QueryBusy
from igdash.domain.events import Event
from igdash.domain.filters import Filter
from igdash.domain.queries import (
    Budget,
    Counted,
    EventQuery,
    FieldStats,
    QueryPage,
    Scope,
    SplitHistogram,
    Top,
    Where,
)
from igdash.domain.sessions import SessionId
from igdash.domain.times import NS, now_ns
from igdash.store import histogram
from igdash.store.errors import translated
from igdash.store.lookup import session_row
from igdash.store.query import totals
from igdash.store.query.bars import Bars
from igdash.store.query.page import (
    Position,
    SortCache,
    Sorted,
    close_cursor,
    filtered_page,
    open_cursor,
    signature,
    walk_sorted,
    within,
)
from igdash.store.query.patterns import pattern_problem
from igdash.store.query.plan import Origins, event_matcher
from igdash.store.query.scan import READING, Scan, event_of
from igdash.store.query.walk import fetch
from igdash.store.rows import clamp
from igdash.store.tables import activity, events

_AGAIN_SECONDS: Final = 3.0
"""How much longer than asked for a page behind a sort's cursor may take: it has to read all that the
first page covered, which took that one its whole time. The pool waits a little longer than this."""
_SIDE_SECONDS: Final = 1.0
"""How long the neighbours on one side are looked for."""


class StoredQueries:
    """Answers questions with a filter."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._origins = Origins()
        self._sorts = SortCache()

    def page(self, session: SessionId, query: EventQuery, budget: Budget) -> QueryPage:
        """Return one page of the events that match."""
        if query.sort and query.sort != "@seq":
            return self._sorted(session, query, budget)
        down = query.descending if query.sort else query.newest
        where = _from_cursor(query.where, query.cursor, down=down)
        in_order = replace(query, where=where, newest=down)
        page = filtered_page(self._paging(session, in_order, budget), in_order)
        turned = query.sort and down
        return replace(page, events=page.events[::-1]) if turned else page

    def _paging(self, session: SessionId, query: EventQuery, budget: Budget) -> Scan:
        return Scan(
            self._engine,
            self._origins,
            session,
            query.where,
            budget,
            payload=True,
            down=query.newest,
            block=query.limit + 1 if query.where.filter is None else 512,
        )

    def _sorted(self, session: SessionId, query: EventQuery, budget: Budget) -> QueryPage:
        name = signature(session, query)
        at = open_cursor(name, query.cursor) if query.cursor else None
        found = self._sorts.get(name, query, at)
        if found is None:
            found = self._walk(session, query, at, budget)
            self._sorts.put(name, found)
        rows = found.rows[: query.limit]
        more = rows and (len(found.rows) > len(rows) or not found.ended)
        return QueryPage(
            events=self._by_seq(session, [seq for _, seq in rows]),
            next=close_cursor(name, rows[-1], found.scope) if more else "",
            scope=found.scope,
            first_seq=min(1, found.last_seq),
            last_seq=found.last_seq,
        )

    def _walk(
        self, session: SessionId, query: EventQuery, at: Position | None, budget: Budget
    ) -> Sorted:
        field = "" if query.sort == "@time" else query.sort
        where = within(query.where, at)
        if at is not None and budget.seconds is not None:
            budget = replace(budget, seconds=budget.seconds + _AGAIN_SECONDS)
        scan = Scan(self._engine, self._origins, session, where, budget, field=field)
        found = walk_sorted(scan, query, at)
        if (
            at is not None and not scan.done
        ):  # the rest would be left out of this page and all behind
            raise QueryBusy(
                "the events that this order began with could not all be read again in time; try again,"
                " or with more time"
            )
        return found

    def _by_seq(self, session: SessionId, seqs: Sequence[int]) -> tuple[Event, ...]:
        """Return the events of these seqs, in the order given."""
        e = events.c
        found: dict[int, Event] = {}
        with translated(READING), self._engine.connect() as conn:
            row = session_row(conn, session)
            for start in range(0, len(seqs), 500):
                wanted = select(e.seq, e.ts, e.origin_id, e.payload).where(
                    e.session_id == row.id, e.seq.in_(seqs[start : start + 500])
                )
                rows = fetch(conn, wanted)
                origins = self._origins.load(conn, {one[2] for one in rows})
                found |= {one[0]: event_of(one, origins[one[2]]) for one in rows}
        return tuple(found[seq] for seq in seqs)

    def stream(self, session: SessionId, where: Where, budget: Budget) -> Iterator[Sequence[Event]]:
        """Yield all events that match upwards in blocks."""
        scan = Scan(
            self._engine,
            self._origins,
            session,
            where,
            replace(budget, seconds=None),
            payload=True,
            down=False,
        )
        return (scan.events(hits) for hits in scan.hits() if hits)

    def neighbours(
        self, session: SessionId, seq: int, where: Where, limit: int, budget: Budget
    ) -> QueryPage:
        """Return up to `limit` matching events on each side of `seq`, with it in the middle."""
        if not 1 <= seq < 2**63:
            raise EventNotFound(f"no event {seq}")
        with translated(READING), self._engine.connect() as conn:
            e, row = events.c, session_row(conn, session)
            there = conn.execute(select(e.seq).where(e.session_id == row.id, e.seq == seq)).scalar()
        if there is None:
            raise EventNotFound(f"session {session} has no event {seq}; its last is {row.last_seq}")
        middle = self._by_seq(session, [seq])
        above = min(seq, seq if where.before is None else where.before)
        below = max(seq, seq if where.after is None else where.after)
        short = Budget(seconds=_SIDE_SECONDS, cancelled=budget.cancelled)
        sides = [
            self.page(session, query, short)
            for query in (
                EventQuery(where=replace(where, before=above), newest=True, limit=limit),
                EventQuery(where=replace(where, after=below), limit=limit),
            )
        ]
        before, after = sides
        full = len(before.events) == limit, len(after.events) == limit
        return QueryPage(
            events=(*before.events, *middle, *after.events),
            next="",
            scope=Scope(
                from_seq=before.scope.from_seq,
                to_seq=after.scope.to_seq,
                complete=all(f or side.scope.complete for f, side in zip(full, sides, strict=True)),
                examined=before.scope.examined + 1 + after.scope.examined,
                total=before.scope.total + 1 + after.scope.total,
            ),
            first_seq=before.first_seq,
            last_seq=after.last_seq,
        )

    def at_time(self, session: SessionId, ts: int) -> int | None:
        """Return the first seq whose event's own time is `ts` (ns) or later."""
        ts = clamp(ts)
        a, e = activity.c, events.c
        with translated(READING), self._engine.connect() as conn:
            row = session_row(conn, session)
            later = select(func.min(a.first_seq)).where(a.session_id == row.id, a.sec > ts // NS)
            found = [conn.execute(later).scalar()]
            same = select(a.first_seq, a.last_seq).where(a.session_id == row.id, a.sec == ts // NS)
            for low, high in conn.execute(same).all():
                first = (
                    select(e.seq)
                    .where(e.session_id == row.id, e.seq >= low, e.seq <= high, e.ts >= ts)
                    .order_by(e.seq)
                    .limit(1)
                )
                found.append(conn.execute(first).scalar())
        return min((seq for seq in found if seq is not None), default=None)

    def count(self, session: SessionId, where: Where, budget: Budget) -> Counted:
        """Count the events that match."""
        return totals.count(Scan(self._engine, self._origins, session, where, budget))

    def histogram(
        self, session: SessionId, where: Where, *, buckets: int, split: str, budget: Budget
    ) -> SplitHistogram:
        """Return equal bars over the times asked for, or over the session's life."""
        field = "" if split in ("@seq", "@time") else split
        scan = Scan(self._engine, self._origins, session, where, budget, field=field)
        with translated("cannot read the activity"), self._engine.connect() as conn:
            row = session_row(conn, session)
            frame = histogram.Frame(conn, row, where.start, where.end, buckets, now_ns())
            lost = frame.lost()
        open_ends = {"clamp_low": where.start is None, "clamp_high": where.end is None}
        bars = Bars(frame.edges, **open_ends)
        scope = bars.fill(scan, split)
        return bars.answer(lost, scope)

    def top(
        self, session: SessionId, path: str, where: Where, *, limit: int, budget: Budget
    ) -> Top:
        """Return the most frequent values at `path` among the events that match."""
        return totals.top(self._with_field(session, path, where, budget), path, limit)

    def stats(self, session: SessionId, path: str, where: Where, budget: Budget) -> FieldStats:
        """Return the quantiles of the numbers at `path` among the events that match."""
        return totals.stats(self._with_field(session, path, where, budget), path)

    def _with_field(self, session: SessionId, path: str, where: Where, budget: Budget) -> Scan:
        field = "" if path in ("@seq", "@time") else path
        return Scan(self._engine, self._origins, session, where, budget, field=field)

    def matcher(self, filter: Filter) -> Callable[[Event], bool]:
        """Return the same test for events that were not read from here."""
        try:
            return event_matcher(filter)
        except ValueError as error:
            raise InvalidQuery("filter", f"not a regular expression: {error}") from None

    def pattern_problem(self, pattern: str) -> str:
        """Return why `pattern` is no regular expression that is taken here, or \"\"."""
        return pattern_problem(pattern)


def _from_cursor(where: Where, cursor: str, *, down: bool) -> Where:
    """Return where a page in seq order goes on. Raises `InvalidQuery`."""
    if not cursor:
        return where
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 20):
        raise InvalidQuery("cursor", "is not one that igdash gave out")
    seq = int(cursor)
    if down:
        return replace(where, before=seq if where.before is None else min(seq, where.before))
    return replace(where, after=seq if where.after is None else max(seq, where.after))
