"""Events that match over time, split by the values of a field.

The bars have the very edges of the unfiltered histogram, so that one can be drawn over the other.
"""

from __future__ import annotations

import heapq
from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, case

from igdash.domain.filter_match import scalars
from igdash.domain.queries import Scope, SplitBucket, SplitHistogram
from igdash.store.query.cells import Rollups, rollups
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
            with rollups(scan) as found:
                if found is not None and self._from_rollups(found, split):
                    return found.scope
            if (self._edges[-1] - self._edges[0]) * self._bars < 2**62:
                self._fill_grouped(scan)
                return scan.scope()
        index = _BESIDE.get(split, 4)
        for hits in scan.hits():
            for hit in hits:
                self._add(bisect_right(self._edges, hit[1]) - 1, hit[index] if split else None, 1)
        return scan.scope()

    def _from_rollups(self, found: Rollups, split: str) -> bool:
        """Count all events, and apart from them those of few origins; return whether that went.

        Hundreds of origins apart in each of hundreds of bars would take most of the time. Only the
        values that will be named count; the largest group of origins with the same of these has
        what the others leave.
        """
        groups = self._groups(found) if split else {frozenset(): set(found.readings)}
        if groups is None:
            return False
        largest = max(groups, key=lambda keys: len(groups[keys]), default=frozenset())
        apart = {i: keys for keys, ids in groups.items() if keys != largest for i in ids}
        every = found.bars(self._edges, found.readings, apart=False)
        few = found.bars(self._edges, apart, apart=True) if apart else {}
        if every is None or few is None:
            return False
        left = [0] * self._bars
        for (bar, _), n in every.items():
            left[bar] += n
            self._events[bar] += n
        for (bar, origin), n in few.items():
            left[bar] -= n
            self._values_of(apart[origin], bar, n)
        for bar, n in enumerate(left):
            self._values_of(largest, bar, n)
        return True

    def _groups(self, found: Rollups) -> dict[frozenset[Any], set[int]] | None:
        """Return the origins by those of their values that are among the most frequent."""
        totals = found.totals()
        if totals is None:
            return None
        keys = {origin: frozenset(_keys(found.readings[origin].known)) for origin in totals}
        sums: dict[Any, int] = {}
        for origin, n in totals.items():
            for key in keys[origin]:
                sums[key] = sums.get(key, 0) + n
        named = frozenset(_most_frequent(sums))
        groups: dict[frozenset[Any], set[int]] = {}
        for origin in found.readings:
            groups.setdefault(keys.get(origin, frozenset()) & named, set()).add(origin)
        return groups

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
        self._events[bar] += n
        self._values_of(_keys(value), bar, n)

    def _values_of(self, keys: Collection[Any], bar: int, n: int) -> None:
        for one in keys:
            counts = self._values.get(one)
            if counts is None:
                if len(self._values) >= SPLITS:
                    continue
                counts = self._values[one] = [0] * self._bars
            counts[bar] += n

    def answer(self, lost: Sequence[int], scope: Scope) -> SplitHistogram:
        """Return the bars, with the number of lost events of each."""
        sums = {key: sum(counts) for key, counts in self._values.items()}
        named = {_text(shown(key)): self._values[key] for key in _most_frequent(sums)}
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


def _most_frequent(sums: Mapping[Any, int]) -> list[Any]:
    """Return the values to be named, most frequent first."""
    found = [key for key, n in sums.items() if n]
    return heapq.nsmallest(
        NAMED, found, key=lambda key: (-sums[key], key_of(shown(key), descending=False))
    )


def _keys(value: Any) -> Collection[Any]:
    """Return what a value is counted as: an array once for each different element."""
    return () if value is None else {counted(v) for v in scalars(value)} - {None}


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else repr(value)
