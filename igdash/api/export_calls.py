"""The streamed file of a session's events."""

from __future__ import annotations

import re
from collections.abc import Iterator

from flask import Response

from igdash.api import requests as asked
from igdash.api.gone import client_gone
from igdash.api.routes import Call, Route
from igdash.api.types import ns_of
from igdash.api.validate import Invalid
from igdash.domain.sessions import Session
from igdash.services.exports import Export, Format
from igdash.services.report_facts import Wanted
from igdash.services.web import WebServices

REPORT = "html"
"""The format that is no file of events but a page about them."""

_TYPES = {
    Format.JSONL: "application/x-ndjson",
    Format.CSV: "text/csv; charset=utf-8; header=present",
    Format.PARQUET: "application/vnd.apache.parquet",
}


def file_name(session: Session, wanted: Export) -> str:
    """Return a name for the file, made of harmless characters only."""
    return f"{_stem(session)}{'.plain' if wanted.plain else ''}.{wanted.format.value}"


def _stem(session: Session) -> str:
    parts = [session.spec.gadget, session.spec.target.namespace, session.id]
    return "-".join(
        re.sub(r"[^A-Za-z0-9_.]+", "-", part).strip("-.")[:60] for part in parts if part
    )


def export(services: WebServices, call: Call) -> Response:
    """Answer the file, streamed."""
    q: asked.ExportQuery = call.query
    if q.format == REPORT:
        return _report(services, call)
    if q.seq:
        raise Invalid("query", {"seq": f"is for format={REPORT} only"})
    known = [*(one.value for one in Format), REPORT]
    if q.format not in known:
        raise Invalid("query", {"format": f"must be one of {', '.join(known)}"})
    wanted = Export(
        format=Format(q.format),
        plain=q.plain,
        filter=q.filter,
        start=ns_of(q.start),
        end=ns_of(q.end),
    )
    session = services.sessions.get(call.path["id"])
    body: Iterator[bytes] = services.exports.open(session.id, wanted, client_gone())
    response = Response(body, content_type=_TYPES[wanted.format])
    response.headers["Content-Disposition"] = f'attachment; filename="{file_name(session, wanted)}"'
    return response


def _report(services: WebServices, call: Call) -> Response:
    """Answer the session as a page that stands alone."""
    q: asked.ExportQuery = call.query
    if q.plain:
        raise Invalid("query", {"plain": "is for format=jsonl only"})
    wanted = Wanted(filter=q.filter, start=ns_of(q.start), end=ns_of(q.end), seqs=tuple(q.seq))
    session = services.sessions.get(call.path["id"])
    body = services.reports.open(session.id, wanted, client_gone())
    response = Response(body, content_type="text/html; charset=utf-8")
    name = f"{_stem(session)}.{REPORT}"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


ROUTES = (
    Route(
        method="GET",
        path="/api/sessions/{id}/export",
        summary="All events, or those a filter picks, as a streamed file: format=jsonl, csv or parquet;"
        " plain=true = as the gadget printed them; format=html = a report that opens without network",
        handler=export,
        query=asked.ExportQuery,
        media=("application/x-ndjson", "text/csv", "application/vnd.apache.parquet", "text/html"),
        errors=(400, 404, 409, 503),
    ),
)
