"""A chunk: the unit in which a source hands over bytes, the spool keeps them and the decoder reads.

Sources cut their output at line (or message) borders only, so that each chunk can be decoded on
its own, after a restart as well.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class ChunkKind(IntEnum):
    """What the bytes are. Numbers are written to spool files: never renumber."""

    JSON_LINES = 1
    """Lines as `ig run -o json` prints them: an object per event or an array per tick."""
    LOG_LINES = 2
    """Lines of the gadget's stderr."""
    LOSS = 3
    """One loss record as JSON: node, start, end, count, cause, detail, exact."""
    SCHEMA = 4
    """The data sources of a node's rows from here on, as one JSON array (`gadgets.DataSource`)."""
    CAPTURED = 5
    """Lines of an imported file, as `JSON_LINES`, behind a `Place` and a line feed."""
    EXPORTED = 6
    """Lines of an imported export of igdash's own (one `Event` each), behind a `Place` likewise."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where in an imported file the lines of a chunk stand: the first one's number, and what a line
    is called there. With `reason` the bytes are the beginning of one line of `size` bytes that
    cannot be read for that reason."""

    first: int
    unit: str = "line"
    reason: str = ""
    size: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Chunk:
    """Whole lines from one node, received at `received` (ns since the epoch).

    `source` is the IG data source of the lines, where the way in tells. `partial` is True for the
    last bytes of a stream that ended inside a line. With `assumed` the node is but the name we have
    for the place: an event that names its node knows better.
    """

    kind: ChunkKind
    received: int
    data: bytes
    node: str = ""
    source: str = ""
    partial: bool = False
    assumed: bool = False
