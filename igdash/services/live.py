"""What every open page needs to know of all sessions: a few numbers, at most four times a second.

The message is made once per quarter second and shared by all pages, and only while there is one.
A page that just came, or missed a message, gets the full picture; the others what has changed.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from igdash.domain.errors import SessionNotFound
from igdash.domain.ports import SessionReader
from igdash.domain.sessions import Session, SessionId
from igdash.services.gadgets import live_sessions
from igdash.services.health import Health, Pulse
from igdash.services.hub import Hub

PERIOD = 0.25
"""Shortest time between two messages, in seconds."""
LOOK = 1.0
"""Look into the store at least this often, news or not (rates fall when nothing happens)."""
BEAT = 5.0
"""A message comes at least this often, so that a page can tell silence from a dead line."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Picture:
    """The newest message: `full` for newcomers, `changes` for who has the one before."""

    number: int
    full: bytes
    changes: bytes
    made: float


class Live:
    """Makes the messages of `/api/live`. Thread-safe."""

    def __init__(self, *, sessions: SessionReader, health: Health, hub: Hub) -> None:
        self._sessions = sessions
        self._health = health
        self._hub = hub
        self._lock = threading.Lock()
        self._shown: dict[SessionId, dict[str, Any]] = {}
        self._stats: dict[str, Any] = {}
        self._seen_version = -1
        self._looked = float("-inf")
        self._picture: _Picture | None = None

    def take(self, cursor: int) -> tuple[int, bytes | None]:
        """Return the new cursor and the message that follows `cursor` (0 = none yet), or None.

        Raises `StoreError`.
        """
        with self._lock:
            self._refresh()
            picture = self._picture
        if picture is None or picture.number == cursor:
            return cursor, None
        if picture.number == cursor + 1 and cursor:
            return picture.number, picture.changes
        return picture.number, picture.full

    def _refresh(self) -> None:
        now = time.monotonic()
        if now - self._looked < PERIOD:
            return
        version = self._hub.version
        if version == self._seen_version and now - self._looked < LOOK:
            return
        self._seen_version, self._looked = version, now
        sessions = {one.id: _numbers(one) for one in live_sessions(self._sessions)}
        changed = {key: each for key, each in sessions.items() if self._shown.get(key) != each}
        changed |= {key: self._last_of(key) for key in self._shown.keys() - sessions.keys()}
        stats = stats_now(self._health.peek())
        last = self._picture
        stale = last is None or now - last.made >= BEAT
        if not changed and stats == self._stats and not stale:
            return
        self._shown, self._stats = sessions, stats
        self._picture = _Picture(
            number=last.number + 1 if last else 1,
            full=_message(sessions, stats, full=True),
            changes=_message(changed, stats),
            made=now,
        )

    def _last_of(self, session: SessionId) -> dict[str, Any]:
        """Return the numbers of a session that is not running any more."""
        try:
            return _numbers(self._sessions.get(session))
        except SessionNotFound:
            return {"state": "deleted"}


def stats_now(pulse: Pulse) -> dict[str, Any]:
    """Return the collector's figures; zeros, and why, while it is away."""
    stats = pulse.stats
    if stats is None:
        nothing = {"rate": 0.0, "lag_ms": 0.0, "backlog_bytes": 0, "sessions": 0}
        return {**nothing, "trouble": pulse.why, "collector": "down"}
    return {
        "rate": round(stats.rate, 3),
        "lag_ms": round(stats.lag_ms, 3),
        "backlog_bytes": stats.backlog_bytes,
        "sessions": stats.sessions,
        "trouble": stats.trouble,
        "collector": "up",
    }


def _numbers(session: Session) -> dict[str, Any]:
    return {
        "state": session.state.value,
        "events": session.events,
        "lost": session.lost,
        "rate": round(session.rate, 3),
        "last_seq": session.last_seq,
        "logs": session.logs,
        "malformed": session.malformed,
        "nodes": {"expected": session.nodes.expected, "connected": session.nodes.connected},
    }


def _message(
    sessions: Mapping[SessionId, Mapping[str, Any]], stats: Mapping[str, Any], *, full: bool = False
) -> bytes:
    """Encode a message; of a `full` one a page learns that what it does not name is over."""
    told = {"type": "live", "sessions": sessions, "stats": stats}
    return msgspec.json.encode(told | {"full": True} if full else told)
