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
from typing import Any

from flask import Flask, Response, request

from igdash.api import requests as asked
from igdash.api.channel import Channel, Closed
from igdash.api.options import WebOptions
from igdash.api.validate import Invalid, from_query
from igdash.domain.errors import AmbiguousSession, IgdashError, SessionNotFound, StoreError
from igdash.services.hub import HubClosed
from igdash.services.live import PERIOD
from igdash.services.web import WebServices

log = logging.getLogger(__name__)

PATHS = (r"/api/sessions/[^/]+/ws", r"/api/live")
"""Patterns of the socket paths, for telling a plain request what it should be."""
IDLE = 30.0
"""Seconds a session socket waits before it looks whether it missed a wake."""


class SocketQuery(asked.Strict):
    """Where a session's socket begins; without `after`: from now on."""

    after: asked.Seq | None = None


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


class _Gone(Response):
    """What a view returns after its socket is over: nothing may be written any more."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self._mode = mode

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """End the request. gunicorn takes `StopIteration` as "the socket is dealt with"; Werkzeug
        meets a socket that is shut down and drops the connection."""
        if self._mode == "gunicorn":
            raise StopIteration
        return super().__call__(*args, **kwargs)


def register(app: Flask, services: WebServices, options: WebOptions) -> None:
    """Add both sockets to `app`."""
    slots = _Slots(options.max_sockets)

    def session(id: str) -> Response:
        return _serve(options, slots, lambda channel: _session(services, channel, id))

    def live() -> Response:
        return _serve(options, slots, lambda channel: _live(services, channel))

    app.add_url_rule("/api/sessions/<string:id>/ws", "session_socket", session, websocket=True)
    app.add_url_rule("/api/live", "live_socket", live, websocket=True)


def _serve(options: WebOptions, slots: _Slots, work: Callable[[Channel], None]) -> Response:
    """Shake hands, run `work` in a slot, say goodbye as the errors ask for."""
    channel = Channel(options)
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
    return _Gone(channel.mode)


def _run(channel: Channel, work: Callable[[Channel], None]) -> None:
    try:
        work(channel)
    except Closed:
        pass
    except Invalid as error:
        channel.close(1003, str(error))
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
    query = from_query(SocketQuery, dict(request.args.lists()))
    after = query.after if query else None
    session = services.sessions.resolve(prefix)
    reader = services.hub.open(session, after=after, wake=channel.wake)
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
