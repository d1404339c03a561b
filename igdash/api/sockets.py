"""The two sockets: one session's events, and the numbers every open page shows.

They have a budget of their own: at most `max_sockets`, a thread each, so that ordinary requests
always find one. Whoever comes too late is told so (1013) instead of waiting.

Close codes: 1000 the session ended · 1001 igdash goes away · 1003 a wrong parameter or a binary
message · 1009 too long a message · 1011 the store failed · 1013 too many sockets · 4404 no such
session · 4409 the id is ambiguous.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable

import simple_websocket
from flask import Flask, Response, request
from flask_sock import Sock
from simple_websocket import Server
from werkzeug.exceptions import NotImplemented as NotPossible
from wsproto.utilities import RemoteProtocolError

from igdash.api import requests as asked
from igdash.api.channel import Channel, Closed, NoThread
from igdash.api.options import WebOptions
from igdash.api.problems import problem
from igdash.api.validate import Invalid, from_query
from igdash.domain.errors import AmbiguousSession, IgdashError, SessionNotFound, StoreError
from igdash.domain.filters import FilterError
from igdash.services.hub import HubClosed
from igdash.services.live import PERIOD
from igdash.services.picked import picked
from igdash.services.web import WebServices

log = logging.getLogger(__name__)

PATHS = (r"/api/sessions/[^/]+/ws", r"/api/live")
"""Patterns of the socket paths, for telling a plain request what it should be."""
IDLE = 30.0
"""Seconds a session socket waits before it looks whether it missed a wake."""


class SocketQuery(asked.Strict):
    """Where a session's socket begins; without `after`: from now on. A `filter` picks events."""

    after: asked.Seq | None = None
    filter: str = ""


class _Slots:
    """Counts open sockets."""

    def __init__(self, most: int) -> None:
        self.most = most
        self._free = threading.BoundedSemaphore(most)

    def take(self) -> bool:
        """Take a slot if there is one."""
        return self._free.acquire(blocking=False)

    def give(self) -> None:
        """Give it back."""
        self._free.release()


def register(app: Flask, services: WebServices, options: WebOptions) -> None:
    """Add both sockets to `app`."""
    slots = _Slots(options.max_sockets)
    app.config["SOCK_SERVER_OPTIONS"] = {"thread_class": NoThread}
    sock = Sock(app)

    def session(ws: Server, id: str) -> None:
        _serve(Channel(ws, options), slots, lambda channel: _session(services, channel, id))

    def live(ws: Server) -> None:
        _serve(Channel(ws, options), slots, lambda channel: _live(services, channel))

    sock.route("/api/sessions/<string:id>/ws", endpoint="session_socket")(session)
    sock.route("/api/live", endpoint="live_socket")(live)
    app.before_request(_before_handshake)
    app.register_error_handler(simple_websocket.ConnectionError, _no_handshake)
    app.register_error_handler(RemoteProtocolError, _no_handshake)


def _before_handshake() -> None:
    """Refuse what flask-sock could not carry, and compression (see `channel`)."""
    if request.endpoint not in ("session_socket", "live_socket"):
        return
    if not any(key in request.environ for key in ("werkzeug.socket", "gunicorn.socket")):
        raise NotPossible("this server cannot carry WebSockets")
    request.environ.pop("HTTP_SEC_WEBSOCKET_EXTENSIONS", None)


def _no_handshake(error: Exception) -> Response:
    return problem(400, f"not a WebSocket handshake: {error}")


def _serve(channel: Channel, slots: _Slots, work: Callable[[Channel], None]) -> None:
    """Run `work` in a slot, say goodbye as the errors ask for."""
    taken = slots.take()
    try:
        if taken:
            _run(channel, work)
        else:
            # Without waiting: a refused client holds no thread, however many there are.
            reason = f"all {slots.most} sockets are in use; close one or try again"
            channel.close(1013, reason, wait=0)
    finally:
        if taken:
            slots.give()
        channel.release()


def _run(channel: Channel, work: Callable[[Channel], None]) -> None:
    try:
        work(channel)
    except Closed:
        pass
    except Invalid as error:
        channel.close(1003, str(error))
    except FilterError as error:
        channel.close(1003, f"filter: {error}")
    except SessionNotFound as error:
        channel.close(4404, str(error) or "unknown session")
    except AmbiguousSession as error:
        channel.close(4409, str(error) or "ambiguous id")
    except HubClosed:
        channel.close(1001, "igdash is shutting down")
    except IgdashError as error:
        log.warning("socket %s: %s", request.path, error)
        channel.close(1011, str(error))


def _session(services: WebServices, channel: Channel, prefix: str) -> None:
    query = from_query(SocketQuery, dict(request.args.lists())) or SocketQuery()
    session = services.sessions.resolve(prefix)
    only = picked(services.queries, session, query.filter)
    reader = services.hub.open(session, after=query.after, wake=channel.wake, only=only)
    try:
        while not services.hub.closed:
            message = reader.take()
            if message is not None:
                channel.send(message)
                channel.wait(0)
            elif reader.finished:
                channel.close(1000, "the session has ended")
                return
            else:
                channel.wait(IDLE)
    finally:
        reader.close()
    raise HubClosed


def _live(services: WebServices, channel: Channel) -> None:
    from_query(None, dict(request.args.lists()))
    leave = services.hub.listen(channel.wake)
    cursor = 0
    try:
        while not services.hub.closed:
            try:
                cursor, message = services.live.take(cursor)
            except StoreError as error:
                log.warning("no live figures: %s", error)
                message = None
            if message is not None:
                channel.send(message)
            channel.wait(PERIOD)
    finally:
        leave()
    raise HubClosed
