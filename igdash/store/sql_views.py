"""The views users read with SQL: three for everything, and one per gadget seen.

A gadget's view has a column per field of its own metadata, as the sessions' streams told it: nodes
of different versions give one view with all their columns, NULL where an event has no such field.
The names follow from the metadata alone, so a query goes on working from one day to the next.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from sqlalchemy import Connection, select

from igdash.domain.gadgets import DataSource, Field
from igdash.domain.sql import SqlColumn, SqlView
from igdash.store.rows import load_sources
from igdash.store.tables import fields, metadata, session_fields, sessions

BASE: Final = (
    SqlColumn(name="session_id", type="text", description="the session's public id"),
    SqlColumn(name="seq", type="integer", description="1, 2, 3 … in the session, without holes"),
    SqlColumn(name="ts", type="integer", description="the event's own time, ns since 1970 (UTC)"),
    SqlColumn(name="time", type="text", description="the same, RFC 3339 with nine decimals"),
    SqlColumn(name="node", type="text", description="the node it happened on"),
    SqlColumn(name="namespace", type="text"),
    SqlColumn(name="pod", type="text"),
    SqlColumn(name="container", type="text"),
    SqlColumn(name="source", type="text", description="the gadget's data source"),
)
_T, _I, _N, _B = "text", "integer", "number", "boolean"


def _columns(kind: str, names: str) -> tuple[SqlColumn, ...]:
    return tuple(SqlColumn(name=name, type=kind) for name in names.split())


GENERAL: Final = (
    SqlView(
        name="v_sessions",
        description="A row per session, with its exact counters.",
        columns=(
            *_columns(_T, "id name gadget environment namespace pod container node selector"),
            *_columns(_T, "params stop_after state reason created started stopped first_event"),
            *_columns(_T, "last_event"),
            *_columns(_I, "events lost malformed ticks logs received bytes"),
            *_columns(_N, "rate"),
            *_columns(_I, "nodes_expected nodes_connected last_seq"),
            *_columns(_T, "command info target nodes"),
        ),
    ),
    SqlView(
        name="v_events",
        description="A row per event of every gadget; data is its JSON text as delivered.",
        columns=(*BASE, *_columns(_T, "data")),
    ),
    SqlView(
        name="v_losses",
        description="A row per node, cause and second in which events were lost.",
        columns=(
            *_columns(_T, "session_id node cause"),
            *_columns(_I, "start_ts end_ts"),
            *_columns(_T, "start_time end_time"),
            *_columns(_I, "count"),
            *_columns(_B, "exact"),
            *_columns(_T, "detail"),
        ),
    ),
)
_TYPES: Final = {"Bool": _B, "Float32": _N, "Float64": _N} | {
    f"{sign}{bits}": _I for sign in ("Int", "Uint") for bits in (8, 16, 32, 64)
}


@dataclass(frozen=True, slots=True, kw_only=True)
class GadgetColumn:
    """A column of a gadget's view, and the path of its field."""

    path: tuple[str, ...]
    kind: str
    column: SqlColumn


@dataclass(frozen=True, slots=True, kw_only=True)
class GadgetView:
    """A gadget's view. `gadgets` are the names its sessions have: a gadget can be started by its
    name and by image references."""

    name: str
    gadgets: tuple[str, ...]
    columns: tuple[GadgetColumn, ...]

    @property
    def view(self) -> SqlView:
        """What is told of it."""
        return SqlView(
            name=self.name,
            gadget=self.gadgets[0],
            description=f"A row per event of {self.name}, a column per field.",
            columns=(*BASE, *(one.column for one in self.columns)),
        )


def view_of(gadget: str, sources: tuple[DataSource, ...]) -> GadgetView:
    """Return the view of a gadget that has these data sources."""
    columns = _gadget_columns([sources])
    return GadgetView(name=view_name(gadget), gadgets=(gadget,), columns=columns)


def gadget_views(conn: Connection) -> tuple[GadgetView, ...]:
    """Return the views of all gadgets that visible sessions ran, by name."""
    c, told = sessions.c, session_fields.c
    alive = c.deleted_at.is_(None)
    late = (
        select(c.gadget, told.fields_id)
        .join(session_fields, told.session_id == c.id)
        .where(alive)
        .distinct()
    )
    early = select(c.gadget, c.schema_id).where(alive).distinct()
    found: dict[str, set[int]] = {}
    gadgets: dict[str, set[str]] = {}
    for query in (early, late):
        for gadget, schema in conn.execute(query):
            name = view_name(gadget)
            gadgets.setdefault(name, set()).add(gadget)
            if schema is not None:
                found.setdefault(name, set()).add(schema)
    return tuple(
        GadgetView(
            name=name,
            gadgets=tuple(sorted(gadgets[name])),
            columns=_gadget_columns(
                _sources(conn, schema) for schema in sorted(found.get(name, ()), reverse=True)
            ),
        )
        for name in sorted(gadgets)
    )


def _sources(conn: Connection, schema: int) -> tuple[DataSource, ...]:
    text = conn.execute(select(fields.c.sources).where(fields.c.id == schema)).scalar()
    return _parsed(text or "[]")


@lru_cache(maxsize=256)
def _parsed(text: str) -> tuple[DataSource, ...]:
    return load_sources(text)


def view_name(gadget: str) -> str:
    """Return the name of a gadget's view: its own, without registry, tag and odd characters."""
    short = gadget.rpartition("/")[2].partition("@")[0].partition(":")[0].lower()
    name = re.sub(r"[^a-z0-9_]+", "_", short).strip("_")[:60] or "gadget"
    clash = name in {view.name for view in GENERAL} or name[0].isdigit() or name in _RESERVED
    return f"gadget_{name}" if clash else name


_RESERVED: Final = frozenset({"select", "table", "from", *metadata.tables})


def _gadget_columns(schemas: Iterable[Sequence[DataSource]]) -> tuple[GadgetColumn, ...]:
    taken = {column.name for column in BASE}
    made: dict[str, GadgetColumn] = {}
    for field in (one for schema in schemas for source in schema for one in source.fields):
        plain = '"' not in field.name  # SQLite has no way to write such a path
        if field.kind and field.in_json and plain and field.name not in made:
            column = _gadget_column(field, taken)
            taken.add(column.column.name)
            made[field.name] = column
    return tuple(made.values())


def _gadget_column(field: Field, taken: set[str]) -> GadgetColumn:
    plain = re.sub(r"[^a-z0-9]+", "_", field.name.lower()).strip("_")[:60] or "field"
    name = plain
    if name in taken or name[0].isdigit():
        name = f"field_{plain}"
    number = 2
    while name in taken:
        name = f"field_{plain}_{number}"
        number += 1
    kind = "json" if field.kind.endswith("]") else _TYPES.get(field.kind, _T)
    return GadgetColumn(
        path=tuple(field.name.split(".")),
        kind=field.kind,
        column=SqlColumn(name=name, type=kind, description=field.description),
    )


# ---------------------------------------------------------------- SQLite

SQLITE_TIME: Final = (
    "(strftime('%Y-%m-%dT%H:%M:%S', (e.ts - ((e.ts % 1000000000 + 1000000000) % 1000000000))"
    " / 1000000000, 'unixepoch')"
    " || printf('.%09dZ', ((e.ts % 1000000000 + 1000000000) % 1000000000)))"
)


def sqlite_body(view: GadgetView) -> str:
    """Return the SELECT of a gadget's view on SQLite."""
    columns = [
        "s.uid AS session_id",
        "e.seq AS seq",
        "e.ts AS ts",
        f"{SQLITE_TIME} AS time",
        *(f"o.{name} AS {name}" for name in ("node", "namespace", "pod", "container", "source")),
        *(f'{_sqlite_value(one)} AS "{one.column.name}"' for one in view.columns),
    ]
    return judged(f"SELECT {', '.join(columns)} {_FROM} AND s.gadget IN ({_texts(view.gadgets)})")


JOINED: Final = "JOIN origins o ON o.id = e.origin_id"
_FROM: Final = (
    f"FROM sessions s JOIN events e ON e.session_id = s.id {JOINED} WHERE s.deleted_at IS NULL"
)


def judged(body: str) -> str:
    """Return the SELECT of a view so that SQLite tells from within which view each table is read.

    Of a table of which only the rowid is used it tells that too late, when the view is no more.
    """
    return body.replace(JOINED, f"{JOINED} AND o.namespace >= ''")


def _sqlite_value(column: GadgetColumn) -> str:
    def extract(text: str, path: Sequence[str]) -> str:
        steps = _text("$" + "".join(f'."{step}"' for step in path))
        if column.kind == "Uint64":  # beyond 63 bits json_extract answers a rounded float
            real = f"typeof(json_extract({text}, {steps})) = 'real'"
            return f"CASE WHEN {real} THEN {text} -> {steps} ELSE json_extract({text}, {steps}) END"
        return f"json_extract({text}, {steps})"

    whole = extract("e.payload", column.path)
    part = column.path[0]
    if part not in ("k8s", "runtime") or len(column.path) < 2:
        return whole
    return f"CASE WHEN o.{part} = '' THEN {whole} ELSE {extract(f'o.{part}', column.path[1:])} END"


# ---------------------------------------------------------------- PostgreSQL


def postgres_body(view: GadgetView, schema: str) -> str:
    """Return the SELECT of a gadget's view on PostgreSQL; `schema` has the helping functions."""
    columns = [
        "s.uid::text AS session_id",
        "e.seq AS seq",
        "e.ts AS ts",
        f"{schema}.as_time(e.ts) AS time",
        *(f"o.{name} AS {name}" for name in ("node", "namespace", "pod", "container", "source")),
        *(f'{_postgres_value(one, schema)} AS "{one.column.name}"' for one in view.columns),
    ]
    whole = f"CROSS JOIN LATERAL (SELECT {schema}.as_json(e.payload) AS v OFFSET 0) AS p"
    places = " ".join(
        f"CROSS JOIN LATERAL (SELECT {schema}.as_json(o.{part}) AS v OFFSET 0) AS {part}"
        for part in ("k8s", "runtime")
        if any(one.path[0] == part for one in view.columns)
    )
    joined = _FROM.replace(" WHERE ", f" {whole} {places} WHERE ")
    return f"SELECT {', '.join(columns)} {joined} AND s.gadget IN ({_texts(view.gadgets)})"


_CASTS: Final = {_I: "as_integer", _N: "as_number", _B: "as_boolean", _T: "as_text"}


def _postgres_value(column: GadgetColumn, schema: str) -> str:
    def get(name: str, path: Sequence[str]) -> str:
        return f"{name}.v #> ARRAY[{_texts(path)}]"

    part = column.path[0]
    value = get("p", column.path)
    if part in ("k8s", "runtime") and len(column.path) > 1:
        value = f"CASE WHEN o.{part} = '' THEN {value} ELSE {get(part, column.path[1:])} END"
    cast = "as_unsigned" if column.kind == "Uint64" else _CASTS.get(column.column.type, "as_text")
    return f"{schema}.{cast}({value})"


def _text(value: str) -> str:
    return "'" + value.replace("'", "''") + "'"


def _texts(values: Iterable[str]) -> str:
    return ", ".join(map(_text, values))
