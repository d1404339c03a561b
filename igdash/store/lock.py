"""One collector per store.

SQLite: an flock beside the file, which the kernel drops when the process dies, however it dies.
PostgreSQL: a session-level advisory lock on the very connection that writes, so that whoever can
write holds it; after a reconnect it is taken again before anything is written.
"""

from __future__ import annotations

import fcntl
import os
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine, event

from igdash.domain.errors import AlreadyRunning, StoreBusy, StoreRefused

ADVISORY_KEY: Final = 0x1_69_67_64_61_73_68
"""Spells "igdash"; the migration runner uses the next number."""
_WAIT_MS: Final = 3_000
"""A server notices the end of a killed client's connection a moment late."""


class FileLock:
    """An flock on `<database>.lock`. Raises `AlreadyRunning` when another process has it."""

    def __init__(self, database: Path) -> None:
        path = database.with_name(database.name + ".lock")
        try:
            self._fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreRefused(f"cannot create {path}: {error.strerror}") from error
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(self._fd)
            raise AlreadyRunning(f"another igdash collects into {database}") from error

    def release(self) -> None:
        """Let the next collector in. Safe to call twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class AdvisoryLock:
    """Takes the lock on every connection the engine opens (it opens one at a time)."""

    def __init__(self, engine: Engine, name: str) -> None:
        self._name = name
        self._held_once = False
        event.listen(engine, "connect", self._take)

    def _take(self, connection: Any, _record: Any) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"SET lock_timeout = {_WAIT_MS}")
            try:
                cursor.execute("SELECT pg_advisory_lock(%s)", (ADVISORY_KEY,))
            except connection.OperationalError as error:
                connection.rollback()
                self._refuse(error)
            cursor.execute("SET lock_timeout = 0")
        connection.commit()
        self._held_once = True

    def _refuse(self, error: Exception) -> None:
        if self._held_once:  # most likely our own lost connection, not yet noticed by the server
            raise StoreBusy(f"{self._name}: waiting for the collector's lock") from error
        raise AlreadyRunning(f"another igdash collects into {self._name}") from error
