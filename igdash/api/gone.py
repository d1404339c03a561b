"""Whether the client of the current request is still there: an answer nobody waits for is not made.

Both web servers put the connection into the WSGI environment. A client that has left shows as the
end of what can be read; bytes that wait there are its next request.
"""

from __future__ import annotations

import select
import socket
from collections.abc import Callable

from flask import request

_KEYS = ("gunicorn.socket", "werkzeug.socket")


def client_gone() -> Callable[[], bool]:
    """Return a question about the request now being answered; it may be asked from any thread.

    Where the server does not tell its connection, the client counts as there.
    """
    found = next((request.environ[key] for key in _KEYS if key in request.environ), None)
    if not isinstance(found, socket.socket):
        return lambda: False
    connection: socket.socket = found
    return lambda: _is_gone(connection)


def _is_gone(connection: socket.socket) -> bool:
    poll = select.poll()
    try:
        poll.register(connection, select.POLLIN)
        if not poll.poll(0):
            return False
        return connection.recv(1, socket.MSG_PEEK) == b""
    except (OSError, ValueError):
        return True
