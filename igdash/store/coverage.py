"""Which nodes a session covers: a row per node, replaced when the node's state changes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, select
from sqlalchemy.dialects import postgresql, sqlite

from igdash.domain.nodes import NodeState, NodeStatus
from igdash.store.rows import clamp, clean
from igdash.store.tables import session_nodes


def write_coverage(conn: Connection, session: int, nodes: Sequence[NodeStatus]) -> None:
    """Store the nodes' states in place of what is stored of the same nodes."""
    rows = {clean(node.name): _values(session, node) for node in nodes}
    if rows:
        conn.execute(_upsert(conn.dialect.name), list(rows.values()))


def read_coverage(conn: Connection, session: int) -> tuple[NodeStatus, ...]:
    """Return the session's nodes by name."""
    c = session_nodes.c
    found = conn.execute(select(session_nodes).where(c.session_id == session)).all()
    nodes = [
        NodeStatus(
            name=row.node,
            state=NodeState(row.state),
            since=row.since,
            reason=row.reason,
            version=row.version,
        )
        for row in found
    ]
    return tuple(sorted(nodes, key=lambda node: node.name))


def _values(session: int, node: NodeStatus) -> dict[str, Any]:
    return {
        "session_id": session,
        "node": clean(node.name),
        "state": node.state.value,
        "since": clamp(node.since),
        "reason": clean(node.reason),
        "version": clean(node.version),
    }


def _upsert(dialect: str) -> Any:
    make = sqlite.insert if dialect == "sqlite" else postgresql.insert
    statement: Any = make(session_nodes)
    new = statement.excluded
    return statement.on_conflict_do_update(
        index_elements=["session_id", "node"],
        set_={name: new[name] for name in ("state", "since", "reason", "version")},
    )
