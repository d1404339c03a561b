"""Bars over time, from one row per second of activity instead of from the events.

A second that lies inside a bar belongs to it; SQL sums those. A second that a border cuts through
is split by its events' exact times while few events are concerned, else evenly. Either way the
bars add up to exactly the events of the range (evenly only moves events between the two bars that
share a second; only a range's own first and last second could make its sum differ, so for these
many more events are looked at).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any, Final

from sqlalchemy import Connection, Integer, and_, cast, func, select

from igdash.domain.queries import Bucket
from igdash.domain.times import NS
from igdash.store.rows import clamp
from igdash.store.tables import activity, events, losses

_EXACT_ROWS: Final = 4_000
"""How many event times one histogram may read: some milliseconds' worth."""
_EXACT_END: Final = 20_000
"""The same for each end of the range: only these decide whether its sum is exact."""


def read(
    conn: Connection, session: Any, start: int | None, end: int | None, buckets: int, now: int
) -> tuple[Bucket, ...]:
    """Return the bars. Without a bound the session's life is taken, and it takes all events."""
    frame = Frame(conn, session, start, end, buckets, now)
    counts, lost, edges = frame.events(), frame.lost(), frame.edges
    return tuple(
        Bucket(start=edges[i], end=edges[i + 1], events=counts[i], lost=lost[i])
        for i in range(buckets)
    )


class Frame:
    """One histogram being filled: `edges` has one more entry than there are bars."""

    def __init__(
        self,
        conn: Connection,
        session: Any,
        start: int | None,
        end: int | None,
        buckets: int,
        now: int,
    ) -> None:
        born = session.created if session.started is None else session.started
        low = clamp(born if start is None else start)
        high = clamp((session.stopped or now) if end is None else end)
        if start is None and end is not None:  # what was before the session's life counts, too
            low = min(low, high - buckets)
        high = max(high, low + buckets)  # every bar is at least 1 ns wide
        self.edges = [low + (high - low) * i // buckets for i in range(buckets + 1)]
        self._conn = conn
        self._session = session.id
        self._count = buckets
        self._clamp_low = start is None
        self._clamp_high = end is None

    def events(self) -> list[int]:
        """Return the number of events per bar."""
        bars = [0] * self._count
        cut = sorted({edge // NS for edge in self.edges if edge % NS})
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
        index = bisect_right(self.edges, ts) - 1
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
        first, last = self.edges[0], self.edges[-1]
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
            sides.append((0, a.sec < self.edges[0] // NS))
        if self._clamp_high:
            sides.append((self._count - 1, a.sec >= -(-self.edges[-1] // NS)))
        found = []
        for bar, side in sides:
            wanted = select(func.coalesce(func.sum(a.n), 0)).where(
                a.session_id == self._session, side, a.sec.not_in(cut)
            )
            found.append((bar, int(self._conn.execute(wanted).scalar_one())))
        return found

    def _split(self, bars: list[int], cut: Sequence[int]) -> None:
        """Share out the seconds that borders cut, as exactly as few rows allow."""
        a = activity.c
        wanted = select(a.sec, a.n, a.first_seq, a.last_seq).where(
            a.session_id == self._session, a.sec.in_(cut)
        )
        rows = self._conn.execute(wanted.order_by(a.sec)).all()
        spans = {row.sec: row.last_seq - row.first_seq + 1 for row in rows}
        if sum(spans.values()) <= _EXACT_ROWS:
            exact = list(spans)
        else:  # no eye sees the difference then, but the range's sum stays right
            exact = [sec for sec in self._open_ends() if spans.get(sec, _EXACT_END) < _EXACT_END]
        for row in rows:
            if row.sec not in exact:
                self._evenly(bars, row)
        if exact:
            self._by_time(bars, exact)

    def _open_ends(self) -> set[int]:
        """Return the seconds of those ends beyond which events are left out."""
        ends = set()
        if not self._clamp_low:
            ends.add(self.edges[0] // NS)
        if not self._clamp_high:
            ends.add(self.edges[-1] // NS)
        return ends

    def _by_time(self, bars: list[int], seconds: Sequence[int]) -> None:
        a, e = activity.c, events.c
        wanted = (
            select(a.sec, e.ts)
            .join_from(
                activity,
                events,
                and_(e.session_id == a.session_id, e.seq >= a.first_seq, e.seq <= a.last_seq),
            )
            .where(a.session_id == self._session, a.sec.in_(seconds))
        )
        for second, ts in self._conn.execute(wanted):
            index = self._bar(ts) if ts // NS == second else None
            if index is not None:
                bars[index] += 1

    def _evenly(self, bars: list[int], row: Any) -> None:
        """Share `n` in proportion to the time each bar has of the second, without a remainder."""
        begin, done = row.sec * NS, 0
        borders = [edge for edge in self.edges if begin < edge < begin + NS]
        for border in [*borders, begin + NS]:
            upto = row.n * (border - begin) // NS
            index = self._bar(border - 1)
            if index is not None:
                bars[index] += upto - done
            done = upto
