"""Pages of events that match: in seq order by walking until the page is full, under a sort by
keeping the best while walking all of it."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from bisect import bisect_left, bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from igdash.domain.errors import InvalidQuery
from igdash.domain.filter_match import scalars
from igdash.domain.queries import EventQuery, QueryPage, Scope, Where
from igdash.store.query.scan import Hit, Scan

Key = tuple[int, Any]
"""Rank of the kind of value (numbers, texts, truth; last those without), and the value."""
Ranked = tuple[Key, int]
"""Key and seq: what a sort compares."""

KEPT: Final = 2_000
"""Sorted rows remembered after a walk, so that the next pages need none."""
_REMEMBERED: Final = 16
_LONGEST_KEY: Final = 256
"""Texts are sorted by so many characters, then by seq: a cursor has to hold them."""


def filtered_page(scan: Scan, query: EventQuery) -> QueryPage:
    """Return a page in seq order."""
    found: list[Hit] = []
    full = query.limit
    for hits in scan.hits():
        found += hits
        if len(found) > full:
            break
    more = len(found) > full
    found = found[:full]
    if more:
        scan.stopped_at(found[-1][0])
    scope = scan.scope()
    if more:  # a full page is all that was asked for
        edge, scope = str(found[-1][0]), replace(scope, complete=True)
    else:
        edge = "" if scope.complete else str(scope.from_seq if query.newest else scope.to_seq)
    if query.newest:
        found.reverse()
    return QueryPage(
        events=tuple(scan.events(found)),
        next=edge,
        scope=scope,
        first_seq=min(1, scan.row.last_seq),
        last_seq=scan.row.last_seq,
    )


# ---------------------------------------------------------------- under a sort


def key_of(value: Any, *, descending: bool) -> Key:
    """Return what a value is sorted by; of an array its first element."""
    first = next(scalars(value), None) if value.__class__ in (list, dict) else value
    if isinstance(first, str):
        return (1, first[:_LONGEST_KEY])
    if isinstance(first, bool):
        return (2, first)
    if isinstance(first, int | float) and first == first:  # NaN has no order
        return (0, first)
    return (-1 if descending else 3, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """Where a sorted listing stands: the last row given out, among the events `low` to `high`."""

    key: Key
    seq: int
    scope: Scope


@dataclass(slots=True, kw_only=True)
class Sorted:
    """Rows in order, beginning after some position; `ended` = there are no more behind them."""

    rows: list[Ranked]
    ended: bool
    scope: Scope
    last_seq: int


class Best:
    """Keeps the first `most` rows of an order, without keeping the others."""

    def __init__(self, most: int, *, descending: bool, after: Ranked | None) -> None:
        self._most = most
        self._descending = descending
        self._after = after
        self._worst: Ranked | None = None
        self._rows: list[Ranked] = []
        self.dropped = False

    def add(self, found: list[Ranked]) -> None:
        """Offer rows."""
        first, worst = self._after, self._worst
        if self._descending:
            if first is not None:
                found = [row for row in found if row < first]
            kept = found if worst is None else [row for row in found if row > worst]
        else:
            if first is not None:
                found = [row for row in found if row > first]
            kept = found if worst is None else [row for row in found if row < worst]
        self.dropped = self.dropped or len(kept) < len(found)
        self._rows += kept
        if len(self._rows) > 2 * self._most:
            self._cut()

    def _cut(self) -> None:
        self._rows.sort(reverse=self._descending)
        if len(self._rows) > self._most:
            del self._rows[self._most :]
            self.dropped = True
            self._worst = self._rows[-1]

    def rows(self) -> list[Ranked]:
        """Return the best rows, in order."""
        self._cut()
        return self._rows


class SortCache:
    """What recent sorts found, so that paging on walks the session once in a while only.

    Thread-safe. A sort is over a fixed range of seqs, so its rows never change.
    """

    def __init__(self) -> None:
        self._found: OrderedDict[str, Sorted] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, name: str, query: EventQuery, at: Position | None) -> Sorted | None:
        """Return remembered rows that begin right after `at`, if they are enough for a page."""
        with self._lock:
            found = self._found.get(name)
        if found is None or at is None:
            return None
        if (found.scope.from_seq, found.scope.to_seq) != (at.scope.from_seq, at.scope.to_seq):
            return None
        last: Ranked = (at.key, at.seq)
        place = _after(found.rows, last, descending=query.descending)
        if place is None:
            return None
        rows = found.rows[place:]
        if len(rows) <= query.limit and not found.ended:
            return None
        return replace(found, rows=rows)

    def put(self, name: str, found: Sorted) -> None:
        """Remember rows."""
        with self._lock:
            self._found[name] = found
            self._found.move_to_end(name)
            while len(self._found) > _REMEMBERED:
                self._found.popitem(last=False)


def _after(rows: Sequence[Ranked], last: Ranked, *, descending: bool) -> int | None:
    """Return the index behind `last`, None when it is not among the rows."""
    if descending:
        place = len(rows) - bisect_left(rows[::-1], last)
        return place if place and rows[place - 1] == last else None
    place = bisect_right(rows, last)
    return place if place and rows[place - 1] == last else None


def walk_sorted(scan: Scan, query: EventQuery, at: Position | None) -> Sorted:
    """Return the first rows of the order (after `at`) among the events the walk covers."""
    after = None if at is None else (at.key, at.seq)
    best = Best(max(KEPT, query.limit + 1), descending=query.descending, after=after)
    descending = query.descending
    beside = {"@seq": 0, "@time": 1}.get(query.sort, 4)
    for hits in scan.hits():
        best.add([(key_of(hit[beside], descending=descending), hit[0]) for hit in hits])
    rows, scope = best.rows(), scan.scope()
    if at is not None:  # over what the first page covered, perhaps not all that was asked about
        whole = scope.complete and at.scope.complete
        scope = replace(scope, complete=whole, total=at.scope.total)
    return Sorted(rows=rows, ended=not best.dropped, scope=scope, last_seq=scan.row.last_seq)


# ---------------------------------------------------------------- cursors


def signature(session: str, query: EventQuery) -> str:
    """Return a short text that two pages of one sorted listing have in common."""
    where = query.where
    parts = [session, where.filter, where.start, where.end, where.after, where.before]
    text = repr([*parts, query.sort, query.descending])
    return hashlib.blake2b(text.encode("utf-8", "backslashreplace"), digest_size=8).hexdigest()


def close_cursor(name: str, last: Ranked, scope: Scope) -> str:
    """Return the cursor after a page that ended with `last`."""
    key, seq = last
    covered = [scope.from_seq, scope.to_seq, scope.examined, scope.total, scope.complete]
    parts = [name, *key, seq, *covered]
    text = json.dumps(parts)
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def open_cursor(name: str, text: str) -> Position:
    """Return what a cursor says. Raises `InvalidQuery`."""
    try:
        parts = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        theirs, rank, value, *numbers, whole = parts
        seq, low, high, examined, total = numbers
    except (ValueError, TypeError, RecursionError):
        raise InvalidQuery("cursor", "is not one that igdash gave out") from None
    if theirs != name or not _sound(rank, value, numbers):
        raise InvalidQuery("cursor", "belongs to another query")
    scope = Scope(from_seq=low, to_seq=high, complete=whole is True, examined=examined, total=total)
    return Position(key=(rank, value), seq=seq, scope=scope)


def _sound(rank: object, value: object, numbers: Sequence[object]) -> bool:
    kinds: dict[object, Any] = {-1: int, 0: int | float, 1: str, 2: bool, 3: int}
    if type(rank) is not int or not isinstance(value, kinds.get(rank, ())):
        return False
    return all(type(n) is int and 0 <= n < 2**63 for n in numbers)


def within(where: Where, at: Position | None) -> Where:
    """Return the question limited to the events that a sorted listing began with."""
    if at is None:
        return where
    low, high = at.scope.from_seq - 1, at.scope.to_seq + 1
    after = low if where.after is None else max(where.after, low)
    before = high if where.before is None else min(where.before, high)
    return replace(where, after=after, before=before)
