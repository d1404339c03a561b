"""The Flask application: the route table wired to the services, complete without Dash.

`ui.app.create_app(services, server)` adds the pages on `/`; without it everything below `/api`,
the health calls and the sockets work all the same.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

import msgspec
from flask import Flask, Response, request
from werkzeug.exceptions import (
    BadRequest,
    MethodNotAllowed,
    NotFound,
    RequestEntityTooLarge,
    UnsupportedMediaType,
)

from igdash.api import (
    export_calls,
    history_calls,
    import_calls,
    problems,
    query_calls,
    schedule_calls,
    schemas,
    security,
    session_calls,
    sockets,
    sql_calls,
    system_calls,
)
from igdash.api.openapi import document
from igdash.api.options import WebOptions
from igdash.api.routes import Call, Route
from igdash.api.validate import from_body, from_query
from igdash.services.web import WebServices

TABLE: tuple[Route, ...] = (
    *session_calls.ROUTES,
    *history_calls.ROUTES,
    *query_calls.ROUTES,
    *export_calls.ROUTES,
    *import_calls.ROUTES,
    *sql_calls.ROUTES,
    *schedule_calls.ROUTES,
    *system_calls.ROUTES,
)
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")


def create_flask(services: WebServices, options: WebOptions) -> Flask:
    """Return an application that serves REST and sockets."""
    app = Flask("igdash", static_folder=None)
    register(app, services, options)
    return app


def register(app: Flask, services: WebServices, options: WebOptions) -> None:
    """Add checks, error handlers, every call and every socket to `app`."""
    app.url_map.merge_slashes = False  # no redirect is ever made from a path a client wrote
    files = frozenset(route.path for route in ROUTES if route.takes)
    security.guard(app, options, files)
    problems.install(app)
    for route in ROUTES:
        app.add_url_rule(
            route.rule,
            route.name,
            partial(_answer, services, route),
            methods=[route.method],
            provide_automatic_options=False,  # Flask's would name every method: see `_nothing`
        )
    app.add_url_rule("/api", "api_root", _nothing, methods=METHODS)
    app.add_url_rule("/api/", "api_folder", _nothing, methods=METHODS)
    app.add_url_rule("/api/<path:rest>", "api_other", _nothing, methods=METHODS)
    sockets.register(app, services, options)


def _answer(services: WebServices, route: Route, **path: str) -> Response:
    """Validate the request, call the handler, encode what it says."""
    query = from_query(route.query, dict(request.args.lists()))
    body = from_body(route.body, _json()) if route.body is not None else None
    answer = route.handler(services, Call(path=path, query=query, body=body))
    if isinstance(answer, Response):
        return answer
    response = Response(
        msgspec.json.encode(answer), status=route.status, content_type="application/json"
    )
    if route.status == 201 and isinstance(answer, schemas.SessionOut):
        session_calls.location(answer, response)
    return response


def _json() -> object:
    if not request.is_json:
        raise UnsupportedMediaType("send the body as application/json")
    data = request.get_data(cache=False)
    if len(data) >= (request.max_content_length or 0):
        raise RequestEntityTooLarge  # a chunked body was cut there, without a word
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise BadRequest(f"the body is not JSON: {error}") from error


def _nothing(rest: str = "") -> Response:
    """Answer an unknown path, or a known one with a wrong method, or what its methods are."""
    if any(re.fullmatch(pattern, request.path) for pattern in sockets.PATHS):
        wanted = {"Upgrade": "websocket", "Connection": "Upgrade"}
        return problems.problem(426, "this is a WebSocket", headers=wanted)
    allowed = sorted({route.method for route in ROUTES if route.matches(request.path)})
    if allowed and request.method == "OPTIONS":
        more = ["HEAD"] if "GET" in allowed else []
        return Response(status=204, headers={"Allow": ", ".join([*allowed, *more, "OPTIONS"])})
    if allowed:
        raise MethodNotAllowed(valid_methods=allowed)
    raise NotFound(f"there is no {request.path[:200]}" if rest else "see /api/openapi.json")


def _openapi(_services: WebServices, _call: Call) -> Response:
    return Response(msgspec.json.encode(openapi()), content_type="application/json")


ROUTES: tuple[Route, ...] = (
    *TABLE,
    Route(
        method="GET",
        path="/api/openapi.json",
        summary="This document",
        handler=_openapi,
        errors=(400,),
    ),
)


def openapi() -> Mapping[str, Any]:
    """Return the OpenAPI document of all calls."""
    return document(ROUTES)
