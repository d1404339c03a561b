"""The socket itself: who may, what breaks, who is slow."""

from __future__ import annotations

import json
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from igdash.domain import errors
from igdash.domain.control import Advance, CollectorStats
from igdash.domain.environments import EnvironmentStatus
from igdash.domain.errors import AlreadyRunning, CollectorUnavailable, IgdashError
from igdash.domain.schedules import (
    Deed,
    Order,
    Run,
    RunFile,
    RunRange,
    Schedule,
    ScheduleSpec,
    What,
    When,
)
from igdash.domain.sessions import Session, SessionId, SessionSpec, SessionState
from igdash.domain.threads import spawn
from igdash.services import control_server, control_wire
from igdash.services.control_client import ControlClient
from igdash.services.control_server import ControlServer
from igdash.services.control_wire import socket_path
from tests.support.collecting import SPEC
from tests.support.collecting import wait_until as wait
from tests.support.waiting import no_thread

STATS = CollectorStats(
    pid=1, started=2, version="0", sessions=3, rate=1.5, lag_ms=0.0, backlog_bytes=0,
    commits=4, events=2**60,
)  # fmt: skip


class FakeCollector:
    """Answers with what the test put in."""

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.delay = threading.Event()
        self.wait = 0.0
        self.subscribers: list[Callable[[Sequence[Advance]], None]] = []
        self.done: list[str] = []

    def start_session(self, spec: SessionSpec) -> Session:
        self.done.append("start")
        self.delay.wait(self.wait)
        return Session(id=SessionId("a" * 12), spec=spec, state=SessionState.STARTING, created=1)

    def stop_session(self, session: SessionId, *, keep: bool = False) -> None:
        if self.error:
            raise self.error

    def delete_session(self, session: SessionId) -> None:
        self.done.append("delete")

    def schedule(self, order: Order) -> Schedule:
        self.order = order
        spec = ScheduleSpec(name="all", what=What(), when=When(every=60.0))
        return Schedule(id=order.schedule, spec=spec, created=1, anchor=1)

    def environments(self) -> Sequence[EnvironmentStatus]:
        return ()

    def stats(self) -> CollectorStats:
        return STATS

    def subscribe(self, callback: Callable[[Sequence[Advance]], None]) -> Callable[[], None]:
        self.subscribers.append(callback)
        return lambda: self.subscribers.remove(callback)

    def advance(self, n: int, session: str = "a") -> None:
        for callback in list(self.subscribers):
            callback([Advance(session=SessionId(session), state=SessionState.RUNNING, last_seq=n)])


@pytest.fixture
def collector() -> FakeCollector:
    return FakeCollector()


@pytest.fixture
def path(tmp_path: Path, collector: FakeCollector) -> Iterator[Path]:
    server = ControlServer(collector, tmp_path / "control.sock")
    server.start()
    yield tmp_path / "control.sock"
    server.stop()
    collector.delay.set()
    assert not (tmp_path / "control.sock").exists()
    wait(lambda: not any("control" in t.name for t in threading.enumerate()))


def raw(path: Path) -> socket.socket:
    sock = socket.socket(socket.AF_UNIX)
    sock.settimeout(5)
    sock.connect(str(path))
    return sock


def ask(sock: socket.socket, text: bytes) -> dict[str, object]:
    sock.sendall(text + b"\n")
    with sock.makefile("rb") as lines:
        for line in lines:
            if line.strip():
                return dict(json.loads(line))
    raise AssertionError("no answer")


def test_only_its_user_may(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_values_survive_the_way(path: Path) -> None:
    assert ControlClient(path).stats() == STATS
    assert ControlClient(path).start(SPEC).spec == SPEC


@pytest.mark.parametrize("kind", sorted(control_wire._KINDS))
def test_every_kind_of_error_comes_back_as_itself(
    path: Path, collector: FakeCollector, kind: str
) -> None:
    collector.error = getattr(errors, kind)("what was wrong")
    with pytest.raises(IgdashError, match="what was wrong") as caught:
        ControlClient(path).stop(SessionId("x"))
    assert type(caught.value).__name__ == kind


def test_an_unexpected_error_says_nothing_of_itself(
    path: Path, collector: FakeCollector, caplog: pytest.LogCaptureFixture
) -> None:
    collector.error = ValueError("secret")
    with pytest.raises(IgdashError, match="its log has details"):
        ControlClient(path).stop(SessionId("x"))
    assert "secret" in caplog.text


@pytest.mark.parametrize(
    "text",
    [b"", b"nonsense", b"[]", b'{"call":"nope"}', b'{"call":"start"}', b'{"call":"stop"}',
     b'{"call":"start","spec":{"gadget":1}}', b"\xff\xfe"],
)  # fmt: skip
def test_a_bad_request_is_answered_and_the_connection_lives(path: Path, text: bytes) -> None:
    with raw(path) as sock:
        assert "error" in ask(sock, text)
        assert "ok" in ask(sock, b'{"call":"stats"}')


def test_the_end_of_an_export_of_very_many_sessions_comes_through(
    path: Path, collector: FakeCollector
) -> None:
    files, ranges = [], []
    for number in range(20_000):
        session = SessionId(f"{number:012x}")
        name = f"trace_tcp-{session}-1-1000.jsonl"
        files.append(RunFile(name=name, session=session, rows=1_000, bytes=1, sha256="0" * 64))
        part = {"first": 1, "last": 1_000, "lost": 0, "total_lost": 0, "rows": 1_000}
        ranges.append(RunRange(session=session, gadget="trace_tcp", **part))
    run = Run(id="r", schedule="s", started=1, files=tuple(files), ranges=tuple(ranges))
    order = Order(deed=Deed.FINISH, schedule="s", at=2, run=run)
    assert ControlClient(path).schedule(order).id == "s"
    assert collector.order == order


def test_an_endless_request_is_cut(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_wire, "MAX_REQUEST", 1024 * 1024)
    with raw(path) as sock:
        answer = ask(sock, b"x" * (control_wire.MAX_REQUEST + 10))
        assert "at most" in str(answer)
        with suppress(ConnectionError):
            assert sock.recv(10) == b""


def test_a_slow_collector_is_waited_for(
    path: Path, collector: FakeCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_wire, "SILENCE", 1.5)
    collector.wait = 2.5
    begun = time.monotonic()
    assert ControlClient(path).start(SPEC).state is SessionState.STARTING
    assert time.monotonic() - begun > 2.4


def test_a_frozen_collector_is_unavailable_within_3_s(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "s"))
        listener.listen(1)
        begun = time.monotonic()
        with pytest.raises(CollectorUnavailable, match="does not answer"):
            ControlClient(tmp_path / "s").stats()
        assert time.monotonic() - begun < 3.5


@pytest.mark.parametrize("waits", [True, False])
def test_what_a_caller_gave_up_is_not_done(collector: FakeCollector, waits: bool) -> None:
    calls = [
        control_wire.Request(call="start", spec=SPEC),
        control_wire.Request(call="delete", session=SessionId("a" * 12)),
    ]
    for call in calls:
        ours, theirs = socket.socketpair()
        with ours, theirs:
            ours.sendall(msgspec.json.encode(call) + b"\n")
            connection = control_server._Connection(theirs, collector)
            if waits:
                thread = spawn("serve", connection.serve)
                assert ours.recv(10)
            ours.close()
            if waits:
                thread.join()
            else:
                connection.serve()
    assert collector.done == (["start", "delete"] if waits else [])


def test_no_collector_says_how_to_start_one(tmp_path: Path) -> None:
    with pytest.raises(CollectorUnavailable, match="igdash serve"):
        ControlClient(tmp_path / "none").stats()


def test_a_socket_of_the_dead_is_taken_over_one_of_the_living_is_not(
    tmp_path: Path, collector: FakeCollector
) -> None:
    path = tmp_path / "control.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    first, second = ControlServer(collector, path), ControlServer(collector, path)
    first.start()
    with pytest.raises(AlreadyRunning):
        second.start()
    assert ControlClient(path).stats() == STATS
    first.stop()


def test_a_path_too_long_has_a_short_stand_in(tmp_path: Path, collector: FakeCollector) -> None:
    path = tmp_path / ("long" * 40) / "control.sock"
    assert len(str(socket_path(path))) < 100
    server = ControlServer(collector, path)
    server.start()
    folder = socket_path(path).parent
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert ControlClient(path).stats() == STATS
    server.stop()


def test_watch_connects_again_and_says_look_yourself(
    tmp_path: Path, collector: FakeCollector
) -> None:
    path = tmp_path / "control.sock"
    seen: list[tuple[int, ...]] = []
    with ControlClient(path).watch(lambda news: seen.append(tuple(a.last_seq for a in news))):
        for n in (1, 2):
            server = ControlServer(collector, path)
            server.start()
            wait(lambda: collector.subscribers)
            wait(lambda n=n: seen.count(()) == n)
            collector.advance(n)
            wait(lambda n=n: (n,) in seen)
            server.stop()
            wait(lambda: not collector.subscribers)
    assert seen == [(), (1,), (), (2,)]


def test_a_watcher_that_raises_is_logged_and_goes_on(
    path: Path, collector: FakeCollector, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[int] = []

    def watcher(news: Sequence[Advance]) -> None:
        if not news:
            raise ValueError("first")
        seen.append(news[0].last_seq)

    with ControlClient(path).watch(watcher):
        wait(lambda: collector.subscribers)
        collector.advance(3)
        wait(lambda: seen == [3])
    assert "a watcher of the collector failed" in caplog.text


def test_a_stalled_watcher_delays_nobody_and_gets_merged_news(
    path: Path, collector: FakeCollector
) -> None:
    with raw(path) as stalled:
        stalled.sendall(b'{"call":"watch"}\n')
        wait(lambda: collector.subscribers)
        begun = time.monotonic()
        for n in range(20_000):
            collector.advance(n, session="s" * 500 + str(n % 7))
        assert time.monotonic() - begun < 2
        other: list[int] = []
        with ControlClient(path).watch(lambda news: other.extend(a.last_seq for a in news)):
            wait(lambda: len(collector.subscribers) == 2)
            collector.advance(99_999)
            wait(lambda: other == [99_999])
        last: dict[str, int] = {}
        with stalled.makefile("rb") as lines:
            for line in lines:
                for item in (json.loads(line) if line.strip() else {}).get("advances", ()):
                    last[item["session"]] = item["last_seq"]
                if last.get("a") == 99_999:
                    break
        assert sorted(last.values()) == [*range(19_993, 20_000), 99_999]


def test_a_watcher_that_reads_nothing_leaves_the_others_their_sign_of_life(
    path: Path, collector: FakeCollector, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that was stopped (Ctrl-Z), of a collector that has no news: only beats fill its socket."""
    monkeypatch.setattr(control_wire, "HEARTBEAT", 0.001)
    with raw(path) as stalled:
        stalled.sendall(b'{"call":"watch"}\n')
        wait(lambda: collector.subscribers)
        wait(lambda: unread(stalled) > 60)
        monkeypatch.setattr(control_wire, "SILENCE", 0.5)
        collector.wait = 1.5
        assert ControlClient(path).start(SPEC).state is SessionState.STARTING


def test_a_caller_that_does_not_read_its_answer_is_given_up(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(control_server, "_SEND_TIMEOUT", 1)
    spec = replace(SPEC, name="n" * 900_000)
    with raw(path) as silent:
        silent.sendall(msgspec.json.encode(control_wire.Request(call="start", spec=spec)) + b"\n")
        wait(lambda: unread(silent) > 1_000)
        wait(lambda: not any(t.name == "control-call" for t in threading.enumerate()))


def unread(sock: socket.socket) -> int:
    return len(sock.recv(1 << 20, socket.MSG_PEEK))


def test_too_many_connections_are_told_so(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control_server, "MAX_CONNECTIONS", 2)
    with raw(path) as one, raw(path) as two:
        ask(one, b'{"call":"stats"}')
        ask(two, b'{"call":"stats"}')
        with pytest.raises(CollectorUnavailable, match="too many"):
            ControlClient(path).stats()
    wait(lambda: _answers(path))


def _answers(path: Path) -> bool:
    try:
        return ControlClient(path).stats() == STATS
    except CollectorUnavailable:
        return False


def test_the_door_stays_open_when_there_is_no_thread_to_be_had(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(control_server, "spawn", no_thread)
        with pytest.raises(CollectorUnavailable, match="too many connections"):
            ControlClient(path).stats()
    assert ControlClient(path).stats() == STATS


def test_replies_are_plain_json(path: Path) -> None:
    with raw(path) as sock:
        answer = ask(
            sock,
            msgspec.json.encode({"call": "start", "spec": {"gadget": "g", "environment": "e"}}),
        )
    assert answer["ok"]["state"] == "starting"  # type: ignore[index]
