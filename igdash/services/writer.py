"""The writer thread: the only one that touches the store's writer, from its opening to its close.

Each turn it stores what waits in the lanes as one transaction, then the steps of sessions whose
data are in, then what others asked for (create, hide), then a slice of deleted rows. Nobody hears
of anything before it is committed. A store that cannot take writes holds nothing up but the
commits: positions stay, spooling goes on, and the thread tries again. Any error that is not
"busy" ends the process, so that the supervisor starts a fresh one: never a silent, dead writer.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import suppress
from typing import TypeVar

from igdash.domain.control import Advance
from igdash.domain.errors import SessionNotFound, StoreBusy
from igdash.domain.ports import EventWriter, ResumePoint
from igdash.domain.sessions import Session, SessionId
from igdash.domain.threads import spawn
from igdash.services.lane import Lane, Step, Taken
from igdash.services.limits import CollectorLimits
from igdash.services.meter import Meter
from igdash.services.scheduler import Scheduler

log = logging.getLogger(__name__)
T = TypeVar("T")

_BACKOFF = (0.1, 2.0)
_SCALES = (1.0, 0.25, 0.05, 0.0)


class WriterLoop:
    """Owns the store's writer and every lane's way into it. All methods are thread-safe.

    `publish` is called from the writer thread after each commit and must return at once; `fatal`
    when the thread cannot go on.
    """

    def __init__(
        self,
        *,
        open_writer: Callable[[], EventWriter],
        limits: CollectorLimits,
        publish: Callable[[Sequence[Advance]], None],
        fatal: Callable[[BaseException], None],
    ) -> None:
        self._open_writer = open_writer
        self._limits = limits
        self._publish = publish
        self._fatal = fatal
        self._scheduler = Scheduler(limits)
        self._lock = threading.Lock()
        self._lanes: dict[SessionId, Lane] = {}
        self._calls: deque[tuple[Callable[[EventWriter], object], Future[object]]] = deque()
        self._wake = threading.Event()
        self._ending = threading.Event()
        self._deadline = 0.0
        self._opened: Future[None] = Future()
        self._doubt: list[tuple[Lane, Taken]] = []
        self._scale = 0
        self._purging = True
        self._pause = threading.Event()
        self._join: Callable[[float], None] = lambda _: None
        self.meter = Meter()

    # ------------------------------------------------------------ from outside

    def start(self) -> None:
        """Open the store and begin. Raises what opening raises: `AlreadyRunning`, `StoreError`."""
        self._join = spawn("writer", self._run).join
        self._opened.result()

    def stop(self, timeout: float) -> None:
        """Store what waits, as far as `timeout` s allow, close the store and end the thread."""
        self._deadline = time.monotonic() + timeout
        self._ending.set()
        self.wake()
        self._join(timeout + 10)

    def wake(self) -> None:
        """There is something to do."""
        self._wake.set()

    def add(self, lane: Lane) -> None:
        """Take on a session's lane."""
        with self._lock:
            self._lanes[lane.session] = lane
        self.wake()

    def lanes(self) -> list[Lane]:
        """Return the lanes as they are now."""
        with self._lock:
            return list(self._lanes.values())

    def call(self, work: Callable[[EventWriter], T], timeout: float) -> T:
        """Run `work` on the writer thread and return what it returns, or raise what it raises.

        Raises `StoreBusy` when the store takes no writes, or its turn does not come in `timeout` s.
        """
        future: Future[object] = Future()
        self._calls.append((work, future))
        self.wake()
        try:
            return future.result(timeout)  # type: ignore[return-value]
        except FutureTimeoutError:
            future.cancel()
            why = self.meter.trouble() or "the writer is busy"
            raise StoreBusy(f"not done within {timeout:.0f} s: {why}") from None

    def purge_soon(self) -> None:
        """Rows of hidden sessions are to be deleted when there is time."""
        self._purging = True
        self.wake()

    # ------------------------------------------------------------ the thread

    def _run(self) -> None:
        try:
            store = self._open_writer()
        except BaseException as error:  # noqa: BLE001 - start() raises it where it is understood
            self._opened.set_exception(error)
            return
        self._opened.set_result(None)
        try:
            self._loop(store)
            self._close(store)
        except BaseException as error:
            log.exception("the writer cannot go on")
            self._refuse_calls()
            self._fatal(error)

    def _loop(self, store: EventWriter) -> None:
        while True:
            # Cleared before looking, so that whatever comes while looking is not slept over.
            self._wake.clear()
            if self._finished():
                return
            begun = time.monotonic()
            try:
                more = self._turn(store)
            except StoreBusy as error:
                self._held_up(error)
                continue
            self.meter.fine()
            if not more:
                self._rest(begun)

    def _finished(self) -> bool:
        if not self._ending.is_set():
            return False
        if time.monotonic() >= self._deadline:
            return True
        idle = all(lane.drained and lane.next_step() is None for lane in self.lanes())
        return idle and not self._doubt and not self._calls

    def _rest(self, begun: float) -> None:
        """Wait for work, and at least until the commit window is over."""
        self._wake.wait(1.0)
        left = self._limits.commit_window - (time.monotonic() - begun)
        if left > 0:
            self._ending.wait(left)

    def _held_up(self, error: StoreBusy) -> None:
        self._scale = min(self._scale + 1, len(_SCALES) - 1)
        tries = self.meter.held_up(str(error))
        self._refuse_calls(error)
        self._ending.wait(min(_BACKOFF[0] * 2**tries, _BACKOFF[1]))
        if self._ending.is_set():
            self._pause.wait(_BACKOFF[0])

    def _turn(self, store: EventWriter) -> bool:
        """Do one round of everything; return whether more waits already."""
        if self._doubt:
            self._resolve(store)
        self._store_steps(store)  # so that a session runs before it has events
        more = self._store_batches(store)
        self._store_steps(store)
        self._answer_calls(store)
        if self._purging:
            self._purging = store.purge(self._limits.purge_rows)
            more = more or self._purging
        return more

    def _store_batches(self, store: EventWriter) -> bool:
        lanes = self.lanes()
        scale = _SCALES[self._scale]
        taken = self._scheduler.take(lanes, scale)
        if taken:
            self._doubt = taken
            advances = store.append([item.batch for _, item in taken])
            self._settle(taken, advances)
            stored = {advance.session for advance in advances}
            for lane, _ in taken:
                if lane.session not in stored:
                    self._gone(lane)
        self._scale = max(self._scale - 1, 0)
        # Nothing taken of what waits: it cannot be read just now, and asking at once is no help.
        return bool(taken or not scale) and any(lane.waiting for lane in lanes)

    def _settle(self, taken: Sequence[tuple[Lane, Taken]], advances: Sequence[Advance]) -> None:
        self._doubt = []
        for lane, item in taken:
            lane.committed(item)
        self.meter.committed(sum(len(item.batch.decoded.events) for _, item in taken))
        self._publish(advances)

    def _resolve(self, store: EventWriter) -> None:
        """The last transaction failed: find out whether it happened, then keep it or undo taking it.

        A connection can break after the commit and before the answer. All batches were one
        transaction, so any of them that can be told decides for all.
        """
        stored = {point.session.id: point for point in store.unfinished()}
        happened = [
            v for lane, item in self._doubt if (v := _happened(lane, item, stored)) is not None
        ]
        taken = self._doubt
        if any(happened):
            log.warning("the acknowledgement of a transaction was lost; it is stored")
            points = [stored[lane.session] for lane, _ in taken if lane.session in stored]
            self._settle(taken, [_advance(point.session) for point in points])
            return
        self._doubt = []
        for lane, item in taken:
            lane.give_back(item)

    def _store_steps(self, store: EventWriter) -> None:
        for lane in self.lanes():
            while (step := lane.next_step()) is not None:
                self._store_step(store, lane, step)

    def _store_step(self, store: EventWriter, lane: Lane, step: Step) -> None:
        if step.last:
            # Before the end is stored, so that an ended session never leaves files behind.
            lane.spool.remove()
        try:
            session = store.change(lane.session, step.change)
        except SessionNotFound:
            self._gone(lane)
            return
        lane.stepped(step)
        if step.last:
            self.forget(lane.session)
        if step.done is not None:
            step.done(session)
        self._publish([_advance(session)])

    def _gone(self, lane: Lane) -> None:
        """It was deleted, but whoever did it did not know the lane (the session was just starting)
        or was not told (the acknowledgement was lost)."""
        log.warning("session %s was deleted while it was collected", lane.session)
        self.forget(lane.session)
        lane.discard()
        lane.gone()

    def forget(self, session: SessionId) -> None:
        """Let go of a session's lane."""
        with self._lock:
            self._lanes.pop(session, None)

    def _answer_calls(self, store: EventWriter) -> None:
        while self._calls:
            work, future = self._calls.popleft()
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work(store))
            except StoreBusy as error:
                future.set_exception(error)
                raise
            except Exception as error:  # noqa: BLE001 - the caller gets it
                future.set_exception(error)

    def _refuse_calls(self, error: StoreBusy | None = None) -> None:
        """Nobody waits for a store that takes no writes: the caller is told why."""
        while self._calls:
            _, future = self._calls.popleft()
            if future.set_running_or_notify_cancel():
                future.set_exception(error or StoreBusy("the collector is going down"))

    def _close(self, store: EventWriter) -> None:
        self._refuse_calls()
        with suppress(StoreBusy):
            if self._doubt:
                self._resolve(store)
        for lane, item in self._doubt:
            lane.give_back(item)
        self._doubt = []
        store.close()


def _happened(lane: Lane, item: Taken, stored: dict[SessionId, ResumePoint]) -> bool | None:
    """Whether the store has this batch; None when it cannot be told from it."""
    point = stored.get(lane.session)
    if point is None:
        return None
    if item.batch.spool_offset > lane.spool.committed:
        return point.spool_offset >= item.batch.spool_offset
    if item.lost:
        return point.session.lost >= lane.lost + item.lost
    return None


def _advance(session: Session) -> Advance:
    return Advance(
        session=session.id,
        state=session.state,
        last_seq=session.last_seq,
        lost=session.lost,
        logs=session.logs,
    )
