"""The newest lines of a session: as they were received, whatever the store made of them."""

from __future__ import annotations

import pytest

from igdash.domain.errors import SessionNotFound
from igdash.domain.events import TOKEN_K8S, NewTick
from igdash.domain.instances import Received
from igdash.domain.nodes import NodeState, NodeStatus
from igdash.domain.sessions import NewSession, SessionId, SessionSpec, SessionState, StateChange
from igdash.store import recent as module
from tests.support.stores import T0, Store, event


def lines(store: Store, session: SessionId, most: int = 10) -> list[bytes]:
    return [one.line for one in store.writer.recent(session, most)]


def covered(store: Store, session: SessionId, *nodes: str) -> None:
    coverage = tuple(NodeStatus(name=node, state=NodeState.CONNECTED) for node in nodes)
    change = StateChange(state=SessionState.RUNNING, at=T0, coverage=coverage)
    store.writer.change(session, change)


def test_headless_and_foreign_instances_come_back(store: Store) -> None:
    for number, more in enumerate(({"headless": True}, {"instance": "a" * 32})):
        spec = SessionSpec(gadget="trace_tcp", environment="host", **more)  # type: ignore[arg-type]
        new = NewSession(id=SessionId(f"{number:012d}"), spec=spec, created=T0)
        assert store.writer.create(new).spec == spec
        assert store.reader.sessions.get(new.id).spec == spec
        assert [point.session.spec for point in store.writer.unfinished()][-1] == spec
        assert store.writer.hide(new.id).spec == spec


def test_the_newest_in_order(store: Store) -> None:
    session = store.create().id
    assert lines(store, session) == []
    store.add(session, *(event(f'{{"n":{n}}}', T0 + n) for n in range(1, 31)))
    found = store.writer.recent(session, 10)
    assert [one.line for one in found] == [b'{"n":%d}' % n for n in range(21, 31)]
    assert found[-1] == Received(node="", line=b'{"n":30}', at=T0 + 30)
    assert len(lines(store, session, 1_000)) == 30


def test_what_was_cut_out_is_back_in_its_place(store: Store) -> None:
    session = store.create().id
    store.add(session, event(f'{{"a":1,{TOKEN_K8S},"z":2}}', k8s='{"node":"ü"}', node="ü"))
    assert lines(store, session) == ['{"a":1,"k8s":{"node":"ü"},"z":2}'.encode()]


def test_a_tick_is_one_line(store: Store) -> None:
    session = store.create().id
    events = [event(f'{{"n":{n}}}', node="a") for n in range(1, 8)]
    ticks = (
        NewTick(ts=T0, node="a", source="", first=0, events=3),
        NewTick(ts=T0, node="a", source="", first=3, events=0),
        NewTick(ts=T0, node="a", source="", first=4, events=2),
        NewTick(ts=T0, node="a", source="", first=7, events=0),
    )
    store.add(session, *events, ticks=ticks)
    assert lines(store, session) == [
        b'[{"n":1},{"n":2},{"n":3}]', b"[]", b'{"n":4}', b'[{"n":5},{"n":6}]', b'{"n":7}', b"[]",
    ]  # fmt: skip
    # The limit falls into the first one, which is no line then.
    assert lines(store, session, 5)[0] == b"[]"


def test_each_node_has_its_own(store: Store) -> None:
    session = store.create().id
    covered(store, session, "busy", "quiet", "silent")
    store.add(session, event('{"q":1}', node="quiet"), event('{"q":2}', node="quiet"))
    store.add(session, *(event(f'{{"n":{n}}}', node="busy") for n in range(100)))
    found = store.writer.recent(session, 10)
    assert [one.line for one in found if one.node == "quiet"] == [b'{"q":1}', b'{"q":2}']
    assert len([one for one in found if one.node == "busy"]) == 30
    assert found[-1].line == b'{"n":99}'


def test_it_does_not_read_without_end(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_ROWS", 20)
    session = store.create().id
    store.add(session, *(event(f'{{"n":{n}}}') for n in range(100)))
    assert len(lines(store, session, 1_000)) == 20


def test_an_unknown_session(store: Store) -> None:
    with pytest.raises(SessionNotFound):
        store.writer.recent(SessionId("ffffffffffff"), 10)
