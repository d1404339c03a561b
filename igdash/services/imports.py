"""Imports: files become sessions through the very path that events of a gadget take.

Each session of a file has a lane of its own: spool, decoding, the one writer, a fair share beside
what is being collected. The reader waits while much is not stored yet, so memory and spool stay
small and nothing is ever counted as lost. When igdash ends in between, what was read is stored and
the session says that it is not whole (see `resume`).
"""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final

from igdash.domain.chunks import Chunk
from igdash.domain.errors import GadgetNotFound, IgdashError, InvalidSpec
from igdash.domain.events import Decoded, restore
from igdash.domain.gadgets import DataSource
from igdash.domain.imports import (
    IMPORT,
    UNKNOWN,
    Capture,
    CaptureFile,
    ImportRequest,
    ImportState,
    ImportStatus,
)
from igdash.domain.ports import Catalogue, Decode, Sink, Stream
from igdash.domain.sessions import NewSession, SessionId, SessionSpec
from igdash.domain.threads import spawn
from igdash.domain.times import format_ns, now_ns
from igdash.services.guess import described, guess, sampled
from igdash.services.lane import decode_safely
from igdash.services.lifecycle import Run

log = logging.getLogger(__name__)

AHEAD: Final = 8 * 1024 * 1024
"""Bytes that may wait for the writer before the reader waits, too."""
PAUSE: Final = 0.01
MOST: Final = 4
"""Imports at once."""
REMEMBERED: Final = 50
QUIET: Final = 60.0
"""Seconds after which an upload that has not grown is none any more."""
FOLDER: Final = "imports"
"""Below the state folder: where files lie that somebody uploads."""

OpenCapture = Callable[[Path], CaptureFile]
Begin = Callable[[NewSession], Run]


@dataclass(frozen=True, slots=True)
class _Known:
    """What is known of a capture before its session is made."""

    spec: SessionSpec
    sources: tuple[DataSource, ...]
    info: dict[str, str]
    began: int | None
    pieces: Iterator[Chunk]


@dataclass(slots=True)
class _Job:
    """One import. Its thread changes it; others read single values."""

    id: str
    request: ImportRequest
    file: CaptureFile
    started: int
    sessions: list[SessionId] = field(default_factory=list)
    state: ImportState = ImportState.RUNNING
    reason: str = ""
    finished: int | None = None

    def status(self) -> ImportStatus:
        return ImportStatus(
            id=self.id,
            file=self.request.file,
            format=self.file.format,
            size=self.file.size,
            read=min(self.file.read, self.file.size),
            lines=self.file.lines,
            sessions=tuple(self.sessions),
            state=self.state,
            reason=self.reason,
            started=self.started,
            finished=self.finished,
        )


class Imports:
    """Imports files. Thread-safe.

    `begin` stores a session and gives it a lane; `full` says why nothing can be spooled now, "" =
    it can.
    """

    def __init__(
        self,
        *,
        open_capture: OpenCapture,
        catalogue: Catalogue,
        decode: Decode,
        begin: Begin,
        full: Callable[[], str],
        state_dir: Path,
    ) -> None:
        self._open = open_capture
        self._catalogue = catalogue
        self._decode = decode
        self._begin = begin
        self._full = full
        self._folder = state_dir / FOLDER
        self._lock = threading.Lock()
        self._jobs: dict[str, _Job] = {}

    # ------------------------------------------------------------ from outside

    def tidy(self) -> None:
        """Remove uploads that a former collector did not come to the end of.

        Others go on while the collector is started again: what somebody still writes to stays.
        """
        for left in self._folder.glob("*"):
            with suppress(OSError):
                if time.time() - left.stat().st_mtime > QUIET:
                    left.unlink()

    def statuses(self) -> Sequence[ImportStatus]:
        """Return the newest imports, those under way included, newest first."""
        with self._lock:
            jobs = list(self._jobs.values())
        return tuple(job.status() for job in reversed(jobs))

    def start(self, request: ImportRequest) -> ImportStatus:
        """Begin an import; its first session exists when this returns.

        Raises `InvalidSpec` (fields `file`, `gadget`) when the file is not taken, `StoreBusy`.
        """
        try:
            job = self._admit(request)
        except BaseException:
            self._discard(request)
            raise
        try:
            captures = job.file.captures()
            first = self._begun(job, next(captures, None))
        except BaseException:
            self._forget(job)
            raise
        try:
            spawn(f"import-{job.id}", partial(self._work, job, first, captures))
        except RuntimeError as error:
            log.exception("import %s cannot be started", job.id)
            job.state, job.reason = ImportState.FAILED, f"it could not be started: {error}"
            first[0].ended(failed=True, reason=job.reason)
            self._over(job)
        return job.status()

    def _admit(self, request: ImportRequest) -> _Job:
        if request.gadget and request.gadget != UNKNOWN:
            try:
                self._catalogue.get(request.gadget)
            except GadgetNotFound as error:
                raise InvalidSpec({"gadget": str(error)}) from error
        with self._lock:
            running = sum(job.finished is None for job in self._jobs.values())
            if running >= MOST:
                raise InvalidSpec(
                    {"file": f"{running} imports are under way; wait for one of them"}
                )
            file = self._open(Path(request.path))
            job = _Job(secrets.token_hex(4), request, file, now_ns())
            self._jobs[job.id] = job
            over = [key for key, one in self._jobs.items() if one.finished is not None]
            for key in over[: max(0, len(self._jobs) - REMEMBERED)]:
                del self._jobs[key]
        return job

    def _forget(self, job: _Job) -> None:
        with self._lock:
            self._jobs.pop(job.id, None)
        job.file.close()
        self._discard(job.request)

    def _discard(self, request: ImportRequest) -> None:
        if request.temporary:
            with suppress(OSError):
                Path(request.path).unlink()

    # ------------------------------------------------------------ one session

    def _begun(self, job: _Job, capture: Capture | None) -> tuple[Run, _Known]:
        if capture is None:
            raise InvalidSpec({"file": "holds no session"})
        known = self._known(job, capture)
        run = self._begin(
            NewSession(
                id=SessionId(secrets.token_hex(6)),
                spec=known.spec,
                created=now_ns(),
                sources=known.sources,
                info=known.info,
            )
        )
        run.began = known.began
        run.ended_at = capture.stopped
        job.sessions.append(run.id)
        return run, known

    def _known(self, job: _Job, capture: Capture) -> _Known:
        """Look into the first chunk for what the file does not say."""
        first = next(capture.pieces, None)
        decoded = Decoded() if first is None else decode_safely(self._decode, first)
        readable = decoded.events or decoded.ticks or capture.sources
        if not readable and decoded.malformed:
            why = decoded.malformed[0].reason
            raise InvalidSpec({"file": f"has no line that can be read as an event; {why}"})
        if not readable and not job.request.gadget:
            raise InvalidSpec({"file": "is empty; give a gadget to make an empty session of it"})
        gadget, sources = self._gadget(job.request.gadget or capture.gadget, capture, decoded)
        began = capture.started
        if began is None and decoded.events:
            began = decoded.events[0].ts
        info = {
            "imported from": job.request.file,
            "format": job.file.format.value,
            "imported": format_ns(job.started),
            **capture.info,
        }
        if not (job.request.gadget or capture.gadget):
            info["gadget told by"] = "its fields" if gadget != UNKNOWN else "nobody"
        spec = SessionSpec(
            gadget=gadget,
            environment=IMPORT,
            name=job.request.name or capture.name,
            target=capture.target,
            params=capture.params,
        )
        pieces = capture.pieces if first is None else chain([first], capture.pieces)
        return _Known(spec, sources, info, began, pieces)

    def _gadget(
        self, name: str, capture: Capture, decoded: Decoded
    ) -> tuple[str, tuple[DataSource, ...]]:
        """Return the gadget's name and its data sources."""
        found = None
        with suppress(GadgetNotFound):
            found = self._catalogue.get(name) if name else None
        if capture.sources or (found is not None and found.sources):
            return name, capture.sources or (found.sources if found else ())
        texts = (restore(e.data, e.origin.k8s, e.origin.runtime) for e in decoded.events)
        events = sampled(texts)
        array = bool(decoded.ticks)
        source = decoded.events[0].origin.source if decoded.events else ""
        if not name:
            told = guess(events, self._catalogue.all(), array=array, source=source)
            if told is not None:
                return told.name, told.sources
        return name or UNKNOWN, (described(events, array=array, name=source),) if events else ()

    # ------------------------------------------------------------ the thread

    def _work(self, job: _Job, first: tuple[Run, _Known], captures: Iterator[Capture]) -> None:
        try:
            run, known = first
            while True:
                if not self._feed(job, run, known):
                    return
                capture = next(captures, None)
                if capture is None:
                    break
                run, known = self._begun(job, capture)
            job.state = ImportState.DONE
        except IgdashError as error:
            job.state, job.reason = ImportState.FAILED, str(error)
        finally:
            if job.state is ImportState.RUNNING:
                job.state = ImportState.FAILED
                job.reason = job.reason or "the import met an error; the log has details"
            self._over(job)

    def _over(self, job: _Job) -> None:
        job.finished = now_ns()
        job.file.close()
        self._discard(job.request)

    def _feed(self, job: _Job, run: Run, known: _Known) -> bool:
        """Hand all of a session to its lane; return whether to go on with the next one."""
        reading = _Reading(run)
        run.open(reading)
        run.started()
        last: deque[Chunk] = deque(maxlen=2)  # one may be a line that could not be read
        try:
            for piece in known.pieces:
                if not self._handed_over(piece, run, reading):
                    break
                last.append(piece)
        except InvalidSpec as error:
            job.state, job.reason = ImportState.FAILED, error.problems.get("file", str(error))
            self._end(job, run, last, whole=False, failed=f"the file {job.reason}")
        except BaseException:
            self._end(job, run, last, whole=False, failed="the import met an error")
            raise
        else:
            stopped = reading.stopping.is_set()
            self._end(job, run, last, whole=not stopped)
            if stopped:
                job.state = ImportState.STOPPED
                job.reason = f"stopped after {job.file.lines} lines"
        finally:
            reading.over.set()
        return job.state is ImportState.RUNNING

    def _end(
        self, job: _Job, run: Run, last: Iterable[Chunk], *, whole: bool, failed: str = ""
    ) -> None:
        parts = [decode_safely(self._decode, chunk) for chunk in last]
        events = [part.events[-1] for part in parts if part.events]
        if run.ended_at is None and events:
            run.ended_at = max(events[-1].ts, run.began or 0)
        run.facts = {"lines": str(job.file.lines)}
        with suppress(OSError, IgdashError):
            run.facts = dict(job.file.facts()) if whole else run.facts
        run.ended(failed=bool(failed), reason=failed or "imported")

    def _handed_over(self, piece: Chunk, run: Run, reading: _Reading) -> bool:
        """Wait until little waits for the writer and the spool takes the piece; False = stop."""
        while not reading.stopping.is_set():
            busy = run.lane.spool.unread > AHEAD or self._full()
            if not busy and run.lane.offer(piece):
                return True
            reading.stopping.wait(PAUSE)
        return False


class _Reading:
    """The reading of one session, as `Run` sees a gadget: a source and its stream in one."""

    def __init__(self, run: Run) -> None:
        self._run = run
        self.stopping = threading.Event()
        self.over = threading.Event()

    def open(self, session: SessionId, spec: SessionSpec, sink: Sink) -> Stream:  # noqa: ARG002
        """Be the stream."""
        return self

    def stop(self, *, timeout: float, leave: bool = False, final: bool = True) -> None:  # noqa: ARG002
        """Read no further."""
        self.stopping.set()

    def join(self, timeout: float) -> bool:
        """Wait for the reader's last word."""
        return self.over.wait(timeout)
