"""Questions to the history as values that can be sent to another process, and who answers them.

A question carries its filter as text: both sides read it with the fields of the session, so the
tree itself never travels. The same `Answerer` works in a query worker, in the command line and in
tests.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeAlias, TypeVar

import msgspec

from igdash.domain.filter_text import parse
from igdash.domain.filters import Filter, Value
from igdash.domain.gadgets import DataSource, Field
from igdash.domain.ports import QueryReader, SessionReader
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
from igdash.services.merge import MergedPage, MergeWanted, merged_matches

T = TypeVar("T")
SECONDS: Final = 1.5
"""How long a question may take unless its asker says so."""


class Asked(msgspec.Struct, kw_only=True, frozen=True, tag=True):
    """Which events of one session: see `domain.queries.Where`; "" = no filter."""

    session: SessionId
    filter: str = ""
    start: int | None = None
    end: int | None = None
    after: int | None = None
    before: int | None = None
    seconds: float = SECONDS


class AskPage(Asked, kw_only=True, frozen=True, tag=True):
    """For a page of events: a `QueryPage`. `sort` is a path."""

    newest: bool = False
    sort: str = ""
    descending: bool = False
    limit: int = 100
    cursor: str = ""


class AskNeighbours(Asked, kw_only=True, frozen=True, tag=True):
    """For the events around one: a `QueryPage`."""

    seq: int
    limit: int


class AskCount(Asked, kw_only=True, frozen=True, tag=True):
    """For how many: `Counted`."""


class AskHistogram(Asked, kw_only=True, frozen=True, tag=True):
    """For bars over time: a `SplitHistogram`. `split` is a path."""

    buckets: int
    split: str = ""


class AskTop(Asked, kw_only=True, frozen=True, tag=True):
    """For the most frequent values at a path: a `Top`."""

    path: str
    limit: int


class AskStats(Asked, kw_only=True, frozen=True, tag=True):
    """For the numbers at a path: `FieldStats`."""

    path: str


class AskMerged(msgspec.Struct, kw_only=True, frozen=True, tag=True):
    """For the events of several sessions in time order: a `MergedPage`."""

    sessions: tuple[SessionId, ...]
    filter: str
    start: int | None = None
    end: int | None = None
    limit: int = 100
    cursor: str = ""
    seconds: float = SECONDS


Ask: TypeAlias = AskPage | AskNeighbours | AskCount | AskHistogram | AskTop | AskStats | AskMerged
Answer: TypeAlias = QueryPage | Counted | SplitHistogram | Top | FieldStats | MergedPage

ANSWERS: Final[dict[type[Any], type[Any]]] = {
    AskPage: QueryPage,
    AskNeighbours: QueryPage,
    AskCount: Counted,
    AskHistogram: SplitHistogram,
    AskTop: Top,
    AskStats: FieldStats,
    AskMerged: MergedPage,
}
"""What each question is answered with."""


def fields_of(sources: Sequence[DataSource]) -> tuple[Field, ...]:
    """Return the fields of all data sources: what a filter may name."""
    return tuple(one for source in sources for one in source.fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answerer:
    """Answers questions from the store. Thread-safe."""

    sessions: SessionReader
    queries: QueryReader

    def filter(self, text: str, sessions: Sequence[SessionId]) -> Filter | None:
        """Return the filter a text says, read with the fields of all these sessions.

        Raises `FilterError`, `SessionNotFound`.
        """
        if not text.strip():
            return None
        fields = [one for each in sessions for one in fields_of(self.sessions.schema(each))]
        return parse(text, fields, self.queries.pattern_problem)

    def answer(
        self, ask: Ask, cancelled: Callable[[], bool], progress: Callable[[Scope], None]
    ) -> Answer:
        """Return the answer. Raises as `QueryReader` does, and `FilterError`."""
        budget = Budget(seconds=ask.seconds, cancelled=cancelled, progress=progress)
        if isinstance(ask, AskMerged):
            return self._merged(ask, budget)
        where = Where(
            filter=self.filter(ask.filter, [ask.session]),
            start=ask.start,
            end=ask.end,
            after=ask.after,
            before=ask.before,
        )
        return self._one(ask, where, budget)

    def _one(self, ask: Asked, where: Where, budget: Budget) -> Answer:
        if isinstance(ask, AskCount):
            return self.queries.count(ask.session, where, budget)
        if isinstance(ask, AskHistogram):
            return _clean_bars(
                self.queries.histogram(
                    ask.session, where, buckets=ask.buckets, split=ask.split, budget=budget
                )
            )
        if isinstance(ask, AskTop):
            return _clean_top(
                self.queries.top(ask.session, ask.path, where, limit=ask.limit, budget=budget)
            )
        if isinstance(ask, AskStats):
            return _clean_stats(self.queries.stats(ask.session, ask.path, where, budget))
        if isinstance(ask, AskNeighbours):
            return self.queries.neighbours(ask.session, ask.seq, where, ask.limit, budget)
        return self.queries.page(ask.session, _query(ask, where), budget)

    def _merged(self, ask: AskMerged, budget: Budget) -> MergedPage:
        wanted = MergeWanted(
            sessions=ask.sessions,
            start=ask.start,
            end=ask.end,
            limit=ask.limit,
            cursor=ask.cursor,
        )
        found = self.filter(ask.filter, ask.sessions)
        return merged_matches(self.sessions, self.queries, wanted, found, budget)


def _query(ask: Asked, where: Where) -> EventQuery:
    assert isinstance(ask, AskPage)
    return EventQuery(
        where=where,
        newest=ask.newest,
        sort=ask.sort,
        descending=ask.descending,
        limit=ask.limit,
        cursor=ask.cursor,
    )


# ---------------------------------------------------------------- what JSON and UTF-8 cannot say


def _sayable(text: str) -> str:
    """Return `text` with unpaired surrogates (`"\\ud800"` is JSON, but no UTF-8) replaced."""
    return (
        text
        if text.isascii()
        else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    )


def _finite(number: T) -> T:
    """Return the number; an infinity (`1e400` is JSON) as the greatest number there is."""
    if isinstance(number, float) and math.isinf(number):
        return math.copysign(sys.float_info.max, number)  # type: ignore[return-value]
    return number


def _clean_top(top: Top) -> Top:
    return replace(
        top,
        values=tuple(replace(one, value=_clean_value(one.value)) for one in top.values),
    )


def _clean_value(value: Value) -> Value:
    inner = value.value
    return replace(value, value=_sayable(inner) if isinstance(inner, str) else _finite(inner))


def _clean_stats(stats: FieldStats) -> FieldStats:
    quantiles = tuple((at, _finite(number)) for at, number in stats.quantiles)
    return replace(stats, quantiles=quantiles, mean=_finite(stats.mean))


def _clean_bars(found: SplitHistogram) -> SplitHistogram:
    if all(map(str.isascii, found.values)):
        return found
    return replace(
        found,
        values=tuple(map(_sayable, found.values)),
        buckets=tuple(
            replace(bar, split={_sayable(key): n for key, n in bar.split.items()})
            for bar in found.buckets
        ),
    )
