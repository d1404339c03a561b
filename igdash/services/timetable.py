"""When a schedule runs next: cron expressions in a time zone, or an interval.

cronsim reads cron as Debian does, also over a change of the clocks: a job of the hour that is
skipped runs right after it, one of the hour that comes twice runs once.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

from cronsim import CronSim, CronSimError

from igdash.domain.schedules import Schedule, When
from igdash.domain.times import NS, now_ns

LEAST: Final = 10.0
"""Shortest interval in seconds: a run reads the list of sessions and makes files."""
MOST: Final = 366 * 86_400.0
AHEAD: Final = 60 * NS
"""How far (ns) clocks of machines differ; an anchor further ahead is of a clock that was set back."""
_FIVE: Final = "five fields, e.g. 0 * * * * for every full hour"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def problems(when: When) -> dict[str, str]:
    """Return what is wrong with a timetable, by field."""
    found: dict[str, str] = {}
    if bool(when.cron) == (when.every is not None):
        found["when"] = "needs either cron or every"
    if when.every is not None and not LEAST <= when.every <= MOST:
        found["when.every"] = f"must be {LEAST:.0f} s to 366 d"
    zone = _zone(when.zone)
    if zone is None:
        found["when.zone"] = f"{when.zone[:64]!r} is no time zone such as Europe/Berlin"
    elif when.cron and len(when.cron.split()) == 6:  # cronsim takes the first for seconds
        found["when.cron"] = f"Wrong number of fields; {_FIVE}"
    elif when.cron:
        try:
            next(CronSim(when.cron, datetime.now(zone)))
        except CronSimError as error:
            found["when.cron"] = f"{error}; {_FIVE}"
        except StopIteration:
            found["when.cron"] = "never comes true"
    return found


def next_after(when: When, after: int) -> int | None:
    """Return the first moment (ns) of the timetable after `after`; None when there is none."""
    if when.every is not None:
        return after + int(when.every * NS)
    zone = _zone(when.zone) or ZoneInfo("UTC")
    try:
        # Asked in the second of two hours that are one by the clock, it names moments of the first:
        # they are over, and to be due at once would be to run in every look until that hour ends.
        for found in CronSim(when.cron, (_EPOCH + timedelta(seconds=after // NS)).astimezone(zone)):
            moment = int((found - _EPOCH).total_seconds()) * NS
            if moment > after:
                return moment
    except CronSimError:
        pass
    return None


def next_run(schedule: Schedule) -> int | None:
    """Return when (ns) a schedule runs next, in the past when it is due; None: never by itself."""
    moments = [schedule.asked]
    if not schedule.spec.paused:
        ahead = schedule.anchor > (now := now_ns()) + AHEAD
        regular = now if ahead else next_after(schedule.spec.when, schedule.anchor)
        moments += [schedule.retry, regular]
    return min((one for one in moments if one is not None), default=None)


def new_anchor(schedule: Schedule, now: int) -> int | None:
    """Return from where the timetable goes on after a run at `now`; None: as before.

    All moments that were missed are over with it: they are caught up by one run.
    """
    when = schedule.spec.when
    if schedule.anchor > now + AHEAD:
        return now
    due = next_after(when, schedule.anchor)
    if schedule.spec.paused or due is None or due > now:
        return None
    if when.every is None:
        return now
    step = int(when.every * NS)
    return schedule.anchor + (now - schedule.anchor) // step * step


def _zone(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name)
    except (KeyError, OSError, ValueError):  # not known; a folder of zones; no name at all
        return None
