"""What one batch adds to a session, worked out in plain Python before any SQL runs.

One pass over the events counts them per second and origin, which is few; the rollup tables' rows
are folded from that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import repeat
from typing import TypeVar

from igdash.domain.times import NS
from igdash.store.rows import MAX_INT, MIN_INT, clamp

EventRow = tuple[int, int, int, int, str]
"""session_id, seq, ts, origin_id, payload"""
Span = tuple[int, int, int]
"""n, first_seq, last_seq"""
K = TypeVar("K")


@dataclass(slots=True, kw_only=True)
class Rollup:
    """Rows of one append, over all its sessions; keys begin with the session's internal id."""

    events: list[EventRow] = field(default_factory=list)
    activity: dict[tuple[int, int], Span] = field(default_factory=dict)
    activity_origin: dict[tuple[int, int, int], Span] = field(default_factory=dict)
    activity_origin_sec: dict[tuple[int, int, int], Span] = field(default_factory=dict)

    def add(
        self,
        session: int,
        last_seq: int,
        times: Sequence[int],
        ids: Sequence[int],
        payloads: Sequence[str],
    ) -> None:
        """Add events that follow `last_seq`, as columns: times, ids of their origins, payloads."""
        if times and (min(times) < MIN_INT or max(times) > MAX_INT):
            times = tuple(map(clamp, times))
        seqs = range(last_seq + 1, last_seq + 1 + len(times))
        rows = list(zip(repeat(session), seqs, times, ids, payloads, strict=False))
        self.events += rows
        self._fold(session, rows)

    def _fold(self, session: int, rows: list[EventRow]) -> None:
        spans: dict[tuple[int, int], list[int]] = {}
        for _, seq, ts, origin, _ in rows:
            key = (ts // NS, origin)
            span = spans.get(key)
            if span is None:
                spans[key] = [1, seq, seq]
            else:
                span[0] += 1
                span[2] = seq
        for (second, origin), (n, first, last) in spans.items():
            _grow(self.activity, (session, second), (n, first, last))
            _grow(self.activity_origin, (session, second // 60, origin), (n, first, last))
            _grow(self.activity_origin_sec, (session, second, origin), (n, first, last))

    def session_origin(self) -> dict[tuple[int, int], int]:
        """Return events per session and origin."""
        totals: dict[tuple[int, int], int] = {}
        for (session, _, origin), (n, _, _) in self.activity_origin.items():
            totals[session, origin] = totals.get((session, origin), 0) + n
        return totals


def _grow(spans: dict[K, Span], key: K, span: Span) -> None:
    old = spans.get(key)
    spans[key] = (
        span if old is None else (old[0] + span[0], min(old[1], span[1]), max(old[2], span[2]))
    )
