"""SQL over the stored events: one statement, its answer with every number as the database wrote it."""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from typing import Final

import msgspec
from flask import Response

from igdash.api import sql_types as s
from igdash.api.gone import client_gone
from igdash.api.routes import Call, Route
from igdash.domain.sql import SQL_MEMORY, SQL_ROWS, SqlAnswer, SqlQuery
from igdash.services import sql_files
from igdash.services.web import WebServices

PARQUET: Final = "parquet"
_FILES: Final = {
    "csv": "text/csv; charset=utf-8; header=present",
    "jsonl": "application/x-ndjson",
    PARQUET: "application/vnd.apache.parquet",
}


def run(services: WebServices, call: Call) -> Response:
    """Answer a statement. The rows are JSON already; they are sent as they are."""
    body: s.SqlIn = call.body
    sessions = tuple(services.sessions.resolve(prefix) for prefix in body.sessions)
    query = SqlQuery(sql=body.sql, limit=body.limit, explain=body.explain, sessions=sessions)
    answer = services.sql.run(query, name=body.id, gone=client_gone())
    if body.format == "json":
        return Response(_json(answer), content_type="application/json")
    response = Response(_file(answer, body.format), content_type=_FILES[body.format])
    response.headers["Content-Disposition"] = f'attachment; filename="igdash-sql.{body.format}"'
    response.headers["X-Truncated"] = str(answer.truncated).lower()
    return response


def _file(answer: SqlAnswer, format: str) -> Iterable[bytes]:
    if format == PARQUET:
        out = io.BytesIO()
        sql_files.write_parquet(answer, out)
        return (out.getvalue(),)
    lines = sql_files.csv_lines if format == "csv" else sql_files.json_lines
    return (line.encode("utf-8", "replace") for line in lines(answer))


def _json(answer: SqlAnswer) -> Iterator[bytes]:
    columns = [{"name": column.name, "type": column.type} for column in answer.columns]
    yield b'{"columns":' + msgspec.json.encode(columns) + b',"rows":['
    for number, block in enumerate(answer.blocks):
        yield (b"," if number else b"") + block
    end = {
        "truncated": answer.truncated,
        "engine": answer.engine,
        "elapsed_ms": answer.elapsed_ms,
    }
    yield b"]," + msgspec.json.encode(end)[1:]


def cancel(services: WebServices, call: Call) -> s.SqlCancelOut:
    """End a statement, where it still runs."""
    return s.SqlCancelOut(cancelled=services.sql.cancel(call.path["query"]))


def views(services: WebServices, _call: Call) -> s.SqlViewsOut:
    """Answer what statements can read, and what limits them."""
    return s.SqlViewsOut(
        engine=services.sql.reader.dialect,
        limits=s.SqlLimitsOut(
            seconds=services.sql.reader.seconds, rows=SQL_ROWS, memory_bytes=SQL_MEMORY
        ),
        functions=sorted(services.sql.reader.functions),
        formats=["json", *_FILES],
        views=[
            s.SqlViewOut(
                name=view.name,
                gadget=view.gadget,
                description=view.description,
                columns=[
                    s.SqlViewColumnOut(name=one.name, type=one.type, description=one.description)
                    for one in view.columns
                ],
            )
            for view in services.sql.views()
        ],
    )


ROUTES = (
    Route(
        method="POST",
        path="/api/sql",
        summary="The answer to one SELECT over the views; 400 has the position of an error",
        handler=run,
        body=s.SqlIn,
        response=s.SqlOut,
        errors=(400, 403, 404, 408, 409, 413, 415, 422, 501, 503),
    ),
    Route(
        method="DELETE",
        path="/api/sql/{query}",
        summary="End a statement that runs under this id",
        handler=cancel,
        response=s.SqlCancelOut,
        errors=(400,),
    ),
    Route(
        method="GET",
        path="/api/sql",
        summary="What statements can read: views with their columns, and the limits",
        handler=views,
        response=s.SqlViewsOut,
        errors=(400, 503),
    ),
)
