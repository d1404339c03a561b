"""What the collector tells others: progress after every commit, and how it is doing."""

from __future__ import annotations

from dataclasses import dataclass

from igdash.domain.gadgets import Gadget
from igdash.domain.sessions import SessionId, SessionState


@dataclass(frozen=True, slots=True, kw_only=True)
class Advance:
    """One session has new committed data (or another state). Sent only after the commit.

    `lost` and `logs` are the session's totals, so that a reader sees whether to ask for more.
    """

    session: SessionId
    state: SessionState
    last_seq: int
    lost: int = 0
    logs: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectorStats:
    """The collector's health. `rate` is events/s written over the last 5 s; `lag_ms` is the age of
    the oldest received byte that is not committed yet (0 = nothing waits); `backlog_bytes` are
    the spooled bytes that wait. `trouble` says in words why writing is held up, "" = all is well.
    """

    pid: int
    started: int
    version: str
    sessions: int
    rate: float
    lag_ms: float
    backlog_bytes: int
    commits: int
    events: int
    trouble: str = ""
    rss_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Description:
    """What an environment says of a gadget. Without `gadget` the catalogue's word counts: `reason`
    says why ("" = this kind of environment has no metadata of its own), `pending` that the
    environment is still being asked.
    """

    gadget: Gadget | None = None
    reason: str = ""
    pending: bool = False
