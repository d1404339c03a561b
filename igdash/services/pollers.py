"""The collector's clock and its looks at the environments, so that no caller waits for either.

An environment's `status()` may take seconds (a cluster that does not answer): each has a thread of
its own, and everyone else reads the last answer.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from igdash.domain.environments import EnvironmentStatus, Health
from igdash.domain.ports import Source
from igdash.domain.threads import spawn
from igdash.domain.times import NS, now_ns

log = logging.getLogger(__name__)
TEST_SECONDS: Final = 25.0
"""How long a test of an environment may take."""


class Pollers:
    """Runs `tick` (which returns after how many seconds it wants to be called again) and keeps the
    status of every environment no older than about `every` s."""

    def __init__(
        self, sources: Mapping[str, Source], every: float, tick: Callable[[], float]
    ) -> None:
        self._sources = sources
        self._every = every
        self._tick = tick
        self._ending = threading.Event()
        self._nudge = threading.Event()
        self._statuses = {
            name: EnvironmentStatus(name=name, kind=source.environment.kind)
            for name, source in sources.items()
        }
        self._joins: list[Callable[[float], None]] = []

    def start(self) -> None:
        """Begin."""
        self._joins = [spawn("clock", self._clock).join]
        for name, source in self._sources.items():
            self._joins.append(spawn(f"status-{name}", partial(self._look, name, source)).join)

    def stop(self) -> None:
        """End. A status call that hangs is left to the end of the process."""
        self._ending.set()
        self._nudge.set()
        until = time.monotonic() + 2.0
        for join in self._joins:
            join(max(until - time.monotonic(), 0.0))

    def _clock(self) -> None:
        while not self._ending.is_set():
            self._nudge.clear()
            self._nudge.wait(max(self._ticked(), 0.01))

    def _ticked(self) -> float:
        try:
            return self._tick()
        except Exception:
            log.exception("a tick failed; the next one comes")
            return 1.0

    def nudge(self) -> None:
        """Something changed that the clock should know of."""
        self._nudge.set()

    def _look(self, name: str, source: Source) -> None:
        while True:
            self._ask(name, source)
            if self._ending.wait(self._every):
                return

    def _ask(self, name: str, source: Source) -> None:
        try:
            status = source.status()
        except Exception:
            log.exception("the status of %s could not be read", name)
            return
        if status.health is Health.DOWN and not status.next_try:
            status = replace(status, next_try=now_ns() + int(self._every * NS))
        self._statuses[name] = status

    def test(self, name: str) -> EnvironmentStatus:
        """Ask one environment now and return its status; after `TEST_SECONDS` the last known."""
        asking = spawn(f"test-{name}", partial(self._ask, name, self._sources[name]))
        asking.join(TEST_SECONDS)
        known = self._statuses[name]
        if asking.is_alive():
            reason = f"no answer within {TEST_SECONDS:.0f} s"
            return replace(known, health=Health.DOWN, reason=reason)
        return known

    def status(self, name: str) -> EnvironmentStatus:
        """Return the last status of one environment."""
        return self._statuses[name]

    def statuses(self) -> Sequence[EnvironmentStatus]:
        """Return the last status of each, in configured order."""
        return tuple(self._statuses.values())
