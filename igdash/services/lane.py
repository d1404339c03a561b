"""A lane: everything of one live session between its source and the writer.

The source's thread puts chunks in (to the spool, or counted when that is full); the writer thread
takes the next slice out as one batch. Steps of the session's life wait here too, in order, so that
an end is stored only after the tail that belongs before it.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from itertools import chain

from igdash.domain.chunks import Chunk, ChunkKind
from igdash.domain.events import MAX_RAW, Decoded, LogLevel, LogLine, Malformed, NewTick
from igdash.domain.losses import Loss, LossCause
from igdash.domain.ports import Decode, SessionBatch
from igdash.domain.sessions import Session, SessionId, StateChange
from igdash.domain.times import now_ns
from igdash.services.disk import DiskGuard
from igdash.services.spool import Spool, SpoolFull
from igdash.services.tally import Held, Tally

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """A step of a session's life on its way to the store.

    `last`: nothing comes after it, so it waits until everything before it is committed. `done` is
    called from the writer thread with the session as stored.
    """

    change: StateChange
    last: bool = False
    done: Callable[[Session], None] | None = None


@dataclass(frozen=True, slots=True)
class Taken:
    """One batch under way, with what is needed to undo taking it."""

    batch: SessionBatch
    held: Held

    @property
    def lost(self) -> int:
        """The events that this batch's loss records count."""
        return sum(loss.count for loss in self.batch.decoded.losses)


class Lane:
    """One session's way to the store. `put`, `offer`, `note` and `step` may be called by any
    thread, the rest only by the writer."""

    def __init__(
        self,
        session: SessionId,
        spool: Spool,
        decode: Decode,
        guard: DiskGuard,
        wake: Callable[[], None],
    ) -> None:
        self.session = session
        self.spool = spool
        self.lost = 0
        self.commits = 0
        """Batches stored; what waited in memory at the start is in the first of them."""
        self.gone: Callable[[], None] = lambda: None
        """Called by the writer thread when the store turns out not to have the session any more."""
        self._decode = decode
        self._guard = guard
        self._wake = wake
        self._lock = threading.Lock()
        self._tally = Tally()
        self._under_way: list[tuple[Loss, ...]] = []
        self._seen: int | None = None
        self._steps: deque[Step] = deque()
        self._discarded = False

    # ------------------------------------------------------------ in

    def put(self, chunk: Chunk) -> None:
        """Spool a chunk or, when that cannot be, count its events as lost. Never raises."""
        with self._lock:
            if not self._discarded and (why := self._refused(chunk)):
                self._tally.dropped(chunk, decode_safely(self._decode, chunk), why)
        self._wake()

    def offer(self, chunk: Chunk) -> bool:
        """Spool a chunk; False when that cannot be now, and it is to be offered again.

        For who still has it then. What will never fit is counted as lost.
        """
        with self._lock:
            if not self._discarded and (why := self._refused(chunk)):
                if self.spool.fits(chunk):
                    return False
                self._tally.dropped(chunk, decode_safely(self._decode, chunk), why)
        self._wake()
        return True

    def _refused(self, chunk: Chunk) -> str:
        """Spool a chunk; return why it cannot be, "" when it is."""
        if self._guard.full:
            return self._guard.full
        try:
            self.spool.append(chunk)
        except SpoolFull as error:
            if error.disk:
                self._guard.fill(str(error))
            return str(error)
        return ""

    def note(self, text: str, level: LogLevel = LogLevel.INFO) -> None:
        """Add a line of igdash's own to the session's log."""
        with self._lock:
            self._tally.log(LogLine(ts=now_ns(), level=level, node="", text=f"igdash: {text}"))
        self._wake()

    def lose(self, losses: Iterable[Loss]) -> None:
        """Add loss records that no source reported."""
        with self._lock:
            self._tally.add(losses)
        self._wake()

    def step(self, step: Step) -> None:
        """Queue a step of the session's life."""
        with self._lock:
            self._steps.append(step)
        self._wake()

    def discard(self) -> None:
        """The session was deleted: whatever still comes is of no interest."""
        with self._lock:
            self._discarded = True
            self._steps.clear()
            self._tally = Tally()
            self.spool.remove()

    # ------------------------------------------------------------ out

    @property
    def drained(self) -> bool:
        """Whether the store has everything."""
        return self.spool.drained and not self._tally

    @property
    def owed(self) -> int | None:
        """Since when (ns) there are losses that only this process knows of; None = none."""
        with self._lock:
            starts = [self._tally.since, *(one.start for one in chain(*self._under_way))]
        return min((start for start in starts if start is not None), default=None)

    @property
    def waiting(self) -> bool:
        """Whether there is something to take."""
        return self.spool.position < self.spool.end or bool(self._tally)

    def take(self, limit: int) -> Taken | None:
        """Return the next slice of about `limit` bytes as a batch; 0 = only what waits in memory."""
        parts: list[Decoded] = []
        if limit and self.spool.position < self.spool.end:
            piece = self.spool.read(limit)
            parts = [decode_safely(self._decode, chunk) for chunk in piece.chunks]
            if piece.chunks:
                self._seen = piece.chunks[-1].received
            if piece.hole:
                parts.append(Decoded(losses=(self._hole(piece.hole),)))
        with self._lock:
            held = self._tally.take()
            if held.losses:
                self._under_way.append(held.losses)
        if not parts and not held:
            return None
        decoded = join([*parts, held.decoded()])
        dropped = sum(loss.count for loss in decoded.losses if loss.cause is LossCause.WRITER)
        batch = SessionBatch(
            session=self.session,
            decoded=decoded,
            received=len(decoded.events) + dropped,
            spool_offset=self.spool.position,
        )
        return Taken(batch, held)

    def _hole(self, size: int) -> Loss:
        log.error("session %s: %d bytes of its spool cannot be read", self.session, size)
        now = now_ns()
        # It was received after what stands before it; without that, nothing tells when.
        start = now if self._seen is None else min(self._seen, now)
        detail = f"{size} bytes of the spool could not be read; how many events is not known"
        return Loss(
            node="",
            start=start,
            end=now,
            count=0,
            cause=LossCause.WRITER,
            detail=detail,
            exact=False,
        )

    def committed(self, taken: Taken) -> None:
        """The batch is stored."""
        self.commits += 1
        self.lost += taken.lost
        self.spool.commit(taken.batch.spool_offset)
        with self._lock:
            self._settle(taken)

    def give_back(self, taken: Taken) -> None:
        """The batch is not stored: it will be taken again."""
        self.spool.rewind()
        with self._lock:
            if not self._discarded:
                self._tally.give_back(taken.held)
            self._settle(taken)

    def _settle(self, taken: Taken) -> None:
        self._under_way = [one for one in self._under_way if one is not taken.held.losses]

    def next_step(self) -> Step | None:
        """Return the step that can be stored now, if any; it stays until `stepped`."""
        with self._lock:
            if not self._steps or (self._steps[0].last and not self.drained):
                return None
            return self._steps[0]

    def stepped(self, step: Step) -> None:
        """The step is stored."""
        with self._lock:
            if self._steps and self._steps[0] is step:
                self._steps.popleft()

    def pending_losses(self) -> tuple[Loss, ...]:
        """Return the loss records that no transaction took yet, and forget them."""
        with self._lock:
            return self._tally.take().losses


def decode_safely(decode: Decode, chunk: Chunk) -> Decoded:
    """Decode a chunk; bytes that break the decoder are kept as malformed instead of stopping all."""
    try:
        return decode(chunk)
    except Exception as error:
        log.exception("decoding a chunk of %d bytes failed", len(chunk.data))
        reason = f"cannot be decoded: {type(error).__name__}"
        if chunk.kind is not ChunkKind.JSON_LINES:
            reason += f" ({chunk.kind.name.lower()})"
        broken = Malformed(
            ts=chunk.received,
            node=chunk.node,
            raw=chunk.data[:MAX_RAW],
            size=len(chunk.data),
            reason=reason,
        )
        return Decoded(malformed=(broken,))


def join(parts: list[Decoded]) -> Decoded:
    """Return one for several, in order; ticks keep pointing at their rows."""
    if len(parts) == 1:
        return parts[0]
    ticks: list[NewTick] = []
    first = 0
    for part in parts:
        ticks.extend(replace(tick, first=tick.first + first) for tick in part.ticks)
        first += len(part.events)
    every = chain.from_iterable
    return Decoded(
        events=tuple(every(part.events for part in parts)),
        ticks=tuple(ticks),
        losses=tuple(every(part.losses for part in parts)),
        malformed=tuple(every(part.malformed for part in parts)),
        logs=tuple(every(part.logs for part in parts)),
        schemas=tuple(every(part.schemas for part in parts)),
    )
