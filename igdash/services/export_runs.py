"""One run of a schedule: which events, into files, checked, put in place, and only then counted.

The order is what makes it exact. The run is noted, its files are written under a name that nobody
looks at, synced and read back; they get their place in one step together with a manifest; the
cursors move last, in the transaction that ends the run. A run that was cut short is judged by
whoever runs the schedule next: with a manifest in its place it was done (only the cursors are
missing, and the manifest knows them), without one nothing of it stays and the same events come
again.
"""

from __future__ import annotations

import logging
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Final, TypeVar

import msgspec

from igdash import __version__
from igdash.domain.errors import ExportFailed, IgdashError, SessionNotFound, WrongState
from igdash.domain.events import Event
from igdash.domain.filter_text import parse
from igdash.domain.filters import AmbiguousField, Filter, FilterError
from igdash.domain.imports import IMPORT
from igdash.domain.ports import (
    EventReader,
    EventText,
    QueryReader,
    ScheduleReader,
    SessionReader,
    SqlReader,
)
from igdash.domain.queries import Budget, EventRange, SessionQuery, SessionSort, Where
from igdash.domain.schedules import (
    Cursor,
    Deed,
    ExportFormat,
    Order,
    Run,
    RunFile,
    RunRange,
    RunState,
    Schedule,
    What,
)
from igdash.domain.sessions import Session, SessionId
from igdash.domain.sql import SqlQuery
from igdash.domain.times import NS, format_ns, now_ns
from igdash.services import export_files
from igdash.services.export_places import MANIFEST, Place, Places
from igdash.services.timetable import new_anchor

log = logging.getLogger(__name__)
T = TypeVar("T")

BLOCK: Final = 300
"""Events read at once: of more, the memory is given back to the system and asked for again each time."""
_PAGE: Final = 200
"""Runs of the history read at once."""
_GONE: Final = 5
"""So many runs in a row without files: those before them have none either."""
RETRIES: Final = (10, 30, 120, 300, 900)
"""Seconds until a failed run is tried again, by how many failed in a row before."""


class Stopped(IgdashError):
    """The process is going down in the middle of a run."""


class Manifest(msgspec.Struct, frozen=True, kw_only=True):
    """What lies beside the files of a run."""

    igdash: str
    schedule: str
    name: str
    run: str
    started: str
    ended: str
    format: ExportFormat
    what: What
    rows: int
    bytes: int
    lost: int
    files: tuple[RunFile, ...]
    sessions: tuple[RunRange, ...]


Give = Callable[[Order], Schedule]
"""Has an order obeyed; waits while the collector is away. Raises `Stopped`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Runner:
    """Runs schedules, one after the other. The caller holds the lock of the schedule."""

    sessions: SessionReader
    events: EventReader
    queries: QueryReader
    schedules: ScheduleReader
    sql: SqlReader
    places: Places
    give: Give
    gone: Callable[[], bool]
    """Whether the process is going down."""
    held: Callable[[], bool]
    """Whether the lock is ours still."""

    def recover(self, schedule: Schedule) -> None:
        """End the runs that were cut short: as done where all was in place, else as failed."""
        for run in self.schedules.runs(schedule.id, limit=20).runs:
            if run.state is RunState.RUNNING:
                self._judge(schedule, run)

    def _judge(self, schedule: Schedule, run: Run) -> None:
        try:
            place = self._place_of(run)
        except ExportFailed as error:  # its destination is not allowed any more
            ended = replace(run, state=RunState.FAILED, ended=_now(run), reason=str(error))
            self._finish(schedule, ended)
            return
        try:
            found = place.manifest(run.id)
        except (OSError, ExportFailed) as error:
            if run.destination == schedule.destination.rstrip("/"):
                raise  # nothing could be put there now either: the schedule waits, and is exact
            reason = f"whether it was complete cannot be told: {_reason(error)}"
            ended = replace(run, state=RunState.FAILED, ended=_now(run), reason=reason)
            self._finish(schedule, ended, at_once=True)
            return
        if found is not None:
            told = msgspec.json.decode(found, type=Manifest)
            ended = _ended(run, told.files, told.sessions)
            log.info("run %s was complete already", run.id)
        else:
            if self._discarded(run):
                run = replace(run, place="")
            reason = "igdash ended in the middle of it; nothing of it was kept"
            ended = replace(run, state=RunState.FAILED, ended=_now(run), reason=reason)
        self._finish(schedule, ended, at_once=True)

    def run(self, schedule: Schedule) -> Run:
        """Run it now; return how that ended. Raises `StoreError`, `Stopped`."""
        now = now_ns()
        # Runs are kept and removed in the order of their starts, also when the clock was set back.
        before = self.schedules.runs(schedule.id, limit=1).runs
        started = max([now, *(one.started + 1 for one in before)])
        run = Run(id=_run_id(now), schedule=schedule.id, started=started)
        anchor = new_anchor(schedule, now)
        place: Place | None = None
        try:
            place = self.places.place(schedule.destination)
            run = replace(run, place=place.shown(run.id))
        except ExportFailed as error:
            self._begin(schedule, run, anchor)
            return self._failed(schedule, run, None, error)
        self._begin(schedule, run, anchor)
        try:
            ended = self._written(schedule, run, place)
        except (OSError, IgdashError) as error:
            return self._failed(schedule, run, place, error)
        except Exception as error:
            log.exception("export %r met an error", schedule.spec.name)
            return self._failed(schedule, run, place, error)
        try:
            self._finish(schedule, ended)
        except WrongState:  # the lock was lost at the last moment: who has it runs it all again
            place.discard(run.id)
            raise
        self._tidy(schedule)
        return ended

    def _begin(self, schedule: Schedule, run: Run, anchor: int | None) -> None:
        self.give(
            Order(deed=Deed.BEGIN, schedule=schedule.id, at=run.started, run=run, anchor=anchor)
        )

    def _failed(self, schedule: Schedule, run: Run, place: Place | None, error: Exception) -> Run:
        if place is not None and self._discarded(run):
            run = replace(run, place="")
        reason = _reason(error)
        log.warning("export %r failed: %s", schedule.spec.name, reason)
        ended = replace(run, state=RunState.FAILED, ended=_now(run), reason=reason)
        self._finish(schedule, ended, at_once=isinstance(error, Stopped))
        return ended

    def _finish(self, schedule: Schedule, run: Run, *, at_once: bool = False) -> None:
        now, failures = now_ns(), schedule.failures
        retry = None
        if run.state is RunState.FAILED and failures < len(RETRIES):
            retry = now if at_once and not failures else now + RETRIES[failures] * NS
        self.give(Order(deed=Deed.FINISH, schedule=schedule.id, at=now, run=run, retry=retry))

    # ------------------------------------------------------------ the files

    def _written(self, schedule: Schedule, run: Run, place: Place) -> Run:
        spec = schedule.spec
        folder = place.open(run.id)
        files: list[RunFile]
        ranges: list[RunRange] = []
        if spec.what.sql:
            files = [self._answer(folder, schedule)]
        else:
            files, ranges = self._sessions(folder, schedule)
        ended = _ended(run, files, ranges)
        if not files:  # nothing new: a run that says so, and no files
            place.discard(run.id)
            return replace(ended, place="")
        manifest = msgspec.json.format(msgspec.json.encode(_manifest(schedule, ended)), indent=1)
        export_files.write_whole(folder / MANIFEST, manifest)
        if not self.held():
            raise ExportFailed("the database gave the right to run it to another process")
        place.publish(run.id, [file.name for file in files])
        return ended

    def _answer(self, folder: Path, schedule: Schedule) -> RunFile:
        format = schedule.spec.format
        answer = self.sql.run(SqlQuery(sql=schedule.spec.what.sql), self.gone)
        if answer.truncated:
            raise ExportFailed(f"the answer is longer than {answer.rows:,} rows; add a condition")
        name = f"result.{format.value}"
        written = export_files.write_answer(folder / name, format, answer)
        export_files.verify(folder / name, format, written)
        return _file(name, "", written)

    def _sessions(self, folder: Path, schedule: Schedule) -> tuple[list[RunFile], list[RunRange]]:
        files, ranges = [], []
        cursors = self.schedules.cursors(schedule.id)
        for session, wanted in planned(self.sessions, schedule.spec.what, cursors):
            file = self._session(folder, schedule, session, wanted)
            if file is not None:
                files.append(file)
            ranges.append(replace(wanted, rows=file.rows if file is not None else 0))
        return files, ranges

    def _session(
        self, folder: Path, schedule: Schedule, session: Session, wanted: RunRange
    ) -> RunFile | None:
        if wanted.first > wanted.last:
            return None
        format = schedule.spec.format
        sources = self.sessions.schema(session.id)
        try:
            filter = self._filter(schedule.spec.what.filter, session)
        except AmbiguousField as error:  # whatever was meant, its events are not to be passed over
            raise ExportFailed(
                f"session {session.id}: {error.message}; name one of them"
            ) from error
        except FilterError:  # names a field that this gadget does not have: none of it matches
            return None
        name = _file_name(wanted, format)
        if filter is None and format in export_files.LINES:
            texts = self._watched(self._texts(session, wanted))
            written = export_files.write_texts(folder / name, format, texts)
        else:
            blocks = self._watched(self._blocks(session, wanted, filter))
            written = export_files.write_events(folder / name, format, sources, blocks)
        if not written.rows:
            (folder / name).unlink()
            return None
        if filter is None and written.rows != wanted.last - wanted.first + 1:
            raise ExportFailed(
                f"session {session.id}: {written.rows} of its events {wanted.first} to"
                f" {wanted.last} were read"
            )
        export_files.verify(folder / name, format, written)
        return _file(name, session.id, written)

    def _filter(self, text: str, session: Session) -> Filter | None:
        if not text.strip():
            return None
        fields = [f for source in self.sessions.schema(session.id) for f in source.fields]
        try:
            return parse(text, fields, self.queries.pattern_problem)
        except FilterError as error:
            if session.spec.environment != IMPORT or isinstance(error, AmbiguousField):
                raise
            # Its fields were told by its first events alone: later ones may have others.
            return parse(text, None, self.queries.pattern_problem)

    def _blocks(
        self, session: Session, wanted: RunRange, filter: Filter | None
    ) -> Iterator[Sequence[Event]]:
        after, before = wanted.first - 1, wanted.last + 1
        if filter is not None:
            where = Where(filter=filter, after=after, before=before)
            budget = Budget(seconds=None, cancelled=self.gone)
            yield from self.queries.stream(session.id, where, budget)
            return
        for block in self.events.stream(session.id, EventRange(after=after, limit=BLOCK)):
            if block[-1].seq < before:
                yield block
                continue
            yield [event for event in block if event.seq < before]
            return

    def _texts(self, session: Session, wanted: RunRange) -> Iterator[Sequence[EventText]]:
        for block in self.events.texts(session.id, EventRange(after=wanted.first - 1, limit=BLOCK)):
            if block[-1][0] > wanted.last:  # came meanwhile: the next run's
                yield [text for text in block if text[0] <= wanted.last]
                return
            yield block

    def _watched(self, blocks: Iterator[Sequence[T]]) -> Iterator[Sequence[T]]:
        for block in blocks:
            if self.gone():
                raise Stopped("igdash was stopped in the middle of it; nothing of it was kept")
            yield block

    def _tidy(self, schedule: Schedule) -> None:
        """Remove what failed runs had to leave, and the files beyond `keep`."""
        self._clear(schedule)
        if not schedule.spec.keep:
            return
        whole = (one for one in self._history(schedule) if one.state is RunState.DONE and one.files)
        gone = 0
        for one in islice(whole, schedule.spec.keep, None):
            gone += not self._there(one)
            if not self._discarded(one) or gone == _GONE:
                return

    def _clear(self, schedule: Schedule) -> None:
        """Remove what could not be removed then, as the bucket was away: after each run until it is
        gone. A destination of before may be away for good, and every run would wait for it: there it
        is tried after 1, 2, 4, 8 … runs."""
        current = schedule.destination.rstrip("/")
        away: set[str] = set()
        for since, one in enumerate(list(islice(self._history(schedule), _PAGE))):
            destination = one.destination
            if one.state is not RunState.FAILED or not one.place or destination in away:
                continue
            if destination != current and since & (since - 1):
                continue
            if self._discarded(one):
                gone = replace(one, place="")
                self.give(Order(deed=Deed.FINISH, schedule=schedule.id, at=now_ns(), run=gone))
            else:
                away.add(destination)

    def _history(self, schedule: Schedule) -> Iterator[Run]:
        """Yield its runs, newest first."""
        offset = 0
        while runs := self.schedules.runs(schedule.id, limit=_PAGE, offset=offset).runs:
            yield from runs
            offset += len(runs)

    def _place_of(self, run: Run) -> Place:
        return self.places.place(run.destination)

    def _there(self, run: Run) -> bool:
        try:
            return self._place_of(run).manifest(run.id) is not None
        except (OSError, IgdashError):
            return False

    def _discarded(self, run: Run) -> bool:
        """Remove whatever there is of a run; return whether that could be done."""
        try:
            self._place_of(run).discard(run.id)
        except (OSError, IgdashError) as error:
            log.warning("run %s: what it left cannot be removed: %s", run.id, error)
            return False
        return True


# ---------------------------------------------------------------- the plan


def planned(
    reader: SessionReader, what: What, cursors: Mapping[SessionId, Cursor]
) -> Iterator[tuple[Session, RunRange]]:
    """Yield what is new of each session wanted, as of now: events, or losses alone.

    A session whose export has begun is gone on with, whatever has become of its state.
    """
    for session in _wanted(reader, what):
        cursor = cursors.get(session.id)
        if cursor is None and what.states and session.state not in what.states:
            continue
        known = cursor or Cursor()
        if session.last_seq <= known.seq and session.lost <= known.lost and cursor is not None:
            continue
        wanted = RunRange(
            session=session.id,
            gadget=session.spec.gadget,
            first=known.seq + 1,
            last=max(session.last_seq, known.seq),
            lost=max(session.lost - known.lost, 0),
            total_lost=max(session.lost, known.lost),
        )
        yield session, wanted


def _wanted(reader: SessionReader, what: What) -> Iterator[Session]:
    if what.sessions:
        for id_ in what.sessions:
            try:
                session = reader.get(id_)
            except SessionNotFound:
                continue  # deleted: nothing of it is left to export
            if _meets(session, what):
                yield session
        return
    query = SessionQuery(
        gadget=what.gadget,
        namespace=what.namespace,
        environment=what.environment,
        sort=SessionSort.CREATED,
        descending=False,
        limit=500,
    )
    while True:
        page = reader.list(query)
        yield from page.sessions
        if not page.next:
            return
        query = replace(query, cursor=page.next)


def _meets(session: Session, what: What) -> bool:
    spec = session.spec
    return (
        what.gadget in ("", spec.gadget)
        and what.namespace in ("", spec.target.namespace)
        and what.environment in ("", spec.environment)
    )


# ---------------------------------------------------------------- small things


def _now(run: Run) -> int:
    return max(now_ns(), run.started)


def _run_id(now: int) -> str:
    moment = datetime.fromtimestamp(now // NS, UTC)
    return f"{moment:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"


def _file_name(wanted: RunRange, format: ExportFormat) -> str:
    gadget = re.sub(r"[^A-Za-z0-9_.]+", "-", wanted.gadget.rpartition("/")[2]).strip("-.")[:60]
    return f"{gadget or 'gadget'}-{wanted.session}-{wanted.first}-{wanted.last}.{format.value}"


def _file(name: str, session: str, written: export_files.Written) -> RunFile:
    return RunFile(
        name=name,
        session=session,
        rows=written.rows,
        bytes=written.bytes,
        sha256=written.sha256,
    )


def _ended(run: Run, files: Sequence[RunFile], ranges: Sequence[RunRange]) -> Run:
    return replace(
        run,
        state=RunState.DONE,
        ended=_now(run),
        rows=sum(file.rows for file in files),
        bytes=sum(file.bytes for file in files),
        lost=sum(one.lost for one in ranges),
        files=tuple(files),
        ranges=tuple(ranges),
    )


def _manifest(schedule: Schedule, run: Run) -> Manifest:
    return Manifest(
        igdash=__version__,
        schedule=schedule.id,
        name=schedule.spec.name,
        run=run.id,
        started=format_ns(run.started),
        ended=format_ns(run.ended or run.started),
        format=schedule.spec.format,
        what=schedule.spec.what,
        rows=run.rows,
        bytes=run.bytes,
        lost=run.lost,
        files=run.files,
        sessions=run.ranges,
    )


def _reason(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")
    return str(error) or type(error).__name__
