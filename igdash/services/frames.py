"""Messages between a query worker and its owner: a number, a length, bytes, over a socket pair.

Every wait has a deadline, in the middle of a message too: a worker that is stopped while it writes
must not hold the thread that reads.
"""

from __future__ import annotations

import socket
import struct
import time
from typing import Final

_HEAD: Final = struct.Struct("!QQ")
_PIECE: Final = 262_144
MAX_FRAME: Final = 2**30


class Gone(Exception):
    """The other side has ended."""


class Frames:
    """One end of a connection. Sending and receiving may be done by two threads, one each."""

    def __init__(self, ours: socket.socket) -> None:
        self._socket = ours
        self._buffer = bytearray()

    def send(self, number: int, payload: bytes = b"", *, timeout: float | None = None) -> None:
        """Send one message within `timeout` s (None = however long). Raises `Gone`, also when the
        other side does not take it in time."""
        try:
            self._socket.settimeout(timeout)
            self._socket.sendall(_HEAD.pack(number, len(payload)) + payload)
        except OSError as error:
            raise Gone(str(error)) from error

    def receive(self, timeout: float | None) -> tuple[int, bytes] | None:
        """Return the next message, None when it is not whole within `timeout` s. Raises `Gone`."""
        until = None if timeout is None else time.monotonic() + timeout
        while True:
            message = self._whole()
            if message is not None:
                return message
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                return None
            try:
                self._socket.settimeout(left)
                piece = self._socket.recv(_PIECE)
            except TimeoutError:
                return None
            except OSError as error:
                raise Gone(str(error)) from error
            if not piece:
                raise Gone("the connection has ended")
            self._buffer += piece

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def _whole(self) -> tuple[int, bytes] | None:
        if len(self._buffer) < _HEAD.size:
            return None
        number, size = _HEAD.unpack_from(self._buffer)
        if size > MAX_FRAME:
            raise Gone(f"a message of {size} bytes")
        end = _HEAD.size + size
        if len(self._buffer) < end:
            return None
        payload = bytes(self._buffer[_HEAD.size : end])
        del self._buffer[:end]
        return number, payload
