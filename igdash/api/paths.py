"""What the parts of a path name: a session, a number, a field."""

from __future__ import annotations

from igdash.api.routes import Call
from igdash.domain.errors import EventNotFound
from igdash.domain.sessions import SessionId
from igdash.services.web import WebServices


def session_of(services: WebServices, call: Call) -> SessionId:
    """Return the session of `/api/sessions/{id}/…`. Raises `SessionNotFound`, `AmbiguousSession`."""
    return services.sessions.resolve(call.path["id"])


def number_of(text: str, what: str) -> int:
    """Return the number of an event or a tick. Raises `EventNotFound` for what cannot be one."""
    if not text.isascii() or not text.isdigit() or len(text) > 19:
        raise EventNotFound(f"no {what} {text[:40]!r}")
    return int(text)
