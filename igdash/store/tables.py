"""The tables, once, for both databases; `migrations/` builds the same ones and a test compares.

Nothing here is promised to users: they read the `v_*` views. There are no foreign keys on purpose:
every row is written by one writer that knows the session, and a check per event row would cost a
fifth of the insert rate.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

metadata: Final = MetaData()

_ZERO: Final = text("0")
_EMPTY: Final = text("''")


def _count(name: str) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=_ZERO)


def _text(name: str) -> Column[str]:
    return Column(name, Text, nullable=False, server_default=_EMPTY)


sessions: Final = Table(
    "sessions",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("uid", String(64), nullable=False),
    Column("gadget", Text, nullable=False),
    Column("environment", Text, nullable=False),
    _text("name"),
    _text("namespace"),
    _text("pod"),
    _text("container"),
    _text("node"),
    _text("selector"),
    _text("params"),
    _text("stop_after"),
    _text("command"),
    _text("info"),
    _text("search"),
    Column("schema_id", Integer),
    Column("state", String(16), nullable=False),
    _text("reason"),
    Column("created", BigInteger, nullable=False),
    Column("started", BigInteger),
    Column("stopped", BigInteger),
    Column("deleted_at", BigInteger),
    _count("last_seq"),
    _count("event_count"),
    _count("byte_count"),
    Column("first_ts", BigInteger),
    Column("last_ts", BigInteger),
    _count("ticks"),
    _count("malformed"),
    _count("lost"),
    _count("logs"),
    _count("received"),
    _count("spool_offset"),
    _count("rate_at"),
    _count("rate_now"),
    _count("rate_before"),
    _count("nodes_expected"),
    _count("nodes_connected"),
    Column("headless", Boolean, server_default=false(), nullable=False),
    _text("instance"),
    UniqueConstraint("uid", name="uq_sessions_uid"),
    sqlite_autoincrement=True,
)
"""A row per session with its counters, changed in the transaction of the rows they count.

`search` holds the casefolded texts a search looks in. `first_ts`/`last_ts` are the times of the
first and the newest event by seq, so that one event with an absurd clock is forgotten by the next.
`rate_at` … are a sliding window by receipt (see `rates`). Ids are never used again
(AUTOINCREMENT), so that no cache can mix two sessions up.
"""

fields: Final = Table(
    "fields",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("hash", LargeBinary, nullable=False),
    Column("sources", Text, nullable=False),
    UniqueConstraint("hash", name="uq_fields_hash"),
    sqlite_autoincrement=True,
)
"""Data sources with their fields as JSON, each distinct set once."""

session_fields: Final = Table(
    "session_fields",
    metadata,
    Column("session_id", Integer, nullable=False),
    Column("n", BigInteger, nullable=False),
    Column("ts", BigInteger, nullable=False),
    _text("node"),
    Column("fields_id", Integer, nullable=False),
    PrimaryKeyConstraint("session_id", "n", name="pk_session_fields"),
)
"""The distinct schemas that a session's streams told, numbered as they came. The one in `sessions`
is what was expected at the start, and counts only until the first of these."""

origins: Final = Table(
    "origins",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("hash", LargeBinary, nullable=False),
    _text("node"),
    _text("source"),
    _text("namespace"),
    _text("pod"),
    _text("container"),
    _text("k8s"),
    _text("runtime"),
    UniqueConstraint("hash", name="uq_origins_hash"),
    sqlite_autoincrement=True,
)
"""Where events come from; `k8s` and `runtime` are cut out of the events that repeat them."""

events: Final = Table(
    "events",
    metadata,
    Column("session_id", Integer, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("ts", BigInteger, nullable=False),
    Column("origin_id", Integer, nullable=False),
    Column("payload", Text, nullable=False),
    Index(
        "ix_events_walk",
        "session_id",
        "seq",
        "origin_id",
        "ts",
        unique=True,
        info={"dialect": "sqlite"},
    ).ddl_if(dialect="sqlite"),
    Index(
        "uq_events_session_seq",
        "session_id",
        "seq",
        unique=True,
        postgresql_include=["origin_id", "ts"],
        info={"dialect": "postgresql"},
    ).ddl_if(dialect="postgresql"),
)
"""The history. A plain rowid table on SQLite: a clustered key costs a quarter of the rate.

Its one index carries origin and time along, so that what these decide is read from it alone: a
tenth of the work of visiting the rows. SQLite has no included columns; there they are part of the
key, and that no seq is there twice is kept by the writer's counters alone.
"""

ticks: Final = Table(
    "ticks",
    metadata,
    Column("session_id", Integer, nullable=False),
    Column("tick", BigInteger, nullable=False),
    Column("ts", BigInteger, nullable=False),
    _text("node"),
    _text("source"),
    Column("first_seq", BigInteger, nullable=False),
    Column("n", BigInteger, nullable=False),
    PrimaryKeyConstraint("session_id", "tick", name="pk_ticks"),
)

activity: Final = Table(
    "activity",
    metadata,
    Column("session_id", Integer, nullable=False),
    Column("sec", BigInteger, nullable=False),
    Column("n", BigInteger, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    PrimaryKeyConstraint("session_id", "sec", name="pk_activity"),
)
"""Events per second of their own time: the histogram, and the way from a time to a seq."""

activity_origin: Final = Table(
    "activity_origin",
    metadata,
    Column("session_id", Integer, nullable=False),
    Column("minute", BigInteger, nullable=False),
    Column("origin_id", Integer, nullable=False),
    Column("n", BigInteger, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    PrimaryKeyConstraint("session_id", "minute", "origin_id", name="pk_activity_origin"),
)

activity_origin_sec: Final = Table(
    "activity_origin_sec",
    metadata,
    Column("session_id", Integer, nullable=False),
    Column("sec", BigInteger, nullable=False),
    Column("origin_id", Integer, nullable=False),
    Column("n", BigInteger, nullable=False),
    Column("first_seq", BigInteger, nullable=False),
    Column("last_seq", BigInteger, nullable=False),
    PrimaryKeyConstraint("session_id", "sec", "origin_id", name="pk_activity_origin_sec"),
    sqlite_with_rowid=False,
)
"""The same per second, for bars of seconds and the edges of minutes. Clustered on SQLite: rows are
small and come in the order of the key, so a rowid and its index would double them."""

session_origin: Final = Table(
    "session_origin",
    metadata,
    Column("session_id", Integer, nullable=False),
    Column("origin_id", Integer, nullable=False),
    Column("n", BigInteger, nullable=False),
    PrimaryKeyConstraint("session_id", "origin_id", name="pk_session_origin"),
)

session_nodes: Final = Table(
    "session_nodes",
    metadata,
    Column("session_id", Integer, nullable=False),
    Column("node", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("since", BigInteger, nullable=False),
    _text("reason"),
    _text("version"),
    PrimaryKeyConstraint("session_id", "node", name="pk_session_nodes"),
)
"""Each node that a session covers or covered, where its source tells."""

losses: Final = Table(
    "losses",
    metadata,
    Column("session_id", Integer, nullable=False),
    Column("node", Text, nullable=False),
    Column("cause", String(16), nullable=False),
    Column("sec", BigInteger, nullable=False),
    Column("start_ts", BigInteger, nullable=False),
    Column("end_ts", BigInteger, nullable=False),
    Column("n", BigInteger, nullable=False),
    _text("detail"),
    Column("exact", Boolean, nullable=False, server_default=false()),
    PrimaryKeyConstraint("session_id", "node", "cause", "sec", name="pk_losses"),
)

logs: Final = Table(
    "logs",
    metadata,
    Column("session_id", Integer, nullable=False),
    Column("n", BigInteger, nullable=False),
    Column("ts", BigInteger, nullable=False),
    Column("level", String(16), nullable=False),
    _text("node"),
    _text("text"),
    PrimaryKeyConstraint("session_id", "n", name="pk_logs"),
)

malformed: Final = Table(
    "malformed",
    metadata,
    Column("session_id", Integer, nullable=False),
    Column("n", BigInteger, nullable=False),
    Column("ts", BigInteger, nullable=False),
    _text("node"),
    Column("at_seq", BigInteger, nullable=False),
    Column("size", BigInteger, nullable=False),
    _text("reason"),
    Column("raw", LargeBinary, nullable=False),
    PrimaryKeyConstraint("session_id", "n", name="pk_malformed"),
)

KEPT_LINES: Final = 10_000
"""Newest log lines, and newest malformed lines, kept per session; their counters stay exact."""

schedules: Final = Table(
    "schedules",
    metadata,
    Column("id", String(64), nullable=False),
    _text("name"),
    Column("spec", Text, nullable=False),
    Column("created", BigInteger, nullable=False),
    Column("anchor", BigInteger, nullable=False),
    Column("asked", BigInteger),
    _count("failures"),
    Column("retry", BigInteger),
    PrimaryKeyConstraint("id", name="pk_schedules"),
)
"""Scheduled exports; `spec` is what people said, as JSON."""

export_runs: Final = Table(
    "export_runs",
    metadata,
    Column("schedule_id", String(64), nullable=False),
    Column("id", String(64), nullable=False),
    Column("started", BigInteger, nullable=False),
    Column("ended", BigInteger),
    Column("state", String(16), nullable=False),
    _text("reason"),
    _text("place"),
    _count("row_count"),
    _count("byte_count"),
    _count("lost"),
    _text("files"),
    _text("ranges"),
    PrimaryKeyConstraint("schedule_id", "id", name="pk_export_runs"),
)

export_cursors: Final = Table(
    "export_cursors",
    metadata,
    Column("schedule_id", String(64), nullable=False),
    Column("session_uid", String(64), nullable=False),
    _count("seq"),
    _count("lost"),
    PrimaryKeyConstraint("schedule_id", "session_uid", name="pk_export_cursors"),
)
"""The last seq of each session that a schedule has exported."""
