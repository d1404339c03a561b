"""Events per second by receipt, kept in three integers of the session's row.

Not from `activity`: that counts by the events' own clocks, which a skewed node gets wrong. A
window of 10 s and the count of the one before give a sliding mean without a row per second; it
falls to 0 by itself when nothing comes any more.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from sqlalchemy import ColumnElement, Float, case, cast

from igdash.domain.sessions import SessionState
from igdash.domain.times import NS
from igdash.store.tables import sessions

WINDOW: Final = 10 * NS
_SECONDS: Final = 10.0
ENDED: Final = tuple(state.value for state in SessionState if state.ended)


class Window(NamedTuple):
    """Start of the current window (ns), events in it, events in the one before."""

    at: int
    now: int
    before: int


def advance(window: Window, received: int, at: int) -> Window:
    """Return the window after `received` events came at `at` (ns)."""
    age = at - window.at
    if 0 <= age < WINDOW:
        return Window(window.at, window.now + received, window.before)
    if WINDOW <= age < 2 * WINDOW:
        return Window(window.at + WINDOW, received, window.now)
    return Window(at, received, 0)


def rate(window: Window, at: int) -> float:
    """Return events/s over the 10 s before `at` (ns)."""
    share = max(0.0, (at - window.at) / WINDOW)
    if share < 1:
        return (window.before * (1 - share) + window.now) / _SECONDS
    if share < 2:
        return window.now * (2 - share) / _SECONDS
    return 0.0


def rate_column(at: int) -> ColumnElement[float]:
    """Return `rate` as SQL, to sort by."""
    c = sessions.c
    share = cast(at - c.rate_at, Float) / float(WINDOW)
    return case(
        (c.state.in_(ENDED), 0.0),
        (share < 0.0, (c.rate_before + c.rate_now) / _SECONDS),
        (share < 1.0, (c.rate_before * (1.0 - share) + c.rate_now) / _SECONDS),
        (share < 2.0, c.rate_now * (2.0 - share) / _SECONDS),
        else_=0.0,
    )
