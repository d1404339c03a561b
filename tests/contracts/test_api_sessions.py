"""REST calls about sessions: list, start, stop, restart, delete, check."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from igdash.domain.sessions import SessionState, Target
from igdash.domain.times import parse_time
from tests.support.stores import Store
from tests.support.web import Web, get, send, web


@pytest.fixture
def side(sqlite_store: Store) -> Iterator[Web]:
    with web(sqlite_store.url) as made:
        yield made


@pytest.fixture
def each(store: Store) -> Iterator[Web]:
    """Runs the test over SQLite and over PostgreSQL."""
    with web(store.url) as made:
        yield made


def test_a_session_has_the_shape_of_the_contract(side: Web) -> None:
    id_ = side.session(target=Target(namespace="production", pod="web-1"), params={"pid": "7"})
    side.control.add(id_, ['{"a":1}', '{"a":2}'])
    status, found = get(side, f"/api/sessions/{id_}")
    assert status == 200
    assert found["gadget"] == "trace_tcp"
    assert found["title"] == "Trace TCP"
    assert found["target"] == {
        "namespace": "production",
        "pod": "web-1",
        "container": "",
        "node": "",
        "selector": "",
    }
    assert found["params"] == {"pid": "7"}
    assert found["state"] == "running"
    assert found["reason"] is None
    assert (found["events"], found["received"], found["last_seq"], found["lost"]) == (2, 2, 2, 0)
    assert found["nodes"] == {"expected": 2, "connected": 2}
    assert found["command"] == ["ig", "run", "trace_tcp"]
    assert found["stopped"] is None
    for name in ("created", "started", "first_event", "last_event"):
        assert len(found[name]) == len("2026-11-22T23:13:24.805647519Z")
        assert parse_time(found[name]) > 0


def test_starting_answers_201_and_where_it_is(side: Web) -> None:
    body = {
        "gadget": "trace_tcp",
        "environment": "demo",
        "name": "shop",
        "target": {"namespace": "demo"},
        "params": {"pid": 5, "accept-only": True},
        "stop_after": {"seconds": 60},
    }
    answer = side.app.test_client().post("/api/sessions", json=body)
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"/api/sessions/{answer.json['id']}"
    _, found = get(side, answer.headers["Location"])
    assert found["params"] == {"pid": "5", "accept-only": "true"}
    assert found["stop_after"] == {"seconds": 60.0, "events": None}
    assert found["name"] == "shop"


def test_every_wrong_field_is_named(side: Web) -> None:
    body = {
        "gadget": "trace_tcp",
        "environment": 7,
        "nonsense": 1,
        "target": {"namespace": 5, "pods": "x"},
        "stop_after": {"events": 0, "seconds": "soon"},
    }
    status, found = send(side, "POST", "/api/sessions", body)
    assert status == 422
    assert set(found["problems"]) == {
        "environment",
        "nonsense",
        "target.namespace",
        "target.pods",
        "stop_after.events",
        "stop_after.seconds",
    }


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"gadget": "trace_tpc", "environment": "demo"}, "gadget"),
        ({"gadget": "trace_tcp", "environment": "nowhere"}, "environment"),
        ({"gadget": "trace_tcp", "environment": "demo", "params": {"pdi": "1"}}, "params.pdi"),
        ({"gadget": "trace_tcp", "environment": "demo", "params": {"pid": "one"}}, "params.pid"),
        ({"gadget": "trace_tcp", "environment": "demo", "name": "a\0b"}, "name"),
        ({"environment": "demo"}, "gadget"),
    ],
)
def test_what_cannot_be_started_says_where(side: Web, body: dict[str, object], field: str) -> None:
    for path in ("/api/sessions", "/api/check"):
        status, found = send(side, "POST", path, body)
        assert status == 422 or path == "/api/check"
        assert field in found["problems"], found
    assert get(side, "/api/sessions")[1]["total"] == 0


def test_a_check_starts_nothing_and_shows_commands(side: Web) -> None:
    body = {"gadget": "trace_tcp", "environment": "demo", "target": {"namespace": "demo"}}
    status, found = send(side, "POST", "/api/check", body)
    assert status == 200
    assert found["problems"] == {}
    assert any("trace_tcp" in command["text"] for command in found["commands"])
    assert all(set(command) == {"label", "text"} for command in found["commands"])
    assert get(side, "/api/sessions")[1]["total"] == 0


def test_stop_restart_delete(each: Web) -> None:
    id_ = each.session(target=Target(namespace="demo"))
    each.control.add(id_, ['{"a":1}'])
    status, found = send(each, "POST", f"/api/sessions/{id_}/stop")
    assert (status, found["state"]) == (202, "stopped")
    assert send(each, "POST", f"/api/sessions/{id_}/stop")[0] == 409
    status, again = send(each, "POST", f"/api/sessions/{id_}/restart")
    assert status == 201
    assert again["id"] != id_
    assert again["target"]["namespace"] == "demo"
    assert get(each, f"/api/sessions/{id_}")[1]["events"] == 1
    assert send(each, "DELETE", f"/api/sessions/{id_}") == (202, {"id": id_, "deleted": True})
    assert get(each, f"/api/sessions/{id_}")[0] == 404
    assert get(each, "/api/sessions")[1]["total"] == 1


def test_an_id_may_be_shortened_while_it_is_unique(each: Web) -> None:
    ids = [each.session() for _ in range(17)]
    assert get(each, f"/api/sessions/{ids[0][:11]}")[1]["id"] == ids[0]
    firsts = [id_[0] for id_ in ids]
    shared = next(first for first in firsts if firsts.count(first) > 1)
    assert get(each, f"/api/sessions/{shared}")[0] == 409
    assert get(each, f"/api/sessions/{shared}/events")[0] == 409


@pytest.mark.parametrize(
    "id_", ["..%2f..%2fetc", "ABCDEF", "'; DROP", "z", "%00", "a" * 300, "é", "-1", "%", "_"]
)
def test_what_is_no_id_is_not_found(side: Web, id_: str) -> None:
    side.session()
    assert get(side, f"/api/sessions/{id_}")[0] == 404


def test_the_list_filters_sorts_pages_and_draws(each: Web) -> None:
    ids = [each.session(target=Target(namespace=f"ns{i}")) for i in range(5)]
    for i, id_ in enumerate(ids):
        each.control.add(id_, ["{}"] * (i + 1))
    each.control.end(ids[0], SessionState.STOPPED)
    status, found = get(each, "/api/sessions?sort=-events&limit=2&spark=10")
    assert status == 200
    assert found["total"] == 5
    assert [one["id"] for one in found["sessions"]] == [ids[4], ids[3]]
    assert len(found["sessions"][0]["spark"]) == 10
    assert sum(found["sessions"][0]["spark"]) == 5
    more = get(each, f"/api/sessions?sort=-events&limit=2&cursor={found['next']}")[1]
    assert [one["id"] for one in more["sessions"]] == [ids[2], ids[1]]
    jumped = get(each, "/api/sessions?sort=-events&limit=2&offset=2")[1]
    assert jumped["sessions"] == more["sessions"]
    running = get(each, "/api/sessions?state=running")[1]
    assert running["total"] == 4
    both = get(each, "/api/sessions?state=running,stopped")[1]
    assert both == get(each, "/api/sessions?state=running&state=stopped")[1]
    assert both["total"] == 5
    assert get(each, "/api/sessions?q=ns3")[1]["total"] == 1
    assert "spark" not in more["sessions"][0]


@pytest.mark.parametrize(
    ("query", "name"),
    [
        ("state=asleep", "state"),
        ("sort=colour", "sort"),
        ("limit=0", "limit"),
        ("limit=1001", "limit"),
        ("limit=1&limit=2", "limit"),
        ("cursor=rubbish", "cursor"),
        ("offset=1&cursor=x", "offset"),
        ("page=2", "page"),
        ("q=%00", "q"),
    ],
)
def test_wrong_parameters_are_named(side: Web, query: str, name: str) -> None:
    status, found = get(side, f"/api/sessions?{query}")
    assert status == 400
    assert name in found["problems"]


def test_without_the_collector_history_is_there_and_changes_say_so(side: Web) -> None:
    id_ = side.session()
    side.control.add(id_, ["{}"])
    side.control.down = True
    assert get(side, f"/api/sessions/{id_}/events")[0] == 200
    for method, path, body in [
        ("POST", "/api/sessions", {"gadget": "trace_tcp", "environment": "demo"}),
        ("POST", f"/api/sessions/{id_}/stop", None),
        ("POST", f"/api/sessions/{id_}/restart", None),
        ("DELETE", f"/api/sessions/{id_}", None),
    ]:
        status, found = send(side, method, path, body)
        assert status == 503
        assert "collector" in found["detail"]
    ready, found = get(side, "/readyz")
    assert ready == 503
    assert "collector" in found["problems"]
    environments = get(side, "/api/environments")[1]["environments"]
    assert [one["health"] for one in environments] == ["unknown", "unknown"]
    assert "collector" in environments[0]["reason"]
    assert get(side, "/api/stats")[1]["stats"]["collector"] == "down"
    assert get(side, "/healthz")[0] == 200


def test_gadgets_count_what_runs(side: Web) -> None:
    side.session()
    side.control.end(side.session(), SessionState.STOPPED)
    found = {one["name"]: one for one in get(side, "/api/gadgets")[1]["gadgets"]}
    assert len(found) == 45
    assert found["trace_tcp"]["running"] == 1
    assert found["trace_dns"]["running"] == 0
    assert found["trace_tcp"]["params"]
    assert found["trace_tcp"]["sources"][0]["fields"]
    brief = get(side, "/api/gadgets?brief=true&environment=demo")[1]["gadgets"]
    assert "params" not in brief[0]
    one = get(side, "/api/gadgets/trace_tcp")[1]
    assert one == found["trace_tcp"]
    status, wrong = get(side, "/api/gadgets/trace_tpc")
    assert status == 404
    assert "trace_tcp" in wrong["detail"]
    assert get(side, "/api/gadgets?environment=nowhere")[0] == 404


def test_a_server_that_shuts_down_is_not_ready(side: Web) -> None:
    assert get(side, "/readyz")[0] == 200
    side.services.close()
    status, found = get(side, "/readyz")
    assert status == 503
    assert found["problems"] == {"web": "shutting down"}
