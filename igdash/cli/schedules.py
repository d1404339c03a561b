"""schedules: scheduled exports from the command line. Changes go through the running collector."""

from __future__ import annotations

import argparse
import sys
import threading
from collections.abc import Callable
from typing import Final

from igdash.api import schedule_calls
from igdash.bootstrap import open_desk
from igdash.cli.context import settings_of
from igdash.cli.main import FAILED, OK, complain
from igdash.cli.output import (
    Column,
    Listing,
    age,
    count,
    print_json,
    print_pairs,
    show,
    show_one,
    size,
)
from igdash.domain.schedules import ExportFormat, Run, RunState, ScheduleSpec, What, When
from igdash.domain.sessions import SessionState
from igdash.domain.times import NS, format_ns, now_ns
from igdash.services.schedules import Schedules, Standing

_LOOK: Final = 0.5


def _schedules(args: argparse.Namespace) -> Schedules:
    return open_desk(settings_of(args)).schedules


def list_(args: argparse.Namespace) -> int:
    """List the schedules."""
    show(_schedules(args).list(), SCHEDULE, args.output)
    return OK


def show_schedule(args: argparse.Namespace) -> int:
    """Show one schedule and its newest runs."""
    schedules = _schedules(args)
    id_ = schedules.resolve(args.id)
    one = schedules.get(id_)
    runs = schedules.runs(id_, limit=args.runs).runs
    if args.output == "json":
        shaped = schedule_calls.shape(one)
        print_json({"schedule": shaped, "runs": [_run_shape(run) for run in runs]}, indent=2)
        return OK
    if args.output in ("table", "wide"):
        print_pairs(_pairs(one))
        print()
    show(runs, RUN, args.output)
    return OK


def add(args: argparse.Namespace) -> int:
    """Make a schedule and print its id."""
    desk = open_desk(settings_of(args))
    spec = ScheduleSpec(
        name=args.name,
        what=What(
            sessions=tuple(desk.sessions.resolve(prefix) for prefix in args.session),
            gadget=args.gadget,
            namespace=args.namespace,
            environment=args.environment,
            states=tuple(SessionState(state) for state in args.state or ()),
            filter=args.filter,
            sql=args.sql,
        ),
        when=When(cron=args.cron or "", every=args.every, zone=args.zone),
        format=ExportFormat(args.format),
        destination=args.to,
        keep=args.keep,
        paused=args.paused,
    )
    show_one(desk.schedules.create(spec), SCHEDULE, args.output)
    return OK


def run(args: argparse.Namespace) -> int:
    """Ask for a run; with --wait print how it ended."""
    schedules = _schedules(args)
    id_ = schedules.resolve(args.id)
    before = {one.id for one in schedules.runs(id_, limit=50).runs}
    schedules.ask(id_)
    if not args.wait:
        print(f"{id_} asked for a run")
        return OK
    done = _ended(schedules, id_, before, args.wait)
    if done is None:
        return complain(f"no run ended within {args.wait:g} s; is an exporter running?", FAILED)
    show_one(done, RUN, args.output)
    if done.state is RunState.FAILED:
        return complain(f"run {done.id} failed: {done.reason}", FAILED)
    return OK


def _ended(schedules: Schedules, id_: str, before: set[str], wait: float) -> Run | None:
    until, pause = now_ns() + int(wait * NS), threading.Event()
    while now_ns() < until:
        new = [one for one in schedules.runs(id_, limit=50).runs if one.id not in before]
        if new and new[-1].state is not RunState.RUNNING:
            return new[-1]
        pause.wait(_LOOK)
    return None


def pause(args: argparse.Namespace) -> int:
    """Let schedules rest."""
    return _each(args, lambda all_, id_: all_.pause(id_, True).schedule.id, "paused")


def resume(args: argparse.Namespace) -> int:
    """Let schedules go on, from now."""
    return _each(args, lambda all_, id_: all_.pause(id_, False).schedule.id, "resumed")


def delete(args: argparse.Namespace) -> int:
    """Delete schedules; their files stay."""
    return _each(args, lambda all_, id_: all_.delete(id_), "deleted")


def _each(args: argparse.Namespace, change: Callable[[Schedules, str], str], done: str) -> int:
    schedules = _schedules(args)
    for word in args.ids:
        print(f"{change(schedules, schedules.resolve(word))} {done}")
        sys.stdout.flush()
    return OK


# ---------------------------------------------------------------- how they look


def _run_shape(one: Run) -> object:
    return schedule_calls.run_shape(one)


def timetable(one: Standing) -> str:
    """Return a timetable in few words."""
    when = one.schedule.spec.when
    if when.every is not None:
        return f"every {when.every:g} s"
    return f"{when.cron} ({when.zone})"


def wanted(one: Standing) -> str:
    """Return what is exported in few words."""
    what = one.schedule.spec.what
    if what.sql:
        return what.sql
    parts = [
        ",".join(what.sessions),
        what.gadget,
        what.namespace and f"namespace={what.namespace}",
        what.environment and f"environment={what.environment}",
        what.states and f"state={','.join(what.states)}",
        what.filter,
    ]
    return " ".join(str(part) for part in parts if part) or "everything"


def _next(one: Standing) -> str:
    if one.next is None:
        return "paused" if one.schedule.spec.paused else "never"
    return "now" if one.next <= now_ns() else format_ns(one.next)[:19] + "Z"


def _last(one: Standing) -> str:
    if one.last is None:
        return ""
    return f"{one.last.state} {age(one.last.ended or one.last.started)} ago"


def _pairs(one: Standing) -> list[tuple[str, object]]:
    spec = one.schedule.spec
    return [
        ("id", one.schedule.id),
        ("name", spec.name),
        ("what", wanted(one)),
        ("when", timetable(one)),
        ("format", spec.format),
        ("destination", spec.destination),
        ("keep", spec.keep or "all"),
        ("next", _next(one)),
    ]


SCHEDULE: Final[Listing[Standing]] = Listing(
    key="schedules",
    columns=(
        Column(title="ID", text=lambda s: s.schedule.id),
        Column(title="NAME", text=lambda s: s.schedule.spec.name),
        Column(title="WHAT", text=wanted, wide=True),
        Column(title="WHEN", text=timetable),
        Column(title="FORMAT", text=lambda s: s.schedule.spec.format),
        Column(title="DESTINATION", text=lambda s: s.schedule.spec.destination, wide=True),
        Column(title="NEXT", text=_next),
        Column(title="LAST", text=_last),
        Column(title="ROWS", text=lambda s: count(s.last.rows) if s.last else "", right=True),
    ),
    name=lambda s: s.schedule.id,
    shape=schedule_calls.shape,
)

RUN: Final[Listing[Run]] = Listing(
    key="runs",
    columns=(
        Column(title="RUN", text=lambda r: r.id),
        Column(title="STATE", text=lambda r: r.state),
        Column(title="ROWS", text=lambda r: count(r.rows), right=True),
        Column(title="SIZE", text=lambda r: size(r.bytes), right=True),
        Column(title="FILES", text=lambda r: count(len(r.files)), right=True),
        Column(title="LOST", text=lambda r: count(r.lost), right=True),
        Column(title="PLACE", text=lambda r: r.place, wide=True),
        Column(title="REASON", text=lambda r: r.reason),
    ),
    name=lambda r: r.id,
    shape=_run_shape,
)
