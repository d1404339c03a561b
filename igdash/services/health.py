"""How igdash is doing, asked of the collector and the store, and remembered for a moment.

A collector that hangs makes every question cost seconds; live pages must not wait for it. So they
`peek` at the last answer while a new one is fetched behind, one question at a time.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace

from igdash.domain.control import CollectorStats
from igdash.domain.errors import IgdashError
from igdash.domain.ports import Control, SessionReader
from igdash.domain.threads import spawn
from igdash.services.gadgets import live_sessions

FRESH = 1.0
"""Seconds an answer counts as current."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulse:
    """What the collector last said; `stats` is None when it is away, then `why` says so."""

    stats: CollectorStats | None
    why: str = ""
    at: float = 0.0

    @property
    def up(self) -> bool:
        """Whether the collector answered."""
        return self.stats is not None


class Health:
    """Asks collector and store how they are. Thread-safe."""

    def __init__(self, control: Control, sessions: SessionReader) -> None:
        self._control = control
        self._sessions = sessions
        self._asking = threading.Lock()
        self._last = Pulse(stats=None, why="the collector was not asked yet", at=float("-inf"))

    def pulse(self) -> Pulse:
        """Return what the collector says, at most a second old; may wait for it some seconds."""
        with self._asking:
            if time.monotonic() - self._last.at > FRESH:
                self._ask()
            return self._last

    def peek(self) -> Pulse:
        """Return the last answer at once, and have a new one fetched when it is old.

        Only the very first call waits: there is nothing to return yet.
        """
        if self._last.at == float("-inf"):
            return self.pulse()
        if time.monotonic() - self._last.at > FRESH and self._asking.acquire(blocking=False):
            try:
                spawn("collector-pulse", self._ask_and_release)
            except RuntimeError:  # no thread to be had; the lock must not stay taken
                self._ask_and_release()
        return self._last

    def totals(self) -> Mapping[str, int]:
        """Return the store's counts over all sessions."""
        return self._sessions.totals()

    def troubles(self) -> Mapping[str, str]:
        """Return what keeps igdash from being ready, by part; empty = ready."""
        found: dict[str, str] = {}
        try:
            self._sessions.totals()
        except IgdashError as error:
            found["store"] = str(error)
        pulse = self.pulse()
        if not pulse.up:
            found["collector"] = pulse.why
        return found

    def live_counts(self) -> Mapping[tuple[str, str], int]:
        """Return how many sessions have not ended, by (gadget, state)."""
        return Counter((s.spec.gadget, s.state.value) for s in live_sessions(self._sessions))

    def _ask_and_release(self) -> None:
        try:
            self._ask()
        finally:
            self._asking.release()

    def _ask(self) -> None:
        try:
            pulse = Pulse(stats=self._control.stats())
        except IgdashError as error:  # also one that it met itself: old figures would seem new
            pulse = Pulse(stats=None, why=str(error) or "the collector does not answer")
        self._last = replace(pulse, at=time.monotonic())
