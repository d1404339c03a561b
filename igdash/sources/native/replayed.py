"""What a headless instance tells again at each attach: stored once, and what is missing accounted for.

Nothing in the stream says where the replay ends. It comes at once and is at most 1,024 events, so
the first lines of an attach are held until so many are there or it is quiet; then those that the
session has already are dropped, and whatever was not told again is a loss.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

from igdash.domain.chunks import Chunk, ChunkKind
from igdash.domain.instances import DIGEST, REMEMBERED, RING, Recall, Tail, digest, known_lines
from igdash.domain.losses import IN_FLIGHT, LossCause
from igdash.domain.times import NS
from igdash.sources.native.reading import log_chunk, loss_chunk

Emit = Callable[[Chunk], None]


class Memory:
    """The last lines that a session received from one node; `at` is when (ns).

    `met` says whether an instance was read before, so that something may be told again, or missing.
    """

    def __init__(self, node: str, recall: Recall | None) -> None:
        tail = recall.tails.get(node, Tail()) if recall is not None else Tail()
        self.digests: deque[bytes] = deque(tail.digests, maxlen=REMEMBERED)
        self.at = tail.at or (recall.since if recall is not None else 0)
        self.met = recall is not None

    def keep(self, chunk: Chunk) -> None:
        """Remember what is handed on. After a loss only what came behind it is one piece."""
        if chunk.kind is ChunkKind.LOSS:
            self.digests.clear()
        elif chunk.kind is ChunkKind.JSON_LINES:
            for line in chunk.data.splitlines():
                if (one := digest(line)) is not None:
                    self.digests.append(one)
            self.at = chunk.received


@dataclass(frozen=True, slots=True)
class _Held:
    """A line, or a loss record between two of them."""

    chunk: Chunk
    line: bytes = b""
    mark: bytes | None = None


class Gate:
    """Holds the beginning of one attach. `fresh`: the instance was made just now, so that nothing
    of it is known. `began` is when it was attached (ns), `since` from when on events may be missing:
    without it from the last that is known."""

    def __init__(
        self, node: str, memory: Memory, emit: Emit, *, began: int, fresh: bool, since: int = 0
    ) -> None:
        self.open = not memory.met
        self.held = 0
        self._node = node
        self._memory = memory
        self._emit = emit
        self._began = began
        self._fresh = fresh
        self._waiting: list[_Held] = []
        self._since = since or memory.at or began
        self._short = False

    def take(self, chunk: Chunk) -> None:
        """Take what comes: hand it on, or hold it while it may be known already."""
        if self._fresh and chunk.kind is ChunkKind.JSON_LINES:
            # Nothing of it is known, so there is nothing to wait for.
            self.settle(chunk.received)
        if self.open or chunk.kind not in (ChunkKind.JSON_LINES, ChunkKind.LOSS):
            self._pass(chunk)
            return
        if chunk.kind is ChunkKind.LOSS:
            self._waiting.append(_Held(chunk))
            return
        for line in chunk.data.split(b"\n")[:-1]:
            self._waiting.append(_Held(chunk, line, digest(line)))
            self.held += 1

    @property
    def in_the_middle(self) -> bool:
        """Whether all that came is known and more that is known must follow: keep waiting."""
        marks = b"".join(self._marks())
        ours = b"".join(self._memory.digests)
        return bool(marks) and not ours.endswith(marks) and _aligned(ours, marks)

    def settle(self, now: int) -> None:
        """Decide on what is held; from now (ns) on everything is new."""
        if self.open:
            return
        self.open = True
        marks = self._marks()[:RING]
        have = () if self._fresh else tuple(self._memory.digests)
        known = known_lines(have, marks)
        if known is None:
            # The gadget sees something only a while after the attach, so that does not end the gap.
            seen = next((one.chunk.received for one in self._waiting if one.line), now)
            self._account(bool(have), seen)
        cut = self._after(known or 0)
        waiting, self._waiting = self._waiting, []
        for chunk in _joined(waiting[cut:]):
            self._pass(chunk)
        lines = sum(bool(one.line) for one in waiting[:cut])
        if lines:
            text = f"{self.held} events were told again, {lines} of them were known already"
            self._emit(log_chunk(self._node, self._began, "info", text))

    def finish(self, now: int) -> None:
        """The stream is over for good: what is held is not told again, so decide now (ns)."""
        if not self.open and not self._fresh and (not self.held or self.in_the_middle):
            self._waiting.clear()
            self._short = True
        self.settle(now)

    def abandon(self, now: int) -> None:
        """The stream broke. What is surely new is handed on; what cannot be judged yet is not: the
        next attach is told it again, or finds that it is missing."""
        if not self.open and known_lines(tuple(self._memory.digests), self._marks()) is not None:
            self.settle(now)

    def _pass(self, chunk: Chunk) -> None:
        self._memory.keep(chunk)
        self._emit(chunk)

    def _marks(self) -> list[bytes]:
        return [one.mark for one in self._waiting if one.mark is not None]

    def _after(self, known: int) -> int:
        """Return the place behind so many marked lines."""
        if not known:
            return 0
        for place, one in enumerate(self._waiting):
            known -= one.mark is not None
            if not known:
                return place + 1
        return len(self._waiting)

    def _account(self, had: bool, end: int) -> None:
        """Nothing that we have was told again until `end` (ns): write what that means."""
        if self._short:
            why = "the end came before all of it was told again"
        elif self._fresh:
            why = "the instance was gone and has been made again"
        elif had and self.held < RING:
            why = "the instance was started anew meanwhile"
        elif self.held >= RING:
            why = (
                f"more than the {RING} events happened that an instance remembers, or it was started"
                " anew"
            )
        else:
            why = "whether the instance was started anew meanwhile cannot be told"
        seconds = max(self._began - self._since, 0) / NS
        detail = (
            f"not reading for {seconds:.1f} s, and {why}; how many events are missing is not known"
        )
        start, cause = self._since - IN_FLIGHT, LossCause.STREAM
        self._pass(loss_chunk(self._node, start, end, 0, cause, detail, exact=False))


def _aligned(ours: bytes, marks: bytes) -> bool:
    at = ours.find(marks)
    while at >= 0 and at % DIGEST:
        at = ours.find(marks, at + 1)
    return at >= 0


def _joined(held: list[_Held]) -> Iterator[Chunk]:
    """Yield the chunks again, lines that came in one chunk in one."""
    lines: list[bytes] = []
    last: Chunk | None = None
    for one in held:
        if last is not None and one.chunk is not last and lines:
            yield replace(last, data=b"\n".join(lines) + b"\n")
            lines = []
        last = one.chunk
        if one.chunk.kind is ChunkKind.LOSS:
            yield one.chunk
        else:
            lines.append(one.line)
    if last is not None and lines:
        yield replace(last, data=b"\n".join(lines) + b"\n")
