"""Headless instances: igdash comes and goes, the daemon comes and goes; each event is stored once, or
a loss record says from when to when it is not known."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

import pytest

from igdash.domain.chunks import Chunk, ChunkKind
from igdash.domain.instances import RING, own_id
from igdash.domain.losses import Loss, LossCause
from igdash.domain.nodes import NodeState
from igdash.domain.sessions import SessionSpec
from igdash.domain.times import NS, now_ns
from igdash.sources.native import instances, replayed, runs
from igdash.sources.native.daemon import DaemonSource, reading_instance, shared_loop
from igdash.sources.native.instances import InstanceRun
from igdash.sources.native.replayed import Gate, Memory
from igdash.sources.native.runs import Wanted
from igdash_wire import ig_pb2 as pb
from tests.support.daemon import Daemon, Numbers, Script, numbered
from tests.support.headless import SESSION, RememberingSink, attached, restarted
from tests.support.native import connect_to, environment, numbers
from tests.support.proxy import Proxy
from tests.support.sinks import RecordingSink
from tests.support.waiting import wait_until

ID = own_id(SESSION)
ROWS = ChunkKind.JSON_LINES


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    shared_loop()
    monkeypatch.setattr(instances, "QUIET", 0.3)
    monkeypatch.setattr(instances, "HOLD", 1.0)
    monkeypatch.setattr(instances, "SETTLES_WITHIN", 0.5)
    backoff = runs.Backoff
    monkeypatch.setattr(runs, "Backoff", lambda: backoff(first=0.05, most=0.2))


def manual() -> Script:
    """A gadget that sends only what the test emits."""
    return numbered(0)


def rows(*counted: int) -> list[bytes]:
    script = numbered(max(counted, default=0))
    return [script.messages[n - 1] for n in counted]


def emit(daemon: Daemon, *counted: int) -> None:
    instance = daemon.instances.running[ID]
    for row in rows(*counted):
        instance.emit(row)


def streams(*sinks: RecordingSink) -> list[Loss]:
    return [one for sink in sinks for one in sink.losses() if one.cause is LossCause.STREAM]


def up(daemon: Daemon) -> None:
    wait_until(lambda: ID in daemon.instances.running and daemon.attached)


def test_made_asked_attached_removed() -> None:
    daemon = Daemon({"numbers": manual()})
    daemon.scripts["numbers"].messages.extend(rows(*range(1, 101)))
    with attached(daemon.address, RememberingSink(), leave=False) as sink:
        sink.wait_for(events=100)
        [made] = daemon.created
        assert (made.id, made.name) == (ID, f"igdash-{SESSION}")
        assert made.gadgetConfig.paramValues["operator.oci.ebpf.pid"] == "0"
        assert made.gadgetConfig.version == 1
    assert numbers(sink) == list(range(1, 101))
    assert daemon.removed == [ID]
    assert not daemon.crashed
    assert not streams(sink)
    [tail] = [one for one in sink.losses() if one.cause is LossCause.STOP_TAIL]
    assert tail.count == 0
    assert sink.end == (False, "")
    daemon.kill()


def test_nobody_attaches_before_it_is_up() -> None:
    daemon = Daemon({"numbers": numbered(5)}, starting=1.0)
    with attached(daemon.address, RememberingSink()) as sink:
        sink.wait_for(events=5)
    assert not daemon.crashed
    assert len(daemon.attached) == 1
    daemon.kill()


def test_the_double_dies_of_an_early_attach() -> None:
    """What the order of calls is for."""
    daemon = Daemon({"numbers": numbered(5)}, starting=30.0)
    connect = DaemonSource(environment(daemon.address))._connect

    async def early() -> None:
        client = await connect()
        wanted = pb.GadgetInstance(id=ID, name="early")
        wanted.gadgetConfig.imageName = "numbers"
        create = pb.CreateGadgetInstanceRequest(gadgetInstance=wanted)
        await client.unary(instances.CREATE, create.SerializeToString(), timeout=5)
        attach = pb.GadgetControlRequest(attachRequest=pb.GadgetAttachRequest(id=ID, version=1))
        client.stream(runs.RUN, attach.SerializeToString(), lambda _: None, lambda _: None)
        await client.lost

    shared_loop().run(early()).result(15)
    assert daemon.crashed


@pytest.mark.parametrize("missed", [0, 1, 100, RING - 1])
def test_igdash_away_while_the_ring_holds_it_all(missed: int) -> None:
    daemon = Daemon({"numbers": manual()})
    with attached(daemon.address, RememberingSink()) as first:
        up(daemon)
        emit(daemon, *range(1, 31))
        first.wait_for(events=30)
    assert daemon.removed == []
    emit(daemon, *range(31, 31 + missed))
    with attached(daemon.address, RememberingSink(first)) as second:
        second.wait_for(calls=("started",))
        wait_until(lambda: any("told again" in line.text for line in second.logs()))
        emit(daemon, 5_000)
        second.wait_for(events=missed + 1)
    assert numbers(second) == [*range(31, 31 + missed), 5_000]
    assert len(daemon.created) == 1
    assert not streams(first, second)
    assert not [one for one in second.losses() if one.cause is LossCause.STOP_TAIL]
    daemon.kill()


def test_igdash_away_for_more_than_the_ring_holds() -> None:
    daemon = Daemon({"numbers": manual()})
    with attached(daemon.address, RememberingSink()) as first:
        up(daemon)
        emit(daemon, *range(1, 31))
        first.wait_for(events=30)
    left = now_ns()
    emit(daemon, *range(31, 31 + RING + 50))
    back = now_ns()
    with attached(daemon.address, RememberingSink(first)) as second:
        second.wait_for(events=RING)
    assert numbers(second) == list(range(81, 81 + RING))
    [gap] = streams(second)
    assert gap.start <= left
    assert back <= gap.end <= now_ns()
    assert (gap.node, gap.count, gap.exact) == ("host", 0, False)
    assert str(RING) in gap.detail
    daemon.kill()


def test_a_connection_that_is_cut_loses_nothing() -> None:
    events = Numbers()
    daemon = Daemon({"numbers": events.script(rate=200)})
    proxy = Proxy(daemon.port)
    with attached(proxy.address, RememberingSink()) as sink:
        for _ in range(3):
            before = len(sink.events())
            sink.wait_for(events=before + 60)
            proxy.cut()
        sink.wait_for(events=len(sink.events()) + 60)
    seen = numbers(sink)
    assert seen == list(range(1, len(seen) + 1))
    assert not streams(sink)
    assert len(daemon.created) == 1
    proxy.close()
    daemon.kill()


def test_a_connection_cut_while_it_is_told_again() -> None:
    """Whatever was held back then comes once more, and is stored once."""
    events = Numbers()
    daemon = Daemon({"numbers": events.script(rate=300)})
    proxy = Proxy(daemon.port)
    with attached(proxy.address, RememberingSink()) as sink:
        sink.wait_for(events=50)
        for _ in range(4):
            attaches = len(daemon.attached)
            proxy.cut()
            wait_until(lambda n=attaches: len(daemon.attached) > n)  # type: ignore[misc]
        sink.wait_for(events=len(sink.events()) + 100)
    seen = numbers(sink)
    assert seen == list(range(1, len(seen) + 1))
    assert not streams(sink)
    proxy.close()
    daemon.kill()


def test_cut_while_it_is_told_again_and_then_the_ring_is_gone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What had not been told yet happened before that attach: the gap begins where reading ended."""
    monkeypatch.setattr(runs, "IN_FLIGHT", 0)
    monkeypatch.setattr(replayed, "IN_FLIGHT", 0)
    daemon = Daemon({"numbers": manual()})
    proxy = Proxy(daemon.port)
    with attached(proxy.address, RememberingSink()) as sink:
        up(daemon)
        emit(daemon, 1, 2)
        sink.wait_for(events=2)
        told: list[Chunk] = []
        monkeypatch.setattr(Gate, "take", lambda gate, one: told.append(one) or cut(gate, one))
        monkeypatch.setattr(instances, "QUIET", 30.0)
        proxy.cut()
        missed = now_ns()
        emit(daemon, 3)
        wait_until(lambda: sum(one.data.count(b"\n") for one in told if one.kind is ROWS) >= 3)
        monkeypatch.setattr(instances, "QUIET", 0.1)
        again = restarted(daemon)
        wait_until(lambda: streams(sink))
    again.kill()
    proxy.close()
    assert numbers(sink) == [1, 2]
    [gap] = streams(sink)
    assert gap.start <= missed


def cut(gate: Gate, chunk: Chunk, take: Callable[[Gate, Chunk], None] = Gate.take) -> None:
    """Take what is told but the third row, as if the connection had broken before it."""
    if chunk.kind is ROWS:
        lines = [one for one in chunk.data.splitlines() if json.loads(one)["n"] != 3]
        chunk = replace(chunk, data=b"".join(one + b"\n" for one in lines))
    take(gate, chunk)


def test_the_daemon_restarts_and_brings_the_instance_back_empty() -> None:
    events = Numbers()
    daemon = Daemon({"numbers": events.script(rate=200)})
    with attached(daemon.address, RememberingSink()) as sink:
        sink.wait_for(events=50)
        again = restarted(daemon)
        wait_until(lambda: streams(sink))
        sink.wait_for(events=len(sink.events()) + 50)
        again.kill()
    assert [n for n, times in Counter(numbers(sink)).items() if times > 1] == []
    [gap] = streams(sink)
    assert "started anew" in gap.detail
    outside = [
        n
        for n, at in dict(events.at).items()
        if n < numbers(sink)[-1]
        and n not in numbers(sink)
        and not gap.start <= at <= gap.end + NS // 20
    ]
    assert outside == []
    assert again.created == []
    assert not again.crashed


def test_an_empty_ring_is_a_loss_before_anything_comes() -> None:
    daemon = Daemon({"numbers": manual()})
    with attached(daemon.address, RememberingSink()) as sink:
        up(daemon)
        emit(daemon, 1, 2, 3)
        sink.wait_for(events=3)
        again = restarted(daemon)
        wait_until(lambda: streams(sink))
    again.kill()


def test_a_gap_after_quiet_begins_where_it_was_read_last(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not at the last event: that may be hours ago."""
    monkeypatch.setattr(runs, "IN_FLIGHT", 0)
    monkeypatch.setattr(replayed, "IN_FLIGHT", 0)
    monkeypatch.setattr(runs, "NOTICED_WITHIN", 0.1)
    daemon = Daemon({"numbers": manual()})
    with attached(daemon.address, RememberingSink()) as sink:
        up(daemon)
        emit(daemon, 1, 2, 3)
        sink.wait_for(events=3)
        quiet = now_ns()
        wait_until(lambda: now_ns() > quiet + NS // 2)
        again = restarted(daemon)
        wait_until(lambda: streams(sink))
    again.kill()
    [gap] = streams(sink)
    assert gap.start > quiet + NS // 4
    assert gap.end > quiet + NS // 2


def test_what_is_told_again_is_no_sign_of_lag() -> None:
    """The last row is of long ago; what the stop may lose is not."""
    script, at = manual(), now_ns() - 1_800 * NS
    script.info.dataSources[0].fields.add(
        name="timestamp_raw", fullName="timestamp_raw", index=2, payloadIndex=2, kind=pb.Uint64
    )
    row = pb.DataElement(payload=[b"\1".ljust(8, b"\0"), b"gen", at.to_bytes(8, "little")])
    daemon, first = Daemon({"numbers": script}), RememberingSink()
    with attached(daemon.address, first):
        up(daemon)
        daemon.instances.running[ID].emit(pb.GadgetData(data=row).SerializeToString())
        first.wait_for(events=1)
    with attached(daemon.address, RememberingSink(first), leave=False) as sink:
        wait_until(lambda: any("told again" in line.text for line in sink.logs()))
        stopped = now_ns()
    daemon.kill()
    [tail] = [one for one in sink.losses() if one.cause is LossCause.STOP_TAIL]
    assert tail.start > stopped - 5 * NS


def test_equal_rows_that_are_new_are_stored() -> None:
    daemon = Daemon({"numbers": manual()})
    with attached(daemon.address, RememberingSink()) as first:
        up(daemon)
        emit(daemon, 1, 2, 7, 7, 7)
        first.wait_for(events=5)
    emit(daemon, 7, 7, 8)
    with attached(daemon.address, RememberingSink(first)) as second:
        second.wait_for(events=3)
    assert numbers(second) == [7, 7, 8]
    assert not streams(second)
    daemon.kill()


def test_somebody_removed_it() -> None:
    events = Numbers()
    daemon = Daemon({"numbers": events.script(rate=200)})
    with attached(daemon.address, RememberingSink()) as sink:
        sink.wait_for(events=50)
        daemon.instances.RemoveGadgetInstance(pb.GadgetInstanceId(id=ID), None)
        wait_until(lambda: len(daemon.created) == 2)
        sink.wait_for(events=len(sink.events()) + 50)
    [gap] = streams(sink)
    assert "made again" in gap.detail
    assert len(set(numbers(sink))) == len(numbers(sink))
    daemon.kill()


def test_a_failed_one_fails_the_session_with_its_text() -> None:
    daemon = Daemon({"numbers": numbered(1, error="attaching: no kprobes here")})
    with attached(daemon.address, RememberingSink()) as sink:
        assert sink.over.wait(10)
    assert sink.end is not None
    failed, reason = sink.end
    assert failed
    assert "no kprobes here" in reason
    assert daemon.attached == []
    daemon.kill()


def test_one_that_fails_at_the_daemons_restart() -> None:
    daemon = Daemon({"numbers": numbered(3)})
    with attached(daemon.address, RememberingSink()) as sink:
        sink.wait_for(events=3)
        daemon.scripts = {"numbers": numbered(3, error="out of memory")}
        again = restarted(daemon)
        assert sink.over.wait(10)
    assert sink.end == (True, "out of memory")
    assert again.attached == []
    [gap] = streams(sink)
    assert gap.start <= max(event.ts for event in sink.events()) <= gap.end
    again.kill()


def test_two_read_one_instance() -> None:
    events = Numbers()
    daemon = Daemon({"numbers": events.script(rate=200)})
    with attached(daemon.address, RememberingSink(), leave=False) as own:
        own.wait_for(events=50)
        with attached(daemon.address, RememberingSink(), instance=ID, leave=False) as other:
            other.wait_for(events=200)
        assert daemon.removed == []
        own.wait_for(events=numbers(other)[-1])
    assert numbers(other) == list(range(1, len(numbers(other)) + 1))
    assert numbers(own) == list(range(1, len(numbers(own)) + 1))
    assert not streams(own, other)
    daemon.kill()


def test_an_instance_of_others_that_is_not_there() -> None:
    daemon = Daemon({"numbers": numbered(3)})
    with attached(daemon.address, RememberingSink(), instance="f" * 32) as sink:
        assert sink.over.wait(10)
    assert sink.end is not None
    assert sink.end[0]
    assert "there is no instance" in sink.end[1]
    assert daemon.created == []
    daemon.kill()


def test_others_remove_theirs() -> None:
    daemon = Daemon({"numbers": manual()})
    with attached(daemon.address, RememberingSink()) as own:
        up(daemon)
        emit(daemon, 1, 2)
        own.wait_for(events=2)
        with attached(daemon.address, RememberingSink(), instance=ID) as other:
            other.wait_for(events=2)
            daemon.instances.RemoveGadgetInstance(pb.GadgetInstanceId(id=ID), None)
            assert other.over.wait(10)
    assert other.end == (False, "")
    daemon.kill()


@pytest.fixture
def held(monkeypatch: pytest.MonkeyPatch) -> list[Chunk]:
    """What comes to the gates, which hold it: they wait long for more."""
    monkeypatch.setattr(instances, "QUIET", 30.0)
    taken: list[Chunk] = []
    take = Gate.take
    monkeypatch.setattr(Gate, "take", lambda gate, one: taken.append(one) or take(gate, one))
    return taken


@pytest.mark.parametrize("removed", [False, True], ids=["stopped", "removed"])
def test_what_is_held_at_the_end_of_reading_others_is_stored(
    held: list[Chunk], removed: bool
) -> None:
    daemon = Daemon({"numbers": manual()})
    with attached(daemon.address, RememberingSink()) as own:
        up(daemon)
        emit(daemon, 1, 2)
        own.wait_for(events=2)
    again = restarted(daemon)
    held.clear()
    with attached(again.address, RememberingSink(own), instance=ID, leave=False) as other:
        up(again)
        emit(again, 3, 4)
        wait_until(lambda: sum(one.data.count(b"\n") for one in held if one.kind is ROWS) >= 2)
        assert numbers(other) == []
        if removed:
            again.instances.RemoveGadgetInstance(pb.GadgetInstanceId(id=ID), None)
            assert other.over.wait(10)
    assert numbers(other) == [3, 4]
    [gap] = streams(other)
    assert "started anew" in gap.detail
    again.kill()


def test_what_was_held_when_the_daemon_went_for_good_is_stored(
    held: list[Chunk],
) -> None:
    daemon = Daemon({"numbers": manual()})
    with attached(daemon.address, RememberingSink(), leave=False) as sink:
        up(daemon)
        emit(daemon, 1, 2)
        sink.wait_for(events=2)
        left = now_ns()
        again = restarted(daemon)
        up(again)
        held.clear()
        emit(again, 3, 4)
        wait_until(lambda: sum(one.data.count(b"\n") for one in held if one.kind is ROWS) >= 2)
        again.kill()
        wait_until(lambda: sink.coverage["host"].state is NodeState.WAITING)
    assert numbers(sink) == [1, 2, 3, 4]
    gaps = streams(sink)
    assert min(gap.start for gap in gaps) < left
    assert max(gap.end for gap in gaps) > max(one.received for one in held)


def test_stopped_while_the_daemon_is_away() -> None:
    daemon = Daemon({"numbers": numbered(3)})
    with attached(daemon.address, RememberingSink(), leave=False) as sink:
        sink.wait_for(events=3)
        daemon.kill()
        wait_until(lambda: sink.coverage["host"].state is NodeState.WAITING)
    assert any("could not be removed" in line.text for line in sink.logs())
    assert streams(sink)


def test_what_a_daemon_has() -> None:
    daemon = Daemon({"numbers": numbered(3), "broken": numbered(1, error="no BTF")})
    source = DaemonSource(environment(daemon.address))
    assert source.status().headless
    assert list(source.instances()) == []
    with attached(daemon.address, RememberingSink()) as sink:
        sink.wait_for(events=3)
        [one] = source.instances()
        assert (one.id, one.name, one.image, one.state) == (
            ID, f"igdash-{SESSION}", "numbers", "running",
        )  # fmt: skip
        assert one.tags == ("igdash",)
        assert one.nodes == ("host",)
    source.remove_instance(SESSION)
    source.remove_instance(SESSION)
    assert list(source.instances()) == []
    daemon.kill()


@contextmanager
def followed(
    daemon: Daemon, sink: RecordingSink, memory: Memory
) -> Iterator[tuple[InstanceRun, Future[None]]]:
    """One node's run by itself, as a cluster has it, and its end."""
    spec = SessionSpec(gadget="numbers", environment="host", headless=True)
    wanted = reading_instance(Wanted(image="numbers", params={}, gadget="numbers"), SESSION, spec)
    connect = connect_to(daemon.address)
    run = InstanceRun("host", wanted, connect, sink.chunk, lambda _: None, set(), memory)
    over = shared_loop().run(run.work())
    try:
        yield run, over
    finally:
        shared_loop().run(called(partial(run.stop, 5.0, leave=True, final=False))).result(5)
        over.result(10)


async def called(what: Callable[[], None]) -> None:
    what()


def test_a_node_given_up_before_it_is_clear_what_is_missing_has_its_gap(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It was away, came back, told nothing yet, and is none of ours any more."""
    monkeypatch.setattr(instances, "SETTLES_WITHIN", 30.0)
    daemon, sink = Daemon({"numbers": manual()}), RememberingSink()
    with followed(daemon, sink, Memory("host", None)) as (run, over):
        up(daemon)
        emit(daemon, 1, 2)
        sink.wait_for(events=2)
        left = now_ns()
        again = restarted(daemon)
        up(again)
        back = now_ns()
        wait_until(lambda: run.state is NodeState.CONNECTED)
        assert streams(sink) == []
        shared_loop().run(called(partial(run.gone, "no gadget pod"))).result(5)
        over.result(10)
    again.kill()
    assert any(gap.start < left and gap.end >= back for gap in streams(sink))


def test_a_node_taken_back_has_no_gap_from_before_it_was_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """That one is in the record already; the last event may be of hours ago."""
    monkeypatch.setattr(replayed, "IN_FLIGHT", 0)
    daemon, sink, memory = Daemon({"numbers": manual()}), RememberingSink(), Memory("host", None)
    with followed(daemon, sink, memory) as (run, over):
        up(daemon)
        emit(daemon, 1, 2)
        sink.wait_for(events=2)
        daemon.kill()
        wait_until(lambda: run.state is NodeState.WAITING)
        shared_loop().run(called(partial(run.gone, "no gadget pod"))).result(5)
        over.result(10)
    [before] = streams(sink)
    again = restarted(daemon)
    with followed(again, sink, memory):
        wait_until(lambda: len(streams(sink)) > 1)
    again.kill()
    [_, gap] = streams(sink)
    assert gap.start >= before.end
