"""One run of a schedule at a time, whatever number of processes would like to.

SQLite: an flock on a file of the state folder. PostgreSQL: a session-level advisory lock, which
every machine sees. Both end with the process that holds them, however it ends.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from pathlib import Path
from typing import Final

import psycopg

from igdash.domain.errors import StoreBusy
from igdash.domain.ports import RunLock
from igdash.store.engine import is_sqlite, parse_url
from igdash.store.errors import translated

_SPACE: Final = 0x69676578
"""Spells "igex": our class of two-part advisory keys."""


def lock_run(url: str, folder: Path, schedule: str) -> RunLock | None:
    """Take the right to run `schedule`, None when another process has it. Raises `StoreBusy`."""
    if is_sqlite(url):
        return _FileLock.take(folder, schedule)
    return _ServerLock.take(url, schedule)


class _FileLock:
    def __init__(self, fd: int) -> None:
        self._fd = fd

    @classmethod
    def take(cls, folder: Path, schedule: str) -> _FileLock | None:
        path = folder / f"{hashlib.sha256(schedule.encode()).hexdigest()[:24]}.lock"
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreBusy(f"cannot create {path}: {error.strerror}") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(fd)
            return None
        return cls(fd)

    def held(self) -> bool:
        return self._fd >= 0

    def release(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class _ServerLock:
    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection

    @classmethod
    def take(cls, url: str, schedule: str) -> _ServerLock | None:
        key = int.from_bytes(hashlib.sha256(schedule.encode()).digest()[:4], "big", signed=True)
        plain = parse_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        with translated("cannot take the lock of a scheduled export"):
            connection = psycopg.connect(plain, autocommit=True, connect_timeout=5)
            row = connection.execute(
                "SELECT pg_try_advisory_lock(%s, %s)", (_SPACE, key)
            ).fetchone()
        if row is None or not row[0]:
            connection.close()
            return None
        return cls(connection)

    def held(self) -> bool:
        try:
            self._connection.execute("SELECT 1")
        except psycopg.Error:
            return False
        return True

    def release(self) -> None:
        self._connection.close()
