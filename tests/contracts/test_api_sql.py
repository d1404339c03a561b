"""`/api/sql`: exact answers, errors with their place, limits, and ends that are asked for."""

from __future__ import annotations

import io
import json
import os
import resource
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from igdash.domain.threads import spawn
from igdash.services.sql import SqlLimits
from tests.support.web import SQL_SECONDS, Web, get, send, served, web

ENDLESS = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r"


@pytest.fixture
def side(tmp_path: Path) -> Iterator[Web]:
    with web(f"sqlite:///{tmp_path / 'sql.db'}") as made:
        yield made


def ask(side: Web, sql: str, **more: Any) -> tuple[int, Any]:
    return send(side, "POST", "/api/sql", {"sql": sql, **more})


def test_an_answer_is_exact(side: Web) -> None:
    session = side.session()
    numbers = '"timestamp_raw":18446744073709551615,"proc":{"pid":9007199254740993,"comm":"a\\"b"}'
    side.control.add(session, [f"{{{numbers}}}", '{"proc":{"pid":1,"comm":"ü\\u0000"}}'])
    raw = side.app.test_client().post(
        "/api/sql",
        json={"sql": "SELECT proc_pid, timestamp_raw, proc_comm FROM trace_tcp ORDER BY seq"},
    )
    assert raw.status_code == 200
    assert b'[9007199254740993,"18446744073709551615","a\\"b"]' in raw.data
    body = json.loads(raw.data)
    assert list(body) == ["columns", "rows", "truncated", "engine", "elapsed_ms"]
    assert body["columns"][0] == {"name": "proc_pid", "type": "integer"}
    assert body["columns"][2] == {"name": "proc_comm", "type": "text"}
    assert (body["truncated"], body["engine"]) == (False, "sqlite")


def test_an_answer_can_be_a_file(side: Web) -> None:
    side.control.add(side.session(), [f'{{"proc":{{"pid":{n},"comm":"=a"}}}}' for n in range(3)])
    found = {}
    for format in ("csv", "jsonl", "parquet"):
        answer = side.app.test_client().post(
            "/api/sql",
            json={
                "sql": "SELECT proc_pid, proc_comm FROM trace_tcp",
                "limit": 2,
                "format": format,
            },
        )
        assert answer.status_code == 200
        assert answer.headers["Content-Disposition"].endswith(f'"igdash-sql.{format}"')
        assert answer.headers["X-Truncated"] == "true"
        found[format] = answer.data
    assert found["csv"] == b"proc_pid,proc_comm\r\n0,'=a\r\n1,'=a\r\n"
    assert found["jsonl"].splitlines()[0] == b'{"proc_pid":0,"proc_comm":"=a"}'
    table = pytest.importorskip("pyarrow.parquet").read_table(io.BytesIO(found["parquet"]))
    assert table.to_pydict() == {"proc_pid": [0, 1], "proc_comm": ["=a", "=a"]}
    assert "parquet" in get(side, "/api/sql")[1]["formats"]
    assert ask(side, "SELECT 1", format="xml")[0] == 422


def test_views_tell_what_there_is(side: Web) -> None:
    status, before = get(side, "/api/sql")
    assert status == 200
    assert [view["name"] for view in before["views"]] == ["v_sessions", "v_events", "v_losses"]
    side.session("trace_dns")
    _, after = get(side, "/api/sql")
    [made] = [view for view in after["views"] if view["gadget"]]
    columns = {column["name"]: column["type"] for column in made["columns"]}
    assert made["name"] == "trace_dns"
    assert (columns["name"], columns["src_port"], columns["qr_raw"]) == (
        "text",
        "integer",
        "boolean",
    )
    assert after["limits"] == {"seconds": SQL_SECONDS, "rows": 100_000, "memory_bytes": 134_217_728}
    status, answer = ask(side, "SELECT * FROM trace_dns")
    assert [column["name"] for column in answer["columns"]] == list(columns)
    assert [column["type"] for column in answer["columns"]] == list(columns.values())


def test_errors_say_where(side: Web) -> None:
    for sql, status, position in (
        ("SELECT 1 FROM", 400, 14),
        ("SELECT a FROM v_sessions", 400, 8),
        ("SELECT id,\n nope(id) FROM v_sessions", 400, 13),
        ("SELECT id FROM v_sessions WHERE id = 1 1", 400, 40),
        ("SELECT * FROM events", 403, 15),
        ("DELETE FROM v_events", 403, 1),
        ("SELECT id, printf('x') FROM v_sessions", 403, 12),
    ):
        found, body = ask(side, sql)
        assert (found, body.get("position")) == (status, position), (sql, body)
    assert ask(side, ENDLESS)[0] == 408
    assert ask(side, "SELECT 1", limit=0)[0] == 422
    assert ask(side, "")[0] == 422
    assert ask(side, "SELECT 1", sessions=["abc"])[0] == 404


def test_limits_cut_and_say_so(side: Web) -> None:
    numbers = (
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r LIMIT 9) SELECT n FROM r"
    )
    _, body = ask(side, numbers, limit=3)
    assert ([row[0] for row in body["rows"]], body["truncated"]) == ([1, 2, 3], True)
    _, body = ask(side, numbers, limit=9)
    assert (len(body["rows"]), body["truncated"]) == (9, False)


def test_a_statement_is_answered_beside_a_thousand_sockets(side: Web) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if 0 <= hard < 2_000:
        pytest.skip("no more than a thousand files may be open here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2_000), hard))
    held = [os.open(os.devnull, os.O_RDONLY)]
    try:
        while held[-1] < 1_024:
            held.append(os.dup(held[0]))
        assert ask(side, "SELECT 1 AS n")[1]["rows"] == [[1]]
    finally:
        for file in held:
            os.close(file)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_an_answer_is_cut_by_its_bytes_not_by_its_characters(
    side: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else one of many-byte letters was three times as long as it may be, and refused for that."""
    monkeypatch.setattr("igdash.store.sql.SQL_BYTES", 1_000)
    for letter, rows in (("x", 9), ("漢", 3)):
        one = f"SELECT '{letter * 100}' AS t"
        _, body = ask(side, " UNION ALL ".join([one] * 20))
        assert (len(body["rows"]), body["truncated"]) == (rows, True)


def test_sessions_narrow_every_view(side: Web) -> None:
    one, other = side.session(), side.session()
    for session in (one, other):
        side.control.add(session, ["{}"])
    for view in ("v_sessions", "v_events", "trace_tcp"):
        _, body = ask(side, f"SELECT count(*) FROM {view}", sessions=[one])
        assert body["rows"] == [[1]]


def test_deleted_sessions_are_gone_at_once(side: Web) -> None:
    session = side.session()
    side.control.add(session, ["{}"])
    side.control.delete(session)
    _, body = ask(side, "SELECT count(*) FROM v_events")
    assert body["rows"] == [[0]]
    assert ask(side, "SELECT 1 FROM trace_tcp")[0] == 400


def test_the_plan_is_answered(side: Web) -> None:
    status, body = ask(side, "SELECT * FROM v_events", explain=True)
    assert status == 200
    assert "SEARCH" in json.dumps(body["rows"])


def test_a_statement_is_cancelled_by_its_id(side: Web) -> None:
    found: list[tuple[int, Any]] = []
    thread = spawn("asking", lambda: found.append(ask(side, ENDLESS, id="mine")))
    began = time.monotonic()
    while not cancelled(side, "mine"):
        assert time.monotonic() - began < SQL_SECONDS
        threading.Event().wait(0.02)
    thread.join(10)
    assert time.monotonic() - began < SQL_SECONDS
    assert found[0][0] == 503
    assert not cancelled(side, "mine")


def cancelled(side: Web, name: str) -> bool:
    status, body = send(side, "DELETE", f"/api/sql/{name}")
    assert status == 200
    return bool(body["cancelled"])


def test_a_client_that_leaves_ends_its_statement(side: Web) -> None:
    sql = side.services.sql
    with served(side.app) as address:
        host, port = address.split(":")
        with socket.create_connection((host, int(port))) as link:
            body = json.dumps({"sql": ENDLESS}).encode()
            head = (
                f"POST /api/sql HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\n"
            )
            link.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            _until(lambda: sql._running == 1)
        began = time.monotonic()
        _until(lambda: sql._running == 0)
        assert time.monotonic() - began < SQL_SECONDS / 2


def test_only_a_few_run_at_once(side: Web) -> None:
    sql = side.services.sql
    sql.limits = SqlLimits(at_once=1, waiting=1, wait=0.3)
    stop = threading.Event()
    thread = spawn("first", lambda: ask(side, ENDLESS, id="first"))
    _until(lambda: sql._running == 1)
    status, body = ask(side, "SELECT 1")
    assert (status, "1 statements are running" in body["detail"]) == (503, True)
    assert send(side, "POST", "/api/sql", {"sql": "SELECT 1", "id": "first"})[0] == 409
    assert cancelled(side, "first")
    thread.join(10)
    stop.set()
    assert ask(side, "SELECT 1")[0] == 200


def _until(condition: Any) -> None:
    end = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < end
        threading.Event().wait(0.01)
