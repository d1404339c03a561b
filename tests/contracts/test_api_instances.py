"""REST calls about headless instances and the sessions that have or read one."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from igdash.domain.images import OFFICIAL
from igdash.domain.instances import Instance
from igdash.domain.sessions import SessionSpec
from igdash.domain.times import NS
from tests.support.stores import Store
from tests.support.web import Web, get, send, web

KEY = "a" * 32
BODY = {"gadget": "trace_tcp", "environment": "this-host"}


@pytest.fixture
def side(sqlite_store: Store) -> Iterator[Web]:
    with web(sqlite_store.url) as made:
        yield made


def test_the_instances_of_an_environment(side: Web) -> None:
    side.control.found = (
        Instance(
            id=KEY,
            name="watch-tcp",
            image=f"{OFFICIAL}trace_tcp:v0.55.0",
            tags=("igdash",),
            state="failed",
            reason="no BTF",
            nodes=("this-host",),
            created=1_800_000_000 * NS,
        ),
        Instance(id="b" * 32, name="", image="example.org/own:1"),
    )
    status, found = get(side, "/api/environments/demo/instances")
    assert status == 200
    assert found["instances"] == [
        {
            "id": KEY,
            "name": "watch-tcp",
            "gadget": "trace_tcp",
            "image": f"{OFFICIAL}trace_tcp:v0.55.0",
            "tags": ["igdash"],
            "state": "failed",
            "reason": "no BTF",
            "nodes": ["this-host"],
            "created": "2027-01-15T08:00:00.000000000Z",
        },
        {
            "id": "b" * 32,
            "name": "",
            "gadget": "example.org/own:1",
            "image": "example.org/own:1",
            "tags": [],
            "state": "unknown",
            "reason": "",
            "nodes": [],
            "created": None,
        },
    ]


def test_where_there_are_none(side: Web) -> None:
    status, found = get(side, "/api/environments/this-host/instances")
    assert status == 422
    assert "no headless instances" in found["problems"]["environment"]
    assert get(side, "/api/environments/nowhere/instances")[0] == 404
    side.control.down = True
    assert get(side, "/api/environments/demo/instances")[0] == 503


def test_environments_say_whether_they_can(side: Web) -> None:
    side.control.statuses["this-host"] = {"headless": True}
    _, found = get(side, "/api/environments")
    assert [one["headless"] for one in found["environments"]] == [False, True]


@pytest.mark.parametrize(
    ("more", "field", "why"),
    [
        ({"headless": True}, "headless", "no headless instances"),
        ({"instance": KEY}, "instance", "no headless instances"),
        ({"instance": "x"}, "instance", "no instance id"),
        ({"instance": KEY, "headless": True}, "headless", "leave it out"),
    ],
)
def test_what_cannot_be_started(side: Web, more: dict[str, object], field: str, why: str) -> None:
    for path in ("/api/check", "/api/sessions"):
        _, found = send(side, "POST", path, BODY | more)
        assert set(found["problems"]) == {field}
        assert why in found["problems"][field]


def test_a_session_tells_what_it_is(side: Web) -> None:
    def shown(**more: object) -> dict[str, object]:
        spec = SessionSpec(gadget="trace_tcp", environment="this-host", **more)  # type: ignore[arg-type]
        status, found = get(side, f"/api/sessions/{side.control.start(spec).id}")
        assert status == 200
        return {key: found[key] for key in ("headless", "instance") if key in found}

    assert shown() == {}
    assert shown(headless=True) == {"headless": True}
    assert shown(instance=KEY) == {"instance": KEY}


def test_a_stop_may_keep_it(side: Web) -> None:
    first, second = side.session(), side.session()
    assert send(side, "POST", f"/api/sessions/{first}/stop")[0] == 202
    assert side.control.kept == []
    assert send(side, "POST", f"/api/sessions/{second}/stop?keep=true")[0] == 202
    assert side.control.kept == [second]
    assert send(side, "POST", f"/api/sessions/{second}/stop?keep=perhaps")[0] == 400
