"""Which ranges of seqs can hold a match, and how they are handed out to a walk.

Where few origins match, the rollups say in which minutes these have events, and between which seqs;
a minute is looked up by the second only when the walk comes to it. Ranges of a few seqs each are
walked many at a time: one statement costs as much as thousands of rows of the index.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, func, select

from igdash.domain.times import NS
from igdash.store.bounds import Bounds
from igdash.store.query.walk import fetch
from igdash.store.tables import activity_origin, activity_origin_sec

MINUTE: Final = 60 * NS
MOST_RANGES: Final = 200
"""Ranges in one statement."""
_NEAR: Final = 128
"""Ranges with fewer seqs between them are one: to walk over these costs less than another range."""
_LONG: Final = 2_048
"""A range of fewer seqs is walked as it is."""
_MOST_MINUTES: Final = 60
"""Minutes looked up by the second at once."""


class Span(NamedTuple):
    """Seqs `low` to `high`, both included; the minutes to look up before it is walked."""

    low: int
    high: int
    minutes: tuple[int, ...] = ()


Finer = Callable[[Span], Sequence[Span]]
"""Returns what of a span can hold a match, upwards."""


class Spans:
    """The ranges still to be walked, in the direction of the walk."""

    def __init__(self, spans: Sequence[Span], finer: Finer, *, down: bool) -> None:
        self._left = list(spans) if down else list(spans)[::-1]
        self._finer = finer
        self._down = down

    def __bool__(self) -> bool:
        return bool(self._left)

    def take(self, seqs: int) -> list[tuple[int, int]]:
        """Return the next ranges with up to `seqs` seqs together, in the direction of the walk."""
        taken: list[tuple[int, int]] = []
        while self._left and seqs > 0 and len(taken) < MOST_RANGES:
            span = self._left.pop()
            if span.minutes and span.high - span.low >= _LONG:
                self._push(self._finer(span))
                continue
            low, high, _ = span
            if high - low >= seqs:
                if self._down:
                    self._left.append(Span(low, high - seqs))
                    low = high - seqs + 1
                else:
                    self._left.append(Span(low + seqs, high))
                    high = low + seqs - 1
            seqs -= high - low + 1
            taken.append((low, high))
        return taken

    def _push(self, spans: Sequence[Span]) -> None:
        self._left += spans if self._down else reversed(spans)


def by_minute(conn: Connection, session: int, origins: Sequence[int], bounds: Bounds) -> list[Span]:
    """Return where these origins have events, by the minutes inside the bounds."""
    a = activity_origin.c
    wanted = (
        select(func.min(a.first_seq), func.max(a.last_seq), a.minute)
        .where(a.session_id == session, a.origin_id.in_(origins))
        .group_by(a.minute)
    )
    if bounds.start is not None:
        wanted = wanted.where(a.minute >= bounds.start // MINUTE)
    if bounds.end is not None:
        wanted = wanted.where(a.minute <= (bounds.end - 1) // MINUTE)
    return _within([Span(one[0], one[1], (one[2],)) for one in fetch(conn, wanted)], *bounds[:2])


def by_second(conn: Connection, session: int, origins: Sequence[int], span: Span) -> list[Span]:
    """Return where in a span these origins have events, by the seconds of its minutes."""
    minutes = span.minutes
    if len(minutes) > _MOST_MINUTES:
        return [Span(span.low, span.high)]
    a = activity_origin_sec.c
    found: list[Span] = []
    for minute in sorted(set(minutes)):
        wanted = (
            select(func.min(a.first_seq), func.max(a.last_seq))
            .where(
                a.session_id == session,
                a.sec >= minute * 60,
                a.sec < minute * 60 + 60,
                a.origin_id.in_(origins),
            )
            .group_by(a.sec)
        )
        found += [Span(one[0], one[1]) for one in fetch(conn, wanted)]
    return _within(found, span.low, span.high)


def _within(spans: Sequence[Span], low: int, high: int) -> list[Span]:
    """Return the parts between two seqs, in order, those that touch as one."""
    found: list[Span] = []
    for one in sorted(spans, key=_low):
        span = Span(max(low, one.low), min(high, one.high), one.minutes)
        if span.low > span.high:
            continue
        last = found[-1] if found else None
        if last is not None and span.low <= last.high + _NEAR:
            found[-1] = Span(last.low, max(last.high, span.high), last.minutes + span.minutes)
        else:
            found.append(span)
    return found


def _low(span: Span) -> Any:
    return span.low
