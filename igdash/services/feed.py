"""One session as its live readers share it: the facts of the last commit, a ring of ready frames.

A frame is read from the store and turned into text once, by whichever reader needs it first; the
others hand out the same bytes. The ring is bounded in bytes. A reader outside of it (behind, or
resuming from an old seq) reads its own frames from the store at its own pace: nobody waits for it
and it skips nothing.

Two locks, on purpose. `_facts` is held for a few assignments only, also by the collector's thread
that brings news; `_fill` is held while the store is read, by readers only.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, replace

import msgspec

from igdash.domain.control import Advance
from igdash.domain.events import Event
from igdash.domain.losses import Loss, LossCause
from igdash.domain.ports import EventReader, RecordReader
from igdash.domain.queries import EventRange
from igdash.domain.sessions import Session, SessionId, SessionState
from igdash.services.render import events_frame, time_text

RING_BYTES = 4 * 1_048_576
"""Ready frames kept per session; a reader further behind reads from the store."""
FRAME_BYTES = 262_144
"""Aimed-at size of one frame; events are 1 kB or so, but may be a megabyte each."""
FRAME_EVENTS = 500
LOSS_FRAMES = 256
"""Loss frames kept per session; whoever misses one still gets the exact total with the next."""
LOSS_WINDOW = 200
"""Newest loss records looked at when the total has changed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EventsFrame:
    """Events `first … last` as one socket message, and as they were read."""

    first: int
    last: int
    events: tuple[Event, ...]
    payload: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What the last commit said of the session. `state` None = deleted."""

    state: SessionState | None
    last_seq: int
    lost: int
    logs: int
    version: int = 0


LossKey = tuple[str, LossCause, int]


class Feed:
    """What the live readers of one session share."""

    def __init__(self, session: Session, events: EventReader, records: RecordReader) -> None:
        self.id: SessionId = session.id
        self._events = events
        self._records = records
        self._facts_lock = threading.Lock()
        self._fill_lock = threading.Lock()
        self._facts = Facts(
            state=session.state, last_seq=session.last_seq, lost=session.lost, logs=session.logs
        )
        self._ring: deque[EventsFrame] = deque()
        self._ring_bytes = 0
        self._size = max(64, session.bytes // max(1, session.events))
        self._losses: deque[tuple[int, bytes]] = deque(maxlen=LOSS_FRAMES)
        self._loss_number = 0
        self._loss_seen: dict[LossKey, int] = {}
        self._loss_version = 0
        self.wakes: dict[int, Callable[[], None]] = {}
        """Called, without waiting, when there is something new; by reader."""
        self.touched = 0.0
        """When the last news came (monotonic s); the hub looks itself when that is long ago."""
        self.checked = time.monotonic()
        """When `recheck` was last called (monotonic s)."""
        self._look_at_losses()

    # ------------------------------------------------------------ news

    @property
    def facts(self) -> Facts:
        """The newest facts known."""
        return self._facts

    def advance(self, news: Advance) -> None:
        """Take in news from the collector, or from a look at the store. Never goes back."""
        with self._facts_lock:
            old = self._facts
            if old.state is None:
                return
            ended = old.state.ended and not news.state.ended
            new = replace(
                old,
                state=old.state if ended else news.state,
                last_seq=max(old.last_seq, news.last_seq),
                lost=max(old.lost, news.lost),
                logs=max(old.logs, news.logs),
            )
            if new == old:
                return
            changed = new.lost != old.lost or new.logs != old.logs or new.state != old.state
            self._facts = replace(new, version=old.version + int(changed))
        self.wake()

    def recheck(self) -> None:
        """Have the loss records looked at again: one whose count nobody knows changes no total."""
        with self._facts_lock:
            self._facts = replace(self._facts, version=self._facts.version + 1)
        self.checked = time.monotonic()
        self.wake()

    def deleted(self) -> None:
        """Note that the session is gone."""
        with self._facts_lock:
            self._facts = replace(self._facts, state=None)
        self.wake()

    def wake(self) -> None:
        """Wake every reader."""
        for wake in list(self.wakes.values()):
            wake()

    # ------------------------------------------------------------ events

    def frame_after(self, cursor: int) -> EventsFrame | None:
        """Return the events that follow `cursor`, as many as fit a frame; None = nothing new."""
        if cursor >= self._facts.last_seq:
            return None
        with self._fill_lock:
            shared = self._from_ring(cursor)
            if shared is not None:
                return shared
            newest = self._ring[-1].last if self._ring else cursor
            if cursor >= newest:
                if cursor > newest:  # the ring was left behind by a pause of all its readers
                    self._ring.clear()
                    self._ring_bytes = 0
                frame = self._read(cursor, FRAME_EVENTS)
                if frame is not None:
                    self._push(frame)
                return frame
        # Behind the ring, or inside one of its frames: read alone, up to where it ends.
        return self._read(cursor, newest - cursor)

    def _from_ring(self, cursor: int) -> EventsFrame | None:
        if not self._ring or not self._ring[0].first <= cursor + 1 <= self._ring[-1].last:
            return None
        return next((frame for frame in self._ring if frame.first == cursor + 1), None)

    def _read(self, cursor: int, most: int) -> EventsFrame | None:
        limit = max(1, min(most, FRAME_EVENTS, FRAME_BYTES // self._size))
        page = self._events.page(self.id, EventRange(after=cursor, limit=limit))
        if not page.events:
            return None
        last = page.events[-1].seq
        payload = events_frame(page.events, last)
        self._size = max(64, len(payload) // len(page.events))
        return EventsFrame(first=page.events[0].seq, last=last, events=page.events, payload=payload)

    def _push(self, frame: EventsFrame) -> None:
        self._ring.append(frame)
        self._ring_bytes += len(frame.payload)
        while self._ring_bytes > RING_BYTES and len(self._ring) > 1:
            self._ring_bytes -= len(self._ring.popleft().payload)

    # ------------------------------------------------------------ losses

    @property
    def loss_cursor(self) -> int:
        """The number of the newest loss frame: where a new reader begins."""
        return self._loss_number

    def losses_after(self, cursor: int) -> tuple[int, list[bytes]]:
        """Return the cursor after, and the loss frames that are new since `cursor`."""
        with self._fill_lock:
            if self._facts.version != self._loss_version:
                self._look_at_losses()
            new = [payload for number, payload in self._losses if number > cursor]
            return self._loss_number, new

    def _look_at_losses(self) -> None:
        version = self._facts.version
        first_look = not self._loss_seen and self._loss_number == 0 and version == 0
        found, total = self._records.losses(self.id, limit=LOSS_WINDOW)
        seen: dict[LossKey, int] = {}
        for loss in found:
            key = (loss.node, loss.cause, loss.second)
            seen[key] = loss.count
            if not first_look and self._loss_seen.get(key) != loss.count:
                self._loss_number += 1
                self._losses.append((self._loss_number, _loss_frame(loss, total)))
        self._loss_seen = seen
        self._loss_version = version


def _loss_frame(loss: Loss, total: int) -> bytes:
    return msgspec.json.encode(
        {
            "type": "loss",
            "node": loss.node,
            "from": time_text(loss.start),
            "to": time_text(loss.end),
            "count": loss.count,
            "cause": loss.cause.value,
            "detail": loss.detail,
            "exact": loss.exact,
            "total": total,
        }
    )
