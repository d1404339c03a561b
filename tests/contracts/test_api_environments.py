"""REST calls about environments: what they say of themselves, of gadgets, of a session's nodes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import quote

import pytest

from igdash.domain.control import Description
from igdash.domain.gadgets import DataSource, Field
from igdash.domain.images import OFFICIAL
from igdash.domain.nodes import NodeState, NodeStatus
from igdash.domain.times import format_ns
from igdash.sources.catalogue import load_catalogue
from tests.support.stores import T0, Store
from tests.support.web import Web, get, send, web

NODES = (
    NodeStatus(name="worker-1", state=NodeState.CONNECTED, since=T0, version="v0.55.0"),
    NodeStatus(name="worker-2", state=NodeState.WAITING, reason="connection refused"),
)
OWN = replace(
    load_catalogue().get("trace_tcp"),
    sources=(DataSource(name="tcp", fields=(Field(name="newer", kind="Uint32"),)),),
)


@pytest.fixture
def side(sqlite_store: Store) -> Iterator[Web]:
    with web(sqlite_store.url) as made:
        yield made


def test_an_environment_tells_of_its_nodes_place_and_rights(side: Web) -> None:
    side.control.statuses["demo"] = {
        "coverage": NODES,
        "next_try": T0,
        "rights": ("list nodes (cluster): no suggestions of nodes",),
    }
    _, found = get(side, "/api/environments")
    demo, host = found["environments"]
    assert demo["coverage"] == [
        {
            "node": "worker-1",
            "state": "connected",
            "since": format_ns(T0),
            "reason": "",
            "version": "v0.55.0",
        },
        {
            "node": "worker-2",
            "state": "waiting",
            "since": None,
            "reason": "connection refused",
            "version": "",
        },
    ]
    assert demo["place"] == "examples/recordings"
    assert demo["next_try"] == format_ns(T0)
    assert demo["rights"] == ["list nodes (cluster): no suggestions of nodes"]
    assert (host["place"], host["coverage"], host["next_try"]) == ("ig", [], None)


def test_a_test_asks_anew(side: Web) -> None:
    status, found = send(side, "POST", "/api/environments/this-host/test")
    assert (status, found["name"], found["health"]) == (200, "this-host", "down")
    assert side.control.tested == ["this-host"]
    status, found = send(side, "POST", "/api/environments/nowhere/test")
    assert (status, found["status"]) == (404, 404)
    assert "demo, this-host" in found["detail"]
    side.control.down = True
    assert send(side, "POST", "/api/environments/demo/test")[0] == 503
    assert send(side, "GET", "/api/environments/demo/test")[0] == 405


def test_a_gadget_is_described_by_its_environment(side: Web) -> None:
    side.control.descriptions["demo"] = Description(gadget=OWN)
    _, found = get(side, "/api/gadgets/trace_tcp?environment=demo")
    assert found["described_by"] == "environment"
    assert [f["name"] for f in found["sources"][0]["fields"]] == ["newer"]
    assert "reason" not in found


def test_or_by_the_catalogue_with_the_reason(side: Web) -> None:
    side.control.descriptions["this-host"] = Description(reason="still asked", pending=True)
    _, found = get(side, "/api/gadgets/trace_tcp?environment=this-host&wait=0")
    assert (found["described_by"], found["reason"], found["pending"]) == (
        "catalogue",
        "still asked",
        True,
    )
    _, found = get(side, "/api/gadgets/trace_tcp")
    assert "described_by" not in found
    side.control.down = True
    status, found = get(side, "/api/gadgets/trace_tcp?environment=demo")
    assert (status, found["described_by"]) == (200, "catalogue")
    assert "does not answer" in found["reason"]


def test_an_image_is_a_gadget_when_it_is_allowed(side: Web) -> None:
    reference = OFFICIAL + "trace_new:v9"
    for text in (reference, quote(reference, safe="")):
        status, found = get(side, f"/api/gadgets/{text}?environment=demo")
        assert (status, found["name"], found["title"]) == (200, reference, "Trace new")
    status, found = get(side, "/api/gadgets/evil.io/x/y:1?environment=demo")
    assert status == 422
    assert "allowed_images" in found["problems"]["gadget"]
    assert get(side, "/api/gadgets/nope?environment=demo")[0] == 404
    assert get(side, "/api/gadgets/trace_tcp?environment=nowhere")[0] == 404
    assert get(side, "/api/gadgets/trace_tcp?environment=demo&wait=99")[0] == 400


def test_starting_and_checking_an_image(side: Web) -> None:
    reference = OFFICIAL + "trace_new:v9"
    body = {"gadget": reference, "environment": "demo"}
    status, found = send(side, "POST", "/api/check", body)
    assert (status, found["problems"]) == (200, {})
    assert reference in found["commands"][0]["text"]
    status, found = send(side, "POST", "/api/sessions", body)
    assert (status, found["gadget"], found["title"]) == (201, reference, "Trace new")
    status, found = send(side, "POST", "/api/sessions", body | {"gadget": "--x/y"})
    assert (status, set(found["problems"])) == (422, {"gadget"})


def test_a_check_goes_by_the_environments_parameters(side: Web) -> None:
    side.control.descriptions["demo"] = Description(gadget=replace(OWN, params=()))
    body = {"gadget": "trace_tcp", "environment": "demo", "params": {"pid": "1"}}
    _, found = send(side, "POST", "/api/check", body)
    assert "no parameter" in found["problems"]["params.pid"]


def test_a_session_tells_of_each_node(side: Web) -> None:
    id_ = side.session()
    assert get(side, f"/api/sessions/{id_}")[1]["coverage"] == []
    side.control.cover(id_, *NODES)
    _, found = get(side, f"/api/sessions/{id_}")
    assert found["nodes"] == {"expected": 2, "connected": 1}
    assert [(n["node"], n["state"], n["reason"]) for n in found["coverage"]] == [
        ("worker-1", "connected", ""),
        ("worker-2", "waiting", "connection refused"),
    ]
    _, found = get(side, "/api/sessions")
    assert "coverage" not in found["sessions"][0]
