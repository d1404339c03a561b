"""The collector: owns every running session, whoever looks at it or does not.

It starts gadgets through the sources, gives each session a lane to the one writer, ends sessions
whose time is over, and puts everything back as it was after a restart. It knows the store and the
sources only through their ports.
"""

from __future__ import annotations

import logging
import os
import secrets
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

from igdash import __version__
from igdash.domain.control import Advance, CollectorStats, Description
from igdash.domain.environments import EnvironmentStatus
from igdash.domain.errors import (
    CollectorUnavailable,
    EnvironmentNotFound,
    InvalidSpec,
    SessionNotFound,
    StoreBusy,
    WrongState,
)
from igdash.domain.events import Decoded
from igdash.domain.images import OFFICIAL, image_problem
from igdash.domain.imports import CaptureFile, ImportRequest, ImportStatus
from igdash.domain.instances import Instance, InstanceSource
from igdash.domain.losses import Loss
from igdash.domain.ports import Catalogue, Decode, EventWriter, SessionBatch, Source
from igdash.domain.schedules import Order, Schedule
from igdash.domain.sessions import (
    NewSession,
    Session,
    SessionId,
    SessionSpec,
    SessionState,
    StateChange,
)
from igdash.domain.times import NS, now_ns
from igdash.services.admission import Admission, no_environment
from igdash.services.descriptions import Descriptions
from igdash.services.disk import DiskGuard, Ledger
from igdash.services.headless import KEPT, Leftovers, recall
from igdash.services.heartbeat import Heartbeat
from igdash.services.imports import Imports, OpenCapture
from igdash.services.lane import Lane
from igdash.services.lifecycle import Run
from igdash.services.limits import CollectorLimits
from igdash.services.memory import rss_bytes
from igdash.services.pollers import Pollers
from igdash.services.resume import Resumption
from igdash.services.spool import Spool
from igdash.services.writer import WriterLoop

log = logging.getLogger(__name__)

Subscriber = Callable[[Sequence[Advance]], None]
Reap = Callable[[SessionId], str]


def _exit(error: BaseException) -> None:
    """End the process: the supervisor starts a fresh one, which resumes from what is stored."""
    log.critical("the collector ends: %s", error)
    logging.shutdown()
    os._exit(70)


def _nothing_to_import(_path: Path) -> CaptureFile:
    raise InvalidSpec({"file": "nothing can be imported here"})


class Collector:
    """Collects. All methods are thread-safe.

    `writer` opens the store and is called on the writer thread. `open_capture` opens a file
    to import. `reap` ends a gadget process that
    a killed collector left behind and says what it found, "" for nothing. `fatal` is called when
    the writer cannot go on; by default the process ends.
    """

    def __init__(
        self,
        *,
        writer: Callable[[], EventWriter],
        sources: Mapping[str, Source],
        catalogue: Catalogue,
        decode: Decode,
        state_dir: Path,
        limits: CollectorLimits | None = None,
        allowed_images: Sequence[str] = (OFFICIAL,),
        open_capture: OpenCapture = _nothing_to_import,
        reap: Reap = lambda _: "",
        fatal: Callable[[BaseException], None] = _exit,
    ) -> None:
        self._sources = sources
        self._catalogue = catalogue
        self._decode = decode
        self._limits = limits or CollectorLimits()
        self._state_dir = state_dir
        self._spool_dir = state_dir / "spool"
        self._allowed_images = allowed_images
        self._descriptions = Descriptions(sources)
        self._admission = Admission(
            catalogue=catalogue,
            sources=sources,
            allowed_images=allowed_images,
            describe=self._descriptions.ask,
            offered=lambda name: self._pollers.status(name).gadgets,
        )
        self._leftovers = Leftovers(sources)
        self._imports = Imports(
            open_capture=open_capture,
            catalogue=catalogue,
            decode=decode,
            begin=self._begin,
            full=lambda: self._guard.full,
            state_dir=state_dir,
        )
        self._reap = reap
        self._guard = DiskGuard(state_dir, self._limits.reserve_bytes)
        self._ledger = Ledger(state_dir)
        self._heartbeat = Heartbeat(state_dir)
        self._writer = WriterLoop(
            open_writer=writer, limits=self._limits, publish=self._published, fatal=fatal
        )
        self._pollers = Pollers(sources, self._limits.status_every, self._tick)
        self._lock = threading.Lock()
        self._runs: dict[SessionId, Run] = {}
        self._subscribers: list[Subscriber] = []
        self._started = now_ns()
        self._down = True
        self._in_ledger: dict[Lane, tuple[Loss, ...]] = {}
        self._stillborn: list[SessionId] = []

    # ------------------------------------------------------------ life

    def start(self) -> None:
        """Open the store, take up what was running, begin. Raises `AlreadyRunning`, `StoreError`."""
        self._spool_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        beat = self._heartbeat.read()
        self._guard.start()
        self._imports.tidy()
        kept = self._ledger.start()
        self._writer.start()
        points = self._writer.call(lambda store: store.unfinished(), self._limits.call_timeout)
        resumption = Resumption(self._sources, beat, self._reap, now_ns())
        lanes = [self._lane(point.session.id, committed=point.spool_offset) for point in points]
        self._in_ledger = {lane: kept[lane.session] for lane in lanes if lane.session in kept}
        for point, lane in zip(points, lanes, strict=True):
            lane.lost = point.session.lost
            lane.lose(kept.get(lane.session, ()))
            resumption.add(self._taken_up(point.session, lane, resumption))
        self._beat(self.runs(), now_ns())
        resumption.go()
        self._down = False
        self._pollers.start()
        resumption.warn_of_strangers(self._spool_dir)

    def _taken_up(self, session: Session, lane: Lane, resumption: Resumption) -> Run:
        """Return the run of a session from before; what goes on by itself has no gap as such."""
        if not session.spec.lives_on:
            return self._run(session, lane, resumption.gap(session))
        since = resumption.since(session)
        known = self._writer.call(
            lambda store: recall(store, session, lane.spool, since), self._limits.call_timeout
        )
        run = self._run(session, lane)
        run.recall = known
        return run

    def stop(self, timeout: float = 10.0) -> None:
        """End all gadgets gracefully, store their tails, leave the sessions to be resumed."""
        self._down = True
        at = now_ns()
        until = at + int(timeout * NS)
        runs = self.runs()
        for run in runs:
            run.suspend()
        self._pollers.stop()
        self._leftovers.stop()
        for run in runs:
            if not run.join(max((until - now_ns()) / NS, 0.1)):
                log.warning("session %s: its gadget did not end in time", run.id)
        self._beat(runs, at)  # of those from before: who is suspended is over, its gap is not
        lanes = self._writer.lanes()
        self._writer.stop(max((until - now_ns()) / NS, 2.0))
        left = {lane.session: lane.pending_losses() for lane in lanes}
        if self._ledger.write({session: losses for session, losses in left.items() if losses}):
            self._beat(runs, at)  # what the store or the ledger has is owed no more
        for lane in lanes:
            lane.spool.close()

    def _lane(self, session: SessionId, committed: int = 0) -> Lane:
        spool = Spool(
            self._spool_dir,
            session,
            committed=committed,
            max_bytes=self._limits.max_spool_bytes,
            segment_bytes=self._limits.segment_bytes,
        )
        return Lane(session, spool, self._decode, self._guard, self._writer.wake)

    def _run(self, session: Session, lane: Lane, gap_from: int | None = None) -> Run:
        run = Run(
            session,
            lane,
            stop_timeout=self._limits.stop_timeout,
            running=self._pollers.nudge,
            over=self._over,
            gap_from=gap_from,
        )
        with self._lock:
            self._runs[run.id] = run
        self._writer.add(lane)
        return run

    def _over(self, run: Run) -> None:
        with self._lock:
            self._runs.pop(run.id, None)
        ended_away = run.state is SessionState.STOPPED and not run.streamed
        if run.state is SessionState.FAILED or (ended_away and KEPT not in run.latest.info):
            self._leftovers.remove(run.latest)

    def runs(self) -> list[Run]:
        """Return the sessions that are not over, as they are now."""
        with self._lock:
            return list(self._runs.values())

    # ------------------------------------------------------------ what people ask for

    def start_session(self, spec: SessionSpec) -> Session:
        """Validate, store and start a session.

        Raises `InvalidSpec`; a gadget that cannot be started gives a session in state `failed`
        whose reason says why. Raises `StoreBusy` when it cannot be stored now.
        """
        self._refuse_when_down()
        admitted = self._admission.check(spec)
        spec, source = admitted.spec, admitted.source
        session = SessionId(secrets.token_hex(6))
        new = NewSession(
            id=session,
            spec=spec,
            created=now_ns(),
            sources=admitted.sources,
            command=source.command(session, spec),
            info=source.info(spec),
        )
        run = self._begin(new)
        run.open(source)
        if run.ended_event.is_set() and not run.over_event.wait(5):
            return replace(run.latest, state=run.state)
        return run.latest

    def _begin(self, new: NewSession) -> Run:
        return self._run(self._create(new), self._lane(new.id))

    def _create(self, new: NewSession) -> Session:
        try:
            return self._writer.call(lambda store: store.create(new), self._limits.call_timeout)
        except StoreBusy:
            # The store may have it all the same, now or a moment later: nobody must wait for it.
            self._stillborn.append(new.id)
            raise

    def _bury(self) -> None:
        """End sessions whose start was refused because the store was busy, but which it has."""
        while self._stillborn and not self._writer.meter.trouble():
            session = self._stillborn[0]
            change = StateChange(
                state=SessionState.FAILED,
                at=now_ns(),
                reason="the database took too long to store it, so it was not started",
            )
            try:
                with suppress(SessionNotFound):
                    self._writer.call(partial(_change, session, change), self._limits.call_timeout)
            except StoreBusy:
                return  # the next tick tries again
            self._stillborn.remove(session)

    def import_file(self, request: ImportRequest) -> ImportStatus:
        """Begin to import a file. Raises `InvalidSpec`, `StoreBusy`."""
        self._refuse_when_down()
        return self._imports.start(request)

    def imports(self) -> Sequence[ImportStatus]:
        """Return the newest imports, newest first."""
        return self._imports.statuses()

    def stop_session(self, session: SessionId, *, keep: bool = False) -> None:
        """Begin a graceful stop; `keep` leaves a headless instance running.

        Raises `SessionNotFound`, `WrongState` when it already ended.
        """
        self._refuse_when_down()
        run = self._find(session)
        if run is not None and not run.ended_event.is_set():
            run.stop("", keep=keep and run.spec.headless)
            return
        state = run.state if run is not None else self._stored_state(session)
        raise WrongState(f"session {session} is {state} already")

    def delete_session(self, session: SessionId) -> None:
        """Hide it at once, end its gadget, delete its rows behind. Raises `SessionNotFound`."""
        self._refuse_when_down()

        def hide(store: EventWriter) -> None:
            run = self._find(session)
            self._writer.purge_soon()  # first: hidden it may be, though we hear of an error
            try:
                hidden = store.hide(session)
            except SessionNotFound:
                if run is None or run.discarded:
                    raise
                hidden = run.latest  # an earlier try did it, and its acknowledgement was lost
            if run is not None:
                self._writer.forget(session)
                run.lane.discard()
                run.discard()
            if run is None or not run.streamed:
                self._leftovers.remove(hidden)

        self._writer.call(hide, self._limits.call_timeout)

    def schedule(self, order: Order) -> Schedule:
        """Change scheduled exports: they are run elsewhere, but only we write.

        Raises `ScheduleNotFound`, `WrongState`, `StoreBusy`.
        """
        self._refuse_when_down()
        return self._writer.call(lambda store: store.schedule(order), self._limits.call_timeout)

    def _find(self, session: SessionId) -> Run | None:
        with self._lock:
            return self._runs.get(session)

    def _stored_state(self, session: SessionId) -> SessionState:
        """Return the state of a session that is not collected here. Raises `SessionNotFound`.

        An empty batch adds nothing, and its advance tells the state.
        """
        batch = SessionBatch(session=session, decoded=Decoded(), received=0, spool_offset=0)
        advances = self._writer.call(lambda store: store.append([batch]), self._limits.call_timeout)
        if not advances:
            raise SessionNotFound(f"no session {session}")
        return advances[0].state

    def _refuse_when_down(self) -> None:
        if self._down:
            raise CollectorUnavailable("the collector is going down")

    # ------------------------------------------------------------ what it tells

    def environments(self) -> Sequence[EnvironmentStatus]:
        """Return what is known of each environment, as of the last look (≤ 10 s ago)."""
        return self._pollers.statuses()

    def test(self, environment: str) -> EnvironmentStatus:
        """Ask an environment anew. Raises `EnvironmentNotFound`."""
        self._source(environment)
        return self._pollers.test(environment)

    def describe(self, environment: str, gadget: str, wait: float) -> Description:
        """Return what an environment itself says of a gadget, as far as known within `wait` s.

        Raises `EnvironmentNotFound`, `GadgetNotFound`; `InvalidSpec` for an image that is not
        allowed, as asking for it would make the environment fetch it.
        """
        self._source(environment)
        self._catalogue.get(gadget)
        if why := image_problem(gadget, self._allowed_images):
            raise InvalidSpec({"gadget": why})
        return self._descriptions.ask(environment, gadget, wait)

    def instances(self, environment: str) -> Sequence[Instance]:
        """Return the headless instances of an environment; may take some seconds.

        Raises `EnvironmentNotFound`, `InvalidSpec` where there can be none, `SourceError`.
        """
        source = self._source(environment)
        if not isinstance(source, InstanceSource):
            raise InvalidSpec({"environment": f"{environment} has no headless instances"})
        return source.instances()

    def _source(self, environment: str) -> Source:
        source = self._sources.get(environment)
        if source is None:
            raise EnvironmentNotFound(no_environment(environment, self._sources))
        return source

    def subscribe(self, callback: Subscriber) -> Callable[[], None]:
        """Call back after every commit, from the writer thread: it must return at once and never
        raise. Return what ends it."""
        with self._lock:
            self._subscribers = [*self._subscribers, callback]

        def unsubscribe() -> None:
            with self._lock:
                self._subscribers = [c for c in self._subscribers if c is not callback]

        return unsubscribe

    def stats(self) -> CollectorStats:
        """Return how collecting is doing."""
        lanes = self._writer.lanes()
        oldest = min(
            (at for lane in lanes if (at := lane.spool.oldest()) is not None), default=None
        )
        meter = self._writer.meter
        return CollectorStats(
            pid=os.getpid(),
            started=self._started,
            version=__version__,
            sessions=len(self.runs()),
            rate=meter.rate(),
            lag_ms=0.0 if oldest is None else max(now_ns() - oldest, 0) / 1e6,
            backlog_bytes=sum(lane.spool.unread for lane in lanes),
            commits=meter.commits,
            events=meter.events,
            trouble="; ".join(filter(None, (self._disk_trouble(), meter.trouble()))),
            rss_bytes=rss_bytes(),
        )

    def _disk_trouble(self) -> str:
        full = self._guard.full
        where = self._state_dir
        return f"{full} under {where}: what arrives is counted as lost" if full else ""

    # ------------------------------------------------------------ from the threads

    def _published(self, advances: Sequence[Advance]) -> None:
        if self._in_ledger:
            self._tidy_ledger()
        for advance in advances:
            run = self._find(advance.session)
            wanted = run.spec.stop_after.events if run is not None else None
            if run is not None and wanted is not None and advance.last_seq >= wanted:
                run.stop(f"{wanted} events were asked for, {advance.last_seq} had come")
        for callback in self._subscribers:
            callback(advances)

    def _tidy_ledger(self) -> None:
        """Take out what the store has by now; not before, as the process may die in between."""
        left = {lane: losses for lane, losses in self._in_ledger.items() if not lane.commits}
        kept = {lane.session: losses for lane, losses in left.items()}
        if len(left) < len(self._in_ledger) and self._ledger.write(kept):
            self._in_ledger = left

    def _tick(self) -> float:
        """Every second or sooner: beat, look at the disk, end what is due. Return when next (s)."""
        self._beat(self.runs(), now_ns())
        if self._writer.meter.trouble() and self._guard.starved():
            self._guard.fill("no space left on device")
        self._guard.check()
        self._bury()
        wait = 1.0
        for run in self.runs():
            seconds, since = run.spec.stop_after.seconds, run.running_since
            if seconds is None or since is None:
                continue
            left = seconds - (now_ns() - since) / NS
            if left <= 0:
                run.stop(f"{seconds:g} s were asked for")
            else:
                wait = min(wait, left)
        return wait

    def _beat(self, runs: Sequence[Run], at: int) -> None:
        since = ((run.id, run.unaccounted_since) for run in runs)
        gaps = {id_: start for id_, start in since if start is not None}
        self._heartbeat.write(at, gaps)


def _change(session: SessionId, change: StateChange, store: EventWriter) -> None:
    store.change(session, change)
