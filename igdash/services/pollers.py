"""The collector's clock and its looks at the environments, so that no caller waits for either.

An environment's `status()` may take seconds (a cluster that does not answer): each has a thread of
its own, and everyone else reads the last answer.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from igdash.domain.environments import EnvironmentStatus
from igdash.domain.errors import IgdashError
from igdash.domain.ports import Source
from igdash.domain.threads import spawn

log = logging.getLogger(__name__)


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
        until = time.monotonic() + 2.0
        for join in self._joins:
            join(max(until - time.monotonic(), 0.0))

    def _clock(self) -> None:
        wait = 0.0
        while not self._ending.wait(wait):
            wait = max(self._tick(), 0.01)

    def _look(self, name: str, source: Source) -> None:
        while True:
            try:
                self._statuses[name] = source.status()
            except IgdashError:
                log.exception("the status of %s could not be read", name)
            if self._ending.wait(self._every):
                return

    def status(self, name: str) -> EnvironmentStatus:
        """Return the last status of one environment."""
        return self._statuses[name]

    def statuses(self) -> Sequence[EnvironmentStatus]:
        """Return the last status of each, in configured order."""
        return tuple(self._statuses.values())
