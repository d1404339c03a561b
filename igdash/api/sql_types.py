"""What is asked and answered about SQL: like `requests` and `schemas`, the types that validate make
the OpenAPI document."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, field

from igdash.api.requests import Strict
from igdash.domain.sql import SQL_ROWS


class SqlIn(Strict):
    """A statement. `limit` rows at most; `explain` answers how the database would go about it;
    `id`, chosen by the client, is what `DELETE /api/sql/{query}` cancels; `sessions` are all that
    is seen of (SQLite alone). `format` csv, jsonl or parquet
    answers the rows as a file; its header `X-Truncated` says whether there were more."""

    sql: Annotated[str, Meta(min_length=1, max_length=100_000)]
    limit: Annotated[int, Meta(ge=1, le=SQL_ROWS)] = SQL_ROWS
    explain: bool = False
    id: Annotated[str, Meta(max_length=80, pattern=r"^[\w-]*$")] = ""
    format: Literal["json", "csv", "jsonl", "parquet"] = "json"
    sessions: Annotated[list[str], Meta(max_length=200)] = field(default_factory=list)


class SqlColumnOut(msgspec.Struct, kw_only=True):
    """A column: integer, number, text, boolean, json or blob (hexadecimal digits)."""

    name: str
    type: str


class SqlOut(msgspec.Struct, kw_only=True):
    """An answer. `truncated`: there were more rows, or more than 32 MiB. Integers are exact."""

    columns: list[SqlColumnOut]
    rows: list[list[Any]]
    truncated: bool
    engine: str
    elapsed_ms: float


class SqlCancelOut(msgspec.Struct, kw_only=True):
    """Whether there was such a statement; it is being ended."""

    cancelled: bool


class SqlViewColumnOut(msgspec.Struct, kw_only=True):
    """A column of a view."""

    name: str
    type: str
    description: str


class SqlViewOut(msgspec.Struct, kw_only=True):
    """A view; `gadget` is the gadget whose events it has, empty for the general ones."""

    name: str
    gadget: str
    description: str
    columns: list[SqlViewColumnOut]


class SqlLimitsOut(msgspec.Struct, kw_only=True):
    """What a statement may use."""

    seconds: float
    rows: int
    memory_bytes: int


class SqlViewsOut(msgspec.Struct, kw_only=True):
    """What statements can read. `functions` are those they may call, `formats` what answers can be."""

    engine: str
    limits: SqlLimitsOut
    functions: list[str]
    formats: list[str]
    views: list[SqlViewOut]
