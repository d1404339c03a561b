"""The language between the collector and everyone else: one JSON object per line on a Unix socket.

`{"call": "start", "spec": {…}}` is answered by `{"ok": …}` or `{"error": {"kind", "message",
"problems"}}`. While an answer takes its time the server sends an empty line every second, so that
a client can tell a slow collector from a dead one. `watch` keeps its connection and gets
`{"advances": […]}` lines.
"""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import msgspec

from igdash.domain import errors
from igdash.domain.control import Advance
from igdash.domain.imports import ImportRequest
from igdash.domain.schedules import Order
from igdash.domain.sessions import SessionId, SessionSpec

MAX_REQUEST: Final = 64 * 1024 * 1024
"""Longest request line in bytes. The end of a scheduled export tells of every session it covered,
with some 280 bytes each, and one that cannot be told is tried for ever."""
HEARTBEAT: Final = 1.0
"""Seconds between empty lines."""
SILENCE: Final = 3.0
"""Seconds without any byte after which the other side counts as dead."""
_MAX_PATH: Final = 100


class Request(msgspec.Struct, frozen=True, omit_defaults=True):
    """One call."""

    call: str
    spec: SessionSpec | None = None
    session: SessionId | None = None
    environment: str | None = None
    gadget: str | None = None
    order: Order | None = None
    wait: float = 0.0
    file: ImportRequest | None = None
    keep: bool = False


class Problem(msgspec.Struct, frozen=True, omit_defaults=True):
    """An error on its way: `kind` is the name of one of the domain's error classes."""

    kind: str
    message: str
    problems: dict[str, str] = {}


class Reply(msgspec.Struct, frozen=True, omit_defaults=True):
    """An answer: `error`, or `ok` to be converted to what the call returns."""

    ok: Any = None
    error: Problem | None = None
    advances: tuple[Advance, ...] | None = None


def pack(error: Exception) -> Problem:
    """Return what is sent for an error."""
    if isinstance(error, errors.InvalidSpec):
        return Problem(kind="InvalidSpec", message=str(error), problems=error.problems)
    if isinstance(error, errors.IgdashError):
        return Problem(kind=type(error).__name__, message=str(error))
    return Problem(kind="IgdashError", message="the collector met an error; its log has details")


def unpack(problem: Problem) -> errors.IgdashError:
    """Return the error that was sent."""
    if problem.kind == "InvalidSpec":
        return errors.InvalidSpec(problem.problems)
    return _KINDS.get(problem.kind, errors.IgdashError)(problem.message)


_KINDS: Final[Mapping[str, type[errors.IgdashError]]] = {
    kind.__name__: kind
    for kind in (
        errors.SessionNotFound,
        errors.GadgetNotFound,
        errors.ScheduleNotFound,
        errors.EnvironmentNotFound,
        errors.NotFound,
        errors.WrongState,
        errors.SourceError,
        errors.CollectorUnavailable,
        errors.StoreBusy,
        errors.StoreError,
        errors.StoreRefused,
    )
}


def socket_path(path: Path) -> Path:
    """Return where the socket really is: `path`, or a short stand-in when the system cannot take
    one so long (108 bytes on Linux, 104 on macOS). Both sides compute the same."""
    encoded = os.fsencode(path.absolute())
    if len(encoded) <= _MAX_PATH:
        return path
    name = hashlib.sha256(encoded).hexdigest()[:16]
    return Path(tempfile.gettempdir()) / f"igdash-{os.getuid()}" / f"{name}.sock"


def make_folder(path: Path) -> None:
    """Make the socket's folder, ours alone. Raises `AlreadyRunning` when someone else's is there."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    found = path.parent.lstat()
    ours = stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
    if path.parent.parent == Path(tempfile.gettempdir()) and (not ours or found.st_mode & 0o022):
        raise errors.AlreadyRunning(f"{path.parent} is not a folder of this user alone")
