"""Calls that read single things and records of a session; questions are in `query_calls`."""

from __future__ import annotations

from igdash.api import requests as asked
from igdash.api import schemas as s
from igdash.api import shapes
from igdash.api.paths import number_of, session_of
from igdash.api.routes import Call, Route
from igdash.services.web import WebServices


def event(services: WebServices, call: Call) -> s.EventOut:
    """Answer one event."""
    seq = number_of(call.path["seq"], "event")
    return shapes.event(services.history.event(session_of(services, call), seq))


def losses(services: WebServices, call: Call) -> s.LossesOut:
    """Answer the newest loss records."""
    found, total = services.history.losses(session_of(services, call), limit=call.query.limit)
    return s.LossesOut(losses=[shapes.loss(one) for one in found], total=total)


def ticks(services: WebServices, call: Call) -> s.TicksOut:
    """Answer ticks, newest first."""
    q: asked.TicksQuery = call.query
    page = services.history.ticks(session_of(services, call), before=q.before, limit=q.limit)
    return s.TicksOut(ticks=[shapes.tick(one) for one in page.ticks], total=page.total)


def logs(services: WebServices, call: Call) -> s.LogsOut:
    """Answer the session's log."""
    q: asked.AfterQuery = call.query
    found, total = services.history.logs(session_of(services, call), after=q.after, limit=q.limit)
    return s.LogsOut(logs=[shapes.log(one) for one in found], total=total)


def malformed(services: WebServices, call: Call) -> s.MalformedListOut:
    """Answer the lines that could not be read."""
    q: asked.AfterQuery = call.query
    found, total = services.history.malformed(
        session_of(services, call), after=q.after, limit=q.limit
    )
    return s.MalformedListOut(malformed=[shapes.malformed(one) for one in found], total=total)


def fields(services: WebServices, call: Call) -> s.FieldsOut:
    """Answer the fields of the session's gadget."""
    found = services.history.fields(session_of(services, call))
    services.queries.warm()
    return s.FieldsOut(sources=[shapes.source(one) for one in found])


_ERRORS = (400, 404, 409, 503)

ROUTES = (
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
        path="/api/sessions/{id}/losses",
        summary="What was lost: where, when, how many, why",
        handler=losses,
        query=asked.LimitQuery,
        response=s.LossesOut,
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
