"""Calls about sessions as such: list, start, stop, restart, delete, check."""

from __future__ import annotations

from flask import Response

from igdash.api import requests as asked
from igdash.api import schemas as s
from igdash.api import shapes
from igdash.api.routes import Call, Route
from igdash.api.validate import Invalid
from igdash.domain.errors import InvalidSpec
from igdash.domain.queries import SessionQuery, SessionSort
from igdash.domain.sessions import Session, SessionSpec, SessionState, StopAfter, Target
from igdash.services.web import WebServices


def _states(names: list[str], problems: dict[str, str]) -> tuple[SessionState, ...]:
    wanted = [part for name in names for part in name.split(",") if part]
    known = [state.value for state in SessionState]
    if any(name not in known for name in wanted):
        problems["state"] = f"must be one of {', '.join(known)}"
        return ()
    return tuple(SessionState(name) for name in wanted)


def _sort(text: str, problems: dict[str, str]) -> SessionSort:
    try:
        return SessionSort(text.removeprefix("-"))
    except ValueError:
        known = ", ".join(sort.value for sort in SessionSort)
        problems["sort"] = f"must be one of {known}, with - before it for descending"
        return SessionSort.STARTED


def _shape(services: WebServices, session: Session) -> s.SessionOut:
    return shapes.session(session, services.gadgets.title(session.spec.gadget))


def list_sessions(services: WebServices, call: Call) -> s.SessionsOut:
    """Answer one page of sessions."""
    q: asked.SessionsQuery = call.query
    problems: dict[str, str] = {}
    query = SessionQuery(
        states=_states(q.state, problems),
        gadget=q.gadget,
        namespace=q.namespace,
        environment=q.environment,
        text=q.q,
        sort=_sort(q.sort, problems),
        descending=q.sort.startswith("-"),
        limit=q.limit,
        cursor=q.cursor,
        offset=q.offset,
    )
    if q.cursor and q.offset:
        problems["offset"] = "give cursor or offset, not both"
    if problems:
        raise Invalid("query", problems)
    page = services.sessions.list(query)
    sparks = services.sessions.sparks(page.sessions, q.spark) if q.spark else {}
    return s.SessionsOut(
        sessions=[
            shapes.session(
                one,
                services.gadgets.title(one.spec.gadget),
                sparks.get(one.id, [0] * q.spark) if q.spark else None,
            )
            for one in page.sessions
        ],
        next=page.next or None,
        total=page.total,
    )


def _text(value: str | bool | int | float) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _spec(body: asked.SessionIn) -> SessionSpec:
    target, stop = body.target, body.stop_after or asked.StopAfterIn()
    return SessionSpec(
        gadget=body.gadget,
        environment=body.environment,
        name=body.name,
        target=Target(
            namespace=target.namespace,
            pod=target.pod,
            container=target.container,
            node=target.node,
            selector=target.selector,
        ),
        params={key: _text(value) for key, value in body.params.items()},
        stop_after=StopAfter(seconds=stop.seconds, events=stop.events),
        headless=body.headless,
        instance=body.instance,
    )


def _created(services: WebServices, session: Session) -> s.SessionOut:
    return _shape(services, session)


def start_session(services: WebServices, call: Call) -> s.SessionOut:
    """Start a session, unless something about it is wrong."""
    spec = _spec(call.body)
    problems = services.starts.check(spec).problems
    if problems:
        raise InvalidSpec(problems)
    return _created(services, services.sessions.start(spec))


def check_session(services: WebServices, call: Call) -> s.CheckOut:
    """Answer what is wrong with a spec, and the command lines that do the same."""
    found = services.starts.check(_spec(call.body))
    return s.CheckOut(
        problems=dict(found.problems),
        commands=[s.CommandOut(label=label, text=text) for label, text in found.commands],
    )


def get_session(services: WebServices, call: Call) -> s.SessionOut:
    """Answer one session with each of its nodes."""
    session = services.sessions.get(call.path["id"])
    title = services.gadgets.title(session.spec.gadget)
    return shapes.session(session, title, coverage=services.sessions.coverage(session.id))


def stop_session(services: WebServices, call: Call) -> s.SessionOut:
    """Begin a graceful stop."""
    q: asked.StopQuery = call.query
    return _shape(services, services.sessions.stop(call.path["id"], keep=q.keep))


def restart_session(services: WebServices, call: Call) -> s.SessionOut:
    """Start a new session with the same spec."""
    return _created(services, services.sessions.restart(call.path["id"]))


def delete_session(services: WebServices, call: Call) -> s.DeletedOut:
    """Delete a session and all it stored."""
    return s.DeletedOut(id=services.sessions.delete(call.path["id"]), deleted=True)


def location(answer: s.SessionOut, response: Response) -> None:
    """Tell where a created session is found."""
    response.headers["Location"] = f"/api/sessions/{answer.id}"


ROUTES = (
    Route(
        method="GET",
        path="/api/sessions",
        summary="List sessions, a page at a time",
        handler=list_sessions,
        query=asked.SessionsQuery,
        response=s.SessionsOut,
        errors=(400, 503),
    ),
    Route(
        method="POST",
        path="/api/sessions",
        summary="Start a session",
        handler=start_session,
        body=asked.SessionIn,
        response=s.SessionOut,
        status=201,
        errors=(400, 403, 413, 415, 422, 502, 503),
    ),
    Route(
        method="POST",
        path="/api/check",
        summary="Check a session without starting it; its equivalent command lines",
        handler=check_session,
        body=asked.SessionIn,
        response=s.CheckOut,
        errors=(400, 403, 413, 415, 422),
    ),
    Route(
        method="GET",
        path="/api/sessions/{id}",
        summary="One session with its counters and each of its nodes",
        handler=get_session,
        response=s.SessionOut,
        errors=(400, 404, 409, 503),
    ),
    Route(
        method="POST",
        path="/api/sessions/{id}/stop",
        summary="Stop a session gracefully; its headless instance is removed, or kept",
        handler=stop_session,
        query=asked.StopQuery,
        response=s.SessionOut,
        status=202,
        errors=(400, 403, 404, 409, 503),
    ),
    Route(
        method="POST",
        path="/api/sessions/{id}/restart",
        summary="Start a new session with the same spec",
        handler=restart_session,
        response=s.SessionOut,
        status=201,
        errors=(403, 404, 409, 422, 503),
    ),
    Route(
        method="DELETE",
        path="/api/sessions/{id}",
        summary="Stop a session if it runs, and delete all it stored",
        handler=delete_session,
        response=s.DeletedOut,
        status=202,
        errors=(403, 404, 409, 503),
    ),
)
