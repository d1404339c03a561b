"""The web side's ear on the collector: one subscription, however many sockets listen.

News are numbers (session, last_seq, state, lost); rows are read from the store by those who want
them (`feed`). While the collector is away, or says nothing about a session for a second, the hub
looks into the store itself, so that a reader's worst case is a delay and never a hole. Nothing
here runs while nobody reads: the thread begins with the first reader and ends with the last.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from igdash.domain.control import Advance
from igdash.domain.errors import IgdashError, SessionNotFound
from igdash.domain.ports import Control, EventReader, RecordReader, SessionReader
from igdash.domain.sessions import Session, SessionId, SessionState
from igdash.domain.threads import spawn
from igdash.services.feed import EventsFrame, Facts, Feed

log = logging.getLogger(__name__)

LOOK = 1.0
"""Seconds of silence about a session after which the hub looks into the store itself."""
RECHECK = 5.0
"""Seconds after which a session's loss records are looked at though no total has changed."""
LINGER = 5.0
"""Seconds the subscription outlives its last reader: a reload of a page keeps it."""


class HubClosed(IgdashError):
    """The server is shutting down."""


class Only(Protocol):
    """What picks some of the events for a reader."""

    def frame_after(self, feed: Feed, cursor: int) -> EventsFrame | None:
        """Return what follows `cursor`, perhaps no event, and how far was looked; None = nothing."""


class Reader:
    """One live reader of one session, at its own cursor. Used by one thread."""

    def __init__(
        self,
        feed: Feed,
        session: Session,
        after: int | None,
        *,
        only: Only | None,
        release: Callable[[], None],
    ) -> None:
        self._feed = feed
        self._only = only
        self._release = release
        self.cursor = session.last_seq if after is None else after
        self._loss_cursor = feed.loss_cursor
        self._version = feed.facts.version
        self._state: SessionState | None = session.state
        self._pending: list[bytes] = [_hello(session)]
        self.finished = False
        """Whether the end was handed out: nothing more will come."""

    def take(self) -> bytes | None:
        """Return the next message, or None when the reader is up to date.

        Raises `SessionNotFound` once the session is deleted, `StoreError`.
        """
        if self._pending:
            return self._pending.pop(0)
        if self.finished:
            return None
        facts = self._feed.facts
        if facts.state is None:
            raise SessionNotFound(f"session {self._feed.id} was deleted")
        self._note(facts)
        if self._pending:
            return self._pending.pop(0)
        frame = self._frame()
        if frame is not None:
            self.cursor = frame.last
            return frame.payload
        if facts.state.ended and facts.last_seq <= self.cursor:
            if facts.state is not self._state:
                self._pending.append(_state("state", facts.state))
            self._pending.append(_state("end", facts.state))
            self.finished = True
            return self._pending.pop(0)
        return None

    def _frame(self) -> EventsFrame | None:
        if self._only is None:
            return self._feed.frame_after(self.cursor)
        return self._only.frame_after(self._feed, self.cursor)

    def _note(self, facts: Facts) -> None:
        """Queue losses and steps of the session's life: at once, also for a reader far behind.
        Only the last step waits until every event was handed out."""
        if facts.version == self._version:
            return
        self._version = facts.version
        self._loss_cursor, losses = self._feed.losses_after(self._loss_cursor)
        self._pending += losses
        state = facts.state
        if state is not None and state is not self._state and not state.ended:
            self._state = state
            self._pending.append(_state("state", state))

    def close(self) -> None:
        """Leave; the session does not notice."""
        self._release()


class Hub:
    """Hands out readers. Thread-safe."""

    def __init__(
        self,
        *,
        sessions: SessionReader,
        events: EventReader,
        records: RecordReader,
        control: Control,
    ) -> None:
        self._sessions = sessions
        self._events = events
        self._records = records
        self._control = control
        self._lock = threading.Lock()
        self._feeds: dict[SessionId, Feed] = {}
        self._numbers = itertools.count(1)
        self._listeners: dict[int, Callable[[], None]] = {}
        self._stop = threading.Event()
        self._running = False
        self._version = 0

    # ------------------------------------------------------------ readers

    def open(
        self,
        session: SessionId,
        *,
        after: int | None,
        wake: Callable[[], None],
        only: Only | None = None,
    ) -> Reader:
        """Return a reader of what follows `after` (None = from now on), of all or what `only` picks.

        `wake` is called from other threads when there may be something to take, and once the hub
        closes; it must not wait. Raises `SessionNotFound`, `HubClosed`.
        """
        number = next(self._numbers)
        with self._lock:
            self._ensure_running()
            feed = self._feeds.get(session)
            if feed is None:
                feed = Feed(self._sessions.get(session), self._events, self._records)
                self._feeds[session] = feed
            feed.wakes[number] = wake
        try:
            # Read after joining the feed: what is committed from now on wakes us.
            known = self._sessions.get(session)
        except IgdashError:
            self._leave(session, number)
            raise
        feed.advance(_advance(known))
        return Reader(feed, known, after, only=only, release=lambda: self._leave(session, number))

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Keep the subscription for a page socket; returns what ends that. Raises `HubClosed`."""
        number = next(self._numbers)
        with self._lock:
            self._ensure_running()
            self._listeners[number] = wake

        def leave() -> None:
            with self._lock:
                self._listeners.pop(number, None)

        return leave

    def readers(self) -> int:
        """Return how many sockets are open on sessions and pages."""
        with self._lock:
            return len(self._listeners) + sum(len(feed.wakes) for feed in self._feeds.values())

    @property
    def version(self) -> int:
        """A number that grows with every news of the collector."""
        return self._version

    @property
    def closed(self) -> bool:
        """Whether the server is shutting down."""
        return self._stop.is_set()

    def close(self) -> None:
        """Wake every reader for the last time. Safe to call twice."""
        self._stop.set()
        with self._lock:
            wakes = [*self._listeners.values()]
            wakes += [wake for feed in self._feeds.values() for wake in feed.wakes.values()]
        for wake in wakes:
            wake()

    def _leave(self, session: SessionId, number: int) -> None:
        with self._lock:
            feed = self._feeds.get(session)
            if feed is None:
                return
            feed.wakes.pop(number, None)
            if not feed.wakes:
                del self._feeds[session]

    # ------------------------------------------------------------ news

    def _ensure_running(self) -> None:
        if self._stop.is_set():
            raise HubClosed("igdash is shutting down")
        if not self._running:
            spawn("hub", self._run)
            self._running = True  # only now: without a thread the next reader tries again

    def _run(self) -> None:
        idle_since = time.monotonic()
        while not self._stop.is_set():
            try:
                with self._control.watch(self._on_advance):
                    idle_since = self._attend(idle_since, once=False)
            except (IgdashError, OSError) as error:
                log.debug("the collector is away, looking into the store instead: %s", error)
                idle_since = self._attend(idle_since, once=True)
            except Exception:  # no thread to be had, say: readers wait for nobody else
                log.exception("the collector cannot be heard, looking into the store instead")
                idle_since = self._attend(idle_since, once=True)
            if self._may_end(idle_since):
                return

    def _attend(self, idle_since: float, *, once: bool) -> float:
        """Look after silent sessions; return when the last reader was seen (monotonic s)."""
        while not self._stop.wait(LOOK):
            now = time.monotonic()
            if self._has_readers():
                idle_since = now
            self._look(now - LOOK)
            if once or now - idle_since > LINGER:
                break
        return idle_since

    def _has_readers(self) -> bool:
        with self._lock:
            return bool(self._feeds or self._listeners)

    def _may_end(self, idle_since: float) -> bool:
        with self._lock:
            if self._feeds or self._listeners or time.monotonic() - idle_since <= LINGER:
                return False
            self._running = False
            return True

    def _on_advance(self, news: Sequence[Advance]) -> None:
        """Called by the collector's connection after every commit; with nothing after a gap."""
        self._version += 1
        now = time.monotonic()
        for one in news:
            feed = self._feeds.get(one.session)
            if feed is not None:
                feed.touched = now
                feed.advance(one)
        if not news:
            for feed in list(self._feeds.values()):
                feed.touched = 0.0

    def _look(self, before: float) -> None:
        with self._lock:
            feeds = list(self._feeds.values())
        silent = [feed for feed in feeds if feed.touched < before]
        for feed in feeds:
            if feed.checked < before - RECHECK:
                feed.recheck()
        for feed in silent:
            try:
                feed.advance(_advance(self._sessions.get(feed.id)))
            except SessionNotFound:
                feed.deleted()
            except IgdashError as error:
                log.warning("cannot look at session %s: %s", feed.id, error)


def _advance(session: Session) -> Advance:
    return Advance(
        session=session.id,
        state=session.state,
        last_seq=session.last_seq,
        lost=session.lost,
        logs=session.logs,
    )


def _hello(session: Session) -> bytes:
    return msgspec.json.encode(
        {
            "type": "hello",
            "session": session.id,
            "state": session.state.value,
            "first_seq": min(1, session.last_seq),
            "last_seq": session.last_seq,
            "lost": session.lost,
        }
    )


def _state(kind: str, state: SessionState) -> bytes:
    return msgspec.json.encode({"type": kind, "state": state.value})
