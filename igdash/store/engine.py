"""Connections as each database needs them.

SQLite: WAL with synchronous=FULL, and exactly one connection that writes *and* checkpoints (SQLite
3.7.0 to 3.51.2 can corrupt a database when a checkpoint meets another connection's commit); every
other connection is opened `mode=ro`. Python's own implicit transactions are off: a reader's BEGIN
is a snapshot, a writer's is IMMEDIATE, and schema changes are transactional.
PostgreSQL: readers are read-only and repeatable-read, so that an answer of several statements
fits together as it does on SQLite.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.engine import URL
from sqlalchemy.exc import ArgumentError
from sqlalchemy.pool import QueuePool

from igdash.domain.errors import StoreBusy, StoreRefused

PAGE_SIZE: Final = 8192
CHECKPOINT_PAGES: Final = 1024
"""8 MiB of WAL: a larger one makes single commits wait longer for its checkpoint."""
WRITER_BUSY_S: Final = 1.0
"""How long one try of the writer waits for another program's lock; it tries again from above."""
READER_BUSY_S: Final = 5.0
READERS: Final = 32

_WRITER_PRAGMAS: Final = (
    f"PRAGMA page_size={PAGE_SIZE}",
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=FULL",
    f"PRAGMA wal_autocheckpoint={CHECKPOINT_PAGES}",
    f"PRAGMA journal_size_limit={2 * CHECKPOINT_PAGES * PAGE_SIZE}",
    "PRAGMA secure_delete=OFF",
    "PRAGMA cache_size=-32000",
)
_READER_PRAGMAS: Final = ("PRAGMA query_only=ON", "PRAGMA cache_size=-8000")
_PG_LIVENESS: Final = {
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 30_000,
    "application_name": "igdash",
}
_PG_READER: Final = (
    "-c default_transaction_read_only=on -c statement_timeout=30000 -c enable_bitmapscan=off"
    " -c jit=off"
)
"""Every read here follows an index in its order and stops early; a bitmap scan would read and sort
a whole session first, and is what the planner likes before a young table has statistics. Compiling
a statement takes longer than any of these."""


def parse_url(url: str) -> URL:
    """Return the parsed database URL. Raises `StoreRefused` for one that igdash cannot use."""
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise StoreRefused(
            "store.url is no database URL; use sqlite:////path/file.db or "
            "postgresql+psycopg://user@host/database"
        ) from None
    backend, _, driver = parsed.drivername.partition("+")
    if backend == "postgresql" and driver in ("", "psycopg"):
        return parsed.set(drivername="postgresql+psycopg")
    if backend == "sqlite" and driver in ("", "pysqlite"):
        if parsed.database in (None, "", ":memory:"):
            raise StoreRefused("store.url names no file; use sqlite:////path/file.db")
        return parsed
    raise StoreRefused(
        f"store.url begins with {parsed.drivername!r}; use sqlite or postgresql+psycopg"
    )


def shown(url: str) -> str:
    """Return how a database is named in messages: the file, or the URL without its password."""
    parsed = parse_url(url)
    if parsed.get_backend_name() == "sqlite":
        return str(sqlite_path(url))
    return parsed.set(query={}).render_as_string(hide_password=True)


def is_sqlite(url: str) -> bool:
    """Whether `url` names an SQLite file."""
    return parse_url(url).get_backend_name() == "sqlite"


def sqlite_path(url: str) -> Path:
    """Return the absolute path of an SQLite URL's file."""
    return Path(parse_url(url).database or "").absolute()


def create_file(path: Path) -> None:
    """Make an empty database file that only its owner can read, and its folders.

    Raises `StoreRefused` when that is not possible.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    except FileExistsError:
        return
    except OSError as error:
        raise StoreRefused(f"cannot create {path}: {error.strerror}") from error


def reader_engine(url: str) -> Engine:
    """Return an engine whose connections cannot write."""
    if is_sqlite(url):
        return _sqlite_engine(
            sqlite_path(url), "ro", _READER_PRAGMAS, READER_BUSY_S, "BEGIN", pool=READERS
        )
    return create_engine(
        parse_url(url),
        connect_args=_postgres_args(url, _PG_READER),
        isolation_level="REPEATABLE READ",
        pool_size=8,
        max_overflow=READERS - 8,
        pool_timeout=10,
        pool_pre_ping=True,
        hide_parameters=True,
    )


def writer_engine(url: str) -> Engine:
    """Return an engine with the one connection that writes."""
    if is_sqlite(url):
        path = sqlite_path(url)
        return _sqlite_engine(path, "rw", _WRITER_PRAGMAS, WRITER_BUSY_S, "BEGIN IMMEDIATE", pool=1)
    return create_engine(
        parse_url(url),
        connect_args=_postgres_args(url, "-c idle_in_transaction_session_timeout=60000"),
        pool_size=1,
        max_overflow=0,
        pool_timeout=1,
        hide_parameters=True,
    )


def _postgres_args(url: str, options: str) -> dict[str, Any]:
    theirs = parse_url(url).query
    if isinstance(given := theirs.get("options"), str):
        options = f"{given} {options}"
    return {key: value for key, value in _PG_LIVENESS.items() if key not in theirs} | {
        "options": options
    }


def _sqlite_engine(
    path: Path, mode: str, pragmas: tuple[str, ...], busy: float, begin: str, *, pool: int
) -> Engine:
    def connect() -> sqlite3.Connection:
        if not path.exists():
            raise StoreBusy(f"{path} is not there (any more)")
        return sqlite3.connect(
            f"file:{quote(str(path))}?mode={mode}",
            uri=True,
            timeout=busy,
            isolation_level=None,
            check_same_thread=False,
        )

    engine = create_engine(
        "sqlite://",
        creator=connect,
        poolclass=QueuePool,
        pool_size=pool,
        max_overflow=0,
        pool_timeout=10,
        hide_parameters=True,
    )
    event.listen(engine, "connect", _run_each(pragmas))
    event.listen(engine, "begin", _begin_with(begin))
    return engine


def _run_each(statements: tuple[str, ...]) -> Callable[[Any, Any], None]:
    def on_connect(connection: Any, _record: Any) -> None:
        for statement in statements:
            connection.execute(statement)

    return on_connect


def _begin_with(statement: str) -> Callable[[Connection], None]:
    def on_begin(connection: Connection) -> None:
        connection.exec_driver_sql(statement)

    return on_begin
