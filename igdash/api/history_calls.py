"""Calls that read what a session stored."""

from __future__ import annotations

from igdash.api import requests as asked
from igdash.api import schemas as s
from igdash.api import shapes
from igdash.api.routes import Call, Route
from igdash.api.types import ns_of
from igdash.domain.errors import EventNotFound
from igdash.domain.queries import EventRange
from igdash.domain.sessions import SessionId
from igdash.services.web import WebServices


def _id(services: WebServices, call: Call) -> SessionId:
    return services.sessions.resolve(call.path["id"])


def _number(text: str, what: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        raise EventNotFound(f"no {what} {text[:40]!r}")
    return int(text)


def events(services: WebServices, call: Call) -> s.EventsOut:
    """Answer one page of events."""
    q: asked.EventsQuery = call.query
    wanted = EventRange(
        after=q.after, before=q.before, limit=q.limit, start=ns_of(q.start), end=ns_of(q.end)
    )
    page = services.history.page(_id(services, call), wanted)
    return s.EventsOut(
        events=[shapes.event(one) for one in page.events],
        first_seq=page.first_seq,
        last_seq=page.last_seq,
        next=page.next,
    )


def event(services: WebServices, call: Call) -> s.EventOut:
    """Answer one event."""
    seq = _number(call.path["seq"], "event")
    return shapes.event(services.history.event(_id(services, call), seq))


def merged(services: WebServices, call: Call) -> s.MergedOut:
    """Answer events of several sessions in time order."""
    q: asked.MergedQuery = call.query
    page = services.history.merged(
        [services.sessions.resolve(prefix) for prefix in q.session],
        start=ns_of(q.start),
        end=ns_of(q.end),
        limit=q.limit,
        cursor=q.cursor,
    )
    return s.MergedOut(
        events=[shapes.session_event(owner, one) for owner, one in page.events],
        next=page.next or None,
    )


def losses(services: WebServices, call: Call) -> s.LossesOut:
    """Answer the newest loss records."""
    found, total = services.history.losses(_id(services, call), limit=call.query.limit)
    return s.LossesOut(losses=[shapes.loss(one) for one in found], total=total)


def histogram(services: WebServices, call: Call) -> s.HistogramOut:
    """Answer events and losses per slice of time."""
    q: asked.WindowQuery = call.query
    bars = services.history.histogram(
        _id(services, call), start=ns_of(q.start), end=ns_of(q.end), buckets=q.buckets
    )
    return s.HistogramOut(buckets=[shapes.bucket(bar) for bar in bars])


def ticks(services: WebServices, call: Call) -> s.TicksOut:
    """Answer ticks, newest first."""
    q: asked.TicksQuery = call.query
    page = services.history.ticks(_id(services, call), before=q.before, limit=q.limit)
    return s.TicksOut(ticks=[shapes.tick(one) for one in page.ticks], total=page.total)


def tick(services: WebServices, call: Call) -> s.TickEventsOut:
    """Answer one tick with its rows."""
    number = _number(call.path["tick"], "tick")
    found, rows = services.history.tick(_id(services, call), number)
    return s.TickEventsOut(tick=shapes.tick(found), events=[shapes.event(row) for row in rows])


def logs(services: WebServices, call: Call) -> s.LogsOut:
    """Answer the session's log."""
    q: asked.AfterQuery = call.query
    found, total = services.history.logs(_id(services, call), after=q.after, limit=q.limit)
    return s.LogsOut(logs=[shapes.log(one) for one in found], total=total)


def malformed(services: WebServices, call: Call) -> s.MalformedListOut:
    """Answer the lines that could not be read."""
    q: asked.AfterQuery = call.query
    found, total = services.history.malformed(_id(services, call), after=q.after, limit=q.limit)
    return s.MalformedListOut(malformed=[shapes.malformed(one) for one in found], total=total)


def fields(services: WebServices, call: Call) -> s.FieldsOut:
    """Answer the fields of the session's gadget."""
    found = services.history.fields(_id(services, call))
    return s.FieldsOut(sources=[shapes.source(one) for one in found])


_ERRORS = (400, 404, 409, 503)

ROUTES = (
    Route(
        method="GET",
        path="/api/sessions/{id}/events",
        summary="Events in seq order, a page at a time",
        handler=events,
        query=asked.EventsQuery,
        response=s.EventsOut,
        errors=_ERRORS,
    ),
    Route(
        method="GET",
        path="/api/sessions/{id}/events/{seq}",
        summary="One event",
        handler=event,
        response=s.EventOut,
        errors=_ERRORS,
    ),
    Route(
        method="GET",
        path="/api/events",
        summary="Events of several sessions merged in time order",
        handler=merged,
        query=asked.MergedQuery,
        response=s.MergedOut,
        errors=_ERRORS,
    ),
    Route(
        method="GET",
        path="/api/sessions/{id}/losses",
        summary="What was lost: where, when, how many, why",
        handler=losses,
        query=asked.LimitQuery,
        response=s.LossesOut,
        errors=_ERRORS,
    ),
    Route(
        method="GET",
        path="/api/sessions/{id}/histogram",
        summary="Events and losses per equal slice of time",
        handler=histogram,
        query=asked.WindowQuery,
        response=s.HistogramOut,
        errors=_ERRORS,
    ),
    Route(
        method="GET",
        path="/api/sessions/{id}/ticks",
        summary="Ticks of an array gadget, newest first",
        handler=ticks,
        query=asked.TicksQuery,
        response=s.TicksOut,
        errors=_ERRORS,
    ),
    Route(
        method="GET",
        path="/api/sessions/{id}/ticks/{tick}",
        summary="The rows of one tick",
        handler=tick,
        response=s.TickEventsOut,
        errors=_ERRORS,
    ),
    Route(
        method="GET",
        path="/api/sessions/{id}/logs",
        summary="The session's log: after=0 gives the newest lines",
        handler=logs,
        query=asked.AfterQuery,
        response=s.LogsOut,
        errors=_ERRORS,
    ),
    Route(
        method="GET",
        path="/api/sessions/{id}/malformed",
        summary="Lines that were no events, kept as they came",
        handler=malformed,
        query=asked.AfterQuery,
        response=s.MalformedListOut,
        errors=_ERRORS,
    ),
    Route(
        method="GET",
        path="/api/sessions/{id}/fields",
        summary="The fields of the session's gadget",
        handler=fields,
        response=s.FieldsOut,
        errors=_ERRORS,
    ),
)
