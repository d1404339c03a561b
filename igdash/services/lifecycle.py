"""The life of one session while it is collected: what its source tells, and what follows from it.

A run is its source's sink. It turns what the source says (started, ended) and what people ask for
(stop, delete, igdash going down) into steps that its lane stores in order, so that the state in
the database never runs ahead of the data.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from igdash.domain.chunks import Chunk
from igdash.domain.errors import SourceError
from igdash.domain.instances import Recall
from igdash.domain.losses import Loss, LossCause
from igdash.domain.nodes import NodeStatus
from igdash.domain.ports import Sink, Stream
from igdash.domain.sessions import Nodes, Session, SessionId, SessionSpec, SessionState, StateChange
from igdash.domain.times import NS, now_ns
from igdash.services.headless import KEPT
from igdash.services.lane import Lane, Step

log = logging.getLogger(__name__)


class Opener(Protocol):
    """What a run needs of a source."""

    def open(self, session: SessionId, spec: SessionSpec, sink: Sink) -> Stream:
        """Start the gadget. Raises `SourceError`."""


class Run:
    """One session being collected; implements `Sink`. All methods are thread-safe.

    `gap_from` is set when igdash was away: from then until the gadget runs again is a loss record.
    `running` is called when the gadget runs, `over` once, when the end is stored or nothing more
    will be. Of an import, `began` and `ended_at` (ns) are when the session really was, and `facts`
    are stored with its end.
    """

    def __init__(
        self,
        session: Session,
        lane: Lane,
        *,
        stop_timeout: float,
        running: Callable[[], None],
        over: Callable[[Run], None],
        gap_from: int | None = None,
    ) -> None:
        self.id: SessionId = session.id
        self.spec = session.spec
        self.lane = lane
        lane.gone = self.discard
        self.latest = session
        self.state = session.state
        self.running_since = session.started
        self.gap_from = gap_from
        self.began: int | None = None
        self.ended_at: int | None = None
        self.facts: Mapping[str, str] | None = None
        self.recall: Recall | None = None
        self._stop_timeout = stop_timeout
        self._running = running
        self._over = over
        self._lock = threading.Lock()
        self._stream: Stream | None = None
        self._nodes = session.nodes
        self._coverage: dict[str, NodeStatus] = {}
        self._why_stopped: str | None = None
        self._suspended = False
        self._keep = False
        self._discarded = False
        self._ended = False
        self.ended_event = threading.Event()
        self.over_event = threading.Event()

    # ------------------------------------------------------------ what the source says

    def chunk(self, chunk: Chunk) -> None:
        """Take bytes from the source."""
        self.lane.put(chunk)

    def nodes(self, *, expected: int, connected: int, coverage: Sequence[NodeStatus] = ()) -> None:
        """Store how many nodes are covered, and which, when that changed."""
        with self._lock:
            nodes = Nodes(expected=expected, connected=connected)
            changed = tuple(one for one in coverage if self._coverage.get(one.name) != one)
            if (nodes == self._nodes and not changed) or self._ended:
                return
            self._nodes = nodes
            self._coverage |= {one.name: one for one in changed}
            self._step(
                StateChange(state=self.state, at=now_ns(), nodes=nodes, coverage=changed or None)
            )

    def started(self) -> None:
        """The gadget runs."""
        with self._lock:
            now = now_ns()
            self._close_gap(now)
            at = now if self.began is None else self.began
            first = self.running_since is None
            if first:
                self.running_since = at
            if self.state is SessionState.STARTING:
                self.state = SessionState.RUNNING
                self._step(StateChange(state=self.state, at=at))
            elif self.state is SessionState.STOPPING and first:
                # It was asked to stop before it told anything, and what it tells now is stored.
                self._step(StateChange(state=self.state, at=at, started=at))
        self._running()

    def ended(self, *, failed: bool, reason: str) -> None:
        """The stream is over: store the end behind its tail."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
            self._finish(failed, reason)
        self.ended_event.set()

    def _finish(self, failed: bool, reason: str) -> None:
        if self._discarded or (self._suspended and self._why_stopped is None):
            self._done(None)
            return
        self._close_gap(now_ns())
        if self._why_stopped is not None:
            state = SessionState.STOPPED
            reason = "; ".join(filter(None, (self._why_stopped, reason if failed else "")))
        elif failed:
            state = SessionState.FAILED
        else:
            state = SessionState.STOPPED
            reason = reason or "the gadget ended"
        self.state = state
        if reason:
            self.lane.note(f"session {state}: {reason}")
        at = now_ns() if self.ended_at is None else self.ended_at
        self._step(StateChange(state=state, at=at, reason=reason, info=self.facts), last=True)

    @property
    def unaccounted_since(self) -> int | None:
        """Since when (ns) there may be losses without a record in the store; None = there are none.

        A gap's record waits in memory for the next transaction, and a kill may come before that.
        """
        starts = [start for start in (self.gap_from, self.lane.owed) if start is not None]
        return min(starts, default=None)

    def _close_gap(self, now: int, then: str = "; collecting again") -> None:
        if self.gap_from is None:
            return
        start = min(self.gap_from, now)
        seconds = (now - start) / NS
        text = f"igdash was not collecting for {seconds:.1f} s"
        self.lane.lose(
            [
                Loss(
                    node="",
                    start=start,
                    end=now,
                    count=0,
                    cause=LossCause.STREAM,
                    detail=f"{text}; how many events happened is not known",
                    exact=False,
                )
            ]
        )
        self.gap_from = None  # only now: the heartbeat never sees neither gap nor record
        self.lane.note(f"{text}{then}")

    # ------------------------------------------------------------ what others ask for

    def open(self, source: Opener) -> None:
        """Start the gadget; one that cannot be started ends the session as failed."""
        try:
            stream = source.open(self.id, self.spec, self)
        except SourceError as error:
            self.ended(failed=True, reason=str(error))
            return
        except Exception as error:
            log.exception("session %s: opening its source failed", self.id)
            self.ended(failed=True, reason=f"it could not be started: {error}")
            return
        with self._lock:
            self._stream = stream
            wanted = self._why_stopped is not None or self._suspended or self._discarded
            leave, final = self._leave, self._final
        if wanted:
            stream.stop(timeout=self._stop_timeout, leave=leave, final=final)

    @property
    def _leave(self) -> bool:
        """Whether a gadget that can go on without us is to do so."""
        return self._keep or not self._final

    @property
    def _final(self) -> bool:
        """Whether the session is not taken up again."""
        return self._discarded or self._why_stopped is not None or not self._suspended

    @property
    def streamed(self) -> bool:
        """Whether its gadget was read by this process."""
        return self._stream is not None

    @property
    def discarded(self) -> bool:
        """Whether it was deleted."""
        return self._discarded

    def stop(self, why: str, *, keep: bool = False) -> bool:
        """Begin a graceful stop; `why` becomes the reason. Return False when it is under way.

        `keep`: a headless instance is left running.
        """
        with self._lock:
            if self._why_stopped is not None or self._ended:
                return False
            self._why_stopped, self._keep = why, keep
            self.state = SessionState.STOPPING
            # With the reason, so that it is known should we not live to see the end.
            info = {KEPT: "true"} if keep else None
            self._step(StateChange(state=self.state, at=now_ns(), reason=why, info=info))
            stream = self._stream
        if stream is not None:
            stream.stop(timeout=self._stop_timeout, leave=keep)
        return True

    def suspend(self) -> None:
        """Igdash goes down: end the gadget, leave the session to be resumed."""
        with self._lock:
            self._suspended = True
            stream, leave, final = self._stream, self._leave, self._final
        if stream is not None:
            stream.stop(timeout=self._stop_timeout, leave=leave, final=final)

    def discard(self) -> None:
        """The session is deleted: end the gadget, store nothing more."""
        with self._lock:
            self._discarded = True
            stream, ended = self._stream, self._ended
        if stream is not None:
            stream.stop(timeout=self._stop_timeout)
        if ended:
            self._done(None)

    def join(self, timeout: float) -> bool:
        """Wait until the stream is over and its threads and processes are gone."""
        stream = self._stream
        if stream is None:
            return self._ended
        return stream.join(timeout)

    def interrupt(self, reason: str, at: int) -> None:
        """It cannot go on after a restart: end it as interrupted at `at` (ns)."""
        with self._lock:
            self._ended = True
            self.gap_from = None
            self.state = SessionState.INTERRUPTED
            self.lane.note(f"session interrupted: {reason}")
            self._step(
                StateChange(state=self.state, at=self._not_before_start(at), reason=reason),
                last=True,
            )
        self.ended_event.set()

    def complete(self, why: str, at: int) -> None:
        """It was to be over while igdash was away: end it as stopped at `at` (ns).

        What it was asked to collect until then, and nobody collected, is a gap.
        """
        with self._lock:
            self._ended = True
            if self.gap_from is not None and self.gap_from < at:
                self._close_gap(at, "; its time was over before that")
            self.gap_from = None
            self.state = SessionState.STOPPED
            self._step(
                StateChange(state=self.state, at=self._not_before_start(at), reason=why), last=True
            )
        self.ended_event.set()

    def _not_before_start(self, at: int) -> int:
        # A gap may begin before the start: that is told of with the first output.
        return at if self.running_since is None else max(at, self.running_since)

    # ------------------------------------------------------------ storing steps

    def _step(self, change: StateChange, *, last: bool = False) -> None:
        done = self._done if last else self._stored
        self.lane.step(Step(change=change, last=last, done=done))

    def _stored(self, session: Session) -> None:
        self.latest = session

    def _done(self, session: Session | None) -> None:
        if session is not None:
            self.latest = session
        self._over(self)
        self.over_event.set()
