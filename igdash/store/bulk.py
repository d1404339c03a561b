"""The hot statements, written for each database's fastest way in.

Events go to the driver's own connection inside SQLAlchemy's transaction: executemany of tuples on
SQLite (Core would make a dict per row, and even `exec_driver_sql` copies each tuple), binary COPY on
PostgreSQL. The few rollup rows go through SQLAlchemy, on PostgreSQL as one `unnest` per table.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from typing import Any, Final, Protocol

from sqlalchemy import Connection

from igdash.store.rollups import EventRow, Rollup

_SPAN_UPDATE: Final = (
    "n = {table}.n + excluded.n,"
    " first_seq = CASE WHEN excluded.first_seq < {table}.first_seq"
    " THEN excluded.first_seq ELSE {table}.first_seq END,"
    " last_seq = CASE WHEN excluded.last_seq > {table}.last_seq"
    " THEN excluded.last_seq ELSE {table}.last_seq END"
)

_UPSERTS: Final = {
    # table: (columns, how many of them are the key, what a conflict does)
    "activity": (("session_id", "sec", "n", "first_seq", "last_seq"), 2, _SPAN_UPDATE),
    "activity_origin": (
        ("session_id", "minute", "origin_id", "n", "first_seq", "last_seq"),
        3,
        _SPAN_UPDATE,
    ),
    "activity_origin_sec": (
        ("session_id", "sec", "origin_id", "n", "first_seq", "last_seq"),
        3,
        _SPAN_UPDATE,
    ),
    "session_origin": (("session_id", "origin_id", "n"), 2, "n = {table}.n + excluded.n"),
}


class Bulk(Protocol):
    """Writes the rows of one append."""

    def events(self, conn: Connection, rows: Sequence[EventRow]) -> None:
        """Insert event rows."""

    def upsert(self, conn: Connection, table: str, rows: Sequence[tuple[int, ...]]) -> None:
        """Add rows to a rollup table; no two of them have the same key."""


def write(bulk: Bulk, conn: Connection, rollup: Rollup) -> None:
    """Write everything a rollup holds."""
    if not rollup.events:
        return
    bulk.events(conn, rollup.events)
    bulk.upsert(conn, "activity", _flat(rollup.activity))
    bulk.upsert(conn, "activity_origin", _flat(rollup.activity_origin))
    bulk.upsert(conn, "activity_origin_sec", _flat(rollup.activity_origin_sec))
    totals = rollup.session_origin()
    bulk.upsert(conn, "session_origin", [(*key, n) for key, n in totals.items()])


def _flat(spans: dict[Any, tuple[int, int, int]]) -> list[tuple[int, ...]]:
    return [(*key, *span) for key, span in sorted(spans.items())]


def _upsert_sql(table: str, source: str) -> str:
    columns, keys, update = _UPSERTS[table]
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) {source}"
        f" ON CONFLICT ({', '.join(columns[:keys])}) DO UPDATE SET {update.format(table=table)}"
    )


def _array(column: str) -> str:
    return "%s::int4[]" if column in ("session_id", "origin_id") else "%s::int8[]"


class SqliteBulk:
    """executemany of tuples."""

    _EVENTS: Final = (
        "INSERT INTO events (session_id, seq, ts, origin_id, payload) VALUES (?, ?, ?, ?, ?)"
    )
    _UPSERT: Final = {
        table: _upsert_sql(table, f"VALUES ({', '.join('?' * len(columns))})")
        for table, (columns, _, _) in _UPSERTS.items()
    }

    def events(self, conn: Connection, rows: Sequence[EventRow]) -> None:
        """Insert event rows."""
        driver: Any = conn.connection.driver_connection
        driver.executemany(self._EVENTS, rows)

    def upsert(self, conn: Connection, table: str, rows: Sequence[tuple[int, ...]]) -> None:
        """Add rows to a rollup table."""
        conn.exec_driver_sql(self._UPSERT[table], rows)


class PostgresBulk:
    """Binary COPY, and unnest."""

    _COPY: Final = (
        "COPY events (session_id, seq, ts, origin_id, payload) FROM STDIN (FORMAT BINARY)"
    )
    _HEADER: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
    _TRAILER: Final = b"\xff\xff"
    _ROW: Final = struct.Struct(">hiiiqiqiii")
    _UPSERT: Final = {
        table: _upsert_sql(
            table,
            f"SELECT * FROM unnest({', '.join(map(_array, columns))})",  # noqa: S608
        )
        for table, (columns, _, _) in _UPSERTS.items()
    }

    def events(self, conn: Connection, rows: Sequence[EventRow]) -> None:
        """Insert event rows."""
        pack = self._ROW.pack
        parts = [self._HEADER]
        for session, seq, ts, origin, payload in rows:
            raw = payload.encode()
            parts.append(pack(5, 4, session, 8, seq, 8, ts, 4, origin, len(raw)))
            parts.append(raw)
        parts.append(self._TRAILER)
        driver: Any = conn.connection.driver_connection
        with driver.cursor() as cursor, cursor.copy(self._COPY) as copy:
            copy.write(b"".join(parts))

    def upsert(self, conn: Connection, table: str, rows: Sequence[tuple[int, ...]]) -> None:
        """Add rows to a rollup table."""
        columns = tuple(list(column) for column in zip(*rows, strict=True))
        conn.exec_driver_sql(self._UPSERT[table], columns)


def bulk_for(dialect: str) -> Bulk:
    """Return the fast paths of a dialect's name."""
    return SqliteBulk() if dialect == "sqlite" else PostgresBulk()
