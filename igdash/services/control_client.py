"""The collector as other processes call it: implements `Control` over the collector's socket."""

from __future__ import annotations

import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from igdash.domain.control import Advance, CollectorStats, Description
from igdash.domain.environments import EnvironmentStatus
from igdash.domain.errors import CollectorUnavailable
from igdash.domain.imports import ImportRequest, ImportStatus
from igdash.domain.instances import Instance
from igdash.domain.schedules import Order, Schedule
from igdash.domain.sessions import Session, SessionId, SessionSpec
from igdash.domain.threads import spawn
from igdash.services import control_wire as wire

log = logging.getLogger(__name__)
T = TypeVar("T")
OnAdvance = Callable[[Sequence[Advance]], None]

_PATIENCE = 40.0
"""Seconds a living collector may take for one call; longer than its own limit for the store."""


class ControlClient:
    """Calls a collector. Thread-safe: every call has a connection of its own."""

    def __init__(self, path: Path) -> None:
        self._path = wire.socket_path(path)

    def start(self, spec: SessionSpec) -> Session:
        """Validate, store and start a session. Raises `InvalidSpec`, `CollectorUnavailable`."""
        return msgspec.convert(self._call(wire.Request(call="start", spec=spec)), Session)

    def stop(self, session: SessionId, *, keep: bool = False) -> None:
        """Begin a graceful stop. Raises `SessionNotFound`, `WrongState`, `CollectorUnavailable`."""
        self._call(wire.Request(call="stop", session=session, keep=keep))

    def delete(self, session: SessionId) -> None:
        """Stop, hide, delete. Raises `SessionNotFound`, `CollectorUnavailable`."""
        self._call(wire.Request(call="delete", session=session))

    def schedule(self, order: Order) -> Schedule:
        """Change scheduled exports. Raises `ScheduleNotFound`, `WrongState`, `StoreBusy`,
        `CollectorUnavailable`."""
        return msgspec.convert(self._call(wire.Request(call="schedule", order=order)), Schedule)

    def environments(self) -> Sequence[EnvironmentStatus]:
        """Return what the collector knows of each environment. Raises `CollectorUnavailable`."""
        found = self._call(wire.Request(call="environments"))
        return msgspec.convert(found, tuple[EnvironmentStatus, ...])

    def test(self, environment: str) -> EnvironmentStatus:
        """Ask the environment anew. Raises `EnvironmentNotFound`, `CollectorUnavailable`."""
        found = self._call(wire.Request(call="test", environment=environment))
        return msgspec.convert(found, EnvironmentStatus)

    def describe(self, environment: str, gadget: str, wait: float) -> Description:
        """Return what the environment says of a gadget, as far as known within `wait` s (≤ 30).

        Raises `EnvironmentNotFound`, `GadgetNotFound`, `InvalidSpec`, `CollectorUnavailable`.
        """
        request = wire.Request(
            call="describe", environment=environment, gadget=gadget, wait=min(wait, 30.0)
        )
        return msgspec.convert(self._call(request), Description)

    def instances(self, environment: str) -> Sequence[Instance]:
        """Return the headless instances of an environment.

        Raises `EnvironmentNotFound`, `InvalidSpec`, `SourceError`, `CollectorUnavailable`.
        """
        found = self._call(wire.Request(call="instances", environment=environment))
        return msgspec.convert(found, tuple[Instance, ...])

    def import_file(self, request: ImportRequest) -> ImportStatus:
        """Begin to import a file that the collector can read. Raises `InvalidSpec`, `StoreBusy`,
        `CollectorUnavailable`."""
        found = self._call(wire.Request(call="import", file=request))
        return msgspec.convert(found, ImportStatus)

    def imports(self) -> Sequence[ImportStatus]:
        """Return the newest imports, newest first. Raises `CollectorUnavailable`."""
        found = self._call(wire.Request(call="imports"))
        return msgspec.convert(found, tuple[ImportStatus, ...])

    def stats(self) -> CollectorStats:
        """Return how the collector is doing. Raises `CollectorUnavailable`."""
        return msgspec.convert(self._call(wire.Request(call="stats")), CollectorStats)

    @contextmanager
    def watch(self, on_advance: OnAdvance) -> Iterator[None]:
        """Call back after every commit, from one thread, until the context ends."""
        watch = _Watch(self._path, on_advance)
        thread = spawn("control-watch", watch.run)
        try:
            yield
        finally:
            watch.end()
            thread.join(wire.SILENCE + 1)

    def _call(self, request: wire.Request) -> Any:
        until = time.monotonic() + _PATIENCE
        try:
            with _connect(self._path) as sock:
                sock.sendall(msgspec.json.encode(request) + b"\n")
                for reply in _replies(sock):
                    if reply is not None:
                        return _result(reply)
                    if time.monotonic() > until:
                        raise CollectorUnavailable("the collector lives, but does not answer")
        except OSError as error:
            raise _unavailable(error) from error
        raise CollectorUnavailable("the collector ended during the call")


class _Watch:
    """One watch: connects, listens, connects again."""

    def __init__(self, path: Path, on_advance: OnAdvance) -> None:
        self._path = path
        self._on_advance = on_advance
        self._ending = threading.Event()
        self._sock: socket.socket | None = None

    def run(self) -> None:
        pause = 0.1
        while not self._ending.is_set():
            with suppress(OSError, CollectorUnavailable):
                self._listen()
                pause = 0.1
            self._ending.wait(pause)
            pause = min(pause * 2, 1.0)

    def _listen(self) -> None:
        with _connect(self._path) as sock:
            self._sock = sock
            sock.sendall(msgspec.json.encode(wire.Request(call="watch")) + b"\n")
            for reply in _replies(sock):
                if self._ending.is_set():
                    return
                if reply is not None:
                    # The first one is empty: whatever happened before it, look yourself.
                    self._tell(reply.advances or ())

    def _tell(self, advances: Sequence[Advance]) -> None:
        try:
            self._on_advance(advances)
        except Exception:
            log.exception("a watcher of the collector failed")

    def end(self) -> None:
        self._ending.set()
        sock = self._sock
        if sock is not None:
            with suppress(OSError):
                sock.shutdown(socket.SHUT_RDWR)


@contextmanager
def _connect(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
        sock.settimeout(wire.SILENCE)
        sock.connect(str(path))
        yield sock


def _replies(sock: socket.socket) -> Iterator[wire.Reply | None]:
    """Yield the answers, None for every sign of life. Raises `OSError` after `SILENCE` s of none."""
    decode = partial(msgspec.json.decode, type=wire.Reply)
    rest = b""
    while block := sock.recv(65_536):
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            try:
                yield decode(line) if line else None
            except msgspec.MsgspecError as error:
                raise CollectorUnavailable(
                    f"the collector's answer is not readable: {error}"
                ) from None


def _result(reply: wire.Reply) -> Any:
    if reply.error is not None:
        raise wire.unpack(reply.error)
    return reply.ok


def _unavailable(error: OSError) -> CollectorUnavailable:
    if isinstance(error, FileNotFoundError | ConnectionRefusedError):
        return CollectorUnavailable("no collector is running; start one with: igdash serve")
    if isinstance(error, TimeoutError):
        return CollectorUnavailable(f"the collector does not answer ({wire.SILENCE:.0f} s)")
    return CollectorUnavailable(f"the collector cannot be reached: {error.strerror or error}")
