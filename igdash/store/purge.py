"""Deleting what hidden sessions left behind, in slices that never hold the write lock for long.

Keys are dense or small, so a slice is a key range from the lowest row on: no scan, no OFFSET.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Connection, Table, and_, delete, exists, func, select

from igdash.store.tables import (
    activity,
    activity_origin,
    events,
    fields,
    logs,
    losses,
    malformed,
    origins,
    session_origin,
    sessions,
    ticks,
)

_SLICED: Final[tuple[tuple[Table, Column[int]], ...]] = (
    (events, events.c.seq),
    (malformed, malformed.c.n),
    (ticks, ticks.c.tick),
    (activity_origin, activity_origin.c.minute),
    (activity, activity.c.sec),
    (losses, losses.c.sec),
    (logs, logs.c.n),
    (session_origin, session_origin.c.origin_id),
)


def purge(conn: Connection, rows: int) -> tuple[bool, bool]:
    """Delete about `rows` rows; return whether more remain and whether origins were deleted."""
    hidden = sessions.c.deleted_at.is_not(None)
    session = conn.execute(select(sessions.c.id).where(hidden).limit(1)).scalar()
    if session is None:
        return False, False
    left = max(rows, 1)
    for table, key in _SLICED:
        left -= _slice(conn, table, key, int(session), left)
        if left <= 0:
            return True, False
    conn.execute(delete(sessions).where(sessions.c.id == session))
    gone = _unused(conn)
    return bool(conn.execute(select(exists().where(hidden))).scalar()), gone


def _slice(conn: Connection, table: Table, key: Column[int], session: int, rows: int) -> int:
    mine = table.c.session_id == session
    edge = conn.execute(select(key).where(mine).order_by(key).offset(rows).limit(1)).scalar()
    condition = mine if edge is None else and_(mine, key < edge)
    done = conn.execute(delete(table).where(condition)).rowcount
    if done == 0 and edge is not None:  # more than `rows` rows share the lowest key
        done = conn.execute(delete(table).where(mine, key == edge)).rowcount
    return done


def _unused(conn: Connection) -> bool:
    used_schema = exists().where(sessions.c.schema_id == fields.c.id)
    conn.execute(delete(fields).where(~used_schema))
    used_origins = select(session_origin.c.origin_id).distinct()
    lost = conn.execute(select(func.count()).where(origins.c.id.not_in(used_origins))).scalar_one()
    if lost:
        conn.execute(delete(origins).where(origins.c.id.not_in(used_origins)))
    return lost > 0
