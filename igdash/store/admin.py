"""What an operator asks of a store: is it sound, how big is it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Any, Final

from sqlalchemy import Connection, Engine, func, select, text

from igdash.domain.errors import StoreError
from igdash.store.engine import is_sqlite, reader_engine, shown, sqlite_path
from igdash.store.errors import translated
from igdash.store.migrate import require_head, revision
from igdash.store.sizes import database_bytes
from igdash.store.tables import activity, events, losses, sessions, ticks

_c = sessions.c
_SUMS: Final = (
    ("events", _c.event_count, func.count(), events),
    ("events", _c.last_seq, func.coalesce(func.max(events.c.seq), 0), events),
    ("seconds of activity", _c.event_count, func.coalesce(func.sum(activity.c.n), 0), activity),
    ("lost events", _c.lost, func.coalesce(func.sum(losses.c.n), 0), losses),
    ("ticks", _c.ticks, func.count(), ticks),
)


def check(url: str) -> list[str]:
    """Return the problems found, empty = sound. Reads everything: minutes on a big store.

    Raises `StoreError` when it cannot even be opened.
    """
    require_head(url)
    engine = reader_engine(url)
    try:
        return list(_problems(engine))
    except StoreError as error:
        return [str(error)]
    finally:
        engine.dispose()


def _problems(engine: Engine) -> Iterator[str]:
    with translated("cannot check the database"), engine.connect() as conn:
        if engine.dialect.name == "sqlite":
            for (line,) in conn.exec_driver_sql("PRAGMA integrity_check(20)"):
                if line != "ok":
                    yield str(line)
        else:
            conn.exec_driver_sql("SET LOCAL statement_timeout = 0")
        for row in conn.execute(select(sessions).where(_c.deleted_at.is_(None)).order_by(_c.id)):
            yield from _counters(conn, row)


def _counters(conn: Connection, session: Any) -> Iterator[str]:
    for what, counter, measure, table in _SUMS:
        wanted = select(measure).select_from(table).where(table.c.session_id == session.id)
        rows = int(conn.execute(wanted).scalar_one())
        counted = session._mapping[counter.name]
        if rows != counted:
            yield f"session {session.uid}: {rows} {what} stored, {counted} counted"


def stats(url: str) -> dict[str, Any]:
    """Return facts about the store: engine and version, revision, sizes, counts.

    Raises `StoreError` as `open_reader` does.
    """
    require_head(url)
    engine = reader_engine(url)
    try:
        with translated("cannot read the database"), engine.connect() as conn:
            facts: dict[str, Any] = {
                "database": shown(url),
                "engine": engine.dialect.name,
                "version": _version(conn),
                "revision": revision(url),
                "bytes": database_bytes(conn),
            }
            sums = [
                func.coalesce(func.sum(column), 0)
                for column in (_c.event_count, _c.lost, _c.malformed, _c.byte_count)
            ]
            alive = _c.deleted_at.is_(None)
            row = conn.execute(select(func.count(), *sums).where(alive)).one()
            names = ("sessions", "events", "lost", "malformed", "payload_bytes")
            facts |= {name: int(value) for name, value in zip(names, row, strict=True)}
            hidden = select(func.count()).where(_c.deleted_at.is_not(None))
            facts["deleting"] = int(conn.execute(hidden).scalar_one())
    finally:
        engine.dispose()
    if is_sqlite(url):
        wal = sqlite_path(url).with_name(sqlite_path(url).name + "-wal")
        facts["wal_bytes"] = wal.stat().st_size if wal.exists() else 0
    return facts


def _version(conn: Connection) -> str:
    if conn.dialect.name == "sqlite":
        return sqlite3.sqlite_version
    return str(conn.execute(text("SHOW server_version")).scalar_one())
