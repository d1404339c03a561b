"""A cluster for tests: the API server double, and per node a daemon double whose events go on.

Each node numbers its events as time passes, whether anybody is connected or not, so that a test can
ask of every number: was it stored, or does it lie in a loss record of its node?
"""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from igdash.domain.environments import Environment, EnvironmentKind
from igdash.domain.sessions import SessionId, SessionSpec, Target
from igdash.domain.times import NS
from igdash.sources.native.kubernetes import KubernetesSource
from igdash_wire import ig_pb2 as pb
from tests.support.apiserver import FakeApiServer
from tests.support.daemon import Daemon, Script, numbered
from tests.support.sinks import RecordingSink

SLACK = int(0.15 * NS)
"""An event may have been on its way when the last one before a gap arrived."""


class Clock:
    """Events that happen as time passes, numbered; each stream tells of those from its begin on."""

    def __init__(self, rate: float) -> None:
        self.rate = rate
        self.began = time.time_ns()
        self._stream = threading.local()  # the daemon double has a thread per stream

    def at(self, n: int) -> int:
        """Return when number n happens, ns."""
        return self.began + int(n / self.rate * NS)

    def next(self) -> bytes:
        """Return the next event's message when it has happened."""
        now = int((time.time_ns() - self.began) / NS * self.rate)
        n = self._stream.n = getattr(self._stream, "n", now) + 1
        time.sleep(max(self.at(n) - time.time_ns(), 0) / NS)
        row = pb.DataElement(payload=[n.to_bytes(8, "little"), b"gen"])
        return pb.GadgetData(data=row).SerializeToString()

    def script(self) -> Script:
        """Return the gadget that tells of them."""
        return numbered(0, live=self.next)


class Site:
    """The cluster. `pods` has each node's gadget pod, `daemons` what answers in it."""

    def __init__(self, folder: Path, *nodes: str, rate: float = 50.0) -> None:
        self.server = FakeApiServer(folder, bookmark_every=0.5)
        self.rate = rate
        self.clocks: dict[str, Clock] = {}
        self.pods: dict[str, str] = {}
        self.daemons: dict[str, Daemon] = {}
        self.kept: dict[str, Any] = {}
        """The headless instances: in a real cluster ConfigMaps that every gadget pod watches."""
        self._made = 0
        for node in nodes:
            self.add(node)

    def add(self, node: str) -> None:
        """A node joins, with a gadget pod that is up."""
        self.clocks.setdefault(node, Clock(self.rate))
        self._made += 1
        name = self.pods[node] = f"gadget-{self._made}"
        self.server.gadget_pod(name, node, self._serve(node))

    def _serve(self, node: str) -> int:
        scripts = {"trace_open": self.clocks[node].script()}
        daemon = self.daemons[node] = Daemon(scripts, kept=self.kept)
        port: int = daemon.port
        return port

    def crash(self, node: str, away: float) -> None:
        """The gadget process dies; the same pod answers again after `away` s."""
        pod = self.pods[node]
        self.server.ports[pod] = 0
        self.daemons[node].kill()
        self.server.put("pods", pod, "gadget", status=self.server.status("Running", 0, ready=False))
        time.sleep(away)
        self.server.ports[pod] = self._serve(node)
        self.server.put("pods", pod, "gadget", status=self.server.status("Running", 1))

    def remove(self, node: str) -> None:
        """The pod is deleted, in the steps that a real cluster was seen to take."""
        pod = self.pods.pop(node)
        gone = {"deletionTimestamp": "2026-11-22T23:11:21Z"}
        self.server.put("pods", pod, "gadget", metadata=gone)
        self.daemons.pop(node).kill()
        self.server.put("pods", pod, "gadget", status=self.server.status("Succeeded"))
        self.server.delete("pods", pod, "gadget")

    def replace(self, node: str, *, pending: float = 0.3, starting: float = 0.3) -> float:
        """The pod is deleted and a new one comes up; return when it answered (monotonic)."""
        self.remove(node)
        self._made += 1
        name = self.pods[node] = f"gadget-{self._made}"
        labels = {"labels": {"k8s-app": "gadget"}}
        self.server.put("pods", name, "gadget", metadata=labels, status={"phase": "Pending"})
        self.server.put("pods", name, "gadget", spec={"nodeName": node})
        time.sleep(pending)
        self.server.ports[name] = 0
        self.server.put("pods", name, "gadget", status=self.server.status("Running", ready=False))
        time.sleep(starting)
        self.server.ports[name] = self._serve(node)
        return time.monotonic()

    def close(self) -> None:
        self.server.close()
        for daemon in self.daemons.values():
            daemon.kill()


class SessionSink(RecordingSink):
    """`until` is when the session was asked to stop, ns."""

    until = 0


def environment(config: Path | str = "", **more: Any) -> Environment:
    return Environment(name="k", kind=EnvironmentKind.KUBERNETES, kubeconfig=str(config), **more)


@contextmanager
def watched(config: Path | str, **more: Any) -> Iterator[KubernetesSource]:
    """A source that is closed at the end."""
    source = KubernetesSource(environment(config, **more))
    try:
        yield source
    finally:
        source.close()


@contextmanager
def collecting(source: KubernetesSource, node: str = "") -> Iterator[SessionSink]:
    """A session of the numbered gadget; it is stopped at the end."""
    sink = SessionSink()
    spec = SessionSpec(gadget="trace_open", environment="k", target=Target(node=node))
    stream = source.open(SessionId("0123456789ab"), spec, sink)
    try:
        yield sink
    finally:
        sink.until = time.time_ns()
        stream.stop(timeout=5)
        assert stream.join(15)
        assert not sink.faults
        assert sink.end == (False, "")


def received(sink: SessionSink) -> dict[str, list[int]]:
    """Return each node's numbers in the order of arrival."""
    found: dict[str, list[int]] = {}
    for event in sink.events():
        found.setdefault(event.origin.node, []).append(json.loads(event.data)["n"])
    return found


def account(site: Site, sink: SessionSink) -> dict[str, int]:
    """Check of each number from a node's first to the stop: received once, or in a loss record.

    Returns how many numbers of each node lie in gaps.
    """
    gone: dict[str, int] = {}
    for node, numbers in received(sink).items():
        assert len(numbers) == len(set(numbers)), f"{node}: a number came twice"
        clock = site.clocks[node]
        windows = [
            (one.start - SLACK, one.end + SLACK) for one in sink.losses() if one.node == node
        ]
        last = int((sink.until - SLACK - clock.began) / NS * clock.rate)
        missing = set(range(numbers[0], last + 1)) - set(numbers)
        for n in sorted(missing):
            at = clock.at(n)
            assert any(start <= at <= end for start, end in windows), (
                f"{node}: number {n} is neither stored nor in a loss record"
            )
        gone[node] = len(missing)
    return gone
