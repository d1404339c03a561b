"""Who may listen where, and what a server is given: the part that needs no web server yet.

The port is taken before anything else happens, so that a busy one is one clear line and not a
retry loop. The parent of the two processes asks here, too; so nothing heavy is imported.
"""

from __future__ import annotations

import errno
import ipaddress
import os
import socket
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from igdash.domain.errors import IgdashError, SettingsError
from igdash.domain.threads import spawn

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication

REST_THREADS: Final = 32
"""Threads on top of the WebSocket cap, so that sockets never starve ordinary requests."""
BACKLOG: Final = 512
RETRY: Final = 0.2


class PortBusy(IgdashError):
    """The address cannot be listened on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """How to serve. `graceful` is how long (s) requests in flight may take after a stop;
    `patience` how long (s) to wait for a port that a dying predecessor still holds. `owned` means
    that stdin is a pipe from a parent, and its end is the order to stop."""

    host: str
    port: int
    max_sockets: int
    graceful: float = 3.0
    patience: float = 0.0
    owned: bool = False

    @property
    def threads(self) -> int:
        """Number of request threads."""
        return self.max_sockets + REST_THREADS


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """What is served: `build` makes the application, `started` is told its URL once it answers,
    `stop` ends what `build` began (its sockets first of all). All run in the serving process."""

    build: Callable[[], WSGIApplication]
    started: Callable[[str], None]
    stop: Callable[[], None]


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server that listens on `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


def check_bind(host: str, *, insecure_no_login: bool) -> None:
    """Raise `SettingsError` when listening on `host` would let strangers in."""
    if not is_loopback(host) and not insecure_no_login:
        raise SettingsError(
            f"web.host: {host!r} can be reached from other machines, and igdash has no login: whoever"
            " reaches it sees all events and can start gadgets; use 127.0.0.1 behind a proxy with a"
            " login, or accept the risk with --insecure-no-login"
        )


def listen(host: str, port: int, *, patience: float = 0.0) -> socket.socket:
    """Return a listening socket. Raises `PortBusy` when the address cannot be had."""
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise SettingsError(f"web.host: {host!r} is no address of this machine") from error
    family, _, _, _, address = found[0]
    pause = threading.Event()
    tries = int(patience / RETRY)
    while True:
        listener = socket.socket(family, socket.SOCK_STREAM)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(address)
            listener.listen(BACKLOG)
        except OSError as error:
            listener.close()
            if tries <= 0 or error.errno != errno.EADDRINUSE:
                raise PortBusy(_why(host, port, error)) from error
        else:
            return listener
        tries -= 1
        pause.wait(RETRY)


def check_port(host: str, port: int) -> None:
    """Raise `PortBusy` when nobody could listen there now."""
    if port:
        listen(host, port).close()


def url_of(listener: socket.socket) -> str:
    """Return the address a browser opens."""
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def _why(host: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} on {host} is in use by another program; choose one with --port"
    if error.errno == errno.EACCES:
        return (
            f"port {port} on {host} may only be used by the administrator; choose one with --port"
        )
    return f"cannot listen on {host} port {port}: {error.strerror or error}"


def when_owner_dies(stop: Callable[[], None]) -> None:
    """Call `stop` once stdin ends, from a thread of its own."""

    def wait() -> None:
        while os.read(0, 4096):
            pass
        stop()

    spawn("owner", wait)
