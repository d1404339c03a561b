"""Sessions as users handle them: found by a short id, listed with sparklines, started, stopped.

Reading asks the store; changing asks the collector, which is the only one that may.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from igdash.domain.errors import SessionNotFound
from igdash.domain.nodes import NodeStatus
from igdash.domain.ports import Control, SessionReader
from igdash.domain.queries import SessionPage, SessionQuery
from igdash.domain.sessions import Session, SessionId, SessionSpec
from igdash.domain.times import NS, now_ns

SPARK_SPAN = 600 * NS
"""A sparkline shows the last ten minutes."""

_ID = re.compile(r"[0-9a-f]{1,12}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Sessions:
    """What can be done with sessions. Thread-safe."""

    reader: SessionReader
    control: Control

    def resolve(self, prefix: str) -> SessionId:
        """Return the only id that begins with `prefix`.

        Raises `SessionNotFound`, `AmbiguousSession`. What cannot be the beginning of an id never
        reaches the store.
        """
        if not _ID.fullmatch(prefix):
            raise SessionNotFound(f"no session {prefix[:40]!r}")
        return self.reader.resolve(prefix)

    def get(self, prefix: str) -> Session:
        """Return a session by a prefix of its id. Raises as `resolve`."""
        return self.reader.get(self.resolve(prefix))

    def coverage(self, session: SessionId) -> Sequence[NodeStatus]:
        """Return each node the session covers or covered. Raises `SessionNotFound`."""
        return self.reader.coverage(session)

    def list(self, query: SessionQuery) -> SessionPage:
        """Return one page. Raises `InvalidQuery` for a foreign cursor."""
        return self.reader.list(query)

    def sparks(
        self, sessions: Sequence[Session], buckets: int
    ) -> Mapping[SessionId, Sequence[int]]:
        """Return events per slice of the last ten minutes, `buckets` slices per session."""
        if not sessions:
            return {}
        end = now_ns()
        ids = [session.id for session in sessions]
        return self.reader.sparks(ids, end - SPARK_SPAN, end, buckets)

    def start(self, spec: SessionSpec) -> Session:
        """Start a session. Raises `InvalidSpec`, `CollectorUnavailable`."""
        return self.control.start(spec)

    def stop(self, prefix: str, *, keep: bool = False) -> Session:
        """Begin a graceful stop and return the session as it is now; `keep` leaves a headless
        instance running.

        Raises `SessionNotFound`, `AmbiguousSession`, `WrongState`, `CollectorUnavailable`.
        """
        session = self.resolve(prefix)
        self.control.stop(session, keep=keep)
        return self.reader.get(session)

    def restart(self, prefix: str) -> Session:
        """Start a new session with the same spec; the old one and its events stay as they are.

        Raises `SessionNotFound`, `AmbiguousSession`, `InvalidSpec`, `CollectorUnavailable`.
        """
        return self.control.start(self.get(prefix).spec)

    def delete(self, prefix: str) -> SessionId:
        """Delete a session with all it stored; returns its whole id.

        Raises `SessionNotFound`, `AmbiguousSession`, `CollectorUnavailable`.
        """
        session = self.resolve(prefix)
        self.control.delete(session)
        return session
