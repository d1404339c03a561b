"""One WebSocket, driven by the one thread of its request.

flask-sock routes the request and shakes hands; its receiving thread, which would send pongs and
closes while we send events, is never started. Here one thread waits for both sides at once (bytes
from the client, a wake from the hub), so frames cannot mix.

* No permessage-deflate: 170 kB of zlib state per socket, for loopback.
* A reader that never reads fills the kernel's buffers (bounded below), then a send meets its
  deadline and the socket is closed. Only this request's thread has waited.
"""

from __future__ import annotations

import contextlib
import select
import socket
import time
from typing import Any

from simple_websocket import Server
from wsproto.connection import ConnectionState
from wsproto.events import BytesMessage, CloseConnection, Ping, TextMessage
from wsproto.utilities import LocalProtocolError, RemoteProtocolError

from igdash.api.options import WebOptions

SEND_BUFFER = 131_072
"""Bytes the kernel may hold for one socket; its own tuning would grow to megabytes. A slow reader
shows that it takes something by emptying a third of it."""
CLOSE_WAIT = 1.0
"""Seconds to wait for the client's half of the closing handshake."""


class Closed(Exception):
    """The socket is over; nothing can be sent."""


class NoThread:
    """Stands in for flask-sock's receiving thread (its option `thread_class`)."""

    name = "none"

    def __init__(self, target: object) -> None:
        del target

    def start(self) -> None:
        """Do nothing: the request's own thread receives."""


def text_frame(payload: bytes) -> bytes:
    """Return `payload` as one unmasked text frame (RFC 6455 §5.2)."""
    size = len(payload)
    if size < 126:
        head = bytes((0x81, size))
    elif size < 65_536:
        head = b"\x81\x7e" + size.to_bytes(2, "big")
    else:
        head = b"\x81\x7f" + size.to_bytes(8, "big")
    return head + payload


class Channel:
    """A connected WebSocket. All methods but `wake` belong to the request's thread."""

    def __init__(self, shaken: Server, options: WebOptions) -> None:
        """Take over a socket after its handshake; it must have been made with `NoThread`."""
        self._protocol: Any = shaken.ws
        self._socket: socket.socket = shaken.sock
        self._options = options
        self._size = 0
        self._woken = False
        self._ours, self._theirs = socket.socketpair()
        self._ours.setblocking(False)
        self._theirs.setblocking(False)
        self._poll = select.poll()
        self._poll.register(self._socket, select.POLLIN)
        self._poll.register(self._ours, select.POLLIN)
        self._heard = time.monotonic()
        self._next_ping = self._heard + options.ping_interval
        self._tune()

    def _tune(self) -> None:
        sock, timeout = self._socket, self._options.send_timeout
        sock.settimeout(timeout)
        with contextlib.suppress(OSError):  # a Unix socket in front of a proxy has no TCP options
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if hasattr(socket, "TCP_USER_TIMEOUT"):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(timeout * 1_000))

    def wake(self) -> None:
        """End a `wait` early. Called from other threads; never waits."""
        if not self._woken:
            self._woken = True
            with contextlib.suppress(OSError):
                self._theirs.send(b"\0")

    def send(self, payload: bytes) -> None:
        """Send one text message. Raises `Closed` when it is not taken within the deadline."""
        self._write(text_frame(payload))

    def wait(self, seconds: float) -> None:
        """Handle what the client sends, until woken or `seconds` have passed. Raises `Closed`."""
        now = time.monotonic()
        end = now + seconds
        while True:
            self._heartbeat(now)
            pause = max(0.0, min(end, self._next_ping) - now)
            ready = {fd for fd, _ in self._poll.poll(int(pause * 1_000 + 0.999))}
            if self._socket.fileno() in ready:
                self._receive()
            if self._ours.fileno() in ready:
                self._drain()
                return
            now = time.monotonic()
            if now >= end:
                return

    def close(self, code: int, reason: str = "", *, wait: float = CLOSE_WAIT) -> None:
        """Say goodbye with `code` and `reason` (cut to what a close frame holds), then give the
        client up to `wait` s for its half."""
        text = reason.encode()[:123].decode("utf-8", "ignore")
        with contextlib.suppress(Closed, LocalProtocolError):
            if self._protocol.state is ConnectionState.OPEN:
                self._write(self._protocol.send(CloseConnection(code, text or None)))
                self._await_close(wait)

    def release(self) -> None:
        """Give the socket back, closed in both directions, whatever happened before."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._ours.close()
        self._theirs.close()

    # ------------------------------------------------------------ inside

    def _write(self, data: bytes) -> None:
        """Send all of it, in as many pieces as a slow reader needs: the deadline is each piece's."""
        rest = memoryview(data)
        try:
            rest = rest[self._socket.send(rest) :]
            while rest:
                rest = rest[self._socket.send(rest) :]
                self._heard = time.monotonic()  # it took something; its pongs are behind that
        except OSError as error:  # TimeoutError too: the reader takes nothing
            raise Closed from error

    def _heartbeat(self, now: float) -> None:
        if now < self._next_ping:
            return
        interval = self._options.ping_interval
        if now - self._heard > 2.5 * interval:
            raise Closed  # two pings unanswered: nobody is there
        self._next_ping = now + interval
        self._write(self._protocol.send(Ping()))

    def _drain(self) -> None:
        with contextlib.suppress(OSError):
            self._ours.recv(64)
        self._woken = False

    def _receive(self) -> None:
        try:
            data = self._socket.recv(65_536)
            if not data:
                raise Closed
            self._protocol.receive_data(data)
            self._heard = time.monotonic()
            for event in self._protocol.events():
                self._handle(event)
        except OSError as error:
            raise Closed from error
        except RemoteProtocolError as error:
            hint = error.event_hint
            self.close(hint.code if isinstance(hint, CloseConnection) else 1002, str(error))
            raise Closed from error

    def _handle(self, event: object) -> None:
        if isinstance(event, Ping):
            self._write(self._protocol.send(event.response()))
        elif isinstance(event, CloseConnection):
            with contextlib.suppress(LocalProtocolError):
                self._write(self._protocol.send(event.response()))
            raise Closed
        elif isinstance(event, BytesMessage):
            self.close(1003, "text only")
            raise Closed
        elif isinstance(event, TextMessage):
            self._count(event)

    def _count(self, message: TextMessage) -> None:
        """Nothing a client says matters, as long as it is not too much."""
        self._size += len(message.data)
        if self._size > self._options.max_message:
            self.close(1009, f"messages may have {self._options.max_message} characters")
            raise Closed
        if message.message_finished:
            self._size = 0

    def _await_close(self, wait: float) -> None:
        """Read on until the client has answered: closing over unread bytes would reset the
        connection, and the client would never see our code."""
        deadline = time.monotonic() + wait
        with contextlib.suppress(OSError, RemoteProtocolError):
            self._socket.shutdown(socket.SHUT_WR)
            while (left := deadline - time.monotonic()) > 0:
                self._socket.settimeout(left)
                if not self._socket.recv(65_536):
                    return
