"""Sockets under the server that igdash really runs: gunicorn's threads, in a process of its own."""

from __future__ import annotations

import http.client
import json
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.gunicorn_side import SOCKETS
from tests.support.waiting import wait_until
from tests.support.web import Client

ROOT = Path(__file__).parents[2]


FILES = 120
"""Open files that a test allows where it uses them up."""


@pytest.fixture
def side(
    tmp_path: Path, request: pytest.FixtureRequest
) -> Iterator[tuple[str, str, subprocess.Popen[str]]]:
    command = [sys.executable, "-m", "tests.support.gunicorn_side", str(tmp_path / "store.db")]
    command += getattr(request, "param", [])
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout
        address, session = process.stdout.readline().split()
        try:
            yield address, session, process
        finally:
            while Client.opened:
                Client.opened.pop().socket.shutdown()
            process.terminate()
            process.wait(15)


def _get(address: str, path: str) -> Any:
    with urllib.request.urlopen(f"http://{address}{path}", timeout=10) as answer:
        return json.load(answer)


def _metric(address: str, name: str) -> float:
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return float(next(line.split()[1] for line in lines if line.startswith(name + " ")))


def test_events_limits_and_rest_beside_them(
    side: tuple[str, str, subprocess.Popen[str]],
) -> None:
    address, session, _ = side
    clients = [Client(address, f"/api/sessions/{session}/ws?after=0") for _ in range(SOCKETS)]
    for client in clients:
        assert client.message()["type"] == "hello"
        seen = 0
        while seen < 100:
            for event in client.until("events")["events"]:
                seen += 1
                assert event["seq"] == seen
    assert Client(address, "/api/live").closed()[0] == 1013
    assert _get(address, f"/api/sessions/{session}")["events"] >= 100
    for client in clients:
        client.close()
    wait_until(lambda: _metric(address, "igdash_sockets") == 0)
    assert Client(address, "/api/live").message()["type"] == "live"
    client = Client(address, f"/api/sessions/{session}/ws")
    client.until("hello")
    client.socket.send_binary(b"x")
    assert client.closed()[0] == 1003
    _unreadable(address)


def _unreadable(address: str) -> None:
    """What gunicorn refuses by itself gets the same kind of answer, and lets it be read."""
    for path, headers, status in (
        ("/api/sessions?q=" + "x" * 1_000_000, {}, 414),
        ("/api/sessions", {"X-Long": "x" * 100_000}, 431),
    ):
        connection = http.client.HTTPConnection(address, timeout=10)
        connection.request("GET", path, headers=headers)
        answer = connection.getresponse()
        body = json.loads(answer.read())
        assert (answer.status, body["status"]) == (status, status)
        assert answer.headers["Content-Type"] == "application/problem+json"
        connection.close()


@pytest.mark.parametrize("side", [[str(FILES)]], indirect=True)
def test_without_a_file_descriptor_newcomers_wait_and_nobody_is_cut(
    side: tuple[str, str, subprocess.Popen[str]],
) -> None:
    address, session, _ = side
    client = Client(address, f"/api/sessions/{session}/ws")
    client.until("events")
    host, port = address.split(":")
    crowd = [socket.create_connection((host, int(port)), timeout=10) for _ in range(FILES)]
    last = client.until("events")["last_seq"]
    while client.until("events")["last_seq"] < last + 500:
        pass
    for one in crowd:
        one.close()
    assert _get(address, "/healthz")["status"] == "ok"
    client.until("events")


def test_a_shutdown_says_goodbye(side: tuple[str, str, subprocess.Popen[str]]) -> None:
    address, session, process = side
    clients = [Client(address, f"/api/sessions/{session}/ws"), Client(address, "/api/live")]
    for client in clients:
        client.message()
    process.send_signal(signal.SIGTERM)
    for client in clients:
        assert client.closed()[0] == 1001
    assert process.wait(15) == 0
