"""Counts over the events that match: how many, of which values, at which times.

What origins decide is summed from the rollups; everything else is counted while walking.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterable, Sequence
from typing import Any, Final

from igdash.domain.filter_match import scalars
from igdash.domain.filters import Value, ValueKind
from igdash.domain.queries import Counted, FieldStats, Scope, Top, TopValue
from igdash.store.query.cells import rollups
from igdash.store.query.page import key_of
from igdash.store.query.plan import Reading
from igdash.store.query.scan import Scan

DISTINCT: Final = 300_000
"""Different values of a field kept apart at once …"""
CHARACTERS: Final = 50_000_000
"""… as long as their texts have no more than this together: one alone can have millions."""
SAMPLE: Final = 200_000
"""Numbers of a field kept for its quantiles."""
QUANTILES: Final = (0.0, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)


def count(scan: Scan) -> Counted:
    """Count the events that match."""
    if scan.decided:
        found, scope = totals(scan)
        return Counted(count=sum(n for _, n in found), scope=scope)
    n = 0
    for hits in scan.hits():
        n += len(hits)
    return Counted(count=n, scope=scan.scope())


# ---------------------------------------------------------------- per origin


def totals(scan: Scan) -> tuple[list[tuple[Reading, int]], Scope]:
    """Return the origins that match and their events, for a scan that origins decide."""
    with rollups(scan) as found:
        counts = None if found is None else found.totals()
        if found is not None and counts is not None:
            return [(found.readings[i], n) for i, n in counts.items()], found.scope
    counts, readings = _walked(scan), scan.readings
    matching = [(readings[i], n) for i, n in counts.items() if readings[i].verdict is not False]
    return matching, scan.scope()


def _walked(scan: Scan) -> dict[int, int]:
    found: dict[int, int] = {}
    for rows in scan.groups():
        for origin, n in rows:
            found[origin] = found.get(origin, 0) + n
    return found


# ---------------------------------------------------------------- values


class _Tally:
    """Counts values; an array counts once for each different element."""

    def __init__(self) -> None:
        self._counts: dict[Any, int] = {}
        self._characters = 0
        self.count = 0
        self.missing = 0
        self.untracked = 0

    def add(self, values: Iterable[Any]) -> None:
        """Count one event per value."""
        counts = self._counts
        for value in values:
            self.count += 1
            kind = value.__class__
            if kind is str or kind is int:
                if value in counts:
                    counts[value] += 1
                else:
                    self._first(value, 1)
            else:
                self._odd(value, 1)

    def add_many(self, value: Any, n: int) -> None:
        """Count `n` events of one value."""
        self.count += n
        self._odd(value, n)

    def _odd(self, value: Any, n: int) -> None:
        found = {counted(one) for one in scalars(value)} - {None}
        if not found:
            self.missing += n
        for one in found:
            if one in self._counts:
                self._counts[one] += n
            else:
                self._first(one, n)

    def _first(self, value: Any, n: int) -> None:
        size = len(value) if value.__class__ is str else 0
        if len(self._counts) < DISTINCT and self._characters + size <= CHARACTERS:
            self._counts[value] = n
            self._characters += size
        else:
            self.untracked += n

    def top(self, path: str, limit: int, scope: Scope) -> Top:
        """Return the most frequent ones."""
        best = heapq.nsmallest(
            limit,
            self._counts.items(),
            key=lambda pair: (-pair[1], key_of(shown(pair[0]), descending=False)),
        )
        listed = sum(n for _, n in best)
        return Top(
            path=path,
            values=tuple(TopValue(value=_value(shown(key)), count=n) for key, n in best),
            count=self.count,
            distinct=len(self._counts),
            other=sum(self._counts.values()) - listed + self.untracked,
            missing=self.missing,
            exact=self.untracked == 0,
            scope=scope,
        )


def counted(value: Any) -> Any:
    """Return the key under which a value is counted: True is not 1 here; NaN is nothing."""
    if value.__class__ is bool:
        return (value,)
    return None if value != value else value


def shown(key: Any) -> Any:
    """Return the value of a key."""
    return key[0] if key.__class__ is tuple else key


def _value(value: Any) -> Value:
    if isinstance(value, bool):
        return Value(kind=ValueKind.BOOL, value=value)
    kind = ValueKind.TEXT if isinstance(value, str) else ValueKind.NUMBER
    return Value(kind=kind, value=value)


def top(scan: Scan, path: str, limit: int) -> Top:
    """Return the most frequent values of the field the scan was made for."""
    tally = _Tally()
    beside = {"@seq": 0, "@time": 1}.get(path)
    if scan.decided and beside is None:
        found, scope = totals(scan)
        for reading, n in found:
            tally.add_many(reading.known, n)
        return tally.top(path, limit, scope)
    index = 4 if beside is None else beside
    for hits in scan.hits():
        tally.add(hit[index] for hit in hits)
    return tally.top(path, limit, scan.scope())


# ---------------------------------------------------------------- numbers


def stats(scan: Scan, path: str) -> FieldStats:
    """Return the quantiles of the field the scan was made for."""
    index = {"@seq": 0, "@time": 1}.get(path, 4)
    sample = _Sample()
    events = 0
    for hits in scan.hits():
        events += len(hits)
        sample.add([hit[index] for hit in hits])
    return FieldStats(
        path=path,
        count=events,
        numbers=sample.count,
        quantiles=sample.quantiles(),
        mean=sample.mean(),
        exact=sample.count <= SAMPLE,
        scope=scan.scope(),
    )


class _Sample:
    """All numbers while they are few, then an even sample of them (reservoir, same seed always)."""

    def __init__(self) -> None:
        self._numbers: list[int | float] = []
        self._random = random.Random(1)
        self._whole = 0
        self._parts = 0.0  # apart: JSON has whole numbers that no float can hold
        self.count = 0
        self._least: int | float | None = None
        self._most: int | float | None = None

    def add(self, values: Sequence[Any]) -> None:
        numbers = [
            one
            for value in values
            for one in ((value,) if value.__class__ in (int, float) else scalars(value))
            if one.__class__ in (int, float) and one == one
        ]
        if not numbers:
            return
        self._whole += sum(one for one in numbers if one.__class__ is int)
        self._parts += sum(one for one in numbers if one.__class__ is float)
        least, most = min(numbers), max(numbers)
        self._least = least if self._least is None else min(self._least, least)
        self._most = most if self._most is None else max(self._most, most)
        for number in numbers:
            self.count += 1
            if len(self._numbers) < SAMPLE:
                self._numbers.append(number)
            elif (place := self._random.randrange(self.count)) < SAMPLE:
                self._numbers[place] = number

    def quantiles(self) -> tuple[tuple[float, int | float], ...]:
        """Return value at each quantile, by nearest rank."""
        if self._least is None or self._most is None:
            return ()
        ordered = sorted(self._numbers)
        size = len(ordered)
        found = {q: ordered[max(0, -(-int(q * 1000) * size // 1000) - 1)] for q in QUANTILES}
        found |= {0.0: self._least, 1.0: self._most}
        return tuple(found.items())

    def mean(self) -> float | None:
        """Return the mean, None when it has no number."""
        try:
            total = self._whole + self._parts if self._parts else self._whole
            mean = total / self.count
        except (ZeroDivisionError, OverflowError):
            return None
        return mean if mean - mean == 0 else None
