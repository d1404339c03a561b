"""A gadget's runs on nodes: refusals, ends, schemas, stops; over real gRPC."""

from __future__ import annotations

from typing import NoReturn

import pytest

from igdash.domain.chunks import ChunkKind
from igdash.domain.losses import LossCause
from igdash.domain.nodes import NodeState
from igdash.sources.native import client, runs
from igdash.sources.native.client import Connect
from igdash.sources.native.daemon import DaemonSource, shared_loop
from igdash.sources.native.runs import Backoff, Wanted
from igdash.sources.native.stream import NativeStream
from igdash_wire import ig_pb2 as pb
from tests.support.daemon import Daemon, Script, numbered
from tests.support.native import connect_to, environment, numbers, streaming
from tests.support.sinks import RecordingSink
from tests.support.waiting import wait_until

LONG = (
    'starting operators: starting operator "oci": installing eBPF program "trace_open": attaching'
    ' eBPF program "ig_openat_e": opening kprobe perf event: token ig_openat_e: not found: open'
    " /sys/kernel/tracing/kprobe_events: no such file or directory"
)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runs, "Backoff", lambda: Backoff(first=0.05, most=0.2))


def test_dead_paths_are_found_within_30_seconds() -> None:
    assert client.QUIET + client.PATIENCE <= 30
    assert runs.NOTICED_WITHIN >= client.QUIET + client.PATIENCE


def test_waiting_times_grow_to_30_seconds_with_jitter() -> None:
    waits = [Backoff().next() for _ in range(20)]
    assert all(0.35 <= wait <= 0.5 for wait in waits)
    backoff = Backoff()
    last = [backoff.next() for _ in range(12)][-1]
    assert 21 <= last <= 30
    backoff.reset()
    assert backoff.next() <= 0.5


@pytest.mark.parametrize("late", [False, True])
def test_a_refusal_ends_the_session_with_the_cause_first(late: bool) -> None:
    script = numbered(0)
    setattr(script, "late_error" if late else "error", LONG)
    daemon = Daemon({"numbers": script})
    with streaming(daemon.address) as sink:
        wait_until(lambda: sink.end)
    assert sink.end is not None
    failed, reason = sink.end
    assert failed
    assert reason.startswith("attaching eBPF program") or "no such file" in reason[:120]
    assert LONG in [line.text for line in sink.logs()]
    assert len(daemon.requests) == 1
    daemon.kill()


def test_an_unknown_gadget_and_the_wrong_protocol() -> None:
    daemon = Daemon({"numbers": numbered(0)})
    with streaming(daemon.address, gadget="nosuch") as sink:
        wait_until(lambda: sink.end)
    assert sink.end is not None
    assert "not found" in sink.end[1]
    daemon.kill()


def test_one_node_that_refuses_does_not_end_the_others() -> None:
    good, bad = Daemon({"numbers": numbered(5)}), Daemon({"numbers": numbered(0, error="no BTF")})
    with streaming(good.address, bad.address) as sink:
        sink.wait_for(events=5)
        wait_until(lambda: sink.coverage["host1"].state is NodeState.FAILED)
        assert sink.coverage["host1"].reason == "no BTF"
        assert sink.node_counts[-1] == (2, 1)
    assert sink.end == (False, "no BTF")
    good.kill()
    bad.kill()


def test_a_node_whose_run_breaks_has_failed_and_the_others_go_on() -> None:
    async def broken() -> NoReturn:
        raise LookupError("no such thing")

    daemon, sink = Daemon({"numbers": numbered(5)}), RecordingSink()
    nodes: dict[str, Connect] = {"host0": connect_to(daemon.address), "host1": broken}
    wanted = Wanted(image="numbers", params={}, gadget="numbers")
    stream = NativeStream(shared_loop(), wanted, sink, nodes)
    sink.wait_for(events=5)
    wait_until(lambda: sink.coverage["host1"].state is NodeState.FAILED)
    assert sink.node_counts[-1] == (2, 1)
    stream.stop(timeout=5)
    assert stream.join(15)
    assert sink.end == (False, "igdash itself failed: no such thing")
    daemon.kill()


def test_a_gadget_that_ends_by_itself() -> None:
    daemon = Daemon({"numbers": numbered(5, stay=False)})
    with streaming(daemon.address) as sink:
        wait_until(lambda: sink.end)
    assert sink.end == (False, "")
    assert numbers(sink) == [1, 2, 3, 4, 5]
    assert [loss.cause for loss in sink.losses()] == []
    daemon.kill()


def test_all_parameters_are_sent_with_their_defaults() -> None:
    daemon = Daemon({"trace_open": numbered(1), "numbers": numbered(1)})
    with streaming(daemon.address) as sink:
        sink.wait_for(events=1)
    [request] = daemon.requests
    assert dict(request.paramValues) == {"operator.oci.ebpf.pid": "0"}
    assert (request.version, request.logLevel) == (1, 4)
    assert daemon.stopped == 1
    daemon.kill()


def test_a_stop_tells_that_the_tail_is_uncertain() -> None:
    daemon = Daemon({"numbers": numbered(3)})
    with streaming(daemon.address) as sink:
        sink.wait_for(events=3)
    [tail] = sink.losses()
    assert (tail.cause, tail.count, tail.exact, tail.node) == (
        LossCause.STOP_TAIL, 0, False, "host0",
    )  # fmt: skip
    daemon.kill()


def test_a_gadget_with_one_answer_is_not_asked_again() -> None:
    daemon = Daemon({"numbers": numbered(3)})
    with streaming(daemon.address, once=True) as sink:
        sink.wait_for(events=3)
        daemon.kill()
        wait_until(lambda: sink.end)
    assert sink.end == (False, "")
    assert numbers(sink) == [1, 2, 3]


def test_a_daemon_that_comes_later_is_waited_for() -> None:
    first = Daemon({})
    address = f"127.0.0.1:{first.port}"
    first.kill()
    with streaming(f"tcp://{address}") as sink:
        wait_until(lambda: sink.logs())
        assert "connection refused" in sink.coverage["host0"].reason
        assert "started" not in sink.calls
        daemon = Daemon({"numbers": numbered(3)}, address)
        sink.wait_for(events=3, calls=("started",))
    [waited] = [loss for loss in sink.losses() if loss.cause is LossCause.STREAM]
    assert "could not be started" in waited.detail
    daemon.kill()


def test_schemas_are_told_once_and_again_when_they_differ() -> None:
    other = Script(info=pb.GadgetInfo())
    other.info.CopyFrom(numbered(0).info)
    other.info.dataSources[0].fields.add(name="extra", fullName="extra", kind=pb.String, flags=32)
    same, changed = Daemon({"numbers": numbered(1)}), Daemon({"numbers": other})
    with streaming(same.address, same.address, changed.address) as sink:
        wait_until(lambda: sink.node_counts and sink.node_counts[-1] == (3, 3))
    schemas = [one.schemas[0] for one in sink.decoded(ChunkKind.SCHEMA)]
    assert len(schemas) == 2
    assert [source.name for schema in schemas for source in schema.sources] == ["numbers"] * 2
    assert {field.name for field in schemas[0].sources[0].fields} == {"n", "comm"}
    same.kill()
    changed.kill()


def test_a_kind_of_field_from_a_newer_server_is_described_and_read() -> None:
    script = numbered(0)
    script.info.dataSources[0].fields.add(
        name="new", fullName="new", index=2, payloadIndex=2, kind=99
    )
    row = pb.DataElement(payload=[(1).to_bytes(8, "little"), b"gen", b"\x01"])
    script.messages = [pb.GadgetData(data=row).SerializeToString()]
    daemon = Daemon({"numbers": script})
    with streaming(daemon.address) as sink:
        sink.wait_for(events=1)
    [schema] = sink.decoded(ChunkKind.SCHEMA)
    assert schema.schemas[0].sources[0].fields[-1].kind == "Kind99"
    assert len(daemon.requests) == 1
    daemon.kill()


def test_messages_over_4_mib_arrive() -> None:
    daemon = Daemon({"numbers": numbered(3, size=5 << 20)})
    with streaming(daemon.address) as sink:
        sink.wait_for(events=3, timeout=30)
    assert numbers(sink) == [1, 2, 3]
    daemon.kill()


def test_what_the_server_should_not_send() -> None:
    script = numbered(1)
    script.raw = [
        pb.GadgetEvent(type=0, seq=1, dataSourceID=99, payload=b"who"),
        pb.GadgetEvent(type=9, payload=b"what"),
        pb.GadgetEvent(type=4, payload=b"\xff\xff"),
    ]
    daemon = Daemon({"numbers": script})
    with streaming(daemon.address) as sink:
        wait_until(lambda: sink.malformed())
        sink.wait_for(events=1)
    assert b"data source 99" in sink.malformed()[0].raw
    texts = " ".join(line.text for line in sink.logs())
    assert "type 9" in texts
    assert "unreadable" in texts
    daemon.kill()


def test_the_daemon_describes_its_gadgets() -> None:
    daemon = Daemon({"trace_open": numbered(0)})
    found = DaemonSource(environment(daemon.address)).describe("trace_open")
    assert found.title != "trace_open"  # from the catalogue
    assert [field.name for field in found.sources[0].fields] == ["n", "comm"]
    assert [param.key for param in found.params] == ["operator.oci.ebpf.pid"]
    from igdash.domain.errors import SourceError

    with pytest.raises(SourceError, match="not found"):
        DaemonSource(environment(daemon.address)).describe("trace_tcp")
    daemon.kill()
    with pytest.raises(SourceError, match="connection refused"):
        DaemonSource(environment(daemon.address)).describe("trace_open")
