"""What was lost, placed: node, time window, count, cause. Never hidden, never merged away."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from igdash.domain.times import NS

IN_FLIGHT: Final = NS
"""How much older than the last data received the first event may be that a cut connection, or the
end of igdash, lost (ns): an event without a time of its own has the time when it came, when others
were on the way already."""


class LossCause(StrEnum):
    """Where events were lost (design: architecture, the promise, point 3)."""

    KERNEL = "kernel"
    """IG logged `reading event: lost N samples`: the kernel's buffer was full."""
    IG_QUEUE = "ig_queue"
    """A jump in the stream's own sequence: IG's queue to us was full."""
    STREAM = "stream"
    """No connection to the gadget for a while (it or igdash was restarted)."""
    STOP_TAIL = "stop_tail"
    """The last moments before a stop, which IG throws away."""
    WRITER = "writer"
    """Received by igdash, but its bounded spool or the disk was full."""
    RETENTION = "retention"
    """Stored once, deleted by a retention rule."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loss:
    """One loss record; at most one is stored per session, node, cause and second of `start`.

    `start` and `end` are ns since the epoch. `exact` is False when the number is only a lower
    bound (0 = how many is not known, e.g. while nobody was connected); `detail` says why in words.
    """

    node: str
    start: int
    end: int
    count: int
    cause: LossCause
    detail: str = ""
    exact: bool = True

    @property
    def second(self) -> int:
        """The second (since the epoch) under which this record is aggregated."""
        return self.start // NS


def merge(first: Loss, second: Loss) -> Loss:
    """Return one record for two of the same node, cause and second."""
    return Loss(
        node=first.node,
        start=min(first.start, second.start),
        end=max(first.end, second.end),
        count=first.count + second.count,
        cause=first.cause,
        detail=first.detail or second.detail,
        exact=first.exact and second.exact,
    )
