"""The sockets over a real server: order without holes, ends, limits, and readers that misbehave."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import websocket

from igdash.api.options import WebOptions
from igdash.domain.errors import QueryBusy
from igdash.domain.losses import Loss, LossCause
from igdash.domain.sessions import SessionId, SessionState
from igdash.domain.times import now_ns
from igdash.services import picked
from tests.support.stores import Store
from tests.support.waiting import wait_until
from tests.support.web import Client, Web, get, served, web

OPTIONS = WebOptions(max_sockets=8, send_timeout=2.0)


@pytest.fixture
def side(sqlite_store: Store) -> Iterator[Web]:
    with web(sqlite_store.url, OPTIONS) as made:
        yield made


@pytest.fixture
def quick(tmp_path: Path) -> Iterator[tuple[Web, str]]:
    """A server that pings twice a second."""
    options = WebOptions(ping_interval=0.5)
    with web(f"sqlite:///{tmp_path}/quick.db", options) as made, served(made.app) as at:
        yield made, at
        made.services.close()


@pytest.fixture
def address(side: Web) -> Iterator[str]:
    with served(side.app) as at:
        yield at
        side.services.close()


def _read(client: Client, last: int) -> list[int]:
    """Return all seqs up to `last` as they come."""
    seen: list[int] = []
    while not seen or seen[-1] < last:
        message = client.until("events")
        seen += [event["seq"] for event in message["events"]]
        assert message["last_seq"] == seen[-1]
    return seen


def _events(count: int, pad: int = 0) -> list[str]:
    return [json.dumps({"n": n, "pad": "x" * pad}) for n in range(count)]


def test_hello_then_everything_after_then_the_end(side: Web, address: str) -> None:
    id_ = side.session()
    side.control.add(id_, _events(1_300))
    client = Client(address, f"/api/sessions/{id_[:8]}/ws?after=10")
    hello = client.message()
    assert hello["type"] == "hello"
    assert hello["session"] == id_
    assert (hello["state"], hello["first_seq"], hello["last_seq"]) == ("running", 1, 1_300)
    assert _read(client, 1_300) == list(range(11, 1_301))
    side.control.add(id_, _events(5))
    assert _read(client, 1_305) == list(range(1_301, 1_306))
    side.control.end(id_, SessionState.STOPPED)
    assert client.message() == {"type": "state", "state": "stopped"}
    assert client.message() == {"type": "end", "state": "stopped"}
    assert client.closed()[0] == 1000


def test_without_after_it_begins_now(side: Web, address: str) -> None:
    id_ = side.session()
    side.control.add(id_, _events(10))
    client = Client(address, f"/api/sessions/{id_}/ws")
    client.until("hello")
    side.control.add(id_, ['{"big":18446744073709551615}'])
    message = client.message()
    assert [event["seq"] for event in message["events"]] == [11]
    assert message["events"][0]["data"] == {"big": 18446744073709551615}
    assert message["events"][0] == get(side, f"/api/sessions/{id_}/events/11")[1]


def test_an_ended_session_is_played_to_its_end(side: Web, address: str) -> None:
    id_ = side.session()
    side.control.add(id_, _events(20))
    side.control.end(id_, SessionState.FAILED, "exit 1")
    client = Client(address, f"/api/sessions/{id_}/ws?after=0")
    assert client.message()["state"] == "failed"
    assert _read(client, 20) == list(range(1, 21))
    assert client.message() == {"type": "end", "state": "failed"}
    assert client.closed()[0] == 1000


def test_many_readers_see_the_same_at_their_own_cursors(side: Web, address: str) -> None:
    id_, other = side.session(), side.session()
    side.control.add(id_, _events(700))
    clients = [Client(address, f"/api/sessions/{id_}/ws?after={n}") for n in (0, 250, 699, 700)]
    clients.append(Client(address, f"/api/sessions/{other}/ws"))
    for client in clients:
        client.until("hello")
    for _ in range(20):
        side.control.add(id_, _events(15))
    side.control.add(other, _events(3))
    for client, after in zip(clients, (0, 250, 699, 700), strict=False):
        assert _read(client, 1_000) == list(range(after + 1, 1_001))
    assert _read(clients[-1], 3) == [1, 2, 3]


def test_opening_and_closing_changes_nothing_for_the_session(side: Web, address: str) -> None:
    id_ = side.session()
    before = get(side, f"/api/sessions/{id_}")[1]
    for _ in range(30):
        client = Client(address, f"/api/sessions/{id_}/ws?after=0")
        client.until("hello")
        client.socket.sock.close()
    wait_until(lambda: side.services.hub.readers() == 0)
    assert get(side, f"/api/sessions/{id_}")[1] == before


def test_a_reconnect_with_after_misses_nothing(side: Web, address: str) -> None:
    id_ = side.session()
    stop = threading.Event()

    def write() -> None:
        while not stop.wait(0.005):
            side.control.add(id_, _events(7))

    writer = threading.Thread(target=write)
    writer.start()
    seen: list[int] = []
    try:
        for _ in range(6):
            client = Client(address, f"/api/sessions/{id_}/ws?after={seen[-1] if seen else 0}")
            for _ in range(4):
                seen += [event["seq"] for event in client.until("events")["events"]]
            client.close()
    finally:
        stop.set()
        writer.join()
    assert seen == list(range(1, len(seen) + 1))


def test_losses_and_states_arrive(side: Web, address: str) -> None:
    id_ = side.session()
    client = Client(address, f"/api/sessions/{id_}/ws")
    client.until("hello")
    now = now_ns()
    loss = Loss(node="w1", start=now, end=now, count=4, cause=LossCause.KERNEL, detail="d")
    side.control.add(id_, _events(1), losses=[loss])
    first = client.until("loss")
    assert (first["node"], first["count"], first["cause"]) == ("w1", 4, "kernel")
    assert first["total"] == 4
    side.control.add(id_, [], losses=[loss])  # merged into the same record
    second = client.until("loss")
    assert (second["count"], second["total"]) == (8, 8)
    side.control.end(id_, SessionState.STOPPING)
    assert client.until("state")["state"] == "stopping"


def _numbered(first: int, last: int) -> list[str]:
    return [json.dumps({"proc": {"pid": n}}) for n in range(first, last + 1)]


def _picked(client: Client, last: int) -> list[int]:
    """Return what comes until everything up to `last` was looked at."""
    seen: list[int] = []
    looked = 0
    while looked < last:
        message = client.until("events")
        assert message["last_seq"] > looked
        looked = message["last_seq"]
        seen += [event["data"]["proc"]["pid"] for event in message["events"]]
    return seen


def test_a_filter_picks_events_and_says_how_far_it_looked(side: Web, address: str) -> None:
    id_ = side.session()
    side.control.add(id_, _numbered(1, 1_200))
    client = Client(
        address, f"/api/sessions/{id_}/ws?after=0&filter=pid%20in%20(7,%201150,%201201)"
    )
    client.until("hello")
    assert _picked(client, 1_200) == [7, 1150]
    side.control.add(id_, _numbered(1_201, 1_203))
    assert _picked(client, 1_203) == [1201]
    side.control.add(id_, _numbered(1_204, 1_206))
    assert _picked(client, 1_206) == []
    side.control.end(id_, SessionState.STOPPED)
    assert client.closed()[0] == 1000


def test_who_is_far_behind_is_served_by_the_workers(
    side: Web, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """… and by this process when those are busy: the same events either way."""
    monkeypatch.setattr(picked, "BEHIND", 100)
    monkeypatch.setattr(picked, "LIMIT", 7)
    answer, asked = type(side.services.queries).answer, []

    def counted(self: Any, ask: Any, *more: Any) -> Any:
        asked.append(ask)
        if len(asked) % 3 == 0:
            raise QueryBusy("busy")
        return answer(self, ask, *more)

    monkeypatch.setattr(type(side.services.queries), "answer", counted)
    id_ = side.session()
    side.control.add(id_, _numbered(1, 2_000))
    client = Client(
        address, f"/api/sessions/{id_}/ws?after=0&filter=pid%20%3E%201900%20or%20pid%20%3C%2050"
    )
    client.until("hello")
    assert _picked(client, 2_000) == [*range(1, 50), *range(1_901, 2_001)]
    assert asked


def test_without_news_the_store_is_looked_at(side: Web, address: str) -> None:
    side.control.silent = True
    id_ = side.session()
    client = Client(address, f"/api/sessions/{id_}/ws")
    client.until("hello")
    side.control.add(id_, _events(5))
    assert _read(client, 5) == [1, 2, 3, 4, 5]
    side.control.end(id_, SessionState.STOPPED)
    assert client.closed()[0] == 1000


def test_the_collector_may_be_away(side: Web, address: str) -> None:
    id_ = side.session()
    side.control.down = True
    client = Client(address, f"/api/sessions/{id_}/ws")
    client.until("hello")
    side.control.add(id_, _events(2))
    assert _read(client, 2) == [1, 2]
    side.control.down = False
    side.control.add(id_, _events(2))
    assert _read(client, 4) == [3, 4]


def test_a_deleted_session_closes_its_sockets(side: Web, address: str) -> None:
    id_ = side.session()
    client = Client(address, f"/api/sessions/{id_}/ws")
    client.until("hello")
    side.control.delete(id_)
    assert client.closed()[0] == 4404


@pytest.mark.parametrize(
    ("path", "code", "reason"),
    [
        ("/api/sessions/ffffff/ws", 4404, "ffffff"),
        ("/api/sessions/%00/ws", 4404, ""),
        ("/api/sessions/ID/ws?filter=pid%3D", 1003, "filter"),
        ("/api/sessions/ID/ws?after=-1", 1003, "after"),
        ("/api/sessions/ID/ws?after=x", 1003, "after"),
        ("/api/sessions/ID/ws?after=1&after=2", 1003, "after"),
        ("/api/live?x=1", 1003, "x"),
    ],
)
def test_what_is_wrong_is_said_in_the_close(
    side: Web, address: str, path: str, code: int, reason: str
) -> None:
    client = Client(address, path.replace("ID", side.session()))
    found, text = client.closed()
    assert found == code
    assert reason in text


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Origin": "http://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Origin": "http://127.0.0.1:1"}, 403),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Host": "evil.example"}, 400),
    ],
)
@pytest.mark.parametrize("path", ["/api/live", "/api/sessions/ID/ws"])
def test_other_sites_never_get_a_socket(
    side: Web, address: str, headers: dict[str, str], status: int, path: str
) -> None:
    options: dict[str, Any] = {"suppress_origin": True}
    if "Origin" in headers:
        options = {"origin": headers["Origin"]}
    if "Host" in headers:
        options["host"] = headers["Host"]
    extra = {k: v for k, v in headers.items() if k.startswith("Sec-")}
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        Client(address, path.replace("ID", side.session()), header=extra, **options)
    assert refused.value.status_code == status
    assert b"problem" in refused.value.resp_headers["content-type"].encode()


def test_scripts_without_origin_get_one(side: Web, address: str) -> None:
    client = Client(address, f"/api/sessions/{side.session()}/ws", suppress_origin=True)
    assert client.message()["type"] == "hello"


def test_a_plain_request_is_told_to_upgrade(side: Web) -> None:
    for path in ("/api/live", f"/api/sessions/{side.session()}/ws"):
        answer = side.app.test_client().get(path)
        assert answer.status_code == 426
        assert answer.headers["Upgrade"] == "websocket"


def test_no_compression_is_agreed_on(side: Web, address: str) -> None:
    wanted = ["Sec-WebSocket-Extensions: permessage-deflate"]
    client = Client(address, "/api/live", header=wanted)
    assert "sec-websocket-extensions" not in client.socket.getheaders()


def test_what_a_client_should_not_send(side: Web, address: str) -> None:
    def fresh() -> Client:
        client = Client(address, f"/api/sessions/{side.session()}/ws")
        client.until("hello")
        return client

    client = fresh()
    client.socket.send_binary(b"x")
    assert client.closed()[0] == 1003
    client = fresh()
    client.socket.send("x" * 65_537)
    assert client.closed()[0] == 1009
    client = fresh()
    frame = websocket.ABNF.create_frame("x" * 40_000, websocket.ABNF.OPCODE_TEXT, fin=0)
    client.socket.send_frame(frame)
    more = websocket.ABNF.create_frame("x" * 40_000, websocket.ABNF.OPCODE_CONT, fin=1)
    client.socket.send_frame(more)
    assert client.closed()[0] == 1009
    client = fresh()
    client.socket.sock.sendall(b"\xff\xff\xff\xff")
    assert client.closed()[0] == 1002
    client = fresh()
    client.socket.send("hello?")  # harmless
    client.socket.ping("x")
    opcode, data = client.socket.recv_data(control_frame=True)
    assert (opcode, data) == (websocket.ABNF.OPCODE_PONG, b"x")


def test_the_cap_refuses_with_a_reason_and_frees_places(side: Web, address: str) -> None:
    id_ = side.session()
    clients = [Client(address, f"/api/sessions/{id_}/ws") for _ in range(8)]
    for client in clients:
        client.until("hello")
    code, reason = Client(address, "/api/live").closed()
    assert code == 1013
    assert "8" in reason
    assert get(side, "/api/sessions")[0] == 200
    clients[0].close()
    wait_until(lambda: side.services.hub.readers() == 7)
    assert Client(address, "/api/live").message()["type"] == "live"


def test_shutting_down_says_goodbye(side: Web, address: str) -> None:
    clients = [
        Client(address, f"/api/sessions/{side.session()}/ws"),
        Client(address, "/api/live"),
    ]
    for client in clients:
        client.message()
    side.services.close()
    for client in clients:
        assert client.closed()[0] == 1001
    assert Client(address, "/api/live").closed()[0] == 1001


def test_a_silent_peer_is_given_up(quick: tuple[Web, str]) -> None:
    """Neither reads nor answers pings: after two and a half intervals it is gone."""
    side, address = quick
    client = Client(address, f"/api/sessions/{side.session()}/ws")
    client.until("hello")
    wait_until(lambda: side.services.hub.readers() == 0, timeout=5)


def test_a_peer_that_answers_pings_stays(quick: tuple[Web, str]) -> None:
    side, address = quick
    id_ = side.session()
    client = Client(address, f"/api/sessions/{id_}/ws", timeout=0.2)
    until = time.monotonic() + 2.5
    while time.monotonic() < until:
        with contextlib.suppress(websocket.WebSocketTimeoutException):
            client.message()
    assert side.services.hub.readers() == 1


def _stalled(address: str, id_: SessionId) -> socket.socket:
    """Shake hands by hand, with a small receive buffer, and never read again."""
    host, port = address.split(":")
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    sock.connect((host, int(port)))
    sock.sendall(
        f"GET /api/sessions/{id_}/ws?after=0 HTTP/1.1\r\nHost: {address}\r\n"
        "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n".encode()
    )
    assert b" 101 " in sock.recv(300)
    return sock


def test_a_stalled_reader_delays_nobody_and_is_closed(side: Web, address: str) -> None:
    id_ = side.session()
    for _ in range(10):
        side.control.add(id_, _events(500, pad=2_000))  # 10 MB: more than any buffer holds
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(_stalled(address, id_))
        client = Client(address, f"/api/sessions/{id_}/ws")
        client.until("hello")
        slowest = 0.0
        for n in range(20):
            begun = time.monotonic()
            side.control.add(id_, _events(5))
            assert _read(client, 5_000 + 5 * (n + 1))[-1] == 5_000 + 5 * (n + 1)
            slowest = max(slowest, time.monotonic() - begun)
        assert slowest < 1.0
        wait_until(lambda: side.services.hub.readers() == 1, timeout=10)
        ring = side.services.hub._feeds[id_]
        assert ring._ring_bytes <= 4 * 1_048_576


def test_live_shows_running_sessions_then_changes(side: Web, address: str) -> None:
    first, second = side.session(), side.session()
    client = Client(address, "/api/live")
    full = client.message()
    assert set(full["sessions"]) == {first, second}
    assert set(full["sessions"][first]) == {
        "state",
        "events",
        "lost",
        "rate",
        "last_seq",
        "logs",
        "malformed",
        "nodes",
    }
    assert full["stats"]["collector"] == "up"
    side.control.add(first, _events(3))
    changed = client.message()
    assert set(changed["sessions"]) == {first}
    assert changed["sessions"][first]["events"] == 3
    third = side.session()
    assert third in _until(client, third)
    side.control.end(second, SessionState.STOPPED)
    assert _until(client, second)[second]["state"] == "stopped"
    side.control.delete(third)
    assert _until(client, third)[third] == {"state": "deleted"}


def _until(client: Client, id_: SessionId) -> dict[str, Any]:
    while True:
        sessions: dict[str, Any] = client.until("live")["sessions"]
        if id_ in sessions:
            return sessions


def test_live_comes_at_most_four_times_a_second(side: Web, address: str) -> None:
    id_ = side.session()
    side.control.fill(id_, every=0.01, batch=2)
    clients = [Client(address, "/api/live") for _ in range(3)]
    for client in clients:
        client.message()
    begun = time.monotonic()
    for _ in range(4):
        for client in clients:
            client.message()
    assert time.monotonic() - begun > 0.7


def test_live_says_that_the_collector_is_away(side: Web, address: str) -> None:
    side.control.down = True
    client = Client(address, "/api/live")
    stats = client.message()["stats"]
    assert stats["collector"] == "down"
    assert "collector" in stats["trouble"]
    side.control.down = False
    while stats["collector"] != "up":
        stats = client.message()["stats"]
