"""What could not be spooled, counted: the one thing about a lost event that is still kept.

When the disk or a session's bound is full, a chunk's events are counted here and become loss
records with cause `writer` in the session's next transaction, so that received = stored + lost
holds. Losses the gadget itself reported in such a chunk are kept as well. Memory is bounded:
records are merged per node, cause and second, and beyond `MAX_RECORDS` into the newest one.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import replace

from igdash.domain.chunks import Chunk
from igdash.domain.events import Decoded, LogLine
from igdash.domain.losses import Loss, LossCause, merge
from igdash.domain.times import NS

MAX_RECORDS = 4_096
MAX_LOGS = 200

_Key = tuple[str, LossCause, int]


class Tally:
    """Losses and log lines that wait in memory. Not thread-safe: its lane's lock guards it."""

    def __init__(self) -> None:
        self._losses: dict[_Key, Loss] = {}
        self._logs: deque[LogLine] = deque(maxlen=MAX_LOGS)

    def __bool__(self) -> bool:
        return bool(self._losses or self._logs)

    @property
    def since(self) -> int | None:
        """When the oldest loss that waits began (ns); None when none waits."""
        return min((loss.start for loss in self._losses.values()), default=None)

    def dropped(self, chunk: Chunk, decoded: Decoded, why: str) -> None:
        """Count what a chunk held that cannot be kept; keep the losses and log lines it told of."""
        self.add(decoded.losses)
        self._logs.extend(decoded.logs)
        count = len(decoded.events) + len(decoded.malformed)
        if count:
            loss = Loss(
                node=chunk.node,
                start=chunk.received,
                end=chunk.received,
                count=count,
                cause=LossCause.WRITER,
                detail=why,
            )
            # An event happened before it was received: the window begins with the oldest of them.
            oldest = min((event.ts for event in decoded.events), default=chunk.received)
            if 0 <= chunk.received - oldest < 60 * NS:
                loss = replace(loss, start=oldest)
            self.add((loss,))

    def add(self, losses: Iterable[Loss]) -> None:
        """Keep loss records until a transaction takes them."""
        for loss in losses:
            key = (loss.node, loss.cause, loss.second)
            if key not in self._losses and len(self._losses) >= MAX_RECORDS:
                key = self._nearest(loss) or key
            known = self._losses.get(key)
            self._losses[key] = merge(known, loss) if known else loss

    def _nearest(self, loss: Loss) -> _Key | None:
        same = (k for k in reversed(self._losses) if k[:2] == (loss.node, loss.cause))
        return next(same, None)

    def log(self, line: LogLine) -> None:
        """Keep a log line; the oldest one goes when there are too many."""
        self._logs.append(line)

    def take(self) -> tuple[tuple[Loss, ...], tuple[LogLine, ...]]:
        """Hand everything over; `give_back` returns it when the transaction does not happen."""
        taken = tuple(self._losses.values()), tuple(self._logs)
        self._losses = {}
        self._logs.clear()
        return taken

    def give_back(self, losses: Iterable[Loss], logs: Iterable[LogLine]) -> None:
        """Take back what `take` handed over, before anything that came since."""
        newer = tuple(self._losses.values()), tuple(self._logs)
        self._losses = {}
        self._logs.clear()
        self.add(losses)
        self.add(newer[0])
        self._logs.extend((*logs, *newer[1]))
