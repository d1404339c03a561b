"""How the writer is doing: its rate, and in words what holds it up."""

from __future__ import annotations

import threading
import time
from collections import deque

_WINDOW = 5.0


class Meter:
    """Counts commits and remembers trouble. Thread-safe."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._recent: deque[tuple[float, int]] = deque()
        self._since: float | None = None
        self._why = ""
        self._tries = 0
        self.commits = 0
        self.events = 0

    def committed(self, events: int) -> None:
        """One transaction is stored."""
        with self._lock:
            self.commits += 1
            self.events += events
            self._recent.append((time.monotonic(), events))
            self._trim()

    def rate(self) -> float:
        """Events per second over the last 5 s."""
        with self._lock:
            self._trim()
            return sum(events for _, events in self._recent) / _WINDOW

    def _trim(self) -> None:
        oldest = time.monotonic() - _WINDOW
        while self._recent and self._recent[0][0] < oldest:
            self._recent.popleft()

    def held_up(self, why: str) -> int:
        """The store takes no writes; return how many tries failed before this one."""
        with self._lock:
            if self._since is None:
                self._since = time.monotonic()
                self._tries = 0
            self._why = why
            self._tries += 1
            return self._tries - 1

    def fine(self) -> None:
        """The store takes writes."""
        with self._lock:
            self._since = None
            self._why = ""

    def trouble(self) -> str:
        """Say why writing is held up, and for how long; "" = it is not."""
        with self._lock:
            if self._since is None:
                return ""
            seconds = time.monotonic() - self._since
            return f"{self._why} (for {seconds:.0f} s; what arrives waits in the spool)"
