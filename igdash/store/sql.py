"""SQL for users: reads the views, and nothing else, in a process of its own per statement."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Connection, Engine

from igdash.domain.errors import SqlInvalid
from igdash.domain.sql import (
    SQL_BYTES,
    SQL_MEMORY,
    SQL_SECONDS,
    SqlAnswer,
    SqlColumn,
    SqlQuery,
    SqlView,
)
from igdash.store import sandbox, sql_postgres
from igdash.store.engine import is_sqlite, sqlite_path
from igdash.store.errors import translated
from igdash.store.reader import Reader
from igdash.store.sql_process import Said, run
from igdash.store.sql_tokens import FUNCTIONS, check_calls, check_start, tokens, without_explain
from igdash.store.sql_views import GENERAL, GadgetView, gadget_views, judged, sqlite_body

_VIEW_START: Final = " AS "


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredSql:
    """Answers statements over a store; implements `SqlReader`. Thread-safe."""

    url: str
    engine: Engine
    role_file: Path | None = None
    seconds: float = SQL_SECONDS

    @property
    def dialect(self) -> str:
        """The database's name: sqlite or postgresql."""
        return self.engine.dialect.name

    @property
    def functions(self) -> frozenset[str]:
        """Names of the functions that a statement may call."""
        return sandbox.FUNCTIONS if is_sqlite(self.url) else FUNCTIONS

    def views(self) -> tuple[SqlView, ...]:
        """Return what can be read now: three general views, then one per gadget seen."""
        with translated("cannot read the schemas"), self.engine.connect() as conn:
            found = gadget_views(conn)
        return (*GENERAL, *(one.view for one in found))

    def run(self, query: SqlQuery, gone: Callable[[], bool]) -> SqlAnswer:
        """Run one statement. Raises `SqlError`, `QueryCancelled` once `gone()`, `StoreError`."""
        words = tokens(query.sql)
        check_start(words)
        request: dict[str, Any] = {
            "seconds": self.seconds,
            "rows": query.limit,
            "bytes": SQL_BYTES,
            "memory": SQL_MEMORY,
            "sql": query.sql,
            "explain": query.explain,
        }
        with translated("cannot read the schemas"), self.engine.connect() as conn:
            views = gadget_views(conn)
            if is_sqlite(self.url):
                request |= {
                    "engine": "sqlite",
                    "path": str(sqlite_path(self.url)),
                    "tokens": [(word.start, word.start + len(word.text)) for word in words],
                    "views": _sqlite_views(conn, views, query.sessions),
                }
        if not is_sqlite(self.url):
            check_calls(words)
            if query.sessions:
                raise SqlInvalid("sessions: on PostgreSQL write WHERE session_id IN (…)")
            sql, explained = without_explain(query.sql, words)
            request |= {
                "engine": "postgresql",
                "sql": sql,
                "explain": query.explain or explained,
                "conninfo": sql_postgres.conninfo(self.url, self.role_file, self.seconds),
            }
            sql_postgres.refresh_if_stale(self.url, self.engine, views)
        said = run(request, gone, site=not is_sqlite(self.url))
        return _answer(said, self.dialect, views)


def open_sql(
    url: str, reader: Reader, *, role_file: Path | None = None, seconds: float = SQL_SECONDS
) -> StoredSql:
    """Return SQL over an open store. `role_file` is where `set_up` left how its role connects
    (PostgreSQL alone); `seconds` limit a statement."""
    return StoredSql(url=url, engine=reader.engine, role_file=role_file, seconds=seconds)


def _sqlite_views(
    conn: Connection, gadgets: Sequence[GadgetView], sessions: Sequence[str]
) -> list[tuple[str, str, str]]:
    """Return per view its name, the name of its inner view, which nobody can guess, and its SELECT."""
    secret = secrets.token_hex(12)
    query = "SELECT name, sql FROM sqlite_master WHERE type = 'view'"
    made = {name: sql.partition(_VIEW_START)[2] for name, sql in conn.exec_driver_sql(query)}
    bodies = {view.name: judged(made[view.name]) for view in GENERAL if view.name in made}
    bodies |= {view.name: sqlite_body(view) for view in gadgets}
    return [
        (name, f"_{secret}_{name}", _scoped(name, body, sessions)) for name, body in bodies.items()
    ]


def _scoped(name: str, body: str, sessions: Sequence[str]) -> str:
    if not sessions:
        return body
    ids = ", ".join("'" + id_.replace("'", "''") + "'" for id_ in sessions)
    column = "id" if name == "v_sessions" else "session_id"
    return f"SELECT * FROM ({body}) WHERE {column} IN ({ids})"  # noqa: S608 - quoted above


def _answer(said: Said, dialect: str, views: Sequence[GadgetView]) -> SqlAnswer:
    """Name the types; a column without a value has that of the view's column of its name."""
    known: dict[str, str] = {}
    for view in (*GENERAL, *(one.view for one in views)):
        for column in view.columns:
            known.setdefault(column.name, column.type)
    columns = tuple(
        SqlColumn(name=name, type=kind or known.get(name.lower(), "text"))
        for name, kind in zip(said.names, said.types, strict=True)
    )
    return SqlAnswer(
        columns=columns,
        blocks=said.blocks,
        rows=said.rows,
        truncated=said.truncated,
        engine=dialect,
        elapsed_ms=said.elapsed_ms,
    )
