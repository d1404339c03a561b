"""Sessions on a daemon, through the real collecting process into a real store."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from igdash import store
from igdash.domain.environments import Health
from igdash.domain.losses import LossCause
from igdash.domain.nodes import NodeState
from igdash.domain.queries import EventRange
from igdash.domain.sessions import Session, SessionId, SessionSpec, SessionState
from igdash.store import Reader
from igdash_wire import ig_pb2 as pb
from tests.support.collector_process import Account, CollectorProcess, nap
from tests.support.daemon import Daemon, Numbers, Script, messages_of, numbered, played
from tests.support.waiting import wait_until

GADGETS = {
    "trace_tcp": "kubernetes-trace_tcp", "trace_open": "kubernetes-trace_open",
    "trace_exec": "kubernetes-trace_exec", "trace_dns": "kubernetes-trace_dns",
    "trace_sni": "kubernetes-trace_sni", "trace_signal": "kubernetes-trace_signal",
    "top_tcp": "kubernetes-top_tcp", "profile_cpu": "kubernetes-profile_cpu",
    "snapshot_process": "kubernetes-snapshot_process", "advise_seccomp": "kubernetes-advise_seccomp",
}  # fmt: skip


class Collecting:
    """A collecting process with one ig-daemon environment, `host`."""

    def __init__(self, folder: Path, address: str) -> None:
        extra = f'[[environments]]\nname = "host"\nkind = "ig-daemon"\naddress = "{address}"\n'
        self.process = CollectorProcess(folder, {}, extra=extra)
        self.process.start()
        self.reader: Reader = store.open_reader(self.process.url)

    def start(self, gadget: str) -> SessionId:
        return self.process.control.start(SessionSpec(gadget=gadget, environment="host")).id

    def get(self, session: SessionId) -> Session:
        return self.reader.sessions.get(session)

    def wait(self, session: SessionId, events: int) -> None:
        wait_until(lambda: self.get(session).events >= events, 20)

    def close(self) -> None:
        self.reader.close()
        self.process.close()


@pytest.fixture
def daemons() -> Iterator[list[Daemon]]:
    made: list[Daemon] = []
    yield made
    for one in made:
        one.kill()


def test_ten_gadgets_at_once_equal_what_was_sent(tmp_path: Path, daemons: list[Daemon]) -> None:
    daemons.append(Daemon({name: played(stream) for name, stream in GADGETS.items()}))
    collecting = Collecting(tmp_path, daemons[0].address)
    try:
        sessions = {gadget: collecting.start(gadget) for gadget in GADGETS}
        for gadget, session in sessions.items():
            sent = [row for event, row in messages_of(GADGETS[gadget]) if event.type == 0]
            rows = [rows_of(row) for row in sent]
            collecting.wait(session, sum(map(len, rows)))
            stored = [
                (event.data, event.node)
                for block in collecting.reader.events.stream(session, EventRange())
                for event in block
            ]
            assert [json.loads(data) for data, _ in stored] == [row for one in rows for row in one]
            single = [row for row in sent if row.startswith("{")]
            assert [data for data, _ in stored if data in set(single)] == single
            assert collecting.get(session).ticks == len(sent) - len(single)
            assert {node for _, node in stored} == {"host"}
            found = collecting.get(session)
            assert (found.malformed, found.lost, found.state) == (0, 0, SessionState.RUNNING)
            assert (found.nodes.expected, found.nodes.connected) == (1, 1)
            check_schema(collecting, gadget, session)
        collecting.process.stop_all()
        assert {collecting.get(one).state for one in sessions.values()} == {SessionState.STOPPED}
        tails = collecting.reader.records.losses(sessions["trace_tcp"])[0]
        assert [loss.cause for loss in tails] == [LossCause.STOP_TAIL]
    finally:
        collecting.close()


def rows_of(row: str) -> list[object]:
    value = json.loads(row)
    return value if isinstance(value, list) else [value]


def check_schema(collecting: Collecting, gadget: str, session: SessionId) -> None:
    """Columns and data source are those the daemon told with the stream."""
    event, _ = messages_of(GADGETS[gadget])[0]
    info = pb.GadgetInfo.FromString(event.payload)
    told = collecting.reader.sessions.schema(session)
    assert [one.name for one in told] == [one.name for one in info.dataSources]
    fields = {f.fullName for f in info.dataSources[0].fields if not f.flags & (1 | 32)}
    assert {field.name for field in told[0].fields} == fields
    page = collecting.reader.events.page(session, EventRange(limit=1))
    assert {event.source for event in page.events} <= {one.name for one in told}
    assert page.events[0].source


@pytest.mark.parametrize("how", ["kill", "terminate"])
def test_igdash_itself_goes_down_and_comes_back(
    tmp_path: Path, daemons: list[Daemon], how: str
) -> None:
    events = Numbers()
    daemons.append(Daemon({"trace_tcp": events.script(rate=300)}))
    collecting = Collecting(tmp_path, daemons[0].address)
    try:
        session = collecting.start("trace_tcp")
        collecting.wait(session, 100)
        getattr(collecting.process, how)()
        nap(0.5)
        collecting.process.start()
        before = collecting.get(session).events
        collecting.wait(session, before + 100)
        collecting.process.stop_all()
        account = Account(collecting.process.url, session, dict(events.at))
        account.check()
        assert account.session.state is SessionState.STOPPED
        assert LossCause.STREAM in {loss.cause for loss in account.losses}
    finally:
        collecting.close()


def test_the_daemon_goes_down_and_comes_back(tmp_path: Path, daemons: list[Daemon]) -> None:
    events = Numbers()
    first = Daemon({"trace_tcp": events.script(rate=300)})
    daemons.append(first)
    collecting = Collecting(tmp_path, first.address)
    try:
        session = collecting.start("trace_tcp")
        collecting.wait(session, 100)
        first.kill()
        wait_until(lambda: collecting.get(session).nodes.connected == 0)
        [node] = collecting.reader.sessions.coverage(session)
        assert node.state is NodeState.WAITING
        assert node.reason
        assert collecting.get(session).state is SessionState.RUNNING
        before = collecting.get(session).events
        daemons.append(Daemon({"trace_tcp": events.script(rate=300)}, f"127.0.0.1:{first.port}"))
        collecting.wait(session, before + 100)
        wait_until(lambda: collecting.get(session).nodes.connected == 1)
        collecting.process.stop_all()
        Account(collecting.process.url, session, dict(events.at)).check()
    finally:
        collecting.close()


def test_a_session_on_a_daemon_that_is_down_waits_for_it(
    tmp_path: Path, daemons: list[Daemon]
) -> None:
    gone = Daemon({})
    gone.kill()
    collecting = Collecting(tmp_path, gone.address)
    try:
        session = collecting.start("trace_tcp")
        wait_until(lambda: collecting.get(session).logs)
        assert collecting.get(session).state is SessionState.STARTING
        [status] = wait_until(
            lambda: [
                e for e in collecting.process.control.environments() if e.health is Health.DOWN
            ]
        )
        assert "connection refused: is `ig daemon` running?" in status.reason
        assert status.next_try
        daemons.append(Daemon({"trace_tcp": numbered(20)}, f"127.0.0.1:{gone.port}"))
        collecting.wait(session, 20)
        assert collecting.get(session).state is SessionState.RUNNING
        [gap] = collecting.reader.records.losses(session)[0]
        assert (gap.cause, gap.node, gap.exact) == (LossCause.STREAM, "host", False)
    finally:
        collecting.close()


def test_a_refused_gadget_fails_with_the_cause_first(tmp_path: Path, daemons: list[Daemon]) -> None:
    cause = "open /sys/kernel/tracing/kprobe_events: no such file or directory"
    text = f"starting operators: {'installing a very long context: ' * 12}{cause}"
    script = Script(info=numbered(0).info, late_error=text)
    daemons.append(Daemon({"trace_tcp": script}))
    collecting = Collecting(tmp_path, daemons[0].address)
    try:
        session = collecting.start("trace_tcp")
        wait_until(lambda: collecting.get(session).state.ended)
        found = collecting.get(session)
        assert found.state is SessionState.FAILED
        assert found.reason.startswith("open /sys/kernel")
    finally:
        collecting.close()
