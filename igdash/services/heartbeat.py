"""Until when igdash was surely collecting: a small file, renewed every second.

After a `kill -9` nobody can say when it happened; the loss record of the gap begins at the last
beat. What was without a record in the store then (a session that was not running again yet, a loss
that waited in memory) is carried along, so that two restarts in a row leave one gap with its true
beginning.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from igdash.domain.losses import IN_FLIGHT
from igdash.domain.sessions import Session, SessionId
from igdash.domain.times import NS

log = logging.getLogger(__name__)

_RECENT_NS = 30 * NS
_BEAT_NS = 2 * NS
_FIRST_NS = 10 * NS


class Beat(msgspec.Struct, frozen=True):
    """The content of the file: when it was written, and since when losses of sessions have no record."""

    at: int
    gaps: dict[SessionId, int] = {}


class Heartbeat:
    """Writes and reads the file. A disk that is full only makes it old, hence gaps longer."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "heartbeat"

    def read(self) -> Beat | None:
        """Return the last beat of the former process, None when there is none."""
        with suppress(OSError, msgspec.DecodeError, msgspec.ValidationError):
            return msgspec.json.decode(self._path.read_bytes(), type=Beat)
        return None

    def write(self, at: int, gaps: Mapping[SessionId, int]) -> None:
        """Replace the beat."""
        fresh = self._path.with_suffix(".new")
        with suppress(OSError):
            fresh.write_bytes(msgspec.json.encode(Beat(at=at, gaps=dict(gaps))))
            fresh.replace(self._path)


def gap_start(session: Session, beat: Beat | None, now: int) -> int | None:
    """Return since when (ns) a session was not collected; None when it never ran.

    Whether it ran is told with the first output that is read, so that one made shortly before the
    last beat may have run unheard.

    That is `IN_FLIGHT` before its last event when there was one shortly before the last beat: what
    the gadget told after it may have been lost in a pipe. Before its first event it is `_FIRST_NS`
    before its start, which is told of with the first output that is read: a busy machine reads
    late. Else it is just before that beat.
    """
    if beat is not None and session.id in beat.gaps:
        return beat.gaps[session.id]
    beaten = beat.at if beat is not None else 0
    if session.started is None:
        return session.created if beaten - session.created <= _RECENT_NS else None
    last = session.last_event
    if last is not None and last > now:
        last = None  # a clock ahead of ours says nothing about when we went down
    alive = max(beaten, last or 0, session.started)
    alive = min(alive, now)
    if last is not None and last >= alive - _RECENT_NS:
        start = last - IN_FLIGHT
    elif last is None and session.started >= alive - _RECENT_NS:
        start = session.started - _FIRST_NS
    else:
        start = alive - _BEAT_NS
    return max(start, session.created)
