"""The event store: the only package with SQL, on SQLite or PostgreSQL.

Others use what is named here and the ports of `igdash.domain.ports`. `docs/schema.md` describes
what users may read with SQL.
"""

from __future__ import annotations

from igdash.store.admin import check, stats
from igdash.store.engine import shown
from igdash.store.migrate import upgrade
from igdash.store.reader import Reader, open_reader
from igdash.store.run_lock import lock_run
from igdash.store.sql import StoredSql, open_sql
from igdash.store.sql_postgres import set_up as set_up_sql
from igdash.store.sql_postgres import set_up_once as set_up_sql_once
from igdash.store.writer import Writer, open_writer

__all__ = [
    "Reader",
    "StoredSql",
    "Writer",
    "check",
    "lock_run",
    "open_reader",
    "open_sql",
    "open_writer",
    "set_up_sql",
    "set_up_sql_once",
    "shown",
    "stats",
    "upgrade",
]
