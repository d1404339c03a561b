"""The real collecting process on a cluster: what is stored, and what the store says of each node."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from igdash import store
from igdash.domain.losses import Loss
from igdash.domain.nodes import NodeState
from igdash.domain.queries import EventRange
from igdash.domain.sessions import Session, SessionId, SessionSpec
from igdash.domain.times import NS, now_ns
from tests.support.cluster import SLACK, Site
from tests.support.collector_process import CollectorProcess
from tests.support.waiting import wait_until

NODES = ("worker-1", "worker-2", "worker-3")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    (tmp_path / "cluster").mkdir()
    made = Site(tmp_path / "cluster", *NODES, rate=40.0)
    yield made
    made.close()


@pytest.fixture
def collector(tmp_path: Path, site: Site) -> Iterator[CollectorProcess]:
    entry = f'[[environments]]\nname = "k"\nkind = "kubernetes"\nkubeconfig = "{site.server.token_config()}"\n'
    made = CollectorProcess(tmp_path, {}, extra=entry)
    made.start()
    yield made
    made.close()
    log = made.log.read_text()
    assert "Traceback" not in log
    assert "Unclosed" not in log


class Stored:
    """What the store has of one session."""

    def __init__(self, url: str, session: SessionId) -> None:
        reader = store.open_reader(url)
        try:
            self.session: Session = reader.sessions.get(session)
            self.states = {one.name: one.state for one in reader.sessions.coverage(session)}
            self.losses: tuple[Loss, ...] = reader.records.losses(session, limit=10_000)[0]
            self.numbers: dict[str, list[int]] = {}
            for block in reader.events.stream(session, EventRange(limit=5_000)):
                for event in block:
                    self.numbers.setdefault(event.node, []).append(json.loads(event.data)["n"])
        finally:
            reader.close()

    def missing(self, site: Site, until: int) -> dict[str, int]:
        """Return how many numbers of each node are in loss records; every other one is stored."""
        found = {}
        for node, numbers in self.numbers.items():
            assert len(set(numbers)) == len(numbers)
            clock = site.clocks[node]
            last = int((until - SLACK - clock.began) / NS * clock.rate)
            gaps = set(range(numbers[0], last + 1)) - set(numbers)
            windows = [
                (x.start - SLACK, x.end + SLACK) for x in self.losses if x.node in ("", node)
            ]
            for n in sorted(gaps):
                assert any(a <= clock.at(n) <= b for a, b in windows), f"{node}: {n} is unaccounted"
            found[node] = len(gaps)
        return found


def test_three_nodes_one_pod_replaced_and_igdash_killed(
    site: Site, collector: CollectorProcess
) -> None:
    session = collector.control.start(SessionSpec(gadget="trace_open", environment="k")).id

    def stored() -> Stored:
        return Stored(collector.url, session)

    def covered(*nodes: str) -> bool:
        states = stored().states
        return set(states) == set(nodes) and set(states.values()) == {NodeState.CONNECTED}

    def flowing(*nodes: str) -> bool:
        before = {node: len(numbers) for node, numbers in stored().numbers.items()}
        return wait_until(
            lambda: all(len(stored().numbers.get(n, ())) > before.get(n, 0) + 5 for n in nodes),
            every=0.2,
        )

    wait_until(lambda: covered(*NODES), timeout=30, every=0.2)
    assert (stored().session.nodes.expected, stored().session.nodes.connected) == (3, 3)
    assert flowing(*NODES)
    site.remove("worker-2")
    wait_until(lambda: stored().states["worker-2"] is NodeState.WAITING, every=0.1)
    assert stored().session.nodes.connected == 2
    site.add("worker-2")
    wait_until(lambda: covered(*NODES), every=0.1)
    site.add("worker-4")
    wait_until(lambda: covered(*NODES, "worker-4"), every=0.1)
    assert flowing(*NODES, "worker-4")
    collector.kill()
    collector.start()
    assert flowing(*NODES, "worker-4")
    until = now_ns()
    collector.stop_all()
    end = stored()
    missing = end.missing(site, until)
    assert set(missing) == {*NODES, "worker-4"}
    assert missing["worker-2"] > 0
    assert end.session.received == end.session.events
    assert any(x.node == "worker-2" for x in end.losses)
