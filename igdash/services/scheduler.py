"""Who may add how much to the next transaction: a flood never keeps a quiet session waiting.

Every lane that has something gets an equal share of what is left of the transaction, the quietest
first, so that what they leave over goes to the busy ones. Lanes for which nothing was left are
first in line at the next turn.
"""

from __future__ import annotations

from collections.abc import Iterable

from igdash.services.lane import Lane, Taken
from igdash.services.limits import CollectorLimits


class Scheduler:
    """Chooses and takes the batches of one transaction. Used by the writer thread only."""

    def __init__(self, limits: CollectorLimits) -> None:
        self._quantum = limits.quantum_bytes
        self._total = limits.transaction_bytes
        self._late: set[str] = set()

    def take(self, lanes: Iterable[Lane], scale: float = 1.0) -> list[tuple[Lane, Taken]]:
        """Return at most one batch per lane; `scale` shrinks the transaction, 0 = no spooled data."""
        waiting = sorted(
            (lane for lane in lanes if lane.waiting),
            key=lambda lane: (lane.session not in self._late, lane.spool.end - lane.spool.position),
        )
        left = int(self._total * scale)
        taken: list[tuple[Lane, Taken]] = []
        self._late = set()
        for index, lane in enumerate(waiting):
            share = self._share(left, len(waiting) - index) if scale else 0
            if scale and share <= 0:
                self._late.add(lane.session)
                continue
            batch = lane.take(share)
            if batch is not None:
                left -= batch.batch.spool_offset - lane.spool.committed
                taken.append((lane, batch))
        return taken

    def _share(self, left: int, lanes: int) -> int:
        return max(left // lanes, self._quantum) if left > 0 else 0
