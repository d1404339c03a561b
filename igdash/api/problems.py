"""Every error in one shape: `application/problem+json` (RFC 9457), whatever went wrong.

Domain errors become statuses here and nowhere else, so that handlers only ever raise.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from flask import Flask, Response, request
from werkzeug.exceptions import HTTPException

from igdash.api.validate import Invalid
from igdash.domain.errors import (
    AmbiguousSession,
    CollectorUnavailable,
    IgdashError,
    InvalidQuery,
    InvalidSpec,
    NotFound,
    QueryBusy,
    QueryCancelled,
    SourceError,
    SqlError,
    SqlForbidden,
    SqlInvalid,
    SqlTimeout,
    SqlTooLarge,
    SqlUnavailable,
    StoreError,
    WrongState,
)
from igdash.domain.filters import FilterError

log = logging.getLogger(__name__)

OURS = ("/api/", "/healthz", "/readyz", "/metrics")
"""Paths whose errors are problem documents; the pages' own errors stay HTML."""

_STATUS: tuple[tuple[type[IgdashError], int], ...] = (
    (NotFound, 404),
    (AmbiguousSession, 409),
    (WrongState, 409),
    (InvalidSpec, 422),
    (InvalidQuery, 400),
    (FilterError, 400),
    (SqlInvalid, 400),
    (SqlForbidden, 403),
    (SqlTimeout, 408),
    (SqlTooLarge, 413),
    (SqlUnavailable, 501),
    (SourceError, 502),
    (CollectorUnavailable, 503),
    (StoreError, 503),
    (QueryBusy, 503),
    (QueryCancelled, 503),  # nobody reads it
)


class Problem(msgspec.Struct, kw_only=True, omit_defaults=True):
    """An error. `problems` maps each wrong field or parameter to its reason. A filter that cannot
    be read: `position` to `end` is the part of its text that is wrong, and each of `suggestions`
    may replace it. Of a statement `position` is the character that is wrong, from 1."""

    type: str
    title: str
    status: int
    detail: str
    problems: dict[str, str] = {}
    position: int | None = None
    end: int | None = None
    suggestions: list[str] | None = None


def problem(
    status: int,
    detail: str,
    problems: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Return an error response."""
    return _response(_problem(status, detail, problems), headers)


def _problem(status: int, detail: str, problems: Mapping[str, str] | None = None) -> Problem:
    return Problem(
        type="about:blank",
        title=HTTPStatus(status).phrase,
        status=status,
        detail=detail,
        problems=dict(problems or {}),
    )


def _response(body: Problem, headers: Mapping[str, str] | None = None) -> Response:
    response = Response(
        msgspec.json.encode(body), status=body.status, content_type="application/problem+json"
    )
    response.headers.update(headers or {})
    if body.status == HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["Retry-After"] = "2"
    return response


def is_ours(path: str) -> bool:
    """Whether errors of this path are answered as problem documents."""
    return path == "/api" or path.startswith(OURS)


def install(app: Flask) -> None:
    """Register the handlers that turn exceptions into problem documents."""
    app.register_error_handler(IgdashError, _on_igdash_error)
    app.register_error_handler(Invalid, _on_invalid)
    app.register_error_handler(HTTPException, _on_http_error)
    app.register_error_handler(Exception, _on_anything)


def as_problem(error: IgdashError) -> Problem:
    """Return what is said about an error."""
    status = next((code for kind, code in _STATUS if isinstance(error, kind)), 500)
    if status >= 500 and not isinstance(error, QueryCancelled):
        log.warning("%s %s: %s", request.method, request.path, error)
    detail = str(error) or (type(error).__doc__ or "").partition("\n")[0]
    if isinstance(error, InvalidSpec):
        return _problem(status, detail, error.problems)
    if isinstance(error, InvalidQuery):
        return _problem(status, detail, {error.field: error.why})
    found = _problem(status, detail)
    if isinstance(error, SqlError) and error.position:
        found.position = error.position
    if isinstance(error, FilterError):
        found.problems = {"filter": error.message}
        found.position, found.end = error.position, error.end
        found.suggestions = list(error.suggestions)
    return found


def _on_igdash_error(error: IgdashError) -> Response:
    return _response(as_problem(error))


def _on_invalid(error: Invalid) -> Response:
    return problem(400 if error.where == "query" else 422, str(error), error.problems)


def _on_http_error(error: HTTPException) -> Response | HTTPException:
    if not is_ours(request.path) or error.code is None or error.code < 400:
        return error
    kept = {k: v for k, v in error.get_headers() if k.lower() in ("allow", "retry-after")}
    return problem(error.code, error.description or "", headers=kept)


def _on_anything(error: Exception) -> Response:
    log.error("%s %s failed", request.method, request.path, exc_info=error)
    return problem(500, "igdash could not answer this; its log says why.")
