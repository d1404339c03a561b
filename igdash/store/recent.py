"""The newest lines of a session as they were received, for whoever must recognise them again."""

from __future__ import annotations

from typing import Any, Final

from sqlalchemy import ColumnElement, Connection, select

from igdash.domain.events import restore
from igdash.domain.instances import Received
from igdash.store.origins import OriginCache
from igdash.store.tables import events, origins, session_nodes, ticks

MOST_ROWS: Final = 100_000
"""Rows read at most. Ticks of many rows make few lines."""


def recent(conn: Connection, session: int, last_seq: int, lines: int) -> list[Received]:
    """Return the newest lines, oldest first: up to `lines` rows per node, those of a tick as one line.

    A node that is so much quieter than the others that it has none among them is read on its own.
    """
    wanted = select(session_nodes.c.node).where(session_nodes.c.session_id == session)
    nodes = set(conn.execute(wanted).scalars())
    low = last_seq - min(lines * max(len(nodes), 1), MOST_ROWS)
    found = _with_ticks(conn, session, low)
    for node in sorted(nodes - {line.node for line in found}):
        of_node = events.c.origin_id.in_(select(origins.c.id).where(origins.c.node == node))
        found = [one for _, one in _rows(conn, session, of_node, lines)] + found
    return found


def _with_ticks(conn: Connection, session: int, low: int) -> list[Received]:
    t = ticks.c
    wanted = select(ticks).where(t.session_id == session, t.first_seq + t.n > low)
    whole = list(conn.execute(wanted.order_by(t.tick)).all())
    while whole and whole[0].first_seq <= low:  # cut by the limit: not a line any more
        low = max(low, whole[0].first_seq + whole.pop(0).n - 1)
    rows = _rows(conn, session, events.c.seq > low, MOST_ROWS * 2)
    found: list[Received] = []
    at = 0
    for tick in whole:
        while at < len(rows) and rows[at][0] < tick.first_seq:
            found.append(rows[at][1])
            at += 1
        inside = [row.line for _, row in rows[at : at + tick.n]]
        at += tick.n
        line = b"[" + b",".join(inside) + b"]"
        found.append(Received(node=tick.node, line=line, at=tick.ts))
    return found + [row for _, row in rows[at:]]


def _rows(
    conn: Connection, session: int, which: ColumnElement[bool], limit: int
) -> list[tuple[int, Received]]:
    e = events.c
    wanted = select(e.seq, e.ts, e.origin_id, e.payload).where(e.session_id == session, which)
    read: list[Any] = list(conn.execute(wanted.order_by(e.seq.desc()).limit(limit)).all())
    known = OriginCache().load(conn, {row.origin_id for row in read})
    return [
        (
            seq,
            Received(node=(o := known[origin]).node, line=_line(payload, o.k8s, o.runtime), at=ts),
        )
        for seq, ts, origin, payload in reversed(read)
    ]


def _line(payload: str, k8s: str, runtime: str) -> bytes:
    return restore(payload, k8s, runtime).encode()
