"""What keeps a full disk from swallowing the account of what it swallowed.

A small reserve file is allocated while there is room. When a spool meets the end of the disk, the
reserve is given back to the file system and spooling stops (events are counted instead), so that
the freed blocks serve the database: loss records and what was spooled before still get stored.
Once there is room again the reserve is made anew and spooling goes on.

The ledger is the last resort at a graceful stop: a file whose blocks exist already, written in
place with the loss records that the database would not take, read at the next start.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from igdash.domain.losses import Loss, merge
from igdash.domain.sessions import SessionId

log = logging.getLogger(__name__)
LEDGER_BYTES = 256 * 1024


class DiskGuard:
    """Knows whether the disk under the state directory is full. Thread-safe."""

    def __init__(self, folder: Path, reserve_bytes: int) -> None:
        self._path = folder / "reserve"
        self._bytes = reserve_bytes
        self._lock = threading.Lock()
        self.full = ""

    def start(self) -> None:
        """Make the reserve, if there is room; `full` says why not."""
        with self._lock:
            if self._free() < 2 * self._bytes or not self._allocate():
                self._give_up(f"less than {2 * self._bytes // 1024} KiB are free")

    def fill(self, why: str) -> None:
        """The disk is full: stop spooling, let the database have the reserve."""
        with self._lock:
            if not self.full:
                log.error("%s: events are counted instead of kept until there is room", why)
                self._give_up(why)

    def _give_up(self, why: str) -> None:
        self.full = why or "the disk is full"
        with suppress(OSError):
            self._path.unlink(missing_ok=True)

    def check(self) -> None:
        """Look whether there is room again. Call it every second or so."""
        with self._lock:
            if self.full and self._free() >= 2 * self._bytes and self._allocate():
                log.warning("there is room on the disk again: spooling goes on")
                self.full = ""

    def starved(self) -> bool:
        """Whether less than the reserve is free: the database may have met the end of the disk."""
        return not self.full and self._free() < self._bytes // 4

    def _free(self) -> int:
        try:
            room = os.statvfs(self._path.parent)
        except OSError:
            return 0
        return room.f_bavail * room.f_frsize

    def _allocate(self) -> bool:
        try:
            _preallocate(self._path, self._bytes)
        except OSError:
            with suppress(OSError):
                self._path.unlink(missing_ok=True)
            return False
        return True


class Ledger:
    """Loss records that wait for a database which takes them, in a file that needs no new block."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "ledger"

    def start(self) -> dict[SessionId, tuple[Loss, ...]]:
        """Return what the last stop left; make the file if it is not there."""
        kept: dict[SessionId, tuple[Loss, ...]] = {}
        with suppress(OSError, msgspec.DecodeError):
            text = self._path.read_bytes().rstrip(b"\0")
            if text:
                kept = msgspec.json.decode(text, type=dict[SessionId, tuple[Loss, ...]])
        with suppress(OSError):
            if not self._path.exists():
                _preallocate(self._path, LEDGER_BYTES)
        return kept

    def write(self, losses: Mapping[SessionId, tuple[Loss, ...]]) -> bool:
        """Replace the content in place; return whether all of it is on disk."""
        text = msgspec.json.encode(losses) if losses else b""
        if len(text) > LEDGER_BYTES:
            text = msgspec.json.encode({sid: _summed(items) for sid, items in losses.items()})
        if len(text) > LEDGER_BYTES:
            log.error("the ledger is too small for the losses of %d sessions", len(losses))
            return False
        try:
            with self._path.open("r+b") as file:
                file.write(text.ljust(LEDGER_BYTES, b"\0"))
                file.flush()
                os.fsync(file.fileno())
        except OSError:
            log.exception("the loss records of this stop could not be kept")
            return False
        return True


def _summed(losses: tuple[Loss, ...]) -> tuple[Loss, ...]:
    """Return one record per node and cause, over the whole window."""
    found: dict[tuple[str, str], Loss] = {}
    for loss in losses:
        known = found.get((loss.node, loss.cause))
        found[(loss.node, loss.cause)] = loss if known is None else merge(known, loss)
    return tuple(found.values())


def _preallocate(path: Path, size: int) -> None:
    """Make a file of `size` bytes whose blocks exist. Raises `OSError`."""
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # Zeros rather than posix_fallocate: on file systems without it, that only sets the size.
        block = b"\0" * 65_536
        for start in range(0, size, len(block)):
            os.pwrite(fd, block[: size - start], start)
        os.fsync(fd)
    finally:
        os.close(fd)
