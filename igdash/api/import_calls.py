"""Uploads of files to import, and how far they are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Final

from flask import request
from msgspec import Meta
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge

from igdash.api.requests import Strict
from igdash.api.routes import Call, Route
from igdash.api.schemas import Answer, Time
from igdash.domain.imports import ImportRequest, ImportStatus
from igdash.domain.times import format_ns
from igdash.services.web import WebServices

BLOCK: Final = 256 * 1024


class ImportQuery(Strict):
    """What the file is: its name, the session's name, the gadget if the events do not tell it."""

    file: Annotated[str, Meta(max_length=255)] = ""
    name: Annotated[str, Meta(max_length=200)] = ""
    gadget: Annotated[str, Meta(max_length=400)] = ""


class ImportOut(Answer):
    """An import: `size` and `read` are bytes of the file, `lines` its lines or rows read; `state` is
    running, done, stopped or failed."""

    id: str
    file: str
    format: str
    size: int
    read: int
    lines: int
    sessions: list[str]
    state: str
    reason: str
    started: Time
    finished: Time | None


class ImportsOut(Answer):
    """The newest imports, newest first."""

    imports: list[ImportOut]


def _shape(status: ImportStatus) -> ImportOut:
    return ImportOut(
        id=status.id,
        file=status.file,
        format=status.format.value,
        size=status.size,
        read=status.read,
        lines=status.lines,
        sessions=list(status.sessions),
        state=status.state.value,
        reason=status.reason,
        started=format_ns(status.started),
        finished=None if status.finished is None else format_ns(status.finished),
    )


def _blocks(limit: int) -> Iterator[bytes]:
    """Yield the body. Raises when it is longer than allowed or ends too early."""
    size = 0
    while block := request.stream.read(BLOCK):
        size += len(block)
        if size >= limit:  # a chunked body is cut there, without a word
            raise RequestEntityTooLarge(f"the file is larger than {limit >> 20} MiB")
        yield block
    if request.content_length is not None and size < request.content_length:
        raise BadRequest("the upload ended before all of the file had come")


def upload(services: WebServices, call: Call) -> ImportOut:
    """Take a file and begin to import it."""
    q: ImportQuery = call.query
    wanted = ImportRequest(
        path="", file=q.file or "upload", name=q.name, gadget=q.gadget, temporary=True
    )
    limit = request.max_content_length or 0
    return _shape(services.uploads.take(_blocks(limit), wanted))


def imports(services: WebServices, _call: Call) -> ImportsOut:
    """Answer the imports that the collector remembers."""
    return ImportsOut(imports=[_shape(one) for one in services.uploads.statuses()])


ROUTES = (
    Route(
        method="POST",
        path="/api/import",
        summary="Import a file, sent as it is: what a gadget printed as JSON, an export of igdash, a"
        " session file of Inspektor Gadget Desktop; text may be packed with gzip or zstd",
        handler=upload,
        query=ImportQuery,
        takes="application/octet-stream",
        response=ImportOut,
        status=201,
        errors=(400, 403, 413, 415, 422, 503),
    ),
    Route(
        method="GET",
        path="/api/imports",
        summary="Imports under way or lately over, newest first",
        handler=imports,
        response=ImportsOut,
        errors=(400, 503),
    ),
)
