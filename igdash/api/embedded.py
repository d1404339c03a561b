"""gunicorn inside our own process: one worker with threads.

One worker, because live readers share one hub and SQLite readers one cache; threads, because each
WebSocket keeps one for its whole life. The application is built in the worker after the fork, so
that no thread and no database connection crosses it.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import signal
import socket
import sys
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.glogging import Logger
from gunicorn.http.errors import (
    ExpectationFailed,
    LimitRequestHeaders,
    LimitRequestLine,
    ParseException,
    UnsupportedTransferCoding,
)
from gunicorn.workers.gthread import ThreadWorker

from igdash.api.problems import problem
from igdash.api.server import BACKLOG, Served, ServerOptions, url_of, when_owner_dies
from igdash.domain.threads import spawn
from igdash.services.files import allow_files

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIApplication
    from flask import Response

log = logging.getLogger(__name__)

_UNREADABLE: Final = (
    (LimitRequestLine, 414),
    (LimitRequestHeaders, 431),
    (ExpectationFailed, 417),
    (UnsupportedTransferCoding, 501),
)
"""Statuses of what is no proper request; all else is 400."""
_LINGER: Final = 1.0
"""Seconds a refused client may take to send the rest and read why."""
_SPARE: Final = 1_000
"""Connections besides those that a thread answers: kept alive, or not read yet."""
_OTHER_FILES: Final = 256
"""Files open besides those of connections; a WebSocket has three, any other connection one."""
_FULL_PAUSE: Final = 0.1
"""Seconds between two looks whether there is a file descriptor again."""


def serve(served: Served, options: ServerOptions, listener: socket.socket) -> None:
    """Serve on `listener` until SIGTERM or SIGINT; ends by `SystemExit`, 0 after a stop, else 1."""
    allow_files(
        options.threads + _SPARE + 2 * options.max_sockets + _OTHER_FILES,
        what="all sockets and connections",
        instead="lower web.max_sockets",
    )
    arbiter = os.getpid()
    try:
        Embedded(served, options, listener).run()
    except SystemExit as leave:
        if os.getpid() != arbiter:
            raise  # the forked worker: the arbiter reads its code
        # gunicorn's own codes (3: the worker did not boot, 4: the application did not load) must
        # not be read as ours by a parent.
        sys.exit(1 if leave.code else 0)


class Worker(ThreadWorker):  # type: ignore[misc]
    """Lets go of its WebSockets when asked to stop, instead of waiting for them to be cut."""

    _full = False

    def accept(self, listener: socket.socket) -> None:
        """Take a new connection; while all file descriptors are in use it has to wait.

        gunicorn would end the worker: every socket cut, and nobody answered until they are gone.
        """
        try:
            super().accept(listener)
        except OSError as error:
            if error.errno not in (errno.EMFILE, errno.ENFILE):
                raise
            if not self._full:
                log.warning("new connections have to wait: %s", error.strerror)
            self._full = True
            threading.Event().wait(_FULL_PAUSE)  # the listener stays readable
        else:
            self._full = False

    def handle_exit(self, sig: int, frame: Any) -> None:
        """Begin to stop; called by SIGTERM."""
        super().handle_exit(sig, frame)
        spawn("stop", self.app.served.stop)

    handle_quit = handle_exit  # a Ctrl-C reaches the worker too

    def handle_error(self, req: Any, client: socket.socket, addr: Any, exc: Exception) -> None:
        """Answer what cannot be read as a request in our own shape instead of gunicorn's HTML."""
        if not isinstance(exc, ParseException):
            super().handle_error(req, client, addr, exc)
            return
        status = next((code for kind, code in _UNREADABLE if isinstance(exc, kind)), 400)
        log.debug("refused with %d: %s", status, exc)
        with contextlib.suppress(OSError):
            _refuse(client, problem(status, f"this is no request igdash can read: {exc}"))


def _refuse(client: socket.socket, answer: Response) -> None:
    """Send the answer, then take what still arrives: closing before would cut the answer off."""
    client.settimeout(_LINGER)
    head = f"HTTP/1.1 {answer.status}\r\nConnection: close\r\n{answer.headers}".encode()
    client.sendall(head + answer.get_data())
    client.shutdown(socket.SHUT_WR)
    end = time.monotonic() + _LINGER
    while client.recv(65_536) and time.monotonic() < end:
        pass


class Parent(Arbiter):  # type: ignore[misc]
    """Stops as gently after a Ctrl-C as after a SIGTERM."""

    handle_int = Arbiter.handle_term


class Log(Logger):  # type: ignore[misc]
    """Speaks through our log, in our format; only of trouble, unless ours is at debug."""

    def setup(self, cfg: Any) -> None:
        """Undo what gunicorn sets up for itself."""
        super().setup(cfg)
        self.error_log.propagate = True
        if not log.isEnabledFor(logging.DEBUG):
            self.error_log.setLevel(logging.WARNING)


class Embedded(BaseApplication):  # type: ignore[misc]
    """One worker on our socket."""

    def __init__(self, served: Served, options: ServerOptions, listener: socket.socket) -> None:
        self.served = served
        self._options = options
        self._url = url_of(listener)
        self._descriptor = listener.detach()  # gunicorn closes it
        super().__init__()

    def load_config(self) -> None:
        """Set what differs from gunicorn's defaults."""
        wanted = {
            "bind": f"fd://{self._descriptor}",
            "workers": 1,
            "threads": self._options.threads,
            "worker_connections": self._options.threads + _SPARE,
            "graceful_timeout": max(1, round(self._options.graceful)),
            "timeout": 120,
            "keepalive": 15,
            "limit_request_line": 8190,  # a long filter, percent-encoded
            "backlog": BACKLOG,
            "accesslog": None,
            "errorlog": None,
            "control_socket_disable": True,
            "proc_name": "igdash-web",
            "worker_class": Worker,
            "logger_class": Log,
            "post_worker_init": self._worker_started,
        }
        for key, value in wanted.items():
            self.cfg.set(key, value)

    def load(self) -> WSGIApplication:
        """Make the application; called in the worker."""
        return self.served.build()

    def run(self) -> None:
        """Run the arbiter until it is told to stop; raises `SystemExit`."""
        Parent(self).run()

    def _worker_started(self, worker: Any) -> None:
        if self._options.owned:
            when_owner_dies(lambda: _terminate(worker.ppid))
        spawn("started", lambda: self.served.started(self._url))


def _terminate(arbiter: int) -> None:
    """Stop the arbiter, unless it is gone and its number may be another's."""
    if os.getppid() == arbiter:
        os.kill(arbiter, signal.SIGTERM)
