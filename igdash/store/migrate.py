"""Bringing a database to this version's schema, and refusing those that are not ours to touch.

A look comes first, through a connection that cannot write: a newer, damaged or foreign database is
refused before a byte of it changes. A migration is one transaction on both databases, so an
interrupted one leaves what was there before.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, column, inspect, select, table, text

import igdash
from igdash.domain.errors import AlreadyRunning, StoreRefused
from igdash.store.engine import (
    create_file,
    is_sqlite,
    reader_engine,
    shown,
    sqlite_path,
    writer_engine,
)
from igdash.store.errors import translated
from igdash.store.lock import ADVISORY_KEY, FileLock
from igdash.store.tables import metadata

_LOCK_WAIT_MS: Final = 10_000
_SQLITE_MAGIC: Final = b"SQLite format 3\0"
VERSION_TABLE: Final = "alembic_version"


def upgrade(url: str) -> str:
    """Create the store or bring it to this version's schema; return the revision it has then.

    Raises `StoreRefused` for what is not ours, newer or damaged (nothing is changed then),
    `AlreadyRunning` when a collector works on a store that needs changing, `StoreBusy`.
    """
    if is_sqlite(url):
        create_file(sqlite_path(url))
    now = revision(url)
    if now == head():
        return now
    lock = FileLock(sqlite_path(url)) if is_sqlite(url) else None
    engine = writer_engine(url)
    try:
        with translated(f"cannot migrate {shown(url)}"), engine.begin() as conn:
            _take_locks(conn, shown(url))
            _migrate(conn, head())
    finally:
        engine.dispose()
        if lock is not None:
            lock.release()
    return head()


def require_head(url: str) -> None:
    """Raise `StoreRefused` unless the store exists and has this version's schema."""
    if is_sqlite(url) and not sqlite_path(url).exists():
        raise StoreRefused(f"there is no database at {shown(url)}; `igdash db upgrade` makes it")
    now = revision(url)
    if now != head():
        what = f"has the older schema {now}" if now else "is empty"
        raise StoreRefused(f"{shown(url)} {what}; run `igdash db upgrade`")


def revision(url: str) -> str | None:
    """Return the schema revision of a store, None for an empty one, changing nothing.

    Raises `StoreRefused` for a database that is newer, damaged, or another program's.
    """
    name = shown(url)
    if is_sqlite(url):
        _look_at_file(sqlite_path(url))
    engine = reader_engine(url)
    try:
        with translated(f"cannot read {name}"), engine.connect() as conn:
            return _revision(conn, name)
    finally:
        engine.dispose()


def head() -> str:
    """Return the revision this version works with."""
    return revisions()[-1]


def revisions() -> list[str]:
    """Return the revisions this version knows, oldest first.

    They are read off the migrations' file names: every command looks at the schema, and importing
    Alembic for that would double its start.
    """
    return sorted(path.name.split("_")[0] for path in (_folder() / "versions").glob("[0-9]*_*.py"))


def _revision(conn: Connection, name: str) -> str | None:
    tables = set(inspect(conn).get_table_names())
    if not tables:
        return None
    ours = set(metadata.tables)
    if VERSION_TABLE not in tables or not ours & tables:
        some = ", ".join(sorted(tables)[:3])
        raise StoreRefused(f"{name} belongs to another program (tables {some}); left as it is")
    found = conn.execute(select(column("version_num")).select_from(table(VERSION_TABLE))).scalar()
    if found is None:
        return None
    if found not in revisions():
        raise StoreRefused(
            f"{name} was written by a newer igdash (schema {found}); left as it is, use that version"
        )
    return str(found)


def _look_at_file(path: Path) -> None:
    """Refuse what SQLite itself would accept too easily: no database, or one cut short."""
    try:
        with path.open("rb") as file:
            start = file.read(100)
            size = os.fstat(file.fileno()).st_size
    except IsADirectoryError:
        raise StoreRefused(f"{path} is a folder, not a database") from None
    except OSError as error:
        raise StoreRefused(f"cannot read {path}: {error.strerror}") from error
    if not start:
        return
    if not start.startswith(_SQLITE_MAGIC) or len(start) < 100:
        raise StoreRefused(f"{path} is not an SQLite database; left as it is")
    page = int.from_bytes(start[16:18], "big")
    pages = int.from_bytes(start[28:32], "big")
    trusted = start[24:28] == start[92:96]
    wal = path.with_name(path.name + "-wal")
    if trusted and size < pages * (page if page > 1 else 65_536) and not _has_bytes(wal):
        raise StoreRefused(f"{path} is damaged: it is shorter than its header says; left as it is")


def _has_bytes(path: Path) -> bool:
    try:
        return path.stat().st_size > 0
    except OSError:
        return False


def _take_locks(conn: Connection, name: str) -> None:
    """PostgreSQL: one migration at a time, none while a collector works, no wait without end."""
    if conn.dialect.name != "postgresql":
        return
    conn.execute(text(f"SET LOCAL lock_timeout = {_LOCK_WAIT_MS}"))
    conn.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": ADVISORY_KEY + 1})
    free = text("SELECT pg_try_advisory_xact_lock(:key)")
    if not conn.execute(free, {"key": ADVISORY_KEY}).scalar_one():
        raise AlreadyRunning(f"{name} needs a migration, but an igdash collects into it: stop it")


def _migrate(conn: Connection, target: str) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(_folder()))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = conn
    command.upgrade(config, target)


def migrate_to(url: str, target: str) -> None:
    """Run the migrations up to `target` and no further; tests of single steps need it."""
    engine = writer_engine(url)
    try:
        with engine.begin() as conn:
            _migrate(conn, target)
    finally:
        engine.dispose()


def _folder() -> Path:
    """Return the folder of the migrations: in the package, or beside it in the repository."""
    package = Path(igdash.__file__).parent
    shipped = package / "_migrations"
    return shipped if shipped.is_dir() else package.parent / "migrations"
