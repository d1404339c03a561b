"""The event store: the only package with SQL, on SQLite or PostgreSQL.

Others use what is named here and the ports of `igdash.domain.ports`. `docs/schema.md` describes
what users may read with SQL.
"""

from __future__ import annotations

from igdash.store.admin import check, stats
from igdash.store.migrate import upgrade
from igdash.store.reader import Reader, open_reader
from igdash.store.writer import Writer, open_writer

__all__ = ["Reader", "Writer", "check", "open_reader", "open_writer", "stats", "upgrade"]
