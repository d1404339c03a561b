"""Scheduled exports: what is wanted, what each run did, and how far each session has come.

A run covers each session from the seq after its cursor; the cursors move in the same transaction
that ends the run, so whatever dies in between, no event is exported twice and none is left out.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from igdash.domain.sessions import SessionId, SessionState

KEPT_RUNS = 500
"""Newest runs kept per schedule."""


class ExportFormat(StrEnum):
    """What the files of a schedule are."""

    JSONL = "jsonl"
    JSONL_GZ = "jsonl.gz"
    JSONL_ZST = "jsonl.zst"
    CSV = "csv"
    PARQUET = "parquet"


@dataclass(frozen=True, slots=True, kw_only=True)
class What:
    """Which events: of sessions that meet every condition given (empty = no condition), those that
    `filter` picks; or the answer to `sql`, whole at every run.

    `states` is looked at when a session is met first: what a schedule has begun to export it goes
    on with, also after the session's end.
    """

    sessions: tuple[SessionId, ...] = ()
    gadget: str = ""
    namespace: str = ""
    environment: str = ""
    states: tuple[SessionState, ...] = ()
    filter: str = ""
    sql: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class When:
    """Exactly one of `cron` (five fields, in the time zone `zone`) and `every` (s)."""

    cron: str = ""
    every: float | None = None
    zone: str = "UTC"


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleSpec:
    """What people say about a schedule. `destination` is a folder below `exports.folder` ("" = one
    named after the schedule) or an allowed `s3://bucket/prefix`; of the runs that are done `keep`
    stay there (0 = all)."""

    name: str
    what: What
    when: When
    format: ExportFormat = ExportFormat.JSONL
    destination: str = ""
    keep: int = 0
    paused: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """A schedule as stored; times in ns. Its next run is the first moment of `spec.when` after
    `anchor`, or at once when `asked` is set, or at `retry` after `failures` failed ones in a row."""

    id: str
    spec: ScheduleSpec
    created: int
    anchor: int
    asked: int | None = None
    failures: int = 0
    retry: int | None = None

    @property
    def destination(self) -> str:
        """Where its runs go: what was asked for, else a folder of its own."""
        return self.spec.destination or self.id


class RunState(StrEnum):
    """How a run stands."""

    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFile:
    """A file of a run. `session` is "" for the answer to a statement."""

    name: str
    session: str
    rows: int
    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRange:
    """What a run covers of a session: the events `first` to `last`, both included (`first` is
    `last` + 1 when there were none), of which `rows` were picked; `lost` events belong in between.

    `total_lost` is the session's counter, from which the next run counts on.
    """

    session: SessionId
    gadget: str
    first: int
    last: int
    lost: int
    total_lost: int
    rows: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run. `place` is its folder (or URL); `reason` says why it failed, "" = it did not."""

    id: str
    schedule: str
    started: int
    state: RunState = RunState.RUNNING
    ended: int | None = None
    reason: str = ""
    place: str = ""
    rows: int = 0
    bytes: int = 0
    lost: int = 0
    files: tuple[RunFile, ...] = ()
    ranges: tuple[RunRange, ...] = ()

    @property
    def destination(self) -> str:
        """Where its place is, "" without one."""
        return self.place.rpartition("/")[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cursor:
    """How far a schedule has exported a session: the last seq, and its losses until then."""

    seq: int = 0
    lost: int = 0


class Deed(StrEnum):
    """What can be done to schedules."""

    CREATE = "create"
    CHANGE = "change"
    DELETE = "delete"
    ASK = "ask"
    BEGIN = "begin"
    FINISH = "finish"


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One change, made by the one writer. CREATE and CHANGE need `spec`, BEGIN and FINISH `run`.

    `at` is now (ns). FINISH of a run that is done moves the cursors to the ends of its ranges;
    after one that failed, `retry` says when it is tried again (None: at the next regular moment);
    again for that one without `place`: what it left is gone by now.
    BEGIN has the new `anchor`.
    """

    deed: Deed
    schedule: str
    at: int
    spec: ScheduleSpec | None = None
    run: Run | None = None
    anchor: int | None = None
    retry: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunPage:
    """Runs, newest first; `total` counts those that are kept."""

    runs: tuple[Run, ...] = field(default_factory=tuple)
    total: int = 0
