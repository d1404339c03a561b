"""The views users read: the same names, columns and values on both databases."""

from __future__ import annotations

import json
from typing import Any

from igdash.domain.events import TOKEN_K8S, TOKEN_RUNTIME
from igdash.domain.losses import Loss, LossCause
from igdash.domain.queries import EventRange
from igdash.domain.sessions import SessionState, StateChange
from igdash.domain.times import NS, format_ns
from tests.support.stores import T0, Store, event

COLUMNS = {
    "v_sessions": "id name gadget environment namespace pod container node selector params"
    " stop_after state reason created started stopped first_event last_event events lost malformed"
    " ticks logs received bytes rate nodes_expected nodes_connected last_seq command info"
    " target nodes",
    "v_events": "session_id seq ts time node namespace pod container source data",
    "v_losses": "session_id node cause start_ts end_ts start_time end_time count exact detail",
}


def rows(store: Store, query: str) -> list[dict[str, Any]]:
    with store.reader.engine.connect() as conn:
        return [dict(row) for row in conn.exec_driver_sql(query).mappings()]


def test_views_have_the_documented_columns(store: Store) -> None:
    session = store.create().id
    loss = Loss(node="n", start=T0, end=T0, count=1, cause=LossCause.KERNEL)
    store.add(session, event(), losses=(loss,))
    for view, columns in COLUMNS.items():
        [row] = rows(store, f"SELECT * FROM {view}")
        assert list(row) == columns.split()


def test_events_are_whole_again(store: Store) -> None:
    session = store.create().id
    place = {"k8s": '{"k8s":"@k8s","ü":"\\\\1 $1"}', "runtime": '{"r":"@"}'}
    twice = f'{{{TOKEN_K8S},"x":{{{TOKEN_K8S}}},{TOKEN_RUNTIME}}}'
    store.add(
        session,
        event(twice, node="n", source="s", namespace="ns", pod="p", container="c", **place),
        event(twice, runtime=place["runtime"]),
        event(f"{{{TOKEN_RUNTIME}}}", k8s=place["k8s"]),
        event('{"é":1}'),
    )
    found = rows(store, "SELECT * FROM v_events ORDER BY seq")
    stored = store.reader.events.page(session, EventRange()).events
    assert [row["data"] for row in found] == [e.data for e in stored]
    assert found[0] | {"data": ""} == {
        "session_id": session,
        "seq": 1,
        "ts": T0,
        "time": format_ns(T0),
        "node": "n",
        "namespace": "ns",
        "pod": "p",
        "container": "c",
        "source": "s",
        "data": "",
    }


def test_times_are_exact_to_the_nanosecond_also_before_1970(store: Store) -> None:
    session = store.create().id
    times = [0, 1, -1, -NS, -NS - 1, T0 + 123_456_789, 2**63 - 1, -(2**62)]
    store.add(session, *[event(ts=ts) for ts in times])
    found = [row["time"] for row in rows(store, "SELECT time FROM v_events ORDER BY seq")]
    assert found == [format_ns(ts) for ts in times]


def test_a_session_reads_as_in_the_api(store: Store) -> None:
    odd = 'a"\\ü'
    session = store.create(name="x", namespace="ns", pod=odd, params={"a": "1"}).id
    store.add(session, event("{}", T0 + 1), event("{}", T0 + 2))
    store.writer.change(session, StateChange(state=SessionState.RUNNING, at=T0 + 5))
    [row] = rows(store, "SELECT * FROM v_sessions")
    assert (row["id"], row["name"], row["namespace"], row["state"]) == (
        session,
        "x",
        "ns",
        "running",
    )
    assert (row["reason"], row["stopped"], row["events"], row["bytes"]) == (None, None, 2, 4)
    assert (row["created"], row["started"]) == (format_ns(T0), format_ns(T0 + 5))
    assert (row["first_event"], row["last_event"]) == (format_ns(T0 + 1), format_ns(T0 + 2))
    assert json.loads(row["params"]) == {"a": "1"}
    empty = {"container": "", "node": "", "selector": ""}
    assert json.loads(row["target"]) == {"namespace": "ns", "pod": odd, **empty}
    assert json.loads(row["nodes"]) == {"expected": 0, "connected": 0}
    assert float(row["rate"]) > 0
    store.writer.change(session, StateChange(state=SessionState.STOPPED, at=T0, reason="r"))
    [row] = rows(store, "SELECT rate, reason FROM v_sessions")
    assert (float(row["rate"]), row["reason"]) == (0, "r")


def test_losses_are_readable(store: Store) -> None:
    session = store.create().id
    loss = Loss(node="n", start=T0, end=T0 + NS, count=3, cause=LossCause.WRITER, detail="disk")
    store.add(session, losses=(loss,))
    [row] = rows(store, "SELECT * FROM v_losses")
    assert row == {
        "session_id": session,
        "node": "n",
        "cause": "writer",
        "start_ts": T0,
        "end_ts": T0 + NS,
        "start_time": format_ns(T0),
        "end_time": format_ns(T0 + NS),
        "count": 3,
        "exact": 1,
        "detail": "disk",
    }


def test_hidden_sessions_are_in_no_view(store: Store) -> None:
    session = store.create().id
    loss = Loss(node="n", start=T0, end=T0, count=1, cause=LossCause.KERNEL)
    store.add(session, event(), losses=(loss,))
    store.writer.hide(session)
    for view in COLUMNS:
        assert rows(store, f"SELECT * FROM {view}") == []
