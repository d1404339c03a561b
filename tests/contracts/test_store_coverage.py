"""Nodes of a session by themselves, on both databases."""

from __future__ import annotations

import pytest

from igdash.domain.errors import SessionNotFound
from igdash.domain.nodes import NodeState, NodeStatus
from igdash.domain.sessions import Nodes, SessionId, SessionState, StateChange
from tests.support.stores import T0, Store


def node(name: str, state: NodeState = NodeState.CONNECTED, **more: object) -> NodeStatus:
    return NodeStatus(name=name, state=state, since=T0, **more)  # type: ignore[arg-type]


def change(store: Store, session: SessionId, *coverage: NodeStatus) -> None:
    nodes = Nodes(expected=3, connected=2)
    step = StateChange(state=SessionState.RUNNING, at=T0, nodes=nodes, coverage=coverage)
    store.writer.change(session, step)


def test_each_node_has_its_newest_state(store: Store) -> None:
    one, other = store.create().id, store.create().id
    assert store.reader.sessions.coverage(one) == ()
    change(store, one, node("worker-2"), node("worker-1", version="v0.55.0"))
    change(store, other, node("worker-1"))
    lost = node("worker-2", NodeState.WAITING, reason="connection reset\0 by peer")
    change(store, one, lost, node("worker-3", NodeState.FAILED, reason="no BTF"))
    store.writer.change(one, StateChange(state=SessionState.STOPPED, at=T0))
    found = store.reader.sessions.coverage(one)
    assert [(n.name, n.state.value, n.reason, n.version, n.since) for n in found] == [
        ("worker-1", "connected", "", "v0.55.0", T0),
        ("worker-2", "waiting", "connection reset� by peer", "", T0),
        ("worker-3", "failed", "no BTF", "", T0),
    ]
    assert store.reader.sessions.coverage(other) == (node("worker-1"),)


def test_a_name_told_twice_in_one_step_is_one_row(store: Store) -> None:
    session = store.create().id
    change(store, session, node("a", NodeState.WAITING), node("a"))
    assert store.reader.sessions.coverage(session) == (node("a"),)


def test_deleted_sessions_have_no_nodes_and_leave_none(store: Store) -> None:
    session = store.create().id
    change(store, session, *(node(f"n{number}") for number in range(20)))
    store.writer.hide(session)
    with pytest.raises(SessionNotFound):
        store.reader.sessions.coverage(session)
    while store.writer.purge(7):
        pass
    assert store.sql("SELECT count(*) FROM session_nodes")[0][0] == 0
