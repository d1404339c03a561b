"""A TCP proxy that tests can cut, or freeze: then it keeps every connection and passes nothing on."""

from __future__ import annotations

import socket
import struct
import threading
from contextlib import suppress

_LINGER = struct.pack("ii", 1, 0)


class Proxy:
    """Listens on `port` of 127.0.0.1 and passes everything to another port there."""

    def __init__(self, target: int, *, buffer: int = 0) -> None:
        self.target = target
        self._buffer = buffer
        self._moving = threading.Event()
        self._moving.set()
        self._pairs: list[tuple[socket.socket, socket.socket]] = []
        self._closed = False
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """How many connections were made so far."""
        return len(self._pairs)

    def freeze(self) -> None:
        self._moving.clear()

    def thaw(self) -> None:
        self._moving.set()

    def cut(self) -> None:
        """End every connection with a reset."""
        for pair in self._pairs:
            for one in pair:
                with suppress(OSError):
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
                    one.shutdown(socket.SHUT_RDWR)
                one.close()

    def close(self) -> None:
        self._closed = True
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.thaw()
        self.cut()

    def _accept(self) -> None:
        while not self._closed:
            try:
                ours, _ = self._listener.accept()
                theirs = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                continue
            if self._buffer:
                for one in (ours, theirs):
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, self._buffer)
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, self._buffer)
            self._pairs.append((ours, theirs))
            for one, other in ((ours, theirs), (theirs, ours)):
                threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, one: socket.socket, other: socket.socket) -> None:
        with suppress(OSError):
            while data := one.recv(65_536):
                self._moving.wait()
                other.sendall(data)
        for end in (one, other):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
