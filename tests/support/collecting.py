"""Fakes and helpers for tests of collecting: a source that tests feed by hand, and waiting."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from igdash.domain.chunks import Chunk, ChunkKind
from igdash.domain.control import Advance
from igdash.domain.environments import Environment, EnvironmentKind, EnvironmentStatus, Health
from igdash.domain.errors import GadgetNotFound, SourceError, StoreBusy
from igdash.domain.events import Decoded, NewEvent, Origin
from igdash.domain.gadgets import Category, DataSource, Delivery, Gadget, Param
from igdash.domain.instances import Received
from igdash.domain.ports import EventWriter, ResumePoint, SessionBatch, Sink, Stream
from igdash.domain.sessions import NewSession, Session, SessionId, SessionSpec, StateChange
from igdash.domain.times import now_ns
from igdash.services.limits import CollectorLimits

SPEC = SessionSpec(gadget="trace_tcp", environment="fake")

SMALL = CollectorLimits(
    commit_window=0.01,
    reserve_bytes=64 * 1024,
    stop_timeout=5.0,
    status_every=0.2,
    call_timeout=10.0,
)


def wait_until(condition: Callable[[], Any], timeout: float = 10.0, what: str = "") -> Any:
    """Return the condition's first true value; fail after `timeout` s."""
    until = time.monotonic() + timeout
    while time.monotonic() < until:
        value = condition()
        if value:
            return value
        time.sleep(0.01)
    raise AssertionError(f"not within {timeout} s: {what or condition}")


def lines(*numbers: int, received: int = 0, node: str = "") -> Chunk:
    """A chunk of numbered events."""
    received = received or now_ns()
    data = b"".join(b'{"n":%d,"timestamp_raw":%d}\n' % (n, received) for n in numbers)
    return Chunk(kind=ChunkKind.JSON_LINES, received=received, data=data, node=node)


def decode_lines(chunk: Chunk) -> Decoded:
    """A decoder that knows only event lines; `boom` breaks it."""
    if b"boom" in chunk.data:
        raise ValueError("boom")
    if chunk.kind is not ChunkKind.JSON_LINES:
        return Decoded()
    origin = Origin(node=chunk.node)
    texts = chunk.data.decode().splitlines()
    return Decoded(
        events=tuple(NewEvent(chunk.received, origin, text, len(text)) for text in texts)
    )


class FakeCatalogue:
    """One gadget, one parameter."""

    gadget = Gadget(
        name="trace_tcp",
        title="TCP",
        description="",
        category=Category.TRACE,
        delivery=Delivery.STREAM,
        sources=(DataSource(name="tcp"),),
        params=(
            Param(key="operator.oci.ebpf.pid", name="pid", type="uint32"),
            Param(key="k8s-namespace", name="k8s-namespace", target=True),
            Param(key="operator.KubeManager.namespace", name="namespace", target=True),
            Param(key="operator.KubeManager.podname", name="podname", target=True),
            Param(key="operator.LocalManager.containername", name="containername", target=True),
        ),
    )

    def all(self) -> tuple[Gadget, ...]:
        return (self.gadget,)

    def get(self, name: str) -> Gadget:
        if name != self.gadget.name:
            raise GadgetNotFound(f"no gadget {name!r}")
        return self.gadget


class FakeStream:
    """A gadget that does what the test says; `stop` sends its tail and ends it."""

    def __init__(self, session: SessionId, sink: Sink) -> None:
        self.session = session
        self.sink = sink
        self.tail: Chunk | None = None
        self.stops = 0
        self.left = False
        self._over = threading.Event()

    def stop(self, *, timeout: float, leave: bool = False, final: bool = True) -> None:
        self.stops += 1
        self.left = leave
        if self.stops == 1 and not self._over.is_set():
            if self.tail is not None:
                self.sink.chunk(self.tail)
            self.end()

    def end(self, *, failed: bool = False, reason: str = "") -> None:
        if not self._over.is_set():
            self.sink.ended(failed=failed, reason=reason)
            self._over.set()

    def join(self, timeout: float) -> bool:
        return self._over.wait(timeout)


class FakeSource:
    """A source whose gadgets are fed by the test through `streams`."""

    def __init__(self, name: str = "fake", *, restartable: bool = True) -> None:
        self.environment = Environment(name=name, kind=EnvironmentKind.REPLAY)
        self.streams: dict[SessionId, FakeStream] = {}
        self.opened: list[SessionId] = []
        self.broken = ""
        self.description: Gadget | Exception | None = None
        self.described: list[str] = []
        self.may_describe = threading.Event()
        self.may_describe.set()
        self.health = Health.UP
        self.may_restart = restartable
        self.starts_by_itself = True

    def status(self) -> EnvironmentStatus:
        return EnvironmentStatus(
            name=self.environment.name, kind=self.environment.kind, health=self.health
        )

    def command(self, session: SessionId, spec: SessionSpec) -> tuple[str, ...]:
        return ("fake", spec.gadget)

    def info(self, spec: SessionSpec) -> Mapping[str, str]:
        return {"image": spec.gadget}

    def restartable(self, spec: SessionSpec) -> bool:
        return self.may_restart

    def describe(self, gadget: str) -> Gadget | None:
        self.described.append(gadget)
        self.may_describe.wait(10)
        if isinstance(self.description, Exception):
            raise self.description
        return self.description

    def open(self, session: SessionId, spec: SessionSpec, sink: Sink) -> Stream:
        if self.broken:
            raise SourceError(self.broken)
        self.opened.append(session)
        stream = self.streams[session] = FakeStream(session, sink)
        if self.starts_by_itself:
            sink.started()
        return stream


def sqlite_url(folder: Path) -> str:
    return f"sqlite:///{folder}/igdash.db"


class FlakyWriter:
    """A real writer that fails as told: `busy` calls refuse before, `lost` appends after, doing it."""

    def __init__(self, writer: EventWriter) -> None:
        self._writer = writer
        self.busy = 0
        self.lost = 0
        self.appends: list[list[SessionBatch]] = []
        self.broken: Exception | None = None

    def _maybe(self) -> None:
        if self.broken is not None:
            raise self.broken
        if self.busy:
            self.busy -= 1
            raise StoreBusy("database is locked")

    def append(self, batches: Sequence[SessionBatch]) -> Sequence[Advance]:
        self._maybe()
        self.appends.append(list(batches))
        advances = self._writer.append(batches)
        if self.lost:
            self.lost -= 1
            raise StoreBusy("connection lost during commit")
        return advances

    def change(self, session: SessionId, change: StateChange) -> Session:
        self._maybe()
        return self._writer.change(session, change)

    def create(self, session: NewSession) -> Session:
        self._maybe()
        return self._writer.create(session)

    def unfinished(self) -> Sequence[ResumePoint]:
        self._maybe()
        return self._writer.unfinished()

    def recent(self, session: SessionId, lines: int) -> Sequence[Received]:
        self._maybe()
        return self._writer.recent(session, lines)

    def hide(self, session: SessionId) -> Session:
        self._maybe()
        return self._writer.hide(session)

    def purge(self, rows: int) -> bool:
        self._maybe()
        return self._writer.purge(rows)

    def close(self) -> None:
        self._writer.close()
