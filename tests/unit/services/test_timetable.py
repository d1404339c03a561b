"""When schedules run: time zones, changes of the clocks, what was missed."""

from __future__ import annotations

import pytest

from igdash.domain.schedules import Schedule, ScheduleSpec, What, When
from igdash.domain.times import NS, format_ns, now_ns, parse_time
from igdash.services.timetable import new_anchor, next_after, next_run, problems


def after(cron: str, zone: str, moment: str) -> str:
    found = next_after(When(cron=cron, zone=zone), parse_time(moment))
    assert found is not None
    return format_ns(found)[:19]


@pytest.mark.parametrize(
    ("cron", "zone", "moment", "expected"),
    [
        ("0 * * * *", "UTC", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00"),
        ("0 2 * * *", "Europe/Berlin", "2026-01-01T00:00:00Z", "2026-01-01T01:00:00"),
        ("30 2 * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", "2026-03-29T01:00:00"),  # skipped
        ("30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00"),  # twice
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-25T01:10:00Z",
            "2026-10-26T01:30:00",
        ),  # again 2:10
        ("15 1-3 * * *", "America/New_York", "2026-11-01T06:05:00Z", "2026-11-01T07:15:00"),
    ],
)
def test_cron_in_its_zone(cron: str, zone: str, moment: str, expected: str) -> None:
    assert after(cron, zone, moment) == expected


def schedule(when: When, anchor: int, **more: object) -> Schedule:
    spec = ScheduleSpec(name="x", what=What(), when=when, paused=bool(more.pop("paused", False)))
    return Schedule(id="s", spec=spec, created=anchor, anchor=anchor, **more)


def test_what_was_missed_is_over_with_one_run() -> None:
    every = schedule(When(every=60.0), 0)
    assert next_run(every) == 60 * NS
    assert new_anchor(every, 59 * NS) is None
    assert new_anchor(every, 605 * NS) == 600 * NS
    hourly = schedule(When(cron="0 * * * *"), 0)
    assert new_anchor(hourly, 9000 * NS) == 9000 * NS


@pytest.mark.parametrize("when", [When(every=60.0), When(cron="0 * * * *")])
def test_a_clock_set_back_holds_up_no_schedule(when: When) -> None:
    now = now_ns()
    ahead = schedule(when, now + 86_400 * NS)
    due = next_run(ahead)
    assert due is not None
    assert due <= now_ns()
    assert new_anchor(ahead, now) == now
    assert next_run(schedule(when, now + 86_400 * NS, paused=True)) is None
    other_machine = next_run(schedule(when, now + 5 * NS))
    assert other_machine is not None
    assert other_machine > now_ns()


def test_the_next_run_is_the_first_reason_there_is() -> None:
    when = When(every=60.0)
    assert next_run(schedule(when, 0, retry=7)) == 7
    assert next_run(schedule(when, 0, retry=7, asked=5)) == 5
    assert next_run(schedule(when, 0, retry=7, paused=True)) is None
    assert next_run(schedule(when, 0, asked=5, paused=True)) == 5


def test_what_is_no_timetable() -> None:
    assert problems(When(cron="0 * * * *", zone="Europe/Berlin")) == {}
    assert set(problems(When())) == {"when"}
    assert set(problems(When(every=9.0))) == {"when.every"}
    assert set(problems(When(cron="nope"))) == {"when.cron"}
    assert set(problems(When(cron="* * * * * *"))) == {"when.cron"}  # seconds: below any interval
    assert set(problems(When(cron="0 * * * *", zone=""))) == {"when.zone"}
