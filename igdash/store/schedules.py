"""Scheduled exports in the store: read by all, changed by the writer in one transaction each.

An order may come twice (its acknowledgement was lost), so each is written to change nothing the
second time; the end of a run and its cursors are one transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import msgspec
from sqlalchemy import ColumnElement, Connection, Engine, delete, func, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from igdash.domain.errors import ScheduleNotFound, WrongState
from igdash.domain.schedules import (
    KEPT_RUNS,
    Cursor,
    Deed,
    Order,
    Run,
    RunFile,
    RunPage,
    RunRange,
    RunState,
    Schedule,
    ScheduleSpec,
)
from igdash.domain.sessions import SessionId
from igdash.store.errors import translated
from igdash.store.rows import clean
from igdash.store.tables import export_cursors, export_runs, schedules

_s = schedules.c
_r = export_runs.c
_c = export_cursors.c
_SPARE: Final = 20
"""Whole runs beyond those that a schedule keeps: their files are removed after the end of a run."""
_READING: Final = "cannot read the scheduled exports"


class StoredSchedules:
    """The `ScheduleReader` port on SQL."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def list(self) -> tuple[Schedule, ...]:
        """Return all, by name."""
        wanted = select(schedules).order_by(func.lower(_s.name), _s.id)
        with translated(_READING), self._engine.connect() as conn:
            return tuple(map(_schedule, conn.execute(wanted)))

    def get(self, schedule: str) -> Schedule:
        """Return one. Raises `ScheduleNotFound`."""
        with translated(_READING), self._engine.connect() as conn:
            return _get(conn, schedule)

    def runs(self, schedule: str, *, limit: int = 50, offset: int = 0) -> RunPage:
        """Return its runs, newest first. Raises `ScheduleNotFound`."""
        mine = _r.schedule_id == clean(schedule)
        wanted = select(export_runs).where(mine).order_by(_r.started.desc(), _r.id.desc())
        with translated(_READING), self._engine.connect() as conn:
            _get(conn, schedule)
            rows = conn.execute(wanted.limit(limit).offset(offset)).all()
            total = conn.execute(select(func.count()).where(mine)).scalar_one()
        return RunPage(runs=tuple(map(_run, rows)), total=total)

    def run(self, schedule: str, run: str) -> Run:
        """Return one of its runs. Raises `ScheduleNotFound`."""
        with translated(_READING), self._engine.connect() as conn:
            _get(conn, schedule)
            found = _stored_run(conn, schedule, run)
        if found is None:
            raise ScheduleNotFound(f"schedule {schedule} has no run {run[:64]!r}")
        return found

    def cursors(self, schedule: str) -> Mapping[SessionId, Cursor]:
        """Return how far it has exported each session it has met. Raises `ScheduleNotFound`."""
        wanted = select(_c.session_uid, _c.seq, _c.lost).where(_c.schedule_id == clean(schedule))
        with translated(_READING), self._engine.connect() as conn:
            _get(conn, schedule)
            return {
                SessionId(row.session_uid): Cursor(seq=row.seq, lost=row.lost)
                for row in conn.execute(wanted)
            }


def obey(conn: Connection, order: Order) -> Schedule:
    """Change what an order says, inside the writer's transaction; return the schedule."""
    if order.deed is Deed.CREATE:
        _create(conn, order)
    schedule = _get(conn, order.schedule)
    if order.deed is Deed.DELETE:
        for column in (_c.schedule_id, _r.schedule_id, _s.id):
            conn.execute(delete(column.table).where(column == schedule.id))
        return schedule
    _OTHERS[order.deed](conn, schedule, order)
    return _get(conn, schedule.id)


def _create(conn: Connection, order: Order) -> None:
    if conn.execute(select(_s.id).where(_s.id == clean(order.schedule))).first() is None:
        values = _spec_values(order) | {"created": order.at, "anchor": order.at}
        conn.execute(insert(schedules).values(id=clean(order.schedule), **values))


def _change(conn: Connection, schedule: Schedule, order: Order) -> None:
    values = _spec_values(order)
    new = order.spec
    assert new is not None
    if new.when != schedule.spec.when or (schedule.spec.paused and not new.paused):
        # What was missed under another timetable, or on purpose, is not caught up.
        values |= {"anchor": order.at, "failures": 0, "retry": None}
    _set(conn, schedule, values)


def _ask(conn: Connection, schedule: Schedule, order: Order) -> None:
    _set(conn, schedule, {"asked": order.at})


def _begin(conn: Connection, schedule: Schedule, order: Order) -> None:
    run = order.run
    assert run is not None
    if _stored_run(conn, schedule.id, run.id) is None:
        conn.execute(insert(export_runs).values(**_run_values(run)))
        values: dict[str, Any] = {"asked": None, "retry": None}
        if order.anchor is not None:
            values["anchor"] = order.anchor
        _set(conn, schedule, values)


def _finish(conn: Connection, schedule: Schedule, order: Order) -> None:
    run = order.run
    assert run is not None
    known = _stored_run(conn, schedule.id, run.id)
    if known is None:
        raise ScheduleNotFound(f"schedule {schedule.id} has no run {run.id!r}")
    mine = (_r.schedule_id == schedule.id) & (_r.id == run.id)
    if known.state is not RunState.RUNNING:
        if known.state is not run.state:
            raise WrongState(f"run {run.id} has {known.state} already")
        if known.state is RunState.FAILED and not run.place:  # what it left is gone by now
            conn.execute(update(export_runs).where(mine).values(place=""))
        return
    conn.execute(update(export_runs).where(mine).values(**_run_values(run)))
    done = run.state is RunState.DONE
    if done and run.ranges:
        _move(conn, schedule.id, run)
    values = {"failures": 0 if done else schedule.failures + 1}
    _set(conn, schedule, values | {"retry": None if done else order.retry})
    _forget_old(conn, schedule)


_OTHERS: Final = {
    Deed.CREATE: lambda *_: None,
    Deed.CHANGE: _change,
    Deed.ASK: _ask,
    Deed.BEGIN: _begin,
    Deed.FINISH: _finish,
}


def _move(conn: Connection, schedule: str, run: Run) -> None:
    rows = [
        {
            "schedule_id": schedule,
            "session_uid": clean(one.session),
            "seq": one.last,
            "lost": one.total_lost,
        }
        for one in run.ranges
    ]
    make: Any = sqlite.insert if conn.dialect.name == "sqlite" else postgresql.insert
    statement = make(export_cursors)
    news = {"seq": statement.excluded.seq, "lost": statement.excluded.lost}
    keys = [_c.schedule_id, _c.session_uid]
    conn.execute(statement.on_conflict_do_update(index_elements=keys, set_=news), rows)


def _forget_old(conn: Connection, schedule: Schedule) -> None:
    """Forget runs beyond the newest, but none whose files are still to be removed one day."""
    mine = _r.schedule_id == schedule.id
    old = _older(conn, mine, KEPT_RUNS)
    if old is None:
        return
    if schedule.spec.keep:
        whole = mine & (_r.state == RunState.DONE.value) & (_r.files != _text(()))
        beyond = _older(conn, whole, schedule.spec.keep + _SPARE)
        old &= ~whole if beyond is None else ~whole | beyond
    conn.execute(delete(export_runs).where(mine, old))


def _older(conn: Connection, which: ColumnElement[bool], than: int) -> ColumnElement[bool] | None:
    """Return what is true of runs that are older than the newest `than` of some."""
    newest = select(_r.started).where(which).order_by(_r.started.desc())
    edge = conn.execute(newest.offset(than).limit(1)).scalar()
    return None if edge is None else _r.started <= edge


def _set(conn: Connection, schedule: Schedule, values: Mapping[str, Any]) -> None:
    conn.execute(update(schedules).where(_s.id == schedule.id).values(**values))


def _get(conn: Connection, schedule: str) -> Schedule:
    row = conn.execute(select(schedules).where(_s.id == clean(schedule))).one_or_none()
    if row is None:
        raise ScheduleNotFound(f"there is no schedule {schedule[:64]!r}")
    return _schedule(row)


def _stored_run(conn: Connection, schedule: str, run: str) -> Run | None:
    mine = (_r.schedule_id == clean(schedule)) & (_r.id == clean(run))
    row = conn.execute(select(export_runs).where(mine)).one_or_none()
    return None if row is None else _run(row)


# ---------------------------------------------------------------- to rows and back


def _text(value: object) -> str:
    return clean(msgspec.json.encode(value).decode())


def _spec_values(order: Order) -> dict[str, Any]:
    assert order.spec is not None
    return {"name": clean(order.spec.name), "spec": _text(order.spec)}


def _schedule(row: Any) -> Schedule:
    return Schedule(
        id=row.id,
        spec=msgspec.json.decode(row.spec, type=ScheduleSpec),
        created=row.created,
        anchor=row.anchor,
        asked=row.asked,
        failures=row.failures,
        retry=row.retry,
    )


def _run_values(run: Run) -> dict[str, Any]:
    return {
        "schedule_id": clean(run.schedule),
        "id": clean(run.id),
        "started": run.started,
        "ended": run.ended,
        "state": run.state.value,
        "reason": clean(run.reason),
        "place": clean(run.place),
        "row_count": run.rows,
        "byte_count": run.bytes,
        "lost": run.lost,
        "files": _text(run.files),
        "ranges": _text(run.ranges),
    }


def _run(row: Any) -> Run:
    return Run(
        id=row.id,
        schedule=row.schedule_id,
        started=row.started,
        ended=row.ended,
        state=RunState(row.state),
        reason=row.reason,
        place=row.place,
        rows=row.row_count,
        bytes=row.byte_count,
        lost=row.lost,
        files=msgspec.json.decode(row.files, type=tuple[RunFile, ...]),
        ranges=msgspec.json.decode(row.ranges, type=tuple[RunRange, ...]),
    )
