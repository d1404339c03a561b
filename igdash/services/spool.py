"""The spool: what a source handed over, on disk before anything else is done with it.

It is the session's queue (nothing waits in memory), what survives a `kill -9`, and what turns a
database outage into disk use. One session's spool is a chain of append-only segment files named by
their base offset; offsets are logical and only grow, so the offset stored in the database together
with the rows stays unambiguous whenever the process dies: segments go only after the commit that
covers them, and a new process always begins a new segment.
"""

from __future__ import annotations

import errno
import os
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from igdash.domain.chunks import Chunk, ChunkKind
from igdash.domain.sessions import SessionId

_HEAD: Final = struct.Struct("<2sBBHIq")
"""magic, kind, flags, length of the place (node, or node NUL data source), length of data,
received (ns)"""
_CRC: Final = struct.Struct("<I")
HEADER_BYTES: Final = _HEAD.size + _CRC.size
_MAGIC: Final = b"\xe9S"
_PARTIAL: Final = 1
_ASSUMED: Final = 2
_MAX_NODE: Final = 0xFFFF
MAX_DATA: Final = 0x7FFF_FFFF
SUFFIX: Final = ".spool"
_SCARCE: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})
"""What this process or machine is short of for now: says nothing about a file or the disk."""


class SpoolFull(Exception):
    """A chunk could not be kept; `disk` tells a full or broken disk from our own bound."""

    def __init__(self, why: str, *, disk: bool) -> None:
        self.disk = disk
        super().__init__(why)


class Damaged(Exception):
    """Bytes that are no record: torn by a crash or changed on disk."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What one read gave: whole chunks up to `end`; `hole` bytes before it could not be read."""

    chunks: tuple[Chunk, ...]
    end: int
    hole: int = 0


@dataclass(slots=True)
class _Segment:
    base: int
    path: Path
    size: int

    @property
    def end(self) -> int:
        return self.base + self.size


class _Handle:
    """An open file of one thread: the segment it reads or appends to, opened when it changes."""

    def __init__(self, flags: int) -> None:
        self._flags = flags | os.O_CLOEXEC
        self._path: Path | None = None
        self._fd = -1

    def of(self, path: Path) -> int:
        if path != self._path:
            self.close()
            self._fd = os.open(path, self._flags, 0o600)
            self._path = path
        return self._fd

    def close(self) -> None:
        if self._path is not None:
            self._path = None
            os.close(self._fd)


def pack(chunk: Chunk) -> tuple[bytes, bytes, bytes]:
    """Return the record of a chunk as header, place and data. Raises `SpoolFull` when it is too big."""
    node = _place(chunk)
    if len(chunk.data) > MAX_DATA:
        raise SpoolFull(f"one chunk of {len(chunk.data)} bytes is too big", disk=False)
    flags = (_PARTIAL if chunk.partial else 0) | (_ASSUMED if chunk.assumed else 0)
    head = _HEAD.pack(_MAGIC, chunk.kind, flags, len(node), len(chunk.data), chunk.received)
    crc = zlib.crc32(chunk.data, zlib.crc32(node, zlib.crc32(head)))
    return head + _CRC.pack(crc), node, chunk.data


def _place(chunk: Chunk) -> bytes:
    """Return node and data source as one field; old records have the node alone."""
    place = chunk.node.replace("\0", "")
    if chunk.source:
        place += f"\0{chunk.source}"
    return place.encode("utf-8", "surrogatepass")[:_MAX_NODE]


def unpack(buffer: bytes, at: int) -> tuple[Chunk | None, int]:
    """Return the chunk at `at` and where it ends; None and the needed end when it goes on beyond.

    Raises `Damaged` when the bytes are no record.
    """
    body = at + HEADER_BYTES
    if len(buffer) < body:
        return None, body
    magic, kind, flags, node_len, data_len, received = _HEAD.unpack_from(buffer, at)
    if magic != _MAGIC or data_len > MAX_DATA:
        raise Damaged("no record here")
    end = body + node_len + data_len
    if len(buffer) < end:
        return None, end
    node = buffer[body : body + node_len]
    data = buffer[body + node_len : end]
    (crc,) = _CRC.unpack_from(buffer, at + _HEAD.size)
    if crc != zlib.crc32(data, zlib.crc32(node, zlib.crc32(buffer[at : at + _HEAD.size]))):
        raise Damaged("checksum differs")
    try:
        name, _, source = node.decode("utf-8", "surrogatepass").partition("\0")
        return Chunk(
            kind=ChunkKind(kind),
            received=received,
            data=data,
            node=name,
            source=source,
            partial=bool(flags & _PARTIAL),
            assumed=bool(flags & _ASSUMED),
        ), end
    except ValueError as error:
        raise Damaged("unknown kind of record") from error


def split(buffer: bytes) -> tuple[list[Chunk], int, int]:
    """Return the whole chunks at the front, where they end, and the end the next one needs.

    The needed end is -1 where damage begins.
    """
    chunks: list[Chunk] = []
    at = 0
    while at < len(buffer):
        try:
            chunk, end = unpack(buffer, at)
        except Damaged:
            return chunks, at, -1
        if chunk is None:
            return chunks, at, end
        chunks.append(chunk)
        at = end
    return chunks, at, at


class Spool:
    """One session's spool. One thread appends, one reads; they may be different threads.

    `committed` is the offset up to which the database has everything; reading begins there.
    """

    def __init__(
        self,
        folder: Path,
        session: SessionId,
        *,
        committed: int = 0,
        max_bytes: int,
        segment_bytes: int,
    ) -> None:
        self._folder = folder
        self._session = session
        self._max_bytes = max_bytes
        self._segment_bytes = segment_bytes
        self._lock = threading.Lock()
        # Held while a file is read, so that a number is never closed, and given to another file,
        # under the reader's hands. Taken after `_lock` where both are needed.
        self._read_lock = threading.Lock()
        self._closed = False
        self._active: _Segment | None = None
        self._appending = _Handle(os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND)
        self._reading = _Handle(os.O_RDONLY)
        self._segments = _find_segments(folder, session, committed)
        self.committed = committed
        self.position = committed
        last = self._segments[-1].end if self._segments else 0
        self._end = max(last, committed)

    @property
    def end(self) -> int:
        """The offset after the last byte kept: of a record, or of what a crash left of one."""
        return self._end

    @property
    def unread(self) -> int:
        """Bytes that the database does not have yet."""
        return self._end - self.committed

    @property
    def drained(self) -> bool:
        """Whether the database has everything."""
        return self.committed >= self._end

    # ------------------------------------------------------------ the source's side

    def append(self, chunk: Chunk) -> None:
        """Keep a chunk: it survives our death once this returns. Raises `SpoolFull`."""
        parts = pack(chunk)
        size = sum(map(len, parts))
        with self._lock:
            if self._closed:
                raise SpoolFull("the session is gone", disk=False)
            if self.unread + size > self._max_bytes:
                raise SpoolFull(f"more than {self._max_bytes} bytes wait", disk=False)
            try:
                segment = self._writable()
                self._write(segment, parts, size)
            except OSError as error:
                disk = error.errno not in _SCARCE
                raise SpoolFull(error.strerror or str(error), disk=disk) from error
            segment.size += size
            self._end += size

    def fits(self, chunk: Chunk) -> bool:
        """Whether a chunk can be kept when nothing else waits."""
        size = HEADER_BYTES + len(_place(chunk)) + len(chunk.data)
        return size <= min(self._max_bytes, MAX_DATA)

    def _writable(self) -> _Segment:
        active = self._active
        if active is not None and active.size < self._segment_bytes:
            return active
        path = self._folder / f"{self._session}.{self._end:016x}{SUFFIX}"
        # A file of this name can only be one that holds nothing, or a record cut short.
        path.unlink(missing_ok=True)
        self._segments = [s for s in self._segments if s.path != path]
        self._appending.of(path)
        self._active = _Segment(self._end, path, 0)
        self._segments.append(self._active)
        return self._active

    def _write(self, segment: _Segment, parts: tuple[bytes, bytes, bytes], size: int) -> None:
        fd = self._appending.of(segment.path)
        written = -1
        try:
            written = os.writev(fd, parts)
        finally:
            # A record that was cut short (disk full) must not stand in the way of the next one.
            if written != size:
                self._cut_off(fd, segment)
        if written != size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    def _cut_off(self, fd: int, segment: _Segment) -> None:
        try:
            os.ftruncate(fd, segment.size)
        except OSError:
            # What follows would not be where its offset says: it goes into a file of its own.
            self._active = None
            self._appending.close()

    # ------------------------------------------------------------ the writer's side

    def read(self, limit: int) -> Piece:
        """Return the next whole chunks, about `limit` bytes of them, and move on. Never raises:
        what cannot be read is skipped and reported as a hole, what cannot be read just now (no
        file can be opened) waits."""
        position = self.position
        with self._lock:
            segment = next((s for s in self._segments if s.end > position), None)
            stop = segment.end if segment else self._end
            start = max(position, segment.base) if segment else self._end
        if segment is None or start > position:
            self.position = start
            return Piece((), start, start - position)
        with self._read_lock:
            if self._closed:  # meanwhile: the session was deleted, nobody misses anything
                return Piece((), position)
            chunks, used = self._load(segment, position, stop, limit)
        if used is None:
            return Piece((), position)
        if used == 0:
            self.position = stop
            return Piece((), stop, stop - position)
        self.position = position + used
        return Piece(tuple(chunks), self.position)

    def _load(
        self, segment: _Segment, position: int, stop: int, limit: int
    ) -> tuple[list[Chunk], int | None]:
        want = min(max(limit, HEADER_BYTES), stop - position)
        while True:
            try:
                buffer = os.pread(self._reading.of(segment.path), want, position - segment.base)
            except OSError as error:
                return [], None if error.errno in _SCARCE else 0
            chunks, used, needed = split(buffer)
            if chunks or needed <= want or needed > stop - position:
                return chunks, used
            want = needed

    def oldest(self) -> int | None:
        """Return when the oldest uncommitted chunk was received (ns); None when none waits."""
        with self._lock, suppress(OSError, struct.error):
            segment = next((s for s in self._segments if s.end > self.committed), None)
            if segment is None:
                return None
            with segment.path.open("rb") as file:
                file.seek(max(self.committed - segment.base, 0))
                magic, *_, received = _HEAD.unpack(file.read(_HEAD.size))
                return int(received) if magic == _MAGIC else None
        return None

    def commit(self, offset: int) -> None:
        """Note that the database has everything up to `offset`; drop the files it has whole."""
        with self._lock:
            self.committed = max(self.committed, offset)
            first = self._segments[0] if self._segments else None
            if first is None or first.end > self.committed:
                return
            keep: list[_Segment] = []
            for segment in self._segments:
                growing = segment is self._active and segment.size < self._segment_bytes
                if segment.end > self.committed or growing:
                    keep.append(segment)
                else:
                    with suppress(OSError):
                        segment.path.unlink(missing_ok=True)
            self._segments = keep
            if self._active not in keep:
                self._active = None

    def rewind(self) -> None:
        """Read again from the committed offset: the transaction did not happen."""
        self.position = self.committed

    def close(self) -> None:
        """Let go of the files; those that the database has whole are removed."""
        with self._lock:
            self._forget([s for s in self._segments if s.end <= self.committed])

    def remove(self) -> None:
        """Remove the files, read or not: everything is committed, or the session was deleted."""
        with self._lock:
            self._forget(self._segments)

    def _forget(self, gone: list[_Segment]) -> None:
        for segment in gone:
            with suppress(OSError):
                segment.path.unlink(missing_ok=True)
        self._segments = []
        self._active = None
        self._closed = True
        self._end = self.committed
        self._appending.close()
        with self._read_lock:
            self._reading.close()


def sessions_in(folder: Path) -> set[SessionId]:
    """Return the ids of the sessions that have spool files."""
    return {SessionId(path.name.split(".")[0]) for path in folder.glob(f"*{SUFFIX}")}


def _bases(folder: Path, session: SessionId) -> Iterator[tuple[int, Path]]:
    for path in folder.glob(f"{session}.*{SUFFIX}"):
        with suppress(ValueError):
            yield int(path.name.split(".")[1], 16), path


def _find_segments(folder: Path, session: SessionId, committed: int) -> list[_Segment]:
    """Return the segments a former process left. What of them is no record is found, and told as a
    hole, by who reads them: so it is committed together with its loss record, or read again."""
    found = sorted(_bases(folder, session))
    segments: list[_Segment] = []
    for index, (base, path) in enumerate(found):
        size = _size(path)
        if index + 1 < len(found):
            size = min(size, found[index + 1][0] - base)
        segment = _Segment(base, path, size)
        if segment.end > committed:
            segments.append(segment)
        else:
            with suppress(OSError):
                path.unlink()
    return segments


def _size(path: Path) -> int:
    """Return the size of a file; of one that cannot be looked at, enough to be told as a hole."""
    try:
        return path.stat().st_size
    except OSError:
        return HEADER_BYTES
