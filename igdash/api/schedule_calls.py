"""Calls about scheduled exports: look, make, change, run now, delete, download."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import cast

from flask import Response

from igdash.api import schedule_types as t
from igdash.api import schemas as s
from igdash.api.routes import Call, Route
from igdash.domain.schedules import ExportFormat, Run, ScheduleSpec, What, When
from igdash.domain.sessions import SessionId
from igdash.services.render import time_text
from igdash.services.schedules import Standing
from igdash.services.web import WebServices

_MANY = 1_000
"""Files and sessions listed of a run; the manifest has all."""
_BLOCK = 256 * 1024


def run_shape(one: Run, *, brief: bool = False) -> t.RunOut:
    """Return a run; a brief one has no lists."""
    remote = "://" in one.place
    base = f"/api/schedules/{one.schedule}/runs/{one.id}/files/"
    return t.RunOut(
        id=one.id,
        state=one.state.value,
        reason=one.reason,
        started=time_text(one.started),
        ended=None if one.ended is None else time_text(one.ended),
        place=one.place,
        rows=one.rows,
        bytes=one.bytes,
        lost=one.lost,
        files=[]
        if brief
        else [
            t.RunFileOut(
                name=file.name,
                session=file.session,
                rows=file.rows,
                bytes=file.bytes,
                sha256=file.sha256,
                url=None if remote else base + file.name,
            )
            for file in one.files[:_MANY]
        ],
        sessions=[]
        if brief
        else [
            t.RunRangeOut(
                session=part.session,
                gadget=part.gadget,
                first=part.first,
                last=part.last,
                rows=part.rows,
                lost=part.lost,
            )
            for part in one.ranges[:_MANY]
        ],
    )


def shape(one: Standing) -> t.ScheduleOut:
    """Return a schedule."""
    schedule, spec = one.schedule, one.schedule.spec
    what, when = spec.what, spec.when
    return t.ScheduleOut(
        id=schedule.id,
        name=spec.name,
        what=t.WhatOut(
            sessions=list(what.sessions),
            gadget=what.gadget,
            namespace=what.namespace,
            environment=what.environment,
            states=[state.value for state in what.states],
            filter=what.filter,
            sql=what.sql,
        ),
        when=t.WhenOut(cron=when.cron, every=when.every, zone=when.zone),
        format=spec.format.value,
        destination=spec.destination,
        keep=spec.keep,
        paused=spec.paused,
        created=time_text(schedule.created),
        next=None if one.next is None else time_text(one.next),
        asked=None if schedule.asked is None else time_text(schedule.asked),
        failures=schedule.failures,
        last=None if one.last is None else run_shape(one.last, brief=True),
    )


def _spec(body: t.ScheduleIn) -> ScheduleSpec:
    what = body.what
    return ScheduleSpec(
        name=body.name.strip(),
        what=What(
            sessions=tuple(SessionId(one) for one in what.sessions),
            gadget=what.gadget,
            namespace=what.namespace,
            environment=what.environment,
            states=tuple(what.states),
            filter=what.filter,
            sql=what.sql,
        ),
        when=When(cron=body.when.cron.strip(), every=body.when.every, zone=body.when.zone),
        format=body.format,
        destination=body.destination,
        keep=body.keep,
        paused=body.paused,
    )


def list_schedules(services: WebServices, _call: Call) -> t.SchedulesOut:
    """Answer all schedules."""
    places = services.schedules.places
    return t.SchedulesOut(
        schedules=[shape(one) for one in services.schedules.list()],
        folder=str(places.folder),
        buckets=list(places.buckets),
        formats=[one.value for one in ExportFormat],
    )


def create(services: WebServices, call: Call) -> t.ScheduleOut:
    """Make one."""
    return shape(services.schedules.create(_spec(call.body)))


def get(services: WebServices, call: Call) -> t.ScheduleOut:
    """Answer one."""
    return shape(services.schedules.get(call.path["schedule"]))


def change(services: WebServices, call: Call) -> t.ScheduleOut:
    """Replace what one wants."""
    return shape(services.schedules.change(call.path["schedule"], _spec(call.body)))


def delete(services: WebServices, call: Call) -> s.DeletedOut:
    """Delete one; its files stay."""
    return s.DeletedOut(id=services.schedules.delete(call.path["schedule"]), deleted=True)


def run_now(services: WebServices, call: Call) -> t.ScheduleOut:
    """Have one run as soon as the exporter looks."""
    return shape(services.schedules.ask(call.path["schedule"]))


def runs(services: WebServices, call: Call) -> t.RunsOut:
    """Answer a page of its runs."""
    q = cast("t.RunsQuery", call.query)
    page = services.schedules.runs(call.path["schedule"], limit=q.limit, offset=q.offset)
    return t.RunsOut(runs=[run_shape(one) for one in page.runs], total=page.total)


def file(services: WebServices, call: Call) -> Response:
    """Answer a file of a run."""
    name = call.path["file"]
    path = services.schedules.file(call.path["schedule"], call.path["run"], name)
    response = Response(_blocks(path), content_type="application/octet-stream")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    response.headers["Content-Length"] = str(path.stat().st_size)
    return response


def _blocks(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        yield from iter(lambda: file.read(_BLOCK), b"")


_BODY = (400, 403, 404, 413, 415, 422, 503)

ROUTES = (
    Route(
        method="GET",
        path="/api/schedules",
        summary="Scheduled exports, each with its next moment and its newest run",
        handler=list_schedules,
        response=t.SchedulesOut,
        errors=(400, 503),
    ),
    Route(
        method="POST",
        path="/api/schedules",
        summary="Make a scheduled export",
        handler=create,
        body=t.ScheduleIn,
        response=t.ScheduleOut,
        status=201,
        errors=_BODY,
    ),
    Route(
        method="GET",
        path="/api/schedules/{schedule}",
        summary="One scheduled export",
        handler=get,
        response=t.ScheduleOut,
    ),
    Route(
        method="PUT",
        path="/api/schedules/{schedule}",
        summary="Replace what a scheduled export wants",
        handler=change,
        body=t.ScheduleIn,
        response=t.ScheduleOut,
        errors=_BODY,
    ),
    Route(
        method="DELETE",
        path="/api/schedules/{schedule}",
        summary="Delete a scheduled export and its history; its files stay",
        handler=delete,
        response=s.DeletedOut,
        errors=(400, 403, 404, 503),
    ),
    Route(
        method="POST",
        path="/api/schedules/{schedule}/run",
        summary="Run it as soon as the exporter looks (a second or two), paused or not",
        handler=run_now,
        response=t.ScheduleOut,
        status=202,
        errors=(403, 404, 503),
    ),
    Route(
        method="GET",
        path="/api/schedules/{schedule}/runs",
        summary="Its runs, newest first: files, checksums, ranges, losses, reasons",
        handler=runs,
        query=t.RunsQuery,
        response=t.RunsOut,
    ),
    Route(
        method="GET",
        path="/api/schedules/{schedule}/runs/{run}/files/{file}",
        summary="A file of a run, or its manifest.json",
        handler=file,
        media=("application/octet-stream",),
    ),
)
