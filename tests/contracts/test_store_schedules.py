"""Scheduled exports in the store: orders are obeyed once, runs and cursors end together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from igdash.domain.errors import ScheduleNotFound, WrongState
from igdash.domain.schedules import (
    KEPT_RUNS,
    Cursor,
    Deed,
    ExportFormat,
    Order,
    Run,
    RunFile,
    RunRange,
    RunState,
    Schedule,
    ScheduleSpec,
    What,
    When,
)
from igdash.domain.sessions import SessionId, SessionState
from igdash.store import lock_run
from tests.support.stores import T0, Store

SPEC = ScheduleSpec(
    name="ünïcode",
    what=What(
        sessions=(SessionId("a"),),
        gadget="trace_tcp",
        states=(SessionState.RUNNING, SessionState.FAILED),
        filter='comm = "x"',
    ),
    when=When(cron="*/5 * * * *", zone="Europe/Berlin"),
    format=ExportFormat.JSONL_GZ,
    keep=3,
)
FILE = RunFile(name="x.jsonl", session="a", rows=7, bytes=2**40, sha256="f" * 64)
RANGE = RunRange(
    session=SessionId("a"), gadget="trace_tcp", first=1, last=7, lost=2, total_lost=5, rows=7
)
RUN = Run(id="r1", schedule="s1", started=T0)


def order(store: Store, deed: Deed, schedule: str = "s1", **more: object) -> Schedule:
    return store.writer.schedule(Order(deed=deed, schedule=schedule, at=T0, **more))


def done(run: Run = RUN, *ranges: RunRange) -> Run:
    return replace(run, state=RunState.DONE, ended=T0 + 9, rows=7, files=(FILE,), ranges=ranges)


def test_created_once_read_back_and_listed_by_name(store: Store) -> None:
    made = order(store, Deed.CREATE, spec=SPEC)
    assert made == order(store, Deed.CREATE, spec=replace(SPEC, name="again"))
    assert made == Schedule(id="s1", spec=SPEC, created=T0, anchor=T0)
    order(store, Deed.CREATE, "s2", spec=replace(SPEC, name="A"))
    reader = store.reader.schedules
    assert [one.id for one in reader.list()] == ["s2", "s1"]
    assert reader.get("s1") == made


def test_what_is_not_there_says_so(store: Store) -> None:
    reader = store.reader.schedules
    for call in (reader.get, reader.runs, reader.cursors, lambda one: reader.run(one, "r")):
        with pytest.raises(ScheduleNotFound):
            call("nope")
    for deed in (Deed.ASK, Deed.DELETE):
        with pytest.raises(ScheduleNotFound):
            order(store, deed, "nope")


def test_a_run_and_its_cursors_end_together(store: Store) -> None:
    order(store, Deed.CREATE, spec=SPEC)
    assert order(store, Deed.ASK).asked == T0
    begun = order(store, Deed.BEGIN, run=RUN, anchor=T0 + 5)
    assert (begun.asked, begun.anchor) == (None, T0 + 5)
    reader = store.reader.schedules
    assert reader.run("s1", "r1") == RUN
    assert reader.cursors("s1") == {}
    ended = done(RUN, RANGE)
    for _ in range(2):
        order(store, Deed.FINISH, run=ended)
    assert reader.runs("s1").runs == (ended,)
    assert reader.cursors("s1") == {"a": Cursor(seq=7, lost=5)}
    other = done(replace(RUN, id="r2"), replace(RANGE, first=8, last=9, total_lost=6))
    order(store, Deed.BEGIN, run=replace(RUN, id="r2"))
    order(store, Deed.FINISH, run=other)
    assert reader.cursors("s1") == {"a": Cursor(seq=9, lost=6)}
    with pytest.raises(WrongState):
        order(store, Deed.FINISH, run=replace(ended, state=RunState.FAILED))
    assert reader.cursors("s1")["a"].seq == 9


def test_failures_count_until_a_run_is_done(store: Store) -> None:
    order(store, Deed.CREATE, spec=SPEC)
    for number in (1, 2):
        run = replace(RUN, id=f"r{number}")
        order(store, Deed.BEGIN, run=run)
        failed = replace(run, state=RunState.FAILED, reason="full", ranges=(RANGE,))
        after = order(store, Deed.FINISH, run=failed, retry=T0 + number)
        assert (after.failures, after.retry) == (number, T0 + number)
    assert store.reader.schedules.cursors("s1") == {}
    order(store, Deed.BEGIN, run=replace(RUN, id="r3"))
    after = order(store, Deed.FINISH, run=done(replace(RUN, id="r3")))
    assert (after.failures, after.retry) == (0, None)


def test_another_timetable_begins_now_and_nothing_paused_is_caught_up(store: Store) -> None:
    order(store, Deed.CREATE, spec=SPEC)

    def change(**more: object) -> int:
        spec = replace(store.reader.schedules.get("s1").spec, **more)
        at = store.reader.schedules.get("s1").anchor + 1
        return store.writer.schedule(
            Order(deed=Deed.CHANGE, schedule="s1", at=at, spec=spec)
        ).anchor

    assert change(keep=1) == T0
    assert change(paused=True) == T0
    assert change(paused=False) == T0 + 1
    assert change(when=When(every=60.0)) == T0 + 2


def test_deleting_takes_runs_and_cursors_along(store: Store) -> None:
    order(store, Deed.CREATE, spec=SPEC)
    order(store, Deed.BEGIN, run=RUN)
    order(store, Deed.FINISH, run=done(RUN, RANGE))
    order(store, Deed.DELETE)
    assert store.reader.schedules.list() == ()
    order(store, Deed.CREATE, spec=SPEC)
    assert store.reader.schedules.runs("s1").total == 0
    assert store.reader.schedules.cursors("s1") == {}


def test_runs_are_paged_newest_first_and_the_oldest_forgotten(store: Store) -> None:
    order(store, Deed.CREATE, spec=SPEC)
    for number in range(5):
        run = replace(RUN, id=f"r{number}", started=T0 + number)
        order(store, Deed.BEGIN, run=run)
    page = store.reader.schedules.runs("s1", limit=2, offset=1)
    assert ([run.id for run in page.runs], page.total) == (["r3", "r2"], 5)
    assert KEPT_RUNS > 100


@pytest.mark.parametrize("keep", [0, 1])
def test_the_oldest_runs_are_forgotten_but_none_with_files_to_remove(
    store: Store, monkeypatch: pytest.MonkeyPatch, keep: int
) -> None:
    monkeypatch.setattr("igdash.store.schedules.KEPT_RUNS", 6)
    monkeypatch.setattr("igdash.store.schedules._SPARE", 1)
    order(store, Deed.CREATE, spec=replace(SPEC, keep=keep))
    for number in range(20):
        run = replace(RUN, id=f"r{number}", started=T0 + number)
        order(store, Deed.BEGIN, run=run)
        ended = done(run) if number % 5 == 0 else replace(done(run), rows=0, files=())
        order(store, Deed.FINISH, run=ended)
    kept = [int(run.id[1:]) for run in store.reader.schedules.runs("s1").runs]
    assert kept == [19, 18, 17, 16, 15, 14, *([10] if keep else [])]


def test_one_holder_of_a_lock_at_a_time(store: Store, tmp_path: Path) -> None:
    first = lock_run(store.url, tmp_path, "s1")
    assert first is not None
    assert first.held()
    assert lock_run(store.url, tmp_path, "s1") is None
    other = lock_run(store.url, tmp_path, "s2")
    assert other is not None
    other.release()
    first.release()
    again = lock_run(store.url, tmp_path, "s1")
    assert again is not None
    again.release()
    again.release()
