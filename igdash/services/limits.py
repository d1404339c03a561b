"""Every bound of the collecting process in one place, so that none hides in code."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectorLimits:
    """How much the collector may hold, and how often it does things. Sizes in bytes, times in s.

    `max_spool_bytes` bounds what one session may have waiting on disk; beyond it events are
    counted as lost (cause `writer`). `segment_bytes` is the size of one spool file.
    `transaction_bytes` bounds one transaction, so that a quiet session waits for no flood;
    sessions share it equally, but none gets less than `quantum_bytes` at its turn.
    `commit_window` is the time between commits when there is little to do. `reserve_bytes` are
    set aside on disk so that loss records can be stored when it is full.
    """

    max_spool_bytes: int = 256 * MIB
    segment_bytes: int = 8 * MIB
    quantum_bytes: int = MIB // 16
    transaction_bytes: int = 3 * MIB
    commit_window: float = 0.05
    reserve_bytes: int = 4 * MIB
    stop_timeout: float = 10.0
    status_every: float = 10.0
    call_timeout: float = 20.0
    purge_rows: int = 4_000
