"""How big the database is, asked in the cheapest way each one has."""

from __future__ import annotations

from sqlalchemy import Connection, text


def database_bytes(conn: Connection) -> int:
    """Return the size of the store in bytes, free pages included, the WAL not."""
    if conn.dialect.name == "sqlite":
        pages = conn.exec_driver_sql("PRAGMA page_count").scalar_one()
        return int(pages * conn.exec_driver_sql("PRAGMA page_size").scalar_one())
    return int(conn.execute(text("SELECT pg_database_size(current_database())")).scalar_one())
