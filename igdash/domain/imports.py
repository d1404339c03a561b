"""Importing: sessions that come out of a file somebody brings, not out of a gadget that runs.

An imported session is an ordinary ended session of the environment `import`; nothing else tells it
from one that was collected here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

from igdash.domain.chunks import Chunk
from igdash.domain.gadgets import DataSource
from igdash.domain.sessions import SessionId, Target

IMPORT: Final = "import"
"""The environment of imported sessions; no configured one may have this name."""
UNKNOWN: Final = "unknown"
"""The gadget of an imported session when neither its events nor anybody told."""


class ImportFormat(StrEnum):
    """What a file turned out to be."""

    CAPTURE = "capture"
    """What `ig run -o json` or `kubectl gadget run -o json` printed."""
    EVENTS = "events"
    """igdash's own JSONL: seq, ts, node, source and data per line."""
    DESKTOP = "desktop"
    """A session file of Inspektor Gadget Desktop."""


class ImportState(StrEnum):
    """How far an import is."""

    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    """Somebody stopped or deleted its session; what was read before is kept or gone."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportRequest:
    """A file to import: `path` as the collector sees it, `file` its name for people.

    `name` is the session's, `gadget` counts more than any guess. A `temporary` file is removed when
    it was read.
    """

    path: str
    file: str
    name: str = ""
    gadget: str = ""
    temporary: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ImportStatus:
    """An import, under way or over. `size` and `read` are bytes of the file; `lines` are lines of
    a text, rows of a session file. Times in ns."""

    id: str
    file: str
    format: ImportFormat
    size: int
    read: int
    lines: int
    sessions: tuple[SessionId, ...]
    state: ImportState
    reason: str = ""
    started: int
    finished: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Capture:
    """One session in a file, as far as the file tells. `gadget` "" and no `sources`: guess.

    `pieces` raise `InvalidSpec` (field `file`) where the file cannot be read on. `started` and
    `stopped` None: those of its events. `info` are facts for people.
    """

    pieces: Iterator[Chunk]
    gadget: str = ""
    name: str = ""
    target: Target = field(default_factory=Target)
    params: Mapping[str, str] = field(default_factory=dict)
    sources: tuple[DataSource, ...] = ()
    started: int | None = None
    stopped: int | None = None
    info: Mapping[str, str] = field(default_factory=dict)


class CaptureFile(Protocol):
    """An open file to import. Used by one thread; `read` and `lines` may be looked at by others."""

    format: ImportFormat
    size: int

    @property
    def read(self) -> int:
        """Bytes read so far."""

    @property
    def lines(self) -> int:
        """Lines or rows read so far."""

    def captures(self) -> Iterator[Capture]:
        """Yield its sessions. Each one's pieces must be used up, or given up, before the next."""

    def facts(self) -> Mapping[str, str]:
        """Return what is known once all is read: sha256, lines. Reads what is left for the sum."""

    def close(self) -> None:
        """Let go of the file."""
