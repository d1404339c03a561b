"""Taking up again what was running when igdash went down, or was killed.

For every session whose end is not stored: its spool is replayed (the lane does that by itself from
the stored offset), a gadget process that outlived us is ended, and then its gadget is started
again with a loss record for the time in between, or the session is ended with the reason why not.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

from igdash.domain.imports import IMPORT
from igdash.domain.losses import Loss, LossCause
from igdash.domain.ports import Source
from igdash.domain.sessions import Session, SessionId, SessionState
from igdash.domain.times import NS
from igdash.services.heartbeat import Beat, gap_start
from igdash.services.lifecycle import Run
from igdash.services.spool import sessions_in

log = logging.getLogger(__name__)

_BROKEN_IMPORT: Final = (
    "igdash went down during the import: what had been read is kept. To have all of the file, delete"
    " this session and import it again"
)


class Resumption:
    """One start's worth of sessions to be taken up."""

    def __init__(
        self,
        sources: Mapping[str, Source],
        beat: Beat | None,
        reap: Callable[[SessionId], str],
        now: int,
    ) -> None:
        self._sources = sources
        self._beat = beat
        self._reap = reap
        self._now = now
        self._runs: list[Run] = []

    def gap(self, session: Session) -> int | None:
        """Return since when the session was without its gadget (ns)."""
        if session.state is SessionState.STOPPING or session.spec.environment == IMPORT:
            return None
        return gap_start(session, self._beat, self._now)

    def since(self, session: Session) -> int:
        """Return since when nobody read a gadget that goes on by itself (ns)."""
        return gap_start(session, self._beat, self._now) or session.created

    def add(self, run: Run) -> None:
        """Take a session in, with its lane already at work."""
        self._runs.append(run)

    def go(self) -> None:
        """Start every gadget again that may be, end the other sessions."""
        # Each may take seconds to end: all at once, so that the last session need not wait for all.
        with ThreadPoolExecutor(max_workers=16, thread_name_prefix="reap") as pool:
            list(pool.map(self._end_orphan, self._runs))
        for run in self._runs:
            self._take_up(run)

    def _end_orphan(self, run: Run) -> None:
        found = self._reap(run.id)
        if found:
            log.warning("session %s: %s", run.id, found)
            run.lane.note(found)

    def _take_up(self, run: Run) -> None:
        at = run.gap_from or self._now
        due = _due(run)
        source = self._sources.get(run.spec.environment)
        if run.spec.environment == IMPORT:
            run.interrupt(_BROKEN_IMPORT, run.latest.last_event or at)
        elif run.state is SessionState.STOPPING:
            at = self.since(run.latest)
            run.lane.lose([_tail(at, self._now)])
            run.complete(run.latest.reason, at)
        elif due is not None and due <= self._now:
            run.gap_from = self.since(run.latest)  # also of a gadget that went on by itself
            run.complete(f"{run.spec.stop_after.seconds:g} s were asked for", min(due, self._now))
        elif (wanted := run.spec.stop_after.events) and run.latest.last_seq >= wanted:
            run.complete(f"{wanted} events were asked for", at)
        elif source is None:
            name = run.spec.environment
            run.interrupt(f"igdash restarted, and environment {name!r} is not configured", at)
        elif not source.restartable(run.spec):
            run.interrupt("igdash restarted, and this gadget cannot go on where it was", at)
        else:
            run.open(source)

    def warn_of_strangers(self, folder: Path) -> None:
        """Tell of spool files whose session this store does not have unfinished: they may belong
        to another database, so they are left alone."""
        strangers = sorted(sessions_in(folder) - {run.id for run in self._runs})
        if strangers:
            names = ", ".join(strangers)
            log.warning(
                "%s: spool files of sessions this store is not waiting for: %s", folder, names
            )


def _tail(since: int, now: int) -> Loss:
    """Return the record for what a gadget told at its stop, with nobody there to hear it."""
    return Loss(
        node="",
        start=min(since, now),
        end=now,
        count=0,
        cause=LossCause.STOP_TAIL,
        detail="igdash went down during the stop: the last events may be missing; how many is not known",
        exact=False,
    )


def _due(run: Run) -> int | None:
    """Return when the session's time is over (ns), None when it has no limit or never ran."""
    seconds = run.spec.stop_after.seconds
    if seconds is None or run.running_since is None:
        return None
    return run.running_since + int(seconds * NS)
