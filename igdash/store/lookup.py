"""From a public id to the session's row: where deleted sessions stop being visible."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, select

from igdash.domain.errors import SessionNotFound
from igdash.domain.sessions import SessionId
from igdash.store.rows import clean
from igdash.store.tables import sessions


def session_row(conn: Connection, session: SessionId) -> Any:
    """Return the `sessions` row. Raises `SessionNotFound`, for deleted sessions too."""
    c = sessions.c
    row = conn.execute(
        select(sessions).where(c.uid == clean(session), c.deleted_at.is_(None))
    ).one_or_none()
    if row is None:
        raise SessionNotFound(f"there is no session {session[:64]!r}")
    return row
