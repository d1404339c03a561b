"""What holds for every call: one error shape, security headers, the OpenAPI document's truth."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from igdash.api.app import ROUTES
from igdash.api.options import WebOptions
from igdash.domain.errors import StoreBusy
from igdash.domain.events import NewTick
from igdash.domain.times import now_ns
from tests.support.exporting import run_due
from tests.support.stores import Store
from tests.support.web import Web, get, send, served, web

QUIET = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture(scope="module")
def side(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    folder = tmp_path_factory.mktemp("api")
    with web(f"sqlite:///{folder}/store.db", places=folder / "exports") as made:
        yield made


SCHEDULE = {"name": "Every hour", "what": {}, "when": {"every": 3600.0}, "format": "jsonl"}
BODIES: dict[str, Any] = {
    "/api/sql": {"sql": "SELECT 1"},
    "/api/schedules": SCHEDULE,
    "/api/schedules/{schedule}": SCHEDULE,
}


def _scheduled(side: Web, path: str) -> str:
    """Fill in a schedule made for this call and, where a run is asked for, its run and file."""
    made = send(side, "POST", "/api/schedules", SCHEDULE)[1]["id"]
    if "{run}" in path:
        id_ = side.session()
        side.control.add(id_, ["{}"])
        send(side, "POST", f"/api/schedules/{made}/run")
        run_due(side, Path(side.url.removeprefix("sqlite:///")).parent)
        run = get(side, f"/api/schedules/{made}/runs")[1]["runs"][0]
        path = path.replace("{run}", run["id"]).replace("{file}", run["files"][0]["name"])
    return path.replace("{schedule}", made)


def _path(side: Web, path: str) -> str:
    """Fill in a path's parameters with things that exist."""
    if "{schedule}" in path:
        return _scheduled(side, path)
    if "{id}" not in path:
        return path.replace("{name}", "trace_tcp").replace("{environment}", "demo")
    id_ = side.session("top_tcp")
    tick = NewTick(ts=now_ns(), node="", source="tcp", first=0, events=1)
    side.control.add(id_, ["{}"], ticks=[tick])
    path = path.replace("{id}", id_).replace("{seq}", "1").replace("{tick}", "1")
    return path.replace("{name}", "pid")


def _is_problem(answer: Any, status: int) -> None:
    assert answer.status_code == status, answer.data
    assert answer.content_type == "application/problem+json"
    body = json.loads(answer.data)
    assert body["status"] == status
    assert {"type", "title", "detail"} <= set(body)


def _matches(value: Any, schema: dict[str, Any], components: dict[str, Any]) -> bool:
    """Check a value against the part of JSON schema that our document uses."""
    if "$ref" in schema:
        schema = components[schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        return any(_matches(value, each, components) for each in schema["anyOf"])
    kinds = {
        "object": dict,
        "array": list,
        "string": str,
        "integer": int,
        "number": (int, float),
        "boolean": bool,
        "null": type(None),
    }
    kind = schema.get("type")
    if kind and not isinstance(value, kinds[kind]):
        return False
    if kind == "array":
        return all(_matches(each, schema.get("items", {}), components) for each in value)
    if kind != "object":
        return True
    properties = schema.get("properties")
    if properties is None:
        inner = schema.get("additionalProperties")
        return not isinstance(inner, dict) or all(
            _matches(each, inner, components) for each in value.values()
        )
    missing = set(schema.get("required", [])) - set(value)
    return not missing and all(
        key in properties and _matches(each, properties[key], components)
        for key, each in value.items()
    )


def test_every_path_of_the_document_answers_what_it_says(side: Web) -> None:
    status, document = get(side, "/api/openapi.json")
    assert status == 200
    assert document["openapi"].startswith("3.1")
    components = document["components"]["schemas"]
    walked = 0
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            query = ""
            if any(p["name"] == "session" for p in operation["parameters"]):
                query = f"?session={side.session()}"
            for name in (p["name"] for p in operation["parameters"] if p["required"]):
                query = {"time": "?time=2026-01-01T00:00:00Z", "text": "?text=x"}.get(name, query)
            takes = operation.get("requestBody", {}).get("content", {})
            body: dict[str, Any] = {}
            if "application/octet-stream" in takes:
                body = {"data": b"{}\n", "content_type": "application/octet-stream"}
            elif takes:
                body["json"] = BODIES.get(path, {"gadget": "trace_tcp", "environment": "demo"})
            answer = side.app.test_client().open(
                _path(side, path) + query, method=method.upper(), **body
            )
            wanted = next(code for code in operation["responses"] if code.startswith("2"))
            assert str(answer.status_code) == wanted, (method, path, answer.data)
            content = operation["responses"][wanted]["content"]
            media = answer.content_type.partition(";")[0]
            assert media in content, (method, path)
            if media == "application/json":
                value = json.loads(answer.data)
                assert _matches(value, content[media]["schema"], components), (method, path, value)
            walked += 1
    assert walked == len(ROUTES)


def test_the_document_lists_every_rule_of_the_application(side: Web) -> None:
    """What Flask serves below our paths is in the document, sockets and the 404 apart."""
    known = {(route.rule, route.method) for route in ROUTES}
    apart = {"/api", "/api/", "/api/<path:rest>", "/api/live", "/api/sessions/<string:id>/ws"}
    served_rules = {
        (rule.rule, method)
        for rule in side.app.url_map.iter_rules()
        if rule.rule not in apart
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert served_rules == known


def test_options_names_the_methods_of_a_path(side: Web) -> None:
    client = side.app.test_client()
    for path, methods in (
        ("/api/sessions", {"GET", "HEAD", "POST", "OPTIONS"}),
        ("/api/sessions/abc/stop", {"POST", "OPTIONS"}),
    ):
        answer = client.options(path)
        assert answer.status_code == 204
        assert set(answer.headers["Allow"].split(", ")) == methods
    for path in ("/api", "/api/", "/api/nothing"):
        answer = client.options(path)
        assert (answer.status_code, answer.content_type) == (404, "application/problem+json")
        assert client.get(path).content_type == "application/problem+json"


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_call_names_an_unknown_parameter(side: Web, route: Any) -> None:
    path = _path(side, route.path)
    answer = side.app.test_client().open(
        f"{path}?unheard_of=1", method=route.method, json={} if route.body else None
    )
    _is_problem(answer, 400)
    assert "unheard_of" in answer.json["problems"]


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: route.name)
def test_every_call_refuses_other_methods(side: Web, route: Any) -> None:
    path = _path(side, route.path)
    allowed = {r.method for r in ROUTES if r.path == route.path}
    for method in {"GET", "POST", "PUT", "PATCH", "DELETE"} - allowed:
        answer = side.app.test_client().open(path, method=method)
        _is_problem(answer, 405)
        assert set(answer.headers["Allow"].split(", ")) >= allowed


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize(
    "path", ["/api", "/api/", "/api/typo", "/api/sessions/", "/api/sqls", "/api/schedule"]
)
def test_unknown_paths_are_json(side: Web, method: str, path: str) -> None:
    _is_problem(side.app.test_client().open(path, method=method), 404)


def test_a_broken_body_is_400_a_foreign_type_415_a_large_one_413(side: Web) -> None:
    client = side.app.test_client()
    for broken in (b"{", b"", b"[1,]", b"\xff\xfe", b"[" * 100_000, b'{"a":NaN}'):
        answer = client.post("/api/sessions", data=broken, content_type="application/json")
        _is_problem(answer, 400)
    for list_ in (b"[]", b'"x"', b"null", b"7"):
        answer = client.post("/api/sessions", data=list_, content_type="application/json")
        _is_problem(answer, 422)
    _is_problem(client.post("/api/sessions", data=b"a=1", content_type="text/plain"), 415)
    _is_problem(client.post("/api/sessions", data={"gadget": "trace_tcp"}), 415)
    large = b'{"gadget":"' + b"x" * 1_048_577 + b'"}'
    _is_problem(client.post("/api/sessions", data=large, content_type="application/json"), 413)
    _is_problem(client.post("/api/sessions/x/stop", data=large, content_type="text/plain"), 413)


def test_a_large_chunked_body_is_refused_too(side: Web) -> None:
    with served(side.app) as address:
        host, port = address.split(":")
        with socket.create_connection((host, int(port)), timeout=10) as sock:
            sock.sendall(
                b"POST /api/sessions HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json"
                b"\r\nTransfer-Encoding: chunked\r\n\r\n"
            )
            try:
                for _ in range(40):
                    sock.sendall(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
            except OSError:
                pass  # refused before it was all sent
            assert b" 413 " in sock.recv(65_536).partition(b"\r\n")[0]


def test_what_fails_inside_is_500_without_details(side: Web, monkeypatch: Any) -> None:
    def broken(*_: Any, **__: Any) -> Any:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(type(side.services.sessions), "list", broken)
    answer = side.app.test_client().get("/api/sessions")
    _is_problem(answer, 500)
    assert b"secret" not in answer.data


def test_a_store_that_is_away_is_503_with_retry(side: Web, monkeypatch: Any) -> None:
    def away(*_: Any, **__: Any) -> Any:
        raise StoreBusy("the database is locked")

    monkeypatch.setattr(type(side.services.sessions), "list", away)
    answer = side.app.test_client().get("/api/sessions")
    _is_problem(answer, 503)
    assert answer.headers["Retry-After"] == "2"
    assert answer.json["detail"] == "the database is locked"


def test_every_response_has_the_security_headers(side: Web) -> None:
    client = side.app.test_client()
    for path in ("/api/sessions", "/api/typo", "/healthz", "/nowhere", "/metrics"):
        headers = client.get(path).headers
        policy = headers["Content-Security-Policy"]
        assert "script-src 'self';" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe-eval" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert headers["Referrer-Policy"] == "no-referrer"
        assert headers["Cross-Origin-Resource-Policy"] == "same-origin"
        assert "Access-Control-Allow-Origin" not in headers
        if path != "/nowhere":
            assert headers["Cache-Control"] == "no-store"
    side.app.config["SCRIPT_HASHES"] = ["'sha256-abc='"]
    policy = client.get("/healthz").headers["Content-Security-Policy"]
    del side.app.config["SCRIPT_HASHES"]
    assert "script-src 'self' 'sha256-abc=';" in policy


HOSTS = [
    ("127.0.0.1:8050", 200),
    ("localhost", 200),
    ("LOCALHOST:1", 200),
    ("[::1]:8050", 200),
    ("dash.example.org", 200),
    ("evil.example", 400),
    ("127.0.0.1.evil.example", 400),
    ("localhost:evil", 400),
    ("localhost@evil.example", 400),
    ("evil.example/localhost", 400),
    ("10.0.0.1", 400),
    ("", 400),
    ("localhost, evil.example", 400),
]


def test_only_known_hosts_are_answered(sqlite_store: Store) -> None:
    options = WebOptions(allowed_hosts=("dash.example.org",))
    with web(sqlite_store.url, options) as side:
        for host, status in HOSTS:
            _asked_as(side, host, status)


def _asked_as(side: Web, host: str, status: int) -> None:
    for path in ("/api/sessions", "/healthz"):
        answer = side.app.test_client().get(path, headers={"Host": host})
        assert answer.status_code == status
    answer = side.app.test_client().get("/assets/x.js", headers={"Host": host})
    assert answer.status_code == (404 if status == 200 else 400)


SENDERS: list[tuple[dict[str, str], int]] = [
    ({}, 404),
    ({"Origin": "http://localhost:8050"}, 404),
    ({"Origin": "http://localhost:8050", "Sec-Fetch-Site": "same-origin"}, 404),
    ({"Sec-Fetch-Site": "none"}, 404),
    ({"Origin": "http://localhost:8051"}, 403),
    ({"Origin": "http://evil.example"}, 403),
    ({"Origin": "null"}, 403),
    ({"Origin": "http://localhost:8050.evil.example"}, 403),
    ({"Origin": "http://localhost:8050", "Sec-Fetch-Site": "cross-site"}, 403),
    ({"Origin": "http://evil.example", "Sec-Fetch-Site": "same-origin"}, 403),
    ({"Sec-Fetch-Site": "same-site"}, 403),
    ({"Sec-Fetch-Site": "cross-site"}, 403),
]


@pytest.mark.parametrize(("headers", "status"), SENDERS)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/api/sessions/ffff/stop"), ("DELETE", "/api/sessions/ffff")]
)
def test_other_sites_may_not_change_anything(
    side: Web, headers: dict[str, str], status: int, method: str, path: str
) -> None:
    sent = {"Host": "localhost:8050", **headers}
    answer = side.app.test_client().open(path, method=method, headers=sent)
    _is_problem(answer, status)


def test_reading_needs_no_origin(side: Web) -> None:
    for headers in ({}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "http://evil.example"}):
        answer = side.app.test_client().get("/api/sessions", headers=headers)
        assert answer.status_code == 200


NAMES = st.sampled_from(
    sorted({f.encode_name for r in ROUTES if r.query for f in msgspec.structs.fields(r.query)})
)
VALUES = st.one_of(
    st.text(max_size=30),
    st.integers().map(str),
    st.floats().map(str),
    st.sampled_from(
        ["", "null", "true", "-", "0", "-0", "1e3", "NaN", "0x1", "2026-01-01T00:00:00Z"]
    ),
    st.datetimes().map(lambda moment: moment.isoformat() + "+23:59"),
)


@QUIET
@given(
    route=st.sampled_from([r for r in ROUTES if r.method == "GET"]),
    query=st.lists(st.tuples(st.one_of(NAMES, st.text(max_size=8)), VALUES), max_size=4),
)
def test_no_query_is_a_server_error(side: Web, route: Any, query: list[tuple[str, str]]) -> None:
    path = route.path.replace("{id}", _some(side)).replace("{seq}", "1").replace("{tick}", "1")
    answer = side.app.test_client().get(path.replace("{name}", "trace_tcp"), query_string=query)
    assert answer.status_code in (200, 400, 404, 409)
    if answer.status_code >= 400:
        assert answer.content_type == "application/problem+json"


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@QUIET
@given(
    body=st.fixed_dictionaries(
        {},
        optional={
            "gadget": st.just("trace_tcp") | JSON,
            "environment": st.just("demo") | JSON,
            "name": JSON,
            "target": JSON,
            "params": JSON,
            "stop_after": JSON,
        },
    )
)
def test_no_body_is_a_server_error(side: Web, body: dict[str, Any]) -> None:
    status, answer = send(side, "POST", "/api/check", body)
    assert status in (200, 422)
    if status == 422:
        assert answer["problems"]


def _some(side: Web) -> str:
    found = get(side, "/api/sessions?limit=1")[1]["sessions"]
    return found[0]["id"] if found else side.session()
