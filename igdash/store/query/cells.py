"""How many events of each origin lie where in time: from the rollups alone, and yet exactly.

Whole minutes come from one table, whole seconds from another; only in seconds that a border cuts
are the events' own times read, from the index. It is all one transaction: the counts and the scope
that goes with them are of one moment.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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

from igdash.domain.times import NS
from igdash.store.bounds import Bounds, bounds_of
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

_MOST_ORIGINS: Final = 500
"""Most origins named in a statement."""

Counts = dict[tuple[int, int], int]
"""Events per bar and origin; 0 for origins that are not told apart"""


class Rollups:
    """What the rollups say of a scan's events at one moment; made by `rollups`."""

    def __init__(
        self,
        conn: Connection,
        session: int,
        bounds: Bounds,
        counts: Mapping[int, int],
        readings: Mapping[int, Reading],
    ) -> None:
        self._conn = conn
        self._session = session
        self._bounds = bounds
        self._counts = counts
        self.readings = {i: one for i, one in readings.items() if one.verdict is not False}
        self.scope = scope_of(bounds.low, bounds.high)

    def totals(self) -> dict[int, int] | None:
        """Return the events per origin that matches; None when it takes a walk."""
        if self._bounds.start is None and self._bounds.end is None:
            return {origin: self._counts[origin] for origin in self.readings}
        found = self.bars((), self.readings, apart=True)
        return None if found is None else {origin: n for (_, origin), n in found.items()}

    def bars(self, edges: Sequence[int], origins: Collection[int], *, apart: bool) -> Counts | None:
        """Return the events of these origins per bar between `edges`, each origin apart or all
        together. The outer bars take what lies outside; without edges all is bar 0.

        None when it takes a walk: bars of less than two seconds, or too many events at borders.
        """
        if edges and edges[-1] - edges[0] < 2 * NS * (len(edges) - 1):
            return None
        ends = (self._bounds.start, self._bounds.end)
        every = len(origins) == len(self._counts)
        if every or len(origins) <= _MOST_ORIGINS:
            named = None if every else sorted(origins)
            return _Counting(self._conn, self._session, edges, ends, named, apart).counts()
        found = _Counting(self._conn, self._session, edges, ends, None, True).counts()
        mine: Counts = defaultdict(int)
        for (bar, origin), n in ({} if found is None else found).items():
            if origin in origins:
                mine[bar, origin if apart else 0] += n
        return None if found is None else mine


@contextmanager
def rollups(scan: Scan) -> Iterator[Rollups | None]:
    """Open the rollups for what a scan asks; None when payloads or seqs decide.

    They are of a later moment than the scan: use the readings and the scope that come with them.
    """
    where = scan.where
    if where.after is not None or where.before is not None or not scan.decided:
        yield None
        return
    with translated(READING), scan.connect() as conn:
        row = session_row(conn, scan.session)
        bounds = bounds_of(conn, row, where)
        found = Rollups(conn, row.id, bounds, *scan.origins_now(conn))
        undecided = any(one.decode is not None for one in found.readings.values())
        yield None if undecided else found  # undecided: an origin that came after the scan began


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
        ends: tuple[int | None, int | None],
        origins: Sequence[int] | None,
        apart: bool,
    ) -> None:
        self._conn = conn
        self._dialect = conn.dialect.name
        self._session = session
        self._edges = edges
        self._start, self._end = ends
        self._origins = origins
        self._apart = apart
        self._seconds = activity_origin_sec if apart or origins is not None else activity
        self._borders = sorted({*edges, *(one for one in ends if one is not None)})
        self._found: Counts = defaultdict(int)

    def counts(self) -> Counts | None:
        """Return the counts, None when too many events would have to be looked at."""
        cut = self._cut(NS)
        pieces = self._pieces(cut)
        if sum(piece.last - piece.first + 1 for piece in pieces) > MOST_READ:
            return None
        second = self._seconds.c.sec
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
        return {key: n for key, n in self._found.items() if n}

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
        inside = [t.session_id == self._session, *self._of_origins(t)]
        if self._start is not None:
            inside.append(cell >= -(-self._start // unit))
        if self._end is not None:
            inside.append(cell < self._end // unit)
        if cut:
            inside.append(cell.not_in(cut))
        columns = (cell.label("cell"), self._origin(t), t.n)
        if ranges:
            few = table_of(("low", "high"), ranges)
            inside += [cell >= few.c.low, cell < few.c.high]
            rows = joined(self._dialect, few, cell.table, and_(*inside), columns)
        else:
            rows = select(*columns).where(*inside).subquery("j")
        r = rows.c
        bar = self._bar(r.cell, unit).label("bar")
        wanted = select(bar, r.origin, func.sum(r.n)).group_by("bar", r.origin)
        return fetch(self._conn, wanted)

    def _of_origins(self, columns: Any) -> list[ColumnElement[bool]]:
        return [] if self._origins is None else [columns.origin_id.in_(self._origins)]

    def _origin(self, columns: Any) -> ColumnElement[int]:
        """The origin where each is counted apart, else 0."""
        found: ColumnElement[int] = columns.origin_id if self._apart else literal_column("0")
        return found.label("origin")

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
        t = self._seconds.c
        seconds = {piece.second: index for index, piece in enumerate(pieces)}
        wanted = select(t.sec, self._origin(t), t.n).where(
            t.session_id == self._session, t.sec.in_(list(seconds)), *self._of_origins(t)
        )
        rest: Counts = defaultdict(int)
        for second, origin, n in fetch(self._conn, wanted):
            rest[second, origin] += n
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
            *self._of_origins(e),
        )
        r = joined(self._dialect, few, events, on, (self._origin(e),)).c
        counted = select(r.piece, r.origin, func.count()).group_by(r.piece, r.origin)
        return fetch(self._conn, counted)
