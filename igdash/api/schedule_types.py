"""What is asked and answered about scheduled exports: the types that validate make the OpenAPI
document."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta, field

from igdash.api.requests import Limit, Seq, Strict
from igdash.domain.schedules import ExportFormat
from igdash.domain.sessions import SessionState

Text = Annotated[str, Meta(max_length=400)]


class WhatIn(Strict):
    """Which events: of sessions that meet every condition, those a filter picks; or a statement."""

    sessions: Annotated[list[Text], Meta(max_length=1_000)] = field(default_factory=list)
    gadget: Text = ""
    namespace: Text = ""
    environment: Text = ""
    states: Annotated[list[SessionState], Meta(max_length=6)] = field(default_factory=list)
    filter: Annotated[str, Meta(max_length=10_000)] = ""
    sql: Annotated[str, Meta(max_length=100_000)] = ""


class WhenIn(Strict):
    """Exactly one of `cron` (five fields, in the time zone `zone`) and `every` (seconds)."""

    cron: Annotated[str, Meta(max_length=200)] = ""
    every: float | None = None
    zone: Annotated[str, Meta(max_length=64)] = "UTC"


class ScheduleIn(Strict):
    """A schedule. `destination` is a folder below `exports.folder` (empty: named after the
    schedule) or an allowed S3 URL; the files of the newest `keep` runs stay, 0 = of all."""

    name: Annotated[str, Meta(min_length=1, max_length=200)]
    when: WhenIn
    what: WhatIn = field(default_factory=WhatIn)
    format: ExportFormat = ExportFormat.JSONL
    destination: Text = ""
    keep: Annotated[int, Meta(ge=0, le=10_000)] = 0
    paused: bool = False


class RunsQuery(Strict):
    """A page of runs."""

    limit: Limit = 50
    offset: Seq = 0


class WhatOut(msgspec.Struct, kw_only=True):
    """Which events."""

    sessions: list[str]
    gadget: str
    namespace: str
    environment: str
    states: list[str]
    filter: str
    sql: str


class WhenOut(msgspec.Struct, kw_only=True):
    """A timetable."""

    cron: str
    every: float | None
    zone: str


class RunFileOut(msgspec.Struct, kw_only=True):
    """A file. `url` is where it is downloaded, null when it is not on this machine."""

    name: str
    session: str
    rows: int
    bytes: int
    sha256: str
    url: str | None


class RunRangeOut(msgspec.Struct, kw_only=True):
    """What a run covers of a session: events `first` to `last`, of which `rows` were picked."""

    session: str
    gadget: str
    first: int
    last: int
    rows: int
    lost: int


class RunOut(msgspec.Struct, kw_only=True):
    """A run: running, done, or failed for a `reason`. `lost` events belong into its ranges."""

    id: str
    state: str
    reason: str
    started: str
    ended: str | None
    place: str
    rows: int
    bytes: int
    lost: int
    files: list[RunFileOut]
    sessions: list[RunRangeOut]


class ScheduleOut(msgspec.Struct, kw_only=True):
    """A schedule. `next`: when it runs (in the past: as soon as the exporter can); `asked`: somebody
    wants it now; `failures` in a row; `last`: its newest run, without files and sessions."""

    id: str
    name: str
    what: WhatOut
    when: WhenOut
    format: str
    destination: str
    keep: int
    paused: bool
    created: str
    next: str | None
    asked: str | None
    failures: int
    last: RunOut | None


class SchedulesOut(msgspec.Struct, kw_only=True):
    """All schedules; `folder` and `buckets` are where they may write, `formats` what."""

    schedules: list[ScheduleOut]
    folder: str
    buckets: list[str]
    formats: list[str]


class RunsOut(msgspec.Struct, kw_only=True):
    """Runs, newest first."""

    runs: list[RunOut]
    total: int
