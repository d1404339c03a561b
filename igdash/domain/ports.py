"""What the outer rings offer, as short protocols whose docstrings are the contract.

Each has a suite in `tests/contracts/` that runs over all of its adapters.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from igdash.domain.chunks import Chunk
from igdash.domain.control import Advance, CollectorStats, Description
from igdash.domain.environments import Environment, EnvironmentStatus
from igdash.domain.events import Decoded, Event, LogLine, Malformed
from igdash.domain.filters import Filter
from igdash.domain.gadgets import DataSource, Gadget
from igdash.domain.imports import ImportRequest, ImportStatus
from igdash.domain.instances import Instance, Received
from igdash.domain.losses import Loss
from igdash.domain.nodes import NodeStatus
from igdash.domain.queries import (
    Bucket,
    Budget,
    Counted,
    EventPage,
    EventQuery,
    EventRange,
    FieldStats,
    QueryPage,
    SessionPage,
    SessionQuery,
    SplitHistogram,
    TickPage,
    Top,
    Where,
)
from igdash.domain.schedules import Cursor, Order, Run, RunPage, Schedule
from igdash.domain.sessions import NewSession, Session, SessionId, SessionSpec, StateChange
from igdash.domain.sql import SqlAnswer, SqlQuery, SqlView

# ---------------------------------------------------------------- reading the history


class SessionReader(Protocol):
    """Sessions and their exact counters. Thread-safe; each call is one short transaction.

    Deleted sessions are gone from every answer at once, also while their rows still are not.
    """

    def get(self, session: SessionId) -> Session:
        """Return the session. Raises `SessionNotFound`."""

    def resolve(self, prefix: str) -> SessionId:
        """Return the only id that begins with `prefix`. Raises `SessionNotFound`, `AmbiguousSession`."""

    def list(self, query: SessionQuery) -> SessionPage:
        """Return one page. Ties are broken by id. Raises `InvalidQuery` for a foreign cursor."""

    def sparks(
        self, sessions: Sequence[SessionId], start: int, end: int, buckets: int
    ) -> Mapping[SessionId, Sequence[int]]:
        """Return events per equal slice of `[start, end)` ns for each session asked for."""

    def schema(self, session: SessionId) -> tuple[DataSource, ...]:
        """Return the data sources of the session: as its own streams told them, one set for all of
        them with the newest first, else as expected at its start. Raises `SessionNotFound`."""

    def coverage(self, session: SessionId) -> tuple[NodeStatus, ...]:
        """Return each node the session covers or covered, by name; empty where nothing told.

        Raises `SessionNotFound`.
        """

    def totals(self) -> Mapping[str, int]:
        """Return counts over all sessions: `sessions`, `running`, `events`, `lost`, `bytes`,
        `malformed`, `database_bytes`."""


EventText = tuple[int, int, str, str, bytes]
"""An event as a plain tuple: seq, ts, node, source, and data in UTF-8."""


class EventReader(Protocol):
    """Events of the history. Thread-safe; a page is one query, nothing is held between calls.

    Every method raises `SessionNotFound` for an unknown or deleted session.
    """

    def page(self, session: SessionId, wanted: EventRange) -> EventPage:
        """Return one page of events, in seq order, byte-exact."""

    def get(self, session: SessionId, seq: int) -> Event:
        """Return one event. Raises `EventNotFound`."""

    def stream(self, session: SessionId, wanted: EventRange) -> Iterator[Sequence[Event]]:
        """Yield all events of the range upwards in blocks, each block its own short transaction.

        Ends at the session's last seq as it was at the call. `wanted.limit` is the block size.
        """

    def texts(self, session: SessionId, wanted: EventRange) -> Iterator[Sequence[EventText]]:
        """As `stream`, for who makes lines of millions of events: no object and no text each."""

    def ticks(self, session: SessionId, *, before: int | None = None, limit: int = 100) -> TickPage:
        """Return ticks numbered below `before` (None = the newest), newest first."""

    def tick_at(self, session: SessionId, tick: int) -> tuple[Event, ...]:
        """Return the rows of one tick in order. Raises `EventNotFound` when there is no such tick."""

    def histogram(
        self, session: SessionId, *, start: int | None, end: int | None, buckets: int
    ) -> tuple[Bucket, ...]:
        """Return `buckets` equal bars over `[start, end)`, from the rollups.

        Without bounds: over the session's life (started … stopped or now); then events whose own
        time lies outside are counted in the first or last bar, so the bars always sum to `events`.
        """


class QueryReader(Protocol):
    """Questions with a filter over the whole history of a session. Thread-safe.

    Nothing is held between calls or while a call works: it reads blocks of events, each its own
    short transaction, and returns what it covered when its budget is used up (`Scope`). Answers
    are about the events stored when the call began. A second engine beside SQL has its place here.

    Every method raises `SessionNotFound` for an unknown or deleted session, `QueryCancelled` once
    `budget.cancelled()` is true, and `InvalidQuery` for a foreign cursor or a regular expression
    that is not one.
    """

    def page(self, session: SessionId, query: EventQuery, budget: Budget) -> QueryPage:
        """Return one page of the events that match.

        Behind the cursor of a sort it may take three seconds more than it should; raises `QueryBusy`
        when the events that the first page covered could not all be read again even so.
        """

    def stream(self, session: SessionId, where: Where, budget: Budget) -> Iterator[Sequence[Event]]:
        """Yield all events that match upwards in blocks. `budget.seconds` is not looked at."""

    def neighbours(
        self, session: SessionId, seq: int, where: Where, limit: int, budget: Budget
    ) -> QueryPage:
        """Return up to `limit` matching events on each side of `seq`, with it in the middle.

        Raises `EventNotFound`. `next` is empty; at most two seconds, whatever `budget.seconds` says.
        """

    def at_time(self, session: SessionId, ts: int) -> int | None:
        """Return the first seq whose event's own time is `ts` (ns) or later; None: there is none."""

    def count(self, session: SessionId, where: Where, budget: Budget) -> Counted:
        """Count the events that match."""

    def histogram(
        self, session: SessionId, where: Where, *, buckets: int, split: str, budget: Budget
    ) -> SplitHistogram:
        """Return `buckets` equal bars over `where`'s times, split by the values at a path ("" = not).

        Without times: over the session's life, and events outside it are in the first or last bar.
        """

    def top(
        self, session: SessionId, path: str, where: Where, *, limit: int, budget: Budget
    ) -> Top:
        """Return the most frequent values at `path` among the events that match."""

    def stats(self, session: SessionId, path: str, where: Where, budget: Budget) -> FieldStats:
        """Return the quantiles of the numbers at `path` among the events that match."""

    def matcher(self, filter: Filter) -> Callable[[Event], bool]:
        """Return the same test for events that were not read from here (live ones)."""

    def pattern_problem(self, pattern: str) -> str:
        """Return why `pattern` is no regular expression that is taken here, or ""."""


class RecordReader(Protocol):
    """Losses, logs and malformed lines of a session. Thread-safe.

    Every method raises `SessionNotFound` for an unknown or deleted session.
    """

    def losses(self, session: SessionId, *, limit: int = 1_000) -> tuple[tuple[Loss, ...], int]:
        """Return the newest loss records, oldest of them first, and the total count of lost events."""

    def logs(self, session: SessionId, *, after: int = 0, limit: int = 500) -> tuple[LogLine, ...]:
        """Return log lines with `n > after`, in order. With `after=0`: the newest `limit`, in order."""

    def malformed(
        self, session: SessionId, *, after: int = 0, limit: int = 100
    ) -> tuple[Malformed, ...]:
        """Return kept lines with `n > after`, in order."""


class ScheduleReader(Protocol):
    """Scheduled exports, their runs and cursors. Thread-safe; each call is one transaction.

    Every method but `list` raises `ScheduleNotFound`.
    """

    def list(self) -> tuple[Schedule, ...]:
        """Return all, by name."""

    def get(self, schedule: str) -> Schedule:
        """Return one."""

    def runs(self, schedule: str, *, limit: int = 50, offset: int = 0) -> RunPage:
        """Return its runs, newest first."""

    def run(self, schedule: str, run: str) -> Run:
        """Return one of its runs."""

    def cursors(self, schedule: str) -> Mapping[SessionId, Cursor]:
        """Return how far it has exported each session it has met."""


class RunLock(Protocol):
    """The right to run one schedule, held by one process at a time."""

    def held(self) -> bool:
        """Whether it is ours still: a server that went away may have given it to another."""

    def release(self) -> None:
        """Give it back. Safe to call twice."""


class SqlReader(Protocol):
    """Statements of users over the views. Thread-safe; each statement has a process of its own."""

    @property
    def dialect(self) -> str:
        """The database's name: sqlite or postgresql."""

    @property
    def seconds(self) -> float:
        """How long a statement may take."""

    @property
    def functions(self) -> frozenset[str]:
        """Names of the functions that a statement may call."""

    def views(self) -> tuple[SqlView, ...]:
        """Return what can be read now: three general views, then one per gadget seen."""

    def run(self, query: SqlQuery, gone: Callable[[], bool]) -> SqlAnswer:
        """Run one statement to its end. It is ended once `gone()` is true: `QueryCancelled`.

        Raises `SqlInvalid`, `SqlForbidden`, `SqlTimeout`, `SqlTooLarge`, `SqlUnavailable`,
        `StoreBusy`.
        """


# ---------------------------------------------------------------- writing it


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionBatch:
    """What one transaction adds to one session.

    `received` counts the events read from the source for this batch, those dropped by our own
    bound (a `writer` loss in `decoded.losses`) included. `spool_offset` is the end of the spooled
    bytes this covers.
    """

    session: SessionId
    decoded: Decoded
    received: int
    spool_offset: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ResumePoint:
    """Where collecting goes on after a restart. `last_received` is None before the first event."""

    session: Session
    spool_offset: int


class EventWriter(Protocol):
    """The one writer. Not thread-safe: one thread owns it. Only the collector has one.

    Every method is one transaction and is durable when it returns (synchronous=FULL). Raises
    `StoreBusy` when trying again may help (locked, disk full, server away): then nothing was
    changed. After a lost acknowledgement the store may have it all: read `resume_points`.
    """

    def create(self, session: NewSession) -> Session:
        """Store a new session in state `starting`."""

    def change(self, session: SessionId, change: StateChange) -> Session:
        """Store a step of its life: `running` sets `started` once, an ended state sets `stopped`.

        Raises `SessionNotFound`.
        """

    def append(self, batches: Sequence[SessionBatch]) -> Sequence[Advance]:
        """Add the batches in one transaction: rows, ticks, counters, rollups, losses, offsets.

        Gives each event the next seq of its session. A batch for a session that was deleted
        meanwhile is left out. Losses are merged into the record of their session, node, cause and
        second. Returns one advance per session stored.
        """

    def unfinished(self) -> Sequence[ResumePoint]:
        """Return the sessions whose stored state is not an ended one, with their spool offsets."""

    def recent(self, session: SessionId, lines: int) -> Sequence[Received]:
        """Return the session's newest lines, oldest first: at least `lines` per node where there are
        so many, the rows of a tick as one line. Raises `SessionNotFound`."""

    def hide(self, session: SessionId) -> Session:
        """Mark a session as deleted: no reader sees it from now on. Return it as it was.

        Raises `SessionNotFound`.
        """

    def purge(self, rows: int) -> bool:
        """Delete up to `rows` rows of hidden sessions; return whether more remain."""

    def schedule(self, order: Order) -> Schedule:
        """Change scheduled exports; return the schedule as it is then (as it was, when deleted).

        A second try of the same order changes nothing more. Raises `ScheduleNotFound`, and
        `WrongState` for the end of a run that has ended otherwise already.
        """

    def close(self) -> None:
        """Checkpoint and close."""


# ---------------------------------------------------------------- sources


class Sink(Protocol):
    """Where a source puts what it receives. Thread-safe per stream: one thread calls it at a time."""

    def chunk(self, chunk: Chunk) -> None:
        """Take bytes. Returns once they are in the spool, or were counted as lost; never raises."""

    def nodes(self, *, expected: int, connected: int, coverage: Sequence[NodeStatus] = ()) -> None:
        """Tell how many nodes are covered now, and which, where that is known."""

    def started(self) -> None:
        """The gadget runs: the session is `running`."""

    def ended(self, *, failed: bool, reason: str) -> None:
        """The stream is over, all chunks were handed in before. Called exactly once, last."""


class Stream(Protocol):
    """A gadget that runs for one session."""

    def stop(self, *, timeout: float, leave: bool = False, final: bool = True) -> None:
        """Ask the gadget to end, let its tail arrive, force it after `timeout` s. Returns at once;
        `sink.ended` tells when it is over. Safe to call twice.

        `leave`: a gadget that can go on without us (a headless instance) does so. Not `final`: and
        the session reads it again later.
        """

    def join(self, timeout: float) -> bool:
        """Wait until `sink.ended` was called and every thread and process is gone."""


class Source(Protocol):
    """One way to run gadgets: an adapter per environment kind."""

    environment: Environment

    def status(self) -> EnvironmentStatus:
        """Return whether it can be used right now. Never raises; may take some seconds."""

    def command(self, session: SessionId, spec: SessionSpec) -> tuple[str, ...]:
        """Return the argv that runs this session (or that would, for replay)."""

    def info(self, spec: SessionSpec) -> Mapping[str, str]:
        """Return facts to store with the session: image, retimed, recording …"""

    def restartable(self, spec: SessionSpec) -> bool:
        """Whether an interrupted session of this spec may be run again by itself."""

    def describe(self, gadget: str) -> Gadget | None:
        """Return a gadget (or image reference) as this environment itself describes it.

        None: this way in has no metadata of its own, the catalogue's are all there is. Raises
        `SourceError` when it cannot be asked now. May take minutes: an overloaded node took two.
        """

    def open(self, session: SessionId, spec: SessionSpec, sink: Sink) -> Stream:
        """Start the gadget. Raises `SourceError` when it cannot be started at all (missing binary,
        unreadable recording); a gadget that fails later ends with `sink.ended(failed=True, …)`."""


Decode = Callable[[Chunk], Decoded]
"""Pure: a chunk's bytes to events, ticks, losses, malformed lines, log lines, in order."""


class Catalogue(Protocol):
    """The gadgets igdash knows."""

    def all(self) -> tuple[Gadget, ...]:
        """Return every gadget, by category, then name."""

    def get(self, name: str) -> Gadget:
        """Return one. Raises `GadgetNotFound`, naming near names."""


# ---------------------------------------------------------------- the collector, from outside


class Control(Protocol):
    """The collector as other processes see it. Thread-safe. Every call raises
    `CollectorUnavailable` when it does not answer within some seconds."""

    def start(self, spec: SessionSpec) -> Session:
        """Validate, store and start a session. Raises `InvalidSpec`."""

    def stop(self, session: SessionId, *, keep: bool = False) -> None:
        """Begin a graceful stop. Raises `SessionNotFound`, `WrongState` when it already ended.

        `keep`: a headless instance is left running.
        """

    def delete(self, session: SessionId) -> None:
        """Stop it if it runs, hide it at once, delete its rows behind. Raises `SessionNotFound`."""

    def schedule(self, order: Order) -> Schedule:
        """Change scheduled exports, as `EventWriter.schedule` does."""

    def environments(self) -> Sequence[EnvironmentStatus]:
        """Return what the collector knows of each environment."""

    def test(self, environment: str) -> EnvironmentStatus:
        """Ask the environment anew and return what it says; may take some seconds.

        Raises `EnvironmentNotFound`.
        """

    def describe(self, environment: str, gadget: str, wait: float) -> Description:
        """Return what the environment itself says of a gadget, as far as known within `wait` s.

        Asking goes on behind when it takes longer: ask again. Raises `EnvironmentNotFound`,
        `GadgetNotFound`, and `InvalidSpec` for an image that is not allowed.
        """

    def instances(self, environment: str) -> Sequence[Instance]:
        """Return the headless instances of an environment; may take some seconds.

        Raises `EnvironmentNotFound`, `InvalidSpec` where there can be none, `SourceError`.
        """

    def import_file(self, request: ImportRequest) -> ImportStatus:
        """Begin to import a file that the collector can read; its first session exists then.

        Raises `InvalidSpec` (fields `file`, `gadget`) when it is not taken, `StoreBusy`.
        """

    def imports(self) -> Sequence[ImportStatus]:
        """Return the newest imports, under way or over, newest first."""

    def stats(self) -> CollectorStats:
        """Return how the collector is doing."""

    def watch(
        self, on_advance: Callable[[Sequence[Advance]], None]
    ) -> AbstractContextManager[None]:
        """Call back after every commit, from one thread of its own, until the context ends.

        Reconnects by itself; after a gap it calls with nothing, which means: look yourself.
        """
