"""Files that come in over HTTP or a pipe, on their way to the collector, which reads them from disk.

Whoever receives a file writes it into a folder that only this user can read; the collector removes
it once it has read it, or when it starts and finds one that nobody has written to for a while.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from igdash.domain.errors import InvalidSpec, StoreBusy
from igdash.domain.imports import ImportRequest, ImportStatus
from igdash.domain.ports import Control

FOLDER: Final = "imports"
"""The folder's name below the state folder."""
RESERVE: Final = 64 * 1024 * 1024
"""Bytes of disk that an upload leaves free."""
_LOOK_EVERY: Final = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Uploads:
    """Imports what others send. Thread-safe. Without a `folder` nothing is taken."""

    control: Control
    folder: Path | None = None

    def statuses(self) -> Sequence[ImportStatus]:
        """Return the newest imports. Raises `CollectorUnavailable`."""
        return self.control.imports()

    def take(self, blocks: Iterable[bytes], wanted: ImportRequest) -> ImportStatus:
        """Keep the blocks as a file and have it imported; `wanted.path` is filled in.

        Raises `InvalidSpec`, `StoreBusy` (no room on the disk), `CollectorUnavailable`, and whatever
        the blocks raise; then nothing is left behind.
        """
        if self.folder is None:
            raise InvalidSpec({"file": "nothing can be uploaded here"})
        self.control.imports()  # nobody uploads a gigabyte to hear that there is no collector
        try:
            path = self._write(self.folder, blocks)
        except OSError as error:
            why = error.strerror or str(error)
            raise StoreBusy(f"the file cannot be kept in {self.folder}: {why}") from error
        try:
            return self.control.import_file(replace(wanted, path=str(path), temporary=True))
        except BaseException:
            with suppress(OSError):
                path.unlink()
            raise

    def _write(self, folder: Path, blocks: Iterable[bytes]) -> Path:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(prefix="upload-", dir=folder)
        path = Path(name)
        try:
            with os.fdopen(number, "wb") as file:
                unseen = _LOOK_EVERY
                for block in blocks:
                    unseen += len(block)
                    if unseen >= _LOOK_EVERY:
                        unseen = 0
                        _check_room(folder)
                    file.write(block)
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return path


def _check_room(folder: Path) -> None:
    room = os.statvfs(folder)
    if room.f_bavail * room.f_frsize < RESERVE:
        raise StoreBusy(f"no room on the disk for an upload (less than {RESERVE >> 20} MiB free)")
