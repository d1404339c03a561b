"""What could not be spooled, counted: the one thing about a lost event that is still kept.

When the disk or a session's bound is full, a chunk's events are counted here and become loss
records with cause `writer` in the session's next transaction, so that received = stored + lost
holds. Losses, log lines and schemas the gadget itself told in such a chunk are kept as well. Memory
is bounded: records are merged per node, cause and second, and beyond `MAX_RECORDS` into the newest
one; of the log lines beyond `MAX_LOGS` their number is kept.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, replace

from igdash.domain.chunks import Chunk
from igdash.domain.events import Decoded, LogLevel, LogLine, Schema
from igdash.domain.losses import Loss, LossCause, merge
from igdash.domain.times import NS

MAX_RECORDS = 4_096
MAX_LOGS = 200
MAX_SCHEMAS = 100
"""A source tells each schema once a session; usually there is one."""

_Key = tuple[str, LossCause, int]


@dataclass(frozen=True, slots=True)
class Held:
    """What waited in memory. `forgotten` log lines stood before `logs`, the last of them at
    `forgotten_at` (ns)."""

    losses: tuple[Loss, ...]
    logs: tuple[LogLine, ...]
    schemas: tuple[Schema, ...]
    forgotten: int
    forgotten_at: int

    def __bool__(self) -> bool:
        return bool(self.losses or self.logs or self.schemas or self.forgotten)

    def decoded(self) -> Decoded:
        """Return it as what a transaction takes, with a line for the lines that are missing."""
        logs = self.logs
        if self.forgotten:
            text = f"igdash: {self.forgotten} log lines could not be kept"
            missing = LogLine(ts=self.forgotten_at, level=LogLevel.WARNING, node="", text=text)
            logs = (missing, *logs)
        return Decoded(losses=self.losses, logs=logs, schemas=self.schemas)


class Tally:
    """What waits in memory. Not thread-safe: its lane's lock guards it."""

    def __init__(self) -> None:
        self._clear()

    def _clear(self) -> None:
        self._losses: dict[_Key, Loss] = {}
        self._logs: deque[LogLine] = deque()
        self._schemas: list[Schema] = []
        self._forgotten = 0
        self._forgotten_at = 0

    def __bool__(self) -> bool:
        return bool(self._losses or self._logs or self._schemas or self._forgotten)

    @property
    def since(self) -> int | None:
        """When the oldest loss that waits began (ns); None when none waits."""
        return min((loss.start for loss in self._losses.values()), default=None)

    def dropped(self, chunk: Chunk, decoded: Decoded, why: str) -> None:
        """Count what a chunk held that cannot be kept; keep what else it told."""
        self.add(decoded.losses)
        for line in decoded.logs:
            self.log(line)
        self._tell(decoded.schemas)
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
        """Keep a log line; the oldest one goes, and is counted, when there are too many."""
        self._logs.append(line)
        if len(self._logs) > MAX_LOGS:
            self._forgotten_at = self._logs.popleft().ts
            self._forgotten += 1

    def _tell(self, schemas: Iterable[Schema]) -> None:
        for schema in schemas:
            known = any(one.sources == schema.sources for one in self._schemas)
            if not known and len(self._schemas) < MAX_SCHEMAS:
                self._schemas.append(schema)

    def take(self) -> Held:
        """Hand everything over; `give_back` returns it when the transaction does not happen."""
        held = Held(
            losses=tuple(self._losses.values()),
            logs=tuple(self._logs),
            schemas=tuple(self._schemas),
            forgotten=self._forgotten,
            forgotten_at=self._forgotten_at,
        )
        self._clear()
        return held

    def give_back(self, held: Held) -> None:
        """Take back what `take` handed over, before anything that came since."""
        newer = self.take()
        for one in (held, newer):
            self.add(one.losses)
            self._forgotten += one.forgotten
            self._forgotten_at = max(self._forgotten_at, one.forgotten_at)
            for line in one.logs:
                self.log(line)
            self._tell(one.schemas)
