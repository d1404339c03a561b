"""Deleting what hidden sessions left behind, in slices that never hold the write lock for long.

Keys are dense or small, so a slice is a key range from the lowest row on: no scan, no OFFSET.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Column, Connection, Table, and_, delete, exists, select

from igdash.store.tables import (
    activity,
    activity_origin,
    activity_origin_sec,
    events,
    fields,
    logs,
    losses,
    malformed,
    origins,
    session_fields,
    session_nodes,
    session_origin,
    sessions,
    ticks,
)

_SLICED: Final[tuple[tuple[Table, Column[int]], ...]] = (
    (events, events.c.seq),
    (malformed, malformed.c.n),
    (ticks, ticks.c.tick),
    (activity_origin, activity_origin.c.minute),
    (activity_origin_sec, activity_origin_sec.c.sec),
    (activity, activity.c.sec),
    (losses, losses.c.sec),
    (logs, logs.c.n),
    (session_origin, session_origin.c.origin_id),
    (session_nodes, session_nodes.c.since),
    (session_fields, session_fields.c.n),
)


def purge(conn: Connection, rows: int) -> bool:
    """Delete about `rows` rows of one hidden session; return whether more remain.

    With the last row of a session its origins and fields go too, where nobody else has them.
    """
    hidden = sessions.c.deleted_at.is_not(None)
    session = conn.execute(select(sessions.c.id).where(hidden).limit(1)).scalar()
    if session is None:
        return False
    left = max(rows, 1)
    for table, key in _SLICED:
        left -= _slice(conn, table, key, int(session), left)
        if left <= 0:
            return True
    conn.execute(delete(sessions).where(sessions.c.id == session))
    _delete_unused(conn)
    return bool(conn.execute(select(exists().where(hidden))).scalar())


def _slice(conn: Connection, table: Table, key: Column[int], session: int, rows: int) -> int:
    mine = table.c.session_id == session
    edge = conn.execute(select(key).where(mine).order_by(key).offset(rows).limit(1)).scalar()
    condition = mine if edge is None else and_(mine, key < edge)
    done = conn.execute(delete(table).where(condition)).rowcount
    if done == 0 and edge is not None:  # more than `rows` rows share the lowest key
        done = conn.execute(delete(table).where(mine, key == edge)).rowcount
    return done


def _delete_unused(conn: Connection) -> None:
    started_with = exists().where(sessions.c.schema_id == fields.c.id)
    told = exists().where(session_fields.c.fields_id == fields.c.id)
    conn.execute(delete(fields).where(~started_with, ~told))
    used = select(session_origin.c.origin_id).distinct()
    conn.execute(delete(origins).where(origins.c.id.not_in(used)))
