"""Bars over time, from one row per second of activity instead of from the events.

A second that lies inside a bar belongs to it; SQL sums those. A second that a border cuts through
is split by its events' exact times while few events are concerned, else evenly. Either way the
bars add up to exactly the events of the range (evenly only moves events between the two bars that
share a second; only a range's own first and last second could make its sum differ, so these are
looked up first).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Integer, cast, func, select

from igdash.domain.queries import Bucket
from igdash.domain.times import NS
from igdash.store.rows import clamp
from igdash.store.tables import activity, events, losses

_EXACT_ROWS: Final = 10_000
"""How many event times one histogram may read: some milliseconds' worth."""


def read(
    conn: Connection, session: Any, start: int | None, end: int | None, buckets: int, now: int
) -> tuple[Bucket, ...]:
    """Return the bars. Without a bound the session's life is taken, and it takes all events."""
    born = session.created if session.started is None else session.started
    low = clamp(born if start is None else start)
    high = clamp((session.stopped or now) if end is None else end)
    high = max(high, low + buckets)  # every bar is at least 1 ns wide
    edges = [low + (high - low) * i // buckets for i in range(buckets + 1)]
    bars = _Bars(conn, session.id, edges, clamp_low=start is None, clamp_high=end is None)
    counts, lost = bars.events(), bars.lost()
    return tuple(
        Bucket(start=edges[i], end=edges[i + 1], events=counts[i], lost=lost[i])
        for i in range(buckets)
    )


class _Bars:
    """One histogram being filled: `edges` has one more entry than there are bars."""

    def __init__(
        self,
        conn: Connection,
        session: int,
        edges: Sequence[int],
        *,
        clamp_low: bool,
        clamp_high: bool,
    ) -> None:
        self._conn = conn
        self._session = session
        self._edges = edges
        self._count = len(edges) - 1
        self._clamp_low = clamp_low
        self._clamp_high = clamp_high

    def events(self) -> list[int]:
        """Return the number of events per bar."""
        bars = [0] * self._count
        cut = sorted({edge // NS for edge in self._edges if edge % NS})
        for index, n in self._whole(cut):
            bars[min(max(index, 0), self._count - 1)] += n
        for row in self._outside(cut):
            bars[row[0]] += row[1]
        self._split(bars, cut)
        return bars

    def lost(self) -> list[int]:
        """Return the number of lost events per bar, by the start of each loss's window."""
        bars = [0] * self._count
        c = losses.c
        wanted = select(c.start_ts, c.n).where(c.session_id == self._session, c.n > 0)
        for ts, n in self._conn.execute(wanted):
            index = self._bar(ts)
            if index is not None:
                bars[index] += n
        return bars

    def _bar(self, ts: int) -> int | None:
        index = bisect_right(self._edges, ts) - 1
        if index < 0:
            return 0 if self._clamp_low else None
        if index >= self._count:
            return self._count - 1 if self._clamp_high else None
        return index

    def _whole(self, cut: Sequence[int]) -> list[tuple[int, int]]:
        """Sum the seconds inside the range that no border cuts, per bar.

        Such a second's middle is half a second away from any border, so floats are exact enough.
        """
        a = activity.c
        first, last = self._edges[0], self._edges[-1]
        scale = self._count * NS / (last - first)
        place = (a.sec - first // NS + (0.5 - first % NS / NS)) * scale
        index = cast(place if self._conn.dialect.name == "sqlite" else func.floor(place), Integer)
        wanted = (
            select(index.label("bar"), func.sum(a.n))
            .where(
                a.session_id == self._session,
                a.sec >= -(-first // NS),
                a.sec < last // NS,
                a.sec.not_in(cut),
            )
            .group_by("bar")
        )
        return [(int(bar), int(n)) for bar, n in self._conn.execute(wanted)]

    def _outside(self, cut: Sequence[int]) -> list[tuple[int, int]]:
        """Sum what lies wholly outside the range, where the outer bars take it."""
        a = activity.c
        sides = []
        if self._clamp_low:
            sides.append((0, a.sec < self._edges[0] // NS))
        if self._clamp_high:
            sides.append((self._count - 1, a.sec >= -(-self._edges[-1] // NS)))
        found = []
        for bar, side in sides:
            wanted = select(func.coalesce(func.sum(a.n), 0)).where(
                a.session_id == self._session, side, a.sec.not_in(cut)
            )
            found.append((bar, int(self._conn.execute(wanted).scalar_one())))
        return found

    def _split(self, bars: list[int], cut: Sequence[int]) -> None:
        """Share out the seconds that borders cut, the range's own ends first."""
        a = activity.c
        wanted = select(a.sec, a.n, a.first_seq, a.last_seq).where(
            a.session_id == self._session, a.sec.in_(cut)
        )
        ends = (self._edges[0] // NS, self._edges[-1] // NS)
        rows = sorted(self._conn.execute(wanted).all(), key=lambda row: (row.sec not in ends, row))
        budget = _EXACT_ROWS
        for row in rows:
            span = row.last_seq - row.first_seq + 1
            budget -= span
            if budget >= 0:
                self._by_time(bars, row)
            else:
                self._evenly(bars, row)

    def _by_time(self, bars: list[int], row: Any) -> None:
        e = events.c
        wanted = select(e.ts).where(
            e.session_id == self._session, e.seq >= row.first_seq, e.seq <= row.last_seq
        )
        for ts in self._conn.execute(wanted).scalars():
            index = self._bar(ts) if ts // NS == row.sec else None
            if index is not None:
                bars[index] += 1

    def _evenly(self, bars: list[int], row: Any) -> None:
        """Share `n` in proportion to the time each bar has of the second, without a remainder."""
        begin, done = row.sec * NS, 0
        borders = [edge for edge in self._edges if begin < edge < begin + NS]
        for border in [*borders, begin + NS]:
            upto = row.n * (border - begin) // NS
            index = self._bar(border - 1)
            if index is not None:
                bars[index] += upto - done
            done = upto
