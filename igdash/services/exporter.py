"""The exporting process: runs schedules when they are due, one at a time.

It is a process of its own (`igdash exporter`, a child of `serve` like the others) because making a
million rows into a file takes a core for seconds: inside the collector that would be the writer's
time, inside the web process everybody's answers. It only reads the store. What it has to say
(a run begins, a run ended and the cursors move) goes through the collector's socket, since on
SQLite one process alone writes; on PostgreSQL it is the same, for one way is enough. While the
collector is away a run that is under way goes on, and its end waits.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from igdash.domain.errors import (
    CollectorUnavailable,
    IgdashError,
    ScheduleNotFound,
    StoreBusy,
    StoreError,
)
from igdash.domain.ports import Control, RunLock, ScheduleReader
from igdash.domain.schedules import Order, RunState, Schedule
from igdash.domain.times import now_ns
from igdash.services.export_runs import Runner, Stopped
from igdash.services.timetable import next_run

log = logging.getLogger(__name__)

LOOK: Final = 1.0
"""Seconds between two looks at the schedules."""
LEFT: Final = 5.0
"""Seconds between two looks for runs that another exporter was killed in."""
PATIENCE: Final = 10.0
"""Seconds until a schedule is looked at again whose run could not even begin."""


def giver(control: Control, stop: threading.Event) -> Callable[[Order], Schedule]:
    """Return what has orders obeyed, also by a collector that is being restarted meanwhile."""

    def give(order: Order) -> Schedule:
        while True:
            last = stop.is_set()
            try:
                return control.schedule(order)
            except (CollectorUnavailable, StoreBusy) as error:
                if last:
                    raise Stopped(f"the collector cannot be told: {error}") from error
                stop.wait(LOOK)

    return give


@dataclass(frozen=True, slots=True, kw_only=True)
class Exporter:
    """Looks at the schedules until `stop` is set. `run` belongs to one thread."""

    schedules: ScheduleReader
    lock: Callable[[str], RunLock | None]
    runner: Callable[[RunLock], Runner]
    stop: threading.Event
    _later: dict[str, float] = field(default_factory=dict)

    def run(self) -> None:
        """Take up what was cut short, then run what is due."""
        self._each(lambda _: True)
        again = time.monotonic() + LEFT
        while not self.stop.wait(LOOK):
            self._each(is_due)
            if time.monotonic() >= again:
                self._each(self._is_left)
                again = time.monotonic() + LEFT

    def _is_left(self, schedule: Schedule) -> bool:
        """Whether a run stands as running: if nobody has its lock, its process was killed."""
        newest = self.schedules.runs(schedule.id, limit=1).runs
        return any(run.state is RunState.RUNNING for run in newest)

    def _each(self, wanted: Callable[[Schedule], bool]) -> None:
        try:
            found = self.schedules.list()
        except StoreError as error:
            log.warning("the schedules cannot be read: %s", error)
            return
        for schedule in found:
            if self.stop.is_set():
                return
            if self._later.get(schedule.id, 0.0) <= time.monotonic():
                self._try(schedule, wanted)

    def _try(self, schedule: Schedule, wanted: Callable[[Schedule], bool]) -> None:
        try:
            if wanted(schedule):
                self._locked(schedule.id)
        except (Stopped, ScheduleNotFound):
            pass  # going down, or deleted meanwhile
        except IgdashError as error:
            log.warning("export %r cannot be run: %s", schedule.spec.name, error)
            self._later[schedule.id] = time.monotonic() + PATIENCE
        except Exception:
            log.exception("export %r cannot be run", schedule.spec.name)
            self._later[schedule.id] = time.monotonic() + PATIENCE

    def _locked(self, id_: str) -> None:
        lock = self.lock(id_)
        if lock is None:  # another process runs it
            return
        try:
            runner = self.runner(lock)
            runner.recover(self.schedules.get(id_))
            schedule = self.schedules.get(id_)  # it may have been run before we got the lock
            if is_due(schedule):
                run = runner.run(schedule)
                log.info("export %r: %s, %d rows", schedule.spec.name, run.state, run.rows)
        finally:
            lock.release()


def is_due(schedule: Schedule) -> bool:
    """Whether the schedule is to be run now."""
    moment = next_run(schedule)
    return moment is not None and moment <= now_ns()
