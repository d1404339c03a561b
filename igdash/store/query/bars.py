"""Events that match over time, split by the values of a field.

The bars have the very edges of the unfiltered histogram, so that one can be drawn over the other.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, case

from igdash.domain.filter_match import scalars
from igdash.domain.queries import Scope, SplitBucket, SplitHistogram
from igdash.store.query.cells import cells
from igdash.store.query.page import key_of
from igdash.store.query.scan import Scan
from igdash.store.query.totals import counted, shown

SPLITS: Final = 5_000
"""Different values of a split kept apart; events with others are counted in their bar only."""
NAMED: Final = 6
_BESIDE: Final = {"@seq": 0, "@time": 1}


class Bars:
    """Counts per bar; `clamp_low`, `clamp_high`: the outer bars take what lies outside."""

    def __init__(self, edges: Sequence[int], *, clamp_low: bool, clamp_high: bool) -> None:
        self._edges = edges
        self._clamp_low = clamp_low
        self._clamp_high = clamp_high
        self._bars = len(edges) - 1
        self._events = [0] * self._bars
        self._values: dict[Any, list[int]] = {}

    def fill(self, scan: Scan, split: str) -> Scope:
        """Count the events of a scan; return what was covered."""
        if scan.decided and split not in _BESIDE:
            found = cells(scan, self._edges)
            if found is not None:
                keys = {i: _keys(found.readings[i].known) for i in {o for _, o in found.counts}}
                for (bar, origin), n in found.counts.items():
                    self._count(bar, keys[origin], n)
                return found.scope
            if (self._edges[-1] - self._edges[0]) * self._bars < 2**62:
                self._fill_grouped(scan)
                return scan.scope()
        index = _BESIDE.get(split, 4)
        for hits in scan.hits():
            for hit in hits:
                self._add(bisect_right(self._edges, hit[1]) - 1, hit[index] if split else None, 1)
        return scan.scope()

    def _fill_grouped(self, scan: Scan) -> None:
        for rows in scan.groups(self._bar_column):
            for origin, bar, n in rows:
                reading = scan.readings[origin]
                if reading.verdict is not False:
                    self._add(bar, reading.known, n)

    def _bar_column(self, columns: Any) -> ColumnElement[Any]:
        """The same bar in SQL, on integers: the last one whose edge is not after `ts`."""
        low, high = self._edges[0], self._edges[-1]
        ts = columns.ts
        inside = ((ts - low + 1) * self._bars - 1) // (high - low)
        return case((ts < low, -1), (ts >= high, self._bars), else_=inside)

    def _add(self, bar: int, value: Any, n: int) -> None:
        if not 0 <= bar < self._bars:
            if not (self._clamp_low if bar < 0 else self._clamp_high):
                return
            bar = 0 if bar < 0 else self._bars - 1
        self._count(bar, _keys(value), n)

    def _count(self, bar: int, keys: Collection[Any], n: int) -> None:
        self._events[bar] += n
        for one in keys:
            counts = self._values.get(one)
            if counts is None:
                if len(self._values) >= SPLITS:
                    continue
                counts = self._values[one] = [0] * self._bars
            counts[bar] += n

    def _most_frequent(self) -> Mapping[str, list[int]]:
        sums = sorted(
            self._values.items(),
            key=lambda pair: (-sum(pair[1]), key_of(shown(pair[0]), descending=False)),
        )
        return {_text(shown(key)): counts for key, counts in sums[:NAMED]}

    def answer(self, lost: Sequence[int], scope: Scope) -> SplitHistogram:
        """Return the bars, with the number of lost events of each."""
        named = self._most_frequent()
        edges = self._edges
        return SplitHistogram(
            buckets=tuple(
                SplitBucket(
                    start=edges[i],
                    end=edges[i + 1],
                    events=self._events[i],
                    lost=lost[i],
                    split={value: counts[i] for value, counts in named.items() if counts[i]},
                )
                for i in range(self._bars)
            ),
            values=tuple(named),
            scope=scope,
        )


def _keys(value: Any) -> Collection[Any]:
    """Return what a value is counted as: an array once for each different element."""
    return () if value is None else {counted(v) for v in scalars(value)} - {None}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)
