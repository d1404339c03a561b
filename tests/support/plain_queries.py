"""The `QueryReader` port in the plainest way: all events of the session, one after the other."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from typing import Any

from igdash.domain.errors import InvalidQuery, QueryCancelled
from igdash.domain.events import Event
from igdash.domain.filter_match import finder, matcher, scalars
from igdash.domain.filters import Filter, Value, ValueKind
from igdash.domain.ports import EventReader
from igdash.domain.queries import (
    Budget,
    Counted,
    EventQuery,
    EventRange,
    FieldStats,
    QueryPage,
    Scope,
    SplitBucket,
    SplitHistogram,
    Top,
    TopValue,
    Where,
)
from igdash.domain.sessions import SessionId
from igdash.services.queries import Here, Queries
from igdash.services.query_asks import Answerer

QUANTILES = (0, 0.25, 0.5, 0.75, 0.9, 0.99, 1)


def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """Stand in for the store's linear-time expressions."""
    found = re.compile(pattern)
    return lambda text: found.search(text) is not None


class PlainQueries:
    """Questions over any `EventReader`. `most` makes every answer cover that many events only, as
    if time were up then."""

    def __init__(self, events: EventReader, most: int | None = None) -> None:
        self._events = events
        self.most = most

    def _all(self, session: SessionId, where: Where, newest: bool) -> tuple[list[Event], Scope]:
        stored = [e for block in self._events.stream(session, EventRange()) for e in block]
        asked = [e for e in stored if _inside(e, where)]
        seen = asked if self.most is None else asked[-self.most :] if newest else asked[: self.most]
        scope = Scope(
            from_seq=seen[0].seq if seen else 1,
            to_seq=seen[-1].seq if seen else 0,
            complete=len(seen) == len(asked),
            examined=len(seen),
            total=len(asked),
        )
        return [e for e in seen if where.filter is None or self.matcher(where.filter)(e)], scope

    def page(self, session: SessionId, query: EventQuery, budget: Budget) -> QueryPage:
        if budget.cancelled():
            raise QueryCancelled
        where = query.where
        if query.cursor and not query.cursor.isdigit():
            raise InvalidQuery("cursor", "is not a cursor of this question")
        skip = int(query.cursor or 0) if query.sort else 0
        if query.cursor and not query.sort:
            edge = {"before" if query.newest else "after": int(query.cursor)}
            where = Where(
                filter=where.filter, start=where.start, end=where.end,
                after=edge.get("after", where.after), before=edge.get("before", where.before),
            )  # fmt: skip
        found, scope = self._all(session, where, query.newest or bool(query.sort))
        if query.sort:
            found = _sorted(found, query)[skip:]
        elif query.newest:
            found.reverse()
        shown = found[: query.limit]
        more = len(found) > query.limit
        following = ""
        if query.sort:
            following = str(skip + query.limit) if more else ""
        elif more or not scope.complete:
            stopped = scope.from_seq if query.newest else scope.to_seq
            following = str(shown[-1].seq if more else stopped)
        if query.newest and not query.sort:
            shown.reverse()
        last = max(
            (e.seq for b in self._events.stream(session, EventRange()) for e in b), default=0
        )
        return QueryPage(
            events=tuple(shown),
            next=following,
            scope=scope,
            first_seq=min(1, last),
            last_seq=last,
        )

    def stream(self, session: SessionId, where: Where, budget: Budget) -> Iterator[Sequence[Event]]:
        yield self._all(session, where, False)[0]

    def neighbours(
        self, session: SessionId, seq: int, where: Where, limit: int, budget: Budget
    ) -> QueryPage:
        if budget.cancelled():
            raise QueryCancelled
        middle = self._events.get(session, seq)
        found, scope = self._all(session, where, False)
        below = [e for e in found if e.seq < seq][-limit:]
        above = [e for e in found if e.seq > seq][:limit]
        return QueryPage(
            events=(*below, middle, *above),
            next="",
            scope=scope,
            first_seq=1,
            last_seq=scope.to_seq,
        )

    def at_time(self, session: SessionId, ts: int) -> int | None:
        found, _ = self._all(session, Where(), False)
        return next((e.seq for e in found if e.ts >= ts), None)

    def count(self, session: SessionId, where: Where, budget: Budget) -> Counted:
        found, scope = self._all(session, where, True)
        budget.progress(scope)
        if budget.cancelled():
            raise QueryCancelled
        return Counted(count=len(found), scope=scope)

    def histogram(
        self, session: SessionId, where: Where, *, buckets: int, split: str, budget: Budget
    ) -> SplitHistogram:
        found, scope = self._all(session, where, True)
        low = where.start if where.start is not None else min((e.ts for e in found), default=0)
        high = where.end if where.end is not None else max((e.ts for e in found), default=0) + 1
        edges = [low + (high - low) * n // buckets for n in range(buckets + 1)]
        values = Counter(str(v) for e in found for v in _values(e, split)) if split else Counter()
        top = tuple(value for value, _ in values.most_common(6))
        bars = [[e for e in found if one <= e.ts < two] for one, two in pairwise(edges)]
        return SplitHistogram(
            buckets=tuple(
                SplitBucket(
                    start=edges[n],
                    end=edges[n + 1],
                    events=len(bar),
                    lost=0,
                    split=dict(
                        Counter(str(v) for e in bar for v in _values(e, split) if str(v) in top)
                    )
                    if split
                    else {},
                )
                for n, bar in enumerate(bars)
            ),
            values=top,
            scope=scope,
        )

    def top(
        self, session: SessionId, path: str, where: Where, *, limit: int, budget: Budget
    ) -> Top:
        found, scope = self._all(session, where, True)
        counts = Counter(v for e in found for v in _values(e, path))
        order = sorted(counts.items(), key=lambda one: (-one[1], str(one[0])))
        return Top(
            path=path,
            values=tuple(TopValue(value=_value(v), count=n) for v, n in order[:limit]),
            count=len(found),
            distinct=len(order),
            other=sum(n for _, n in order[limit:]),
            missing=sum(not _values(e, path) for e in found),
            exact=True,
            scope=scope,
        )

    def stats(self, session: SessionId, path: str, where: Where, budget: Budget) -> FieldStats:
        found, scope = self._all(session, where, True)
        numbers = sorted(v for e in found for v in _values(e, path) if type(v) in (int, float))
        return FieldStats(
            path=path,
            count=len(found),
            numbers=len(numbers),
            quantiles=tuple(
                (q, numbers[int(q * (len(numbers) - 1))]) for q in QUANTILES if numbers
            ),
            mean=sum(numbers) / len(numbers) if numbers else None,
            exact=True,
            scope=scope,
        )

    def matcher(self, filter: Filter) -> Callable[[Event], bool]:
        return matcher(filter, compile_pattern)

    def pattern_problem(self, pattern: str) -> str:
        try:
            re.compile(pattern)
        except re.error as error:
            return str(error)
        return ""


def queries_over(store: Any, most: int | None = None) -> Queries:
    """Return the service over a store that is all readers at once."""
    plain = PlainQueries(store, most)
    here = Here(answerer=Answerer(sessions=store, queries=plain))
    return Queries(sessions=store, reader=plain, backend=here)


def _inside(event: Event, where: Where) -> bool:
    return (
        (where.after is None or event.seq > where.after)
        and (where.before is None or event.seq < where.before)
        and (where.start is None or event.ts >= where.start)
        and (where.end is None or event.ts < where.end)
    )


def _values(event: Event, path: str) -> set[Any]:
    special = {"@node": event.node, "@source": event.source, "@seq": event.seq, "@time": event.ts}
    value = special[path] if path in special else finder(path)(json.loads(event.data))
    return set(scalars(value)) if value is not None else set()


def _value(value: Any) -> Value:
    kind = {bool: ValueKind.BOOL, str: ValueKind.TEXT}.get(type(value), ValueKind.NUMBER)
    return Value(kind=kind, value=value)


def _sorted(found: list[Event], query: EventQuery) -> list[Event]:
    def key(event: Event) -> Any:
        values = sorted(_values(event, query.sort), key=repr)
        number = isinstance(values[0], int | float) if values else False
        return (number, values[0] if number else str(values[0])) if values else None

    have = [e for e in found if key(e) is not None]
    lack = [e for e in found if key(e) is None]
    for part in (have, lack):
        part.sort(key=lambda e: e.seq, reverse=query.descending)
    have.sort(key=key, reverse=query.descending)
    return have + lack
