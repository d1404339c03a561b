"""The collector's door: a Unix socket that only its own user may use (mode 600).

One thread per connection; a watcher that does not read costs one merged number per session and
its own thread, never the writer's time.
"""

from __future__ import annotations

import logging
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Protocol

import msgspec

from igdash.domain.control import Advance, CollectorStats, Description
from igdash.domain.environments import EnvironmentStatus
from igdash.domain.errors import AlreadyRunning, CollectorUnavailable, IgdashError, InvalidSpec
from igdash.domain.imports import ImportRequest, ImportStatus
from igdash.domain.instances import Instance
from igdash.domain.schedules import Order, Schedule
from igdash.domain.sessions import Session, SessionId, SessionSpec
from igdash.domain.threads import spawn
from igdash.services import control_wire as wire

log = logging.getLogger(__name__)
MAX_CONNECTIONS = 128
_SEND_TIMEOUT = 30
"""Seconds a peer may take to read before it is given up."""
_CHANGES = frozenset({"start", "stop", "delete", "schedule", "import"})


class Callee(Protocol):
    """What the server needs of a collector."""

    def start_session(self, spec: SessionSpec) -> Session:
        """Start one."""

    def stop_session(self, session: SessionId, *, keep: bool = False) -> None:
        """Stop one."""

    def delete_session(self, session: SessionId) -> None:
        """Delete one."""

    def schedule(self, order: Order) -> Schedule:
        """Change scheduled exports."""

    def environments(self) -> Sequence[EnvironmentStatus]:
        """Tell of the environments."""

    def test(self, environment: str) -> EnvironmentStatus:
        """Ask one anew."""

    def describe(self, environment: str, gadget: str, wait: float) -> Description:
        """Tell what one says of a gadget."""

    def instances(self, environment: str) -> Sequence[Instance]:
        """Tell of the headless instances."""

    def import_file(self, request: ImportRequest) -> ImportStatus:
        """Begin to import a file."""

    def imports(self) -> Sequence[ImportStatus]:
        """Tell of the newest imports."""

    def stats(self) -> CollectorStats:
        """Tell how it goes."""

    def subscribe(self, callback: Callable[[Sequence[Advance]], None]) -> Callable[[], None]:
        """Tell of every commit."""


class ControlServer:
    """Serves a collector on a socket. `start` and `stop` once each."""

    def __init__(self, collector: Callee, path: Path) -> None:
        self._collector = collector
        self._path = wire.socket_path(path)
        self._listener: socket.socket | None = None
        self._ending = threading.Event()
        self._lock = threading.Lock()
        self._connections: set[_Connection] = set()
        self._joins: list[Callable[[float], None]] = []

    def start(self) -> None:
        """Listen. Raises `AlreadyRunning` when another collector answers there."""
        wire.make_folder(self._path)
        self._take_over()
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        listener.bind(str(self._path))
        self._path.chmod(0o600)
        listener.listen(64)
        self._listener = listener
        self._joins = [
            spawn("control", partial(self._accept, listener)).join,
            spawn("control-beat", self._beat).join,
        ]

    def _take_over(self) -> None:
        """Remove the socket of a dead collector."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            probe.settimeout(1.0)
            try:
                probe.connect(str(self._path))
            except FileNotFoundError:
                return
            except OSError:
                self._path.unlink(missing_ok=True)
                return
        raise AlreadyRunning(f"another collector answers at {self._path}")

    def stop(self) -> None:
        """Close the door and every connection."""
        self._ending.set()
        if self._listener is not None:
            # Closing alone does not wake a thread that accepts.
            with suppress(OSError):
                self._listener.shutdown(socket.SHUT_RDWR)
            self._listener.close()
            self._path.unlink(missing_ok=True)
        for connection in self._open():
            connection.close()
        for join in self._joins:
            join(2.0)

    def _open(self) -> list[_Connection]:
        with self._lock:
            return list(self._connections)

    def _accept(self, listener: socket.socket) -> None:
        while not self._ending.is_set():
            try:
                sock, _ = listener.accept()
            except OSError:
                if not self._ending.wait(0.1):
                    continue
                return
            connection = _Connection(sock, self._collector)
            with self._lock:
                full = len(self._connections) >= MAX_CONNECTIONS
                if not full:
                    self._connections.add(connection)
            if full or not self._served(connection):
                connection.refuse()

    def _served(self, connection: _Connection) -> bool:
        """Whether it has a thread now. The door stays open when there is none to be had."""
        try:
            spawn("control-call", partial(self._serve, connection))
        except RuntimeError:
            log.exception("a connection to the collector is refused")
            with self._lock:
                self._connections.discard(connection)
            return False
        return True

    def _serve(self, connection: _Connection) -> None:
        try:
            connection.serve()
        finally:
            connection.close()
            with self._lock:
                self._connections.discard(connection)

    def _beat(self) -> None:
        while not self._ending.wait(wire.HEARTBEAT):
            for connection in self._open():
                connection.beat()


class _Connection:
    """One peer: its calls one after the other, or its watch."""

    def __init__(self, sock: socket.socket, collector: Callee) -> None:
        # The kernel's timeout, for sends alone: with Python's own even a send that is not to wait
        # does, until the peer has read, and one that reads nothing would hold up everybody's beat.
        with suppress(OSError):  # macOS refuses it once the peer is gone
            limit = struct.pack("ll", _SEND_TIMEOUT, 0)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)
        self._sock = sock
        self._collector = collector
        self._sending = threading.Lock()
        self._busy = False
        self._watcher: _Watcher | None = None
        self._closed = False

    def serve(self) -> None:
        with suppress(OSError), self._sock.makefile("rb") as lines:
            while line := lines.readline(wire.MAX_REQUEST + 1):
                if len(line) > wire.MAX_REQUEST:
                    self._reply(IgdashError(f"a request has at most {wire.MAX_REQUEST} bytes"))
                    return
                self._busy = True
                self._answer(line)
                self._busy = False

    def _answer(self, line: bytes) -> None:
        try:
            request = msgspec.json.decode(line, type=wire.Request)
        except msgspec.MsgspecError as error:
            self._reply(IgdashError(f"not a request: {error}"))
            return
        if request.call == "watch":
            self._watch()
            return
        if request.call in _CHANGES and self._is_left():
            # It waited in vain (we were stopped, or swapped out) and has said so: "not done".
            log.warning("call %s is not made: its caller has hung up", request.call)
            return
        try:
            result = self._call(request)
        except IgdashError as error:
            self._reply(error)
        except Exception as error:
            log.exception("call %s failed", request.call)
            self._reply(error)
        else:
            self._send(wire.Reply(ok=result))

    def _call(self, request: wire.Request) -> object:
        collector = self._collector
        match request:
            case wire.Request(call="start", spec=SessionSpec() as spec):
                return collector.start_session(spec)
            case wire.Request(call="stop", session=str() as session):
                collector.stop_session(SessionId(session), keep=request.keep)
                return None
            case wire.Request(call="delete", session=str() as session):
                collector.delete_session(SessionId(session))
                return None
            case wire.Request(call="schedule", order=Order() as order):
                return collector.schedule(order)
        return self._tell(request)

    def _tell(self, request: wire.Request) -> object:
        """Answer what changes nothing."""
        collector = self._collector
        match request:
            case wire.Request(call="environments"):
                return collector.environments()
            case wire.Request(call="test", environment=str() as name):
                return collector.test(name)
            case wire.Request(call="describe", environment=str() as name, gadget=str() as gadget):
                return collector.describe(name, gadget, request.wait)
            case wire.Request(call="instances", environment=str() as name):
                return collector.instances(name)
            case wire.Request(call="import", file=ImportRequest() as file):
                return collector.import_file(file)
            case wire.Request(call="imports"):
                return collector.imports()
            case wire.Request(call="stats"):
                return collector.stats()
        raise InvalidSpec({"call": f"{request.call!r} is no call, or lacks what it needs"})

    def _watch(self) -> None:
        self._watcher = watcher = _Watcher()
        unsubscribe = self._collector.subscribe(watcher.put)
        try:
            self._send(wire.Reply(advances=()))
            while not self._closed:
                advances = watcher.take()
                if advances:
                    self._send(wire.Reply(advances=advances))
        finally:
            unsubscribe()

    def _is_left(self) -> bool:
        try:
            return self._sock.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
        except BlockingIOError:
            return False

    def _reply(self, error: Exception) -> None:
        self._send(wire.Reply(error=wire.pack(error)))

    def _send(self, reply: wire.Reply) -> None:
        with self._sending:
            self._sock.sendall(msgspec.json.encode(reply) + b"\n")

    def beat(self) -> None:
        """Send an empty line: still here. Skipped while a send is under way or would block."""
        if (self._busy or self._watcher is not None) and self._sending.acquire(blocking=False):
            try:
                self._sock.send(b"\n", socket.MSG_DONTWAIT)
            except BlockingIOError:
                pass
            except OSError:
                self.close()
            finally:
                self._sending.release()

    def refuse(self) -> None:
        """Say that there are too many connections, and close."""
        with suppress(OSError):
            # Unread bytes at the close would make a reset of it, and the answer would be gone.
            self._sock.settimeout(0.2)
            self._sock.recv(65_536)
            self._reply(CollectorUnavailable("too many connections to the collector"))
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._closed = True
        if self._watcher is not None:
            self._watcher.end()
        with suppress(OSError):
            self._sock.shutdown(socket.SHUT_RDWR)
        self._sock.close()


class _Watcher:
    """What one watcher has not been told yet: at most one advance per session."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._news: dict[SessionId, Advance] = {}
        self._ended = False

    def put(self, advances: Sequence[Advance]) -> None:
        with self._condition:
            for advance in advances:
                self._news[advance.session] = advance
            self._condition.notify()

    def take(self) -> tuple[Advance, ...]:
        with self._condition:
            self._condition.wait_for(lambda: self._news or self._ended, timeout=30)
            news, self._news = tuple(self._news.values()), {}
            return news

    def end(self) -> None:
        with self._condition:
            self._ended = True
            self._condition.notify()
