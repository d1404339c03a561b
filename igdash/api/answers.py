"""From answers of the history to what goes over the wire."""

from __future__ import annotations

from igdash.api import answer_schemas as a
from igdash.api import schemas as s
from igdash.api import shapes
from igdash.domain.filter_complete import Completions, value_text
from igdash.domain.queries import (
    Counted,
    FieldStats,
    QueryPage,
    Scope,
    SplitHistogram,
    Top,
)
from igdash.services.merge import MergedPage


def scope(one: Scope) -> s.ScopeOut:
    """Return what an answer covers."""
    return s.ScopeOut(
        from_seq=one.from_seq,
        to_seq=one.to_seq,
        complete=one.complete,
        examined=one.examined,
        total=one.total,
    )


def page(one: QueryPage, next: int | str | None) -> s.EventsOut:
    """Return a page of events; `next` is what continues it."""
    return s.EventsOut(
        events=[shapes.event(each) for each in one.events],
        first_seq=one.first_seq,
        last_seq=one.last_seq,
        next=next,
        scope=scope(one.scope),
    )


def merged(one: MergedPage) -> s.MergedOut:
    """Return events of several sessions."""
    return s.MergedOut(
        events=[shapes.session_event(owner, each) for owner, each in one.events],
        next=one.next or None,
        complete=one.complete,
    )


def count(one: Counted) -> a.CountOut:
    """Return a count."""
    return a.CountOut(count=one.count, scope=scope(one.scope))


def histogram(one: SplitHistogram, *, split: bool) -> s.HistogramOut:
    """Return bars, with their parts when `split`."""
    return s.HistogramOut(
        buckets=[shapes.bucket(bar, dict(bar.split) if split else None) for bar in one.buckets],
        values=list(one.values) if split else None,
        scope=scope(one.scope),
    )


def top(name: str, one: Top) -> a.TopOut:
    """Return the most frequent values of the field `name`."""
    return a.TopOut(
        field=name,
        path=one.path,
        values=[
            a.ValueOut(value=each.value.value, count=each.count, text=value_text(each.value.value))
            for each in one.values
        ],
        count=one.count,
        distinct=one.distinct,
        other=one.other,
        missing=one.missing,
        exact=one.exact,
        scope=scope(one.scope),
    )


def stats(name: str, one: FieldStats) -> a.StatsOfOut:
    """Return the quantiles of the field `name`."""
    return a.StatsOfOut(
        field=name,
        path=one.path,
        count=one.count,
        numbers=one.numbers,
        quantiles=[a.QuantileOut(at=at, value=value) for at, value in one.quantiles],
        mean=one.mean,
        exact=one.exact,
        scope=scope(one.scope),
    )


def completions(one: Completions) -> a.CompletionsOut:
    """Return what may stand at the cursor."""
    return a.CompletionsOut(
        start=one.start,
        end=one.end,
        items=[
            a.CompletionOut(insert=each.insert, kind=each.kind, detail=each.detail)
            for each in one.items
        ],
    )
