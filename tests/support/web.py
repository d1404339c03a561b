"""The web side in one process over a real store: an in-process Control that makes up events, the
Flask application, and a real server on loopback for sockets."""

from __future__ import annotations

import itertools
import json
import logging
import secrets
import socket
import tempfile
import threading
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import websocket
from flask import Flask
from werkzeug.serving import BaseWSGIServer, make_server

from igdash.api.app import create_flask
from igdash.api.options import WebOptions
from igdash.domain.control import Advance, CollectorStats, Description
from igdash.domain.environments import Environment, EnvironmentKind, EnvironmentStatus, Health
from igdash.domain.errors import CollectorUnavailable, InvalidSpec, SessionNotFound, WrongState
from igdash.domain.events import Decoded, NewEvent, NewTick, Origin
from igdash.domain.imports import IMPORT, ImportFormat, ImportRequest, ImportState, ImportStatus
from igdash.domain.instances import Instance
from igdash.domain.losses import Loss, LossCause
from igdash.domain.nodes import NodeState, NodeStatus
from igdash.domain.ports import EventWriter, SessionBatch
from igdash.domain.schedules import Order, Schedule
from igdash.domain.sessions import (
    NewSession,
    Nodes,
    Session,
    SessionId,
    SessionSpec,
    SessionState,
    StateChange,
)
from igdash.domain.threads import spawn
from igdash.domain.times import now_ns
from igdash.services.export_places import Places
from igdash.services.queries import Backend
from igdash.services.web import WebServices, make_web_services
from igdash.sources.catalogue import load_catalogue
from igdash.store import open_reader, open_sql, open_writer, upgrade

SQL_SECONDS = 3.0
"""How long a statement may take here."""

ENVIRONMENTS = (
    Environment(name="demo", kind=EnvironmentKind.REPLAY, folder="examples/recordings"),
    Environment(name="this-host", kind=EnvironmentKind.IG, command=("ig",)),
)


class FakeControl:
    """A collector without sources: `add` stores what a test wants, `fill` makes events up."""

    def __init__(self, url: str) -> None:
        self._writer: EventWriter = open_writer(url)
        self._reader = open_reader(url)
        self._lock = threading.Lock()
        self._watchers: dict[int, Callable[[Sequence[Advance]], None]] = {}
        self._numbers = itertools.count(1)
        self._stop = threading.Event()
        self.down = False
        self.tested: list[str] = []
        self.descriptions: dict[str, Description] = {}
        """What environments say of every gadget."""
        self.statuses: dict[str, dict[str, Any]] = {}
        """What environments say of themselves, beside the usual."""
        self.kept: list[SessionId] = []
        self.found: Sequence[Instance] = ()
        """The headless instances of every environment."""
        self.imported: list[tuple[ImportRequest, ImportStatus]] = []
        """The files that were imported, newest first."""
        self.silent = False
        """No news at all: readers must find out by looking into the store."""

    # ------------------------------------------------------------ the port

    def start(self, spec: SessionSpec) -> Session:
        self._check()
        id_ = SessionId(secrets.token_hex(6))
        with self._lock:
            self._writer.create(
                NewSession(
                    id=id_,
                    spec=spec,
                    created=now_ns(),
                    sources=load_catalogue().get(spec.gadget).sources,
                    command=("ig", "run", spec.gadget),
                )
            )
            change = StateChange(
                state=SessionState.RUNNING, at=now_ns(), nodes=Nodes(expected=2, connected=2)
            )
            session = self._writer.change(id_, change)
        self._tell([_advance(session)])
        return session

    def stop(self, session: SessionId, *, keep: bool = False) -> None:
        self._check()
        self.kept = [*self.kept, session] if keep else self.kept
        if self._reader.sessions.get(session).state.ended:
            raise WrongState(f"session {session} has ended already")
        self.end(session, SessionState.STOPPED, "stopped by the user")

    def delete(self, session: SessionId) -> None:
        self._check()
        with self._lock:
            self._writer.hide(session)
            self._writer.purge(1_000_000)

    def schedule(self, order: Order) -> Schedule:
        self._check()
        with self._lock:
            return self._writer.schedule(order)

    def environments(self) -> Sequence[EnvironmentStatus]:
        self._check()
        return [
            replace(
                EnvironmentStatus(
                    name=one.name,
                    kind=one.kind,
                    health=Health.UP if one.name == "demo" else Health.DOWN,
                    reason="" if one.name == "demo" else "no program `ig`",
                    nodes=("worker-1", "worker-2"),
                    suggestions={"namespace": ("production", "staging", "demo")},
                ),
                **self.statuses.get(one.name, {}),
            )
            for one in ENVIRONMENTS
        ]

    def test(self, environment: str) -> EnvironmentStatus:
        self.tested.append(environment)
        return next(one for one in self.environments() if one.name == environment)

    def describe(self, environment: str, gadget: str, wait: float) -> Description:
        self._check()
        return self.descriptions.get(environment, Description())

    def instances(self, environment: str) -> Sequence[Instance]:
        self._check()
        if environment == "this-host":
            raise InvalidSpec({"environment": "this-host has no headless instances"})
        return self.found

    def import_file(self, request: ImportRequest) -> ImportStatus:
        """Take any file that begins with `{`: of its lines one ended session is made."""
        self._check()
        data = Path(request.path).read_bytes()
        if not data.startswith(b"{"):
            raise InvalidSpec({"file": "is not JSON lines"})
        if request.temporary:
            Path(request.path).unlink()
        spec = SessionSpec(
            gadget=request.gadget or "trace_tcp", environment=IMPORT, name=request.name
        )
        session = self.start(spec).id
        self.add(session, [line for line in data.decode().splitlines() if line[-1:] == "}"])
        self.end(session, SessionState.STOPPED, "imported")
        status = ImportStatus(
            id=secrets.token_hex(4),
            file=request.file,
            format=ImportFormat.CAPTURE,
            size=len(data),
            read=len(data),
            lines=data.count(b"\n"),
            sessions=(session,),
            state=ImportState.DONE,
            started=now_ns(),
            finished=now_ns(),
        )
        self.imported.insert(0, (request, status))
        return status

    def imports(self) -> Sequence[ImportStatus]:
        self._check()
        return [status for _, status in self.imported]

    def stats(self) -> CollectorStats:
        self._check()
        return CollectorStats(
            pid=1,
            started=0,
            version="test",
            sessions=0,
            rate=12.5,
            lag_ms=40.0,
            backlog_bytes=0,
            commits=1,
            events=1,
        )

    @contextmanager
    def watch(self, on_advance: Callable[[Sequence[Advance]], None]) -> Iterator[None]:
        self._check()
        number = next(self._numbers)
        self._watchers[number] = on_advance
        try:
            yield
        finally:
            del self._watchers[number]

    # ------------------------------------------------------------ what tests do

    def add(
        self,
        session: SessionId,
        data: Sequence[str],
        *,
        ts: Sequence[int] | None = None,
        losses: Sequence[Loss] = (),
        ticks: Sequence[NewTick] = (),
        **decoded: Any,
    ) -> Advance | None:
        """Store one batch of event texts and tell the watchers."""
        now = now_ns()
        times = ts or [now + i for i in range(len(data))]
        events = tuple(
            NewEvent(at, Origin(node="worker-1", source="tcp"), text, len(text))
            for at, text in zip(times, data, strict=True)
        )
        dropped = sum(loss.count for loss in losses if loss.cause is LossCause.WRITER)
        batch = SessionBatch(
            session=session,
            decoded=Decoded(events=events, ticks=tuple(ticks), losses=tuple(losses), **decoded),
            received=len(events) + dropped,
            spool_offset=0,
        )
        with self._lock:
            news = list(self._writer.append([batch]))
        self._tell(news)
        return news[0] if news else None

    def cover(self, session: SessionId, *coverage: NodeStatus) -> None:
        """Tell of a session's nodes."""
        connected = sum(node.state is NodeState.CONNECTED for node in coverage)
        nodes = Nodes(expected=len(coverage), connected=connected)
        with self._lock:
            state = self._reader.sessions.get(session).state
            change = StateChange(state=state, at=now_ns(), nodes=nodes, coverage=coverage)
            self._tell([_advance(self._writer.change(session, change))])

    def end(self, session: SessionId, state: SessionState, reason: str = "") -> None:
        """Let a session end."""
        with self._lock:
            change = StateChange(state=state, at=now_ns(), reason=reason)
            ended = self._writer.change(session, change)
        self._tell([_advance(ended)])

    def fill(self, session: SessionId, *, every: float = 0.2, batch: int = 20) -> None:
        """Keep making events up, in a thread, until the session ends."""
        numbers = itertools.count(1)

        def work() -> None:
            while not self._stop.wait(every):
                try:
                    if self._reader.sessions.get(session).state.ended:
                        return
                    self.add(session, [_made_up(next(numbers)) for _ in range(batch)])
                except SessionNotFound:
                    return

        spawn(f"fill-{session}", work)

    def close(self) -> None:
        """End everything."""
        self._stop.set()
        with self._lock:
            self._writer.close()
        self._reader.close()

    def _check(self) -> None:
        if self.down:
            raise CollectorUnavailable("the collector does not answer; it is being restarted")

    def _tell(self, news: Sequence[Advance]) -> None:
        if not self.silent and not self.down:
            for watcher in list(self._watchers.values()):
                watcher(news)


class FillingControl(FakeControl):
    """Every session started makes events up by itself: for looking at pages."""

    def start(self, spec: SessionSpec) -> Session:
        session = super().start(spec)
        self.fill(session.id)
        return session


def _made_up(number: int) -> str:
    return json.dumps(
        {
            "dst": {"addr": f"10.0.0.{number % 250}", "port": 443, "proto": "TCP"},
            "k8s": {"namespace": "production", "podName": "web-1", "containerName": "web"},
            "proc": {"comm": "curl", "pid": 4_000 + number % 50},
            "src": {"addr": "10.244.0.7", "port": 30_000 + number % 9_999, "proto": "TCP"},
            "timestamp_raw": now_ns(),
            "type": "connect",
        }
    )


def _advance(session: Session) -> Advance:
    return Advance(
        session=session.id,
        state=session.state,
        last_seq=session.last_seq,
        lost=session.lost,
        logs=session.logs,
    )


@dataclass(frozen=True, kw_only=True)
class Web:
    """A web side under test."""

    url: str
    control: FakeControl
    services: WebServices
    app: Flask

    def session(self, gadget: str = "trace_tcp", **spec: Any) -> SessionId:
        """Start a session straight at the collector."""
        return self.control.start(SessionSpec(gadget=gadget, environment="demo", **spec)).id


@contextmanager
def web(
    url: str,
    options: WebOptions | None = None,
    control: type[FakeControl] = FakeControl,
    backend: Backend | None = None,
    places: Path | None = None,
) -> Iterator[Web]:
    """Make the whole web side over the store at `url`; without a `backend` it answers questions
    in this process."""
    upgrade(url)
    fake = control(url)
    reader = open_reader(url)
    services = make_web_services(
        sessions=reader.sessions,
        events=reader.events,
        records=reader.records,
        queries=reader.queries,
        sql=open_sql(url, reader, seconds=SQL_SECONDS),
        schedules=reader.schedules,
        places=Places(
            folder=places or Path(tempfile.gettempdir()) / "igdash-no-exports",
            scratch=Path(tempfile.gettempdir()) / "igdash-no-scratch",
        ),
        control=fake,
        catalogue=load_catalogue(),
        environments=ENVIRONMENTS,
        backend=backend,
        upload_dir=Path(url.removeprefix("sqlite:///")).parent / "imports",
    )
    try:
        yield Web(
            url=url,
            control=fake,
            services=services,
            app=create_flask(services, options or WebOptions()),
        )
    finally:
        services.close()
        reader.close()
        fake.close()


@contextmanager
def served(app: Flask, port: int = 0) -> Iterator[str]:
    """Serve `app` on loopback, on any free port or this one; gives `127.0.0.1:port`.

    Raises OSError if the port is not free.
    """
    server = _listening(app, port)
    opened: weakref.WeakSet[socket.socket] = weakref.WeakSet()
    answer = server.process_request

    def process_request(request: socket.socket, client_address: tuple[str, int]) -> None:
        opened.add(request)
        answer(request, client_address)

    server.process_request = process_request  # type: ignore[method-assign, assignment]
    thread = spawn("test-server", lambda: server.serve_forever(poll_interval=0.02))
    try:
        yield f"127.0.0.1:{server.server_port}"
    finally:
        while Client.opened:
            Client.opened.pop().socket.shutdown()
        server.shutdown()
        thread.join(5)
        server.server_close()
        # A browser keeps connections in store: what it asks through one of them later, of the next
        # server on this port, this application would answer.
        for request in list(opened):
            with suppress(OSError):
                request.shutdown(socket.SHUT_RDWR)


def _listening(app: Flask, port: int) -> BaseWSGIServer:
    logging.getLogger("werkzeug").setLevel(logging.WARNING)
    try:
        server = make_server("127.0.0.1", port, app, threaded=True)
    except SystemExit as error:  # werkzeug exits where it cannot listen
        raise OSError(f"port {port} is not free") from error
    server.daemon_threads = True  # type: ignore[attr-defined]
    return server


class Client:
    """A WebSocket client that answers with decoded messages and close codes."""

    opened: ClassVar[list[Client]] = []

    def __init__(self, address: str, path: str, **kwargs: Any) -> None:
        self.socket = websocket.create_connection(
            f"ws://{address}{path}", timeout=kwargs.pop("timeout", 10), **kwargs
        )
        self.opened.append(self)

    def message(self) -> dict[str, Any]:
        """Return the next message. Fails the test when the socket is closed instead."""
        opcode, data = self.socket.recv_data()
        assert opcode == websocket.ABNF.OPCODE_TEXT, (opcode, data)
        return json.loads(data)

    def until(self, kind: str) -> dict[str, Any]:
        """Return the next message of this type, skipping others."""
        while True:
            message = self.message()
            if message["type"] == kind:
                return message

    def closed(self) -> tuple[int, str]:
        """Read on to the end; return the close code and reason."""
        while True:
            opcode, data = self.socket.recv_data()
            if opcode == websocket.ABNF.OPCODE_CLOSE:
                return int.from_bytes(data[:2], "big"), data[2:].decode()

    def close(self) -> None:
        """Go away properly."""
        self.socket.close()


def get(side: Web, path: str, **kwargs: Any) -> tuple[int, Any]:
    """GET `path`; return status and decoded JSON."""
    answer = side.app.test_client().get(path, **kwargs)
    return answer.status_code, json.loads(answer.data)


def send(side: Web, method: str, path: str, body: Any = None, **kwargs: Any) -> tuple[int, Any]:
    """Send a request with a JSON body (or none); return status and decoded JSON."""
    if body is not None:
        kwargs["json"] = body
    answer = side.app.test_client().open(path, method=method, **kwargs)
    return answer.status_code, json.loads(answer.data)
