"""Headless instances in a cluster: one is made, every node is read, a pod's restart is accounted for."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from igdash.domain.instances import own_id
from igdash.domain.losses import LossCause
from igdash.domain.sessions import SessionId, SessionSpec
from igdash.domain.times import NS
from igdash.sources.native import instances, kubernetes
from igdash.sources.native.kubernetes import KubernetesSource
from tests.support.cluster import SessionSink, Site, account, received, watched
from tests.support.headless import RememberingSink
from tests.support.waiting import wait_until

NODES = ("worker-1", "worker-2", "worker-3")
SESSION = SessionId("0123456789ab")
SPEC = SessionSpec(gadget="trace_open", environment="k", headless=True)


class Sink(RememberingSink, SessionSink):
    """Knows when its session was asked to stop."""


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(instances, "QUIET", 0.3)
    monkeypatch.setattr(instances, "HOLD", 1.0)
    made = Site(tmp_path, *NODES)
    yield made
    made.close()


@contextmanager
def attached(source: KubernetesSource, sink: Sink, *, leave: bool) -> Iterator[Sink]:
    stream = source.open(SESSION, SPEC, sink)
    try:
        yield sink
    finally:
        sink.until = time.time_ns()
        stream.stop(timeout=5, leave=leave, final=not leave)
        assert stream.join(20)
        assert not sink.faults


def more(sink: Sink, count: int = 20) -> None:
    before = {node: len(numbers) for node, numbers in received(sink).items()}
    wait_until(
        lambda: all(len(received(sink).get(n, ())) >= before.get(n, 0) + count for n in NODES),
        20,
        every=0.1,
    )


def streams(sink: Sink) -> list[str]:
    return [one.node for one in sink.losses() if one.cause is LossCause.STREAM]


def test_every_node_is_read_left_and_read_again(site: Site) -> None:
    with watched(site.server.token_config()) as source:
        with attached(source, Sink(), leave=True) as first:
            more(first)
            site.kept[own_id(SESSION)].timeCreated = 1_800_000_000
            site.kept[own_id(SESSION)].tags[:] = [""]
            [one] = source.instances()
            assert (one.created, one.tags) == (1_800_000_000 * NS, ())
            assert (one.id, one.nodes, one.state) == (own_id(SESSION), NODES, "running")
            assert source.status().headless
        assert list(site.kept) == [own_id(SESSION)]
        with attached(source, Sink(first), leave=False) as second:
            more(second, 100)
        for node in NODES:
            numbers = received(first)[node] + received(second)[node]
            assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert streams(first) == streams(second) == []
        assert site.kept == {}
        assert len([one for daemon in site.daemons.values() for one in daemon.created]) == 1
        assert not any(daemon.crashed for daemon in site.daemons.values())


def test_a_pod_that_restarts_brings_it_back_with_an_empty_ring(site: Site) -> None:
    with (
        watched(site.server.token_config()) as source,
        attached(source, Sink(), leave=False) as sink,
    ):
        more(sink)
        site.crash("worker-1", away=1.0)
        wait_until(lambda: streams(sink), 20)
        more(sink)
    assert streams(sink) == ["worker-1"]
    missing = account(site, sink)
    assert missing["worker-1"] > 10
    assert missing["worker-2"] == missing["worker-3"] == 0


def test_a_node_that_is_given_up_leaves_the_instance_to_the_others(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kubernetes, "GONE_AFTER_SECONDS", 0.5)
    with watched(site.server.token_config()) as source:
        with attached(source, Sink(), leave=False) as sink:
            more(sink)
            site.server.delete("pods", site.pods["worker-1"], "gadget")
            site.remove("worker-2")
            wait_until(lambda: sink.node_counts[-1] == (1, 1), 20)
            before = len(received(sink)["worker-3"])
            wait_until(lambda: len(received(sink)["worker-3"]) > before + 30, 20)
            assert list(site.kept) == [own_id(SESSION)]
        assert site.kept == {}
    assert "worker-3" not in streams(sink)
    assert not [line.text for line in sink.logs() if "could not be removed" in line.text]
