"""Which seqs a question is about: `seq` is dense, so every range of times becomes one of seqs.

Events may be out of order, so inside that range the exact times are still compared.
"""

from __future__ import annotations

from typing import Any, NamedTuple, Protocol

from sqlalchemy import Connection, func, select

from igdash.domain.times import NS
from igdash.store.rows import clamp
from igdash.store.tables import activity


class Limits(Protocol):
    """What `EventRange` and `Where` have in common: seqs exclusive, times `[start, end)` in ns."""

    @property
    def after(self) -> int | None: ...
    @property
    def before(self) -> int | None: ...
    @property
    def start(self) -> int | None: ...
    @property
    def end(self) -> int | None: ...


class Bounds(NamedTuple):
    """First and last seq to look at, both inclusive, and the times to keep (None = all)."""

    low: int
    high: int
    start: int | None
    end: int | None


def bounds_of(conn: Connection, session: Any, wanted: Limits) -> Bounds:
    """Return the bounds for a `sessions` row; an empty range has `low` above `high`."""
    low = 1 if wanted.after is None else max(1, clamp(wanted.after + 1))
    high = session.last_seq
    if wanted.before is not None:
        high = min(high, clamp(wanted.before - 1))
    if wanted.start is None and wanted.end is None:
        return Bounds(low, high, None, None)
    a = activity.c
    span = select(func.min(a.first_seq), func.max(a.last_seq)).where(a.session_id == session.id)
    start = end = None
    if wanted.start is not None:
        start = clamp(wanted.start)
        span = span.where(a.sec >= start // NS)
    if wanted.end is not None:
        end = clamp(wanted.end)
        span = span.where(a.sec <= (end - 1) // NS)
    first, last = conn.execute(span).one()
    if first is None:
        return Bounds(1, 0, start, end)
    return Bounds(max(low, first), min(high, last), start, end)
