"""Calls that ask the history: pages, counts, histograms, values, with a filter or without.

A question without filter, sort or split is answered by the web process itself, in a millisecond
or so. All others go through `services.queries`, which stops when the client has left.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any, cast

import msgspec
from flask import Response
from msgspec.structs import replace

from igdash.api import answer_schemas as a
from igdash.api import answers, shapes
from igdash.api import requests as asked
from igdash.api import schemas as s
from igdash.api.gone import client_gone
from igdash.api.paths import number_of, session_of
from igdash.api.problems import as_problem
from igdash.api.routes import Call, Route
from igdash.api.types import ns_of
from igdash.domain.errors import IgdashError, InvalidQuery, NotFound, QueryBusy
from igdash.domain.events import Event, Tick
from igdash.domain.filter_text import to_text
from igdash.domain.filters import And, FilterError
from igdash.domain.queries import MAX_LIMIT, EventRange, QueryPage, Scope
from igdash.domain.sessions import SessionId
from igdash.services.queries import Reply, looked_until
from igdash.services.query_asks import (
    Ask,
    AskCount,
    AskHistogram,
    AskMerged,
    AskNeighbours,
    AskPage,
    AskStats,
    AskTop,
)
from igdash.services.web import WebServices

Shape = Callable[[Any], msgspec.Struct]


def _answer(
    services: WebServices, query: asked.Question, ask: Ask, shape: Shape
) -> msgspec.Struct | Response:
    """Ask, and answer in the shape wanted: at once, or as lines of progress and the answer."""
    replies = services.queries.ask(ask, client_gone())
    if not query.progress:
        *_, last = replies
        return shape(last)
    first = next(replies)  # what is wrong at once has a status of its own
    return Response(_lines(first, replies, shape), content_type="application/x-ndjson")


def _lines(first: Reply, rest: Iterator[Reply], shape: Shape) -> Iterator[bytes]:
    """Yield what is said as JSON lines. Closed by the server when the client has left; then the
    work ends."""
    with closing(cast("Any", rest)):
        try:
            yield _line(first, shape)
            for reply in rest:
                yield _line(reply, shape)
        except IgdashError as error:
            yield msgspec.json.encode({"error": as_problem(error)}) + b"\n"


def _line(reply: Reply, shape: Shape) -> bytes:
    if isinstance(reply, Scope):
        return msgspec.json.encode({"scope": answers.scope(reply)}) + b"\n"
    return msgspec.json.encode({"answer": shape(reply)}) + b"\n"


def _where(q: asked.RangeQuestion | asked.EventsQuery, session: SessionId) -> dict[str, Any]:
    return {
        "session": session,
        "filter": q.filter,
        "start": ns_of(q.start),
        "end": ns_of(q.end),
        "after": q.after,
        "before": q.before,
        "seconds": q.budget_ms / 1_000,
    }


def _field(services: WebServices, call: Call, session: SessionId, *, number: bool) -> str:
    """Return the path of the field that the URL names. Raises `NotFound`."""
    find = services.queries.number_path if number else services.queries.value_path
    try:
        return find("name", call.path["name"], session)
    except InvalidQuery as error:
        raise NotFound(error.why) from error


def _sort(services: WebServices, session: SessionId, sort: str) -> str:
    """Return the path that `sort` names, "" for none. Raises `InvalidQuery`."""
    name = sort.removeprefix("-")
    return services.queries.number_path("sort", name, session) if name else ""


# ---------------------------------------------------------------- events


def events(services: WebServices, call: Call) -> msgspec.Struct | Response:
    """Answer one page of events."""
    q: asked.EventsQuery = call.query
    session = session_of(services, call)
    if not (q.filter.strip() or q.sort or q.cursor or q.newest or q.progress):
        return _plain_page(services, session, q)
    if q.after is not None and q.before is not None:
        raise InvalidQuery("before", "give after or before, not both")
    ask = AskPage(
        **_where(q, session),
        newest=q.newest or q.before is not None,
        sort=_sort(services, session, q.sort),
        descending=q.sort.startswith("-"),
        limit=q.limit,
        cursor=q.cursor,
    )
    return _answer(services, q, ask, lambda page: answers.page(page, _next(page, ask)))


def _plain_page(services: WebServices, session: SessionId, q: asked.EventsQuery) -> s.EventsOut:
    wanted = EventRange(
        after=q.after, before=q.before, limit=q.limit, start=ns_of(q.start), end=ns_of(q.end)
    )
    page = services.history.page(session, wanted)
    return s.EventsOut(
        events=[shapes.event(one) for one in page.events],
        first_seq=page.first_seq,
        last_seq=page.last_seq,
        next=page.next,
    )


def _next(page: QueryPage, ask: AskPage) -> int | str | None:
    """Return what continues a page: in seq order the seq where it ended or where looking stopped."""
    if not page.next:
        return None
    if ask.sort:
        return page.next
    if ask.newest:
        full = len(page.events) == ask.limit
        return page.events[0].seq if full else page.scope.from_seq
    return looked_until(ask, page)


def merged(services: WebServices, call: Call) -> msgspec.Struct | Response:
    """Answer events of several sessions in time order."""
    q: asked.MergedQuery = call.query
    sessions = [services.sessions.resolve(prefix) for prefix in q.session]
    if q.filter.strip() or q.progress:
        ask = AskMerged(
            sessions=tuple(sorted(set(sessions))),
            filter=q.filter,
            start=ns_of(q.start),
            end=ns_of(q.end),
            limit=q.limit,
            cursor=q.cursor,
            seconds=q.budget_ms / 1_000,
        )
        return _answer(services, q, ask, answers.merged)
    page = services.history.merged(
        sessions, start=ns_of(q.start), end=ns_of(q.end), limit=q.limit, cursor=q.cursor
    )
    return answers.merged(page)


def neighbours(services: WebServices, call: Call) -> msgspec.Struct | Response:
    """Answer the events around one."""
    q: asked.NeighboursQuery = call.query
    seq = number_of(call.path["seq"], "event")
    ask = AskNeighbours(session=session_of(services, call), filter=q.filter, seq=seq, limit=q.limit)
    return answers.page(cast("QueryPage", services.queries.answer(ask, client_gone())), None)


def tick(services: WebServices, call: Call) -> s.TickEventsOut:
    """Answer one tick with its rows, or those that match, or the first of an order."""
    q: asked.TickQuery = call.query
    session = session_of(services, call)
    found, rows = services.history.tick(session, number_of(call.path["tick"], "tick"))
    if q.filter.strip() or q.sort:
        rows = _picked(services, session, found, q)
    rows = rows[: q.limit]
    return s.TickEventsOut(tick=shapes.tick(found), events=[shapes.event(row) for row in rows])


def _picked(
    services: WebServices, session: SessionId, tick: Tick, q: asked.TickQuery
) -> tuple[Event, ...]:
    """Return the rows of a tick that match, page by page: an answer that ended early would pass for
    the whole tick. Raises `QueryBusy` when even so time was up."""
    ask = AskPage(
        session=session,
        filter=q.filter,
        after=tick.first_seq - 1,
        before=tick.first_seq + tick.events,
        sort=_sort(services, session, q.sort),
        descending=q.sort.startswith("-"),
        limit=q.limit or MAX_LIMIT,
    )
    rows: list[Event] = []
    while True:
        page = cast("QueryPage", services.queries.answer(ask, client_gone()))
        rows += page.events
        if not page.scope.complete and (ask.sort or not page.next):
            raise QueryBusy("not all of the tick could be looked at in time; try again")
        if not page.next or len(rows) >= (q.limit or tick.events):
            return tuple(rows)
        ask = replace(ask, cursor=page.next)


def seq(services: WebServices, call: Call) -> a.SeqOut:
    """Answer where a moment is in the session."""
    q: asked.SeqQuery = call.query
    return a.SeqOut(seq=services.queries.at_time(session_of(services, call), q.time.ns))


# ---------------------------------------------------------------- figures


def count(services: WebServices, call: Call) -> msgspec.Struct | Response:
    """Answer how many events match."""
    q: asked.RangeQuestion = call.query
    ask = AskCount(**_where(q, session_of(services, call)))
    return _answer(services, q, ask, answers.count)


def histogram(services: WebServices, call: Call) -> msgspec.Struct | Response:
    """Answer events and losses per slice of time."""
    q: asked.HistogramQuery = call.query
    session = session_of(services, call)
    everything = not q.after and q.before is None
    if everything and not (q.filter.strip() or q.split or q.progress):
        bars = services.history.histogram(
            session, start=ns_of(q.start), end=ns_of(q.end), buckets=q.buckets
        )
        return s.HistogramOut(buckets=[shapes.bucket(bar) for bar in bars])
    split = services.queries.value_path("split", q.split, session) if q.split else ""
    ask = AskHistogram(**_where(q, session), buckets=q.buckets, split=split)
    return _answer(services, q, ask, lambda found: answers.histogram(found, split=bool(split)))


def top(services: WebServices, call: Call) -> msgspec.Struct | Response:
    """Answer the most frequent values of a field."""
    q: asked.TopQuery = call.query
    session = session_of(services, call)
    path = _field(services, call, session, number=False)
    ask = AskTop(**_where(q, session), path=path, limit=q.n)
    return _answer(services, q, ask, lambda found: answers.top(call.path["name"], found))


def stats(services: WebServices, call: Call) -> msgspec.Struct | Response:
    """Answer the quantiles of a field's numbers."""
    q: asked.RangeQuestion = call.query
    session = session_of(services, call)
    path = _field(services, call, session, number=True)
    ask = AskStats(**_where(q, session), path=path)
    return _answer(services, q, ask, lambda found: answers.stats(call.path["name"], found))


# ---------------------------------------------------------------- the filter itself


def complete(services: WebServices, call: Call) -> a.CompletionsOut:
    """Answer what may stand at the cursor."""
    q: asked.CompleteQuery = call.query
    cursor = len(q.text) if q.cursor is None else min(q.cursor, len(q.text))
    session = session_of(services, call)
    return answers.completions(services.queries.complete(session, q.text, cursor, client_gone()))


def read_filter(services: WebServices, call: Call) -> a.FilterOut:
    """Answer a filter as igdash writes it, with its parts."""
    q: asked.FilterQuery = call.query
    session = session_of(services, call)
    try:
        found = services.queries.filter(q.text, session)
    except FilterError as error:
        if not q.refused:
            raise
        return a.FilterOut(filter="", parts=[], error=as_problem(error))
    if found is None:
        return a.FilterOut(filter="", parts=[])
    parts = found.parts if isinstance(found, And) else (found,)
    return a.FilterOut(
        filter=to_text(found),
        parts=[a.FilterPartOut(start=p.at[0], end=p.at[1], text=to_text(p)) for p in parts],
    )


_ERRORS = (400, 404, 409, 503)
_MEDIA = ("application/json", "application/x-ndjson")


def _route(path: str, summary: str, handler: Any, query: Any, response: Any) -> Route:
    streams = issubclass(query, asked.Question)
    return Route(
        method="GET",
        path=path,
        summary=summary,
        handler=handler,
        query=query,
        response=response,
        media=_MEDIA if streams else _MEDIA[:1],
        errors=_ERRORS,
    )


_SESSION = "/api/sessions/{id}"
ROUTES = (
    _route(
        f"{_SESSION}/events",
        "Events in seq order or sorted by a field, a page at a time",
        events,
        asked.EventsQuery,
        s.EventsOut,
    ),
    _route(
        f"{_SESSION}/events/{{seq}}/neighbours",
        "The events around one that match",
        neighbours,
        asked.NeighboursQuery,
        s.EventsOut,
    ),
    _route(
        "/api/events",
        "Events of several sessions merged in time order",
        merged,
        asked.MergedQuery,
        s.MergedOut,
    ),
    _route(f"{_SESSION}/count", "How many events match", count, asked.RangeQuestion, a.CountOut),
    _route(
        f"{_SESSION}/histogram",
        "Events and losses per equal slice of time",
        histogram,
        asked.HistogramQuery,
        s.HistogramOut,
    ),
    _route(
        f"{_SESSION}/fields/{{name}}/top",
        "The most frequent values of a field",
        top,
        asked.TopQuery,
        a.TopOut,
    ),
    _route(
        f"{_SESSION}/fields/{{name}}/stats",
        "Quantiles of a field's numbers",
        stats,
        asked.RangeQuestion,
        a.StatsOfOut,
    ),
    _route(
        f"{_SESSION}/seq",
        "Where a moment is: the first event at that time or later",
        seq,
        asked.SeqQuery,
        a.SeqOut,
    ),
    _route(
        f"{_SESSION}/ticks/{{tick}}",
        "The rows of one tick, or those that match, or the first of an order",
        tick,
        asked.TickQuery,
        s.TickEventsOut,
    ),
    _route(
        f"{_SESSION}/complete",
        "What may come next in a filter being typed",
        complete,
        asked.CompleteQuery,
        a.CompletionsOut,
    ),
    _route(
        f"{_SESSION}/filter",
        "A filter as igdash reads it; 400, or with refused=true 200, says where it is wrong",
        read_filter,
        asked.FilterQuery,
        a.FilterOut,
    ),
)
