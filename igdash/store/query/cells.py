"""How many events of each origin lie where in time: from the rollups alone, and yet exactly.

Whole minutes come from one table, whole seconds from another; only in seconds that a border cuts
are the events' own times read, from the index. It is all one transaction: the counts and the scope
that goes with them are of one moment.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    Integer,
    and_,
    case,
    cast,
    func,
    literal_column,
    select,
)

from igdash.domain.queries import Scope
from igdash.domain.times import NS
from igdash.store.bounds import bounds_of
from igdash.store.errors import translated
from igdash.store.lookup import session_row
from igdash.store.query.plan import Reading
from igdash.store.query.scan import READING, Scan, scope_of
from igdash.store.query.spans import MINUTE
from igdash.store.query.walk import fetch, joined, table_of
from igdash.store.rows import clamp
from igdash.store.tables import activity, activity_origin, activity_origin_sec, events

MOST_READ: Final = 1_000_000
"""Events whose times are read in one go: a third of a second's worth. More are for a walk, which
can stop half-way."""

Counts = dict[tuple[int, int], int]
"""Events per bar and origin"""


class Cells(NamedTuple):
    """`counts` of the origins that match, how to read these, and what was counted."""

    counts: Counts
    readings: dict[int, Reading]
    scope: Scope


def cells(scan: Scan, edges: Sequence[int] = ()) -> Cells | None:
    """Count what a scan would find per bar between `edges` (the outer bars take what lies outside)
    and origin; without edges all of it is bar 0.

    None when it has to be walked: payloads or seqs decide, or too many events lie at borders.
    """
    where = scan.where
    narrow = bool(edges) and edges[-1] - edges[0] < 2 * NS * (len(edges) - 1)
    if narrow or where.after is not None or where.before is not None:
        return None
    with translated(READING), scan.connect() as conn:
        row = session_row(conn, scan.session)
        bounds = bounds_of(conn, row, where)
        found = _Counting(conn, row.id, edges, bounds.start, bounds.end).counts()
        if found is None:
            return None
        readings = scan.readings_of(conn, {origin for _, origin in found})
    counts = {key: n for key, n in found.items() if n and readings[key[1]].verdict is not False}
    if any(readings[origin].decode is not None for _, origin in counts):
        return None  # of an origin that came after the scan began
    return Cells(counts, readings, scope_of(bounds.low, bounds.high))


class _Piece(NamedTuple):
    """A part of a second: its seqs, its times (`start` included), the bar it counts for."""

    second: int
    first: int
    last: int
    start: int
    end: int
    bar: int | None


class _Counting:
    """Borders are the bars' edges and the ends of what is asked about."""

    def __init__(
        self,
        conn: Connection,
        session: int,
        edges: Sequence[int],
        start: int | None,
        end: int | None,
    ) -> None:
        self._conn = conn
        self._dialect = conn.dialect.name
        self._session = session
        self._edges = edges
        self._start = start
        self._end = end
        self._borders = sorted({*edges, *(one for one in (start, end) if one is not None)})
        self._found: Counts = defaultdict(int)

    def counts(self) -> Counts | None:
        """Return the counts, None when too many events would have to be looked at."""
        cut = self._cut(NS)
        pieces = self._pieces(cut)
        if sum(piece.last - piece.first + 1 for piece in pieces) > MOST_READ:
            return None
        second = activity_origin_sec.c.sec
        edges = self._edges
        if edges and edges[-1] - edges[0] < 2 * MINUTE * (len(edges) - 1):
            self._add(self._whole(second, NS, cut))
        else:
            minutes = self._cut(MINUTE)
            self._add(self._whole(activity_origin.c.minute, MINUTE, minutes))
            if minutes:
                self._add(self._whole(second, NS, cut, [(60 * m, 60 * m + 60) for m in minutes]))
        if pieces:
            self._add_pieces(pieces)
        return self._found

    def _cut(self, unit: int) -> list[int]:
        """Return the minutes or seconds that a border cuts in two."""
        return sorted({border // unit for border in self._borders if border % unit})

    def _add(self, rows: Iterable[Sequence[Any]]) -> None:
        for bar, origin, n in rows:
            self._found[bar, origin] += int(n)

    def _bar_of(self, ts: int) -> int | None:
        """Return the bar that a time counts for, None for none."""
        before = self._start is not None and ts < self._start
        if before or (self._end is not None and ts >= self._end):
            return None
        return max(0, min(bisect_right(self._edges, ts), len(self._edges) - 1) - 1)

    # ------------------------------------------------------------ uncut

    def _whole(
        self,
        cell: Column[int],
        unit: int,
        cut: Sequence[int],
        ranges: Sequence[tuple[int, int]] = (),
    ) -> Sequence[Sequence[Any]]:
        """Sum the cells that no border cuts, all or those in `ranges`, per bar and origin."""
        t = cell.table.c
        inside = [t.session_id == self._session]
        if self._start is not None:
            inside.append(cell >= -(-self._start // unit))
        if self._end is not None:
            inside.append(cell < self._end // unit)
        if cut:
            inside.append(cell.not_in(cut))
        columns = (cell.label("cell"), t.origin_id, t.n)
        if ranges:
            few = table_of(("low", "high"), ranges)
            inside += [cell >= few.c.low, cell < few.c.high]
            rows = joined(self._dialect, few, cell.table, and_(*inside), columns)
        else:
            rows = select(*columns).where(*inside).subquery("j")
        r = rows.c
        bar = self._bar(r.cell, unit).label("bar")
        wanted = select(bar, r.origin_id, func.sum(r.n)).group_by("bar", r.origin_id)
        return fetch(self._conn, wanted)

    def _bar(self, cell: ColumnElement[int], unit: int) -> ColumnElement[Any]:
        """The bar of an uncut cell in SQL, by its middle: half a second or more away from any
        border, so floats are exact enough."""
        edges = self._edges
        if not edges:
            return literal_column("0")
        low, high, bars = edges[0], edges[-1], len(edges) - 1
        place: Any = (cell - low // unit + (0.5 - low % unit / unit)) * (bars * unit / (high - low))
        floor = place if self._dialect == "sqlite" else func.floor(place)
        return case(
            (cell < -(-low // unit), 0),
            (cell >= high // unit, bars - 1),
            else_=cast(floor, Integer),
        )

    # ------------------------------------------------------------ cut

    def _pieces(self, cut: Sequence[int]) -> list[_Piece]:
        """Return the parts of the seconds that borders cut; the longest of each comes last."""
        a = activity.c
        wanted = select(a.sec, a.first_seq, a.last_seq).where(
            a.session_id == self._session, a.sec.in_(cut)
        )
        found: list[_Piece] = []
        for second, first, last in self._conn.execute(wanted) if cut else ():
            start, end = second * NS, second * NS + NS
            inside = [border for border in self._borders if start < border < end]
            times = list(zip([start, *inside], [*inside, end], strict=True))
            times.sort(key=lambda pair: pair[1] - pair[0])
            found += [_Piece(second, first, last, *pair, self._bar_of(pair[0])) for pair in times]
        return found

    def _add_pieces(self, pieces: Sequence[_Piece]) -> None:
        """Count the events of each part but the longest: that one has the rest of its second."""
        t = activity_origin_sec.c
        seconds = {piece.second: index for index, piece in enumerate(pieces)}
        wanted = select(t.sec, t.origin_id, t.n).where(
            t.session_id == self._session, t.sec.in_(list(seconds))
        )
        rest = {(second, origin): n for second, origin, n in fetch(self._conn, wanted)}
        read = [index for index, piece in enumerate(pieces) if index != seconds[piece.second]]
        for index, origin, n in self._read(pieces, read):
            piece = pieces[index]
            rest[piece.second, origin] -= n
            if piece.bar is not None:
                self._add([(piece.bar, origin, n)])
        for (second, origin), n in rest.items():
            bar = pieces[seconds[second]].bar
            if bar is not None:
                self._add([(bar, origin, n)])

    def _read(self, pieces: Sequence[_Piece], wanted: Sequence[int]) -> Sequence[Sequence[Any]]:
        """Count events by their own times: index of the piece, origin, how many."""
        e = events.c
        rows = [
            (i, pieces[i].first, pieces[i].last, clamp(pieces[i].start), clamp(pieces[i].end - 1))
            for i in wanted
        ]
        few = table_of(("piece", "low", "high", "start", "stop"), rows)
        on = and_(
            e.session_id == self._session,
            e.seq >= few.c.low,
            e.seq <= few.c.high,
            e.ts >= few.c.start,
            e.ts <= few.c.stop,
        )
        r = joined(self._dialect, few, events, on, (e.origin_id,)).c
        counted = select(r.piece, r.origin_id, func.count()).group_by(r.piece, r.origin_id)
        return fetch(self._conn, counted)
