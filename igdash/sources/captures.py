"""Reading a file somebody brings: what it is, and its lines in pieces, in constant memory.

Nothing in it is trusted: neither its name nor its size, neither the length of a line nor what a
packed stream says it unpacks to.
"""

from __future__ import annotations

import hashlib
import importlib
import re
import zlib
from collections.abc import Callable, Iterator, Mapping
from gzip import BadGzipFile, GzipFile
from pathlib import Path
from typing import BinaryIO, Final

import msgspec

from igdash.domain.chunks import Chunk, ChunkKind, Place
from igdash.domain.errors import InvalidSpec
from igdash.domain.events import MAX_RAW
from igdash.domain.imports import Capture, ImportFormat
from igdash.domain.times import now_ns
from igdash.sources.imported import packed, read_head

PIECE: Final = 256 * 1024
"""Bytes of lines per chunk."""
STEP: Final = 4 * 1024
"""Bytes per call where a call that fails takes along what it had read already."""
MAX_LINE: Final = 16 * 1024 * 1024
"""Longest line that is read as an event; a longer one is kept as malformed, cut."""
MAX_BOMB: Final = 256 * 1024 * 1024
MAX_RATIO: Final = 300
"""A packed stream may become so many times as long, beyond the first `MAX_BOMB` bytes."""

_SQLITE: Final = b"SQLite format 3\0"
_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"
_BOM: Final = b"\xef\xbb\xbf"
_BEGINS_EXPORTED: Final = re.compile(
    rb'\{"seq":\d+,"ts":"[^"\\]+","node":"(?:[^"\\]|\\.)*","source":"(?:[^"\\]|\\.)*","data":\{'
)
_OTHERS: Final = (
    (b"BZh", "a bzip2 file; unpack it first (bunzip2)"),
    (b"\xfd7zXZ\0", "an xz file; unpack it first (unxz)"),
    (b"PK\x03\x04", "a zip file; unpack it first"),
    (b"PAR1", "a Parquet file; a JSONL export can be imported"),
    (b"\xff\xfe", "UTF-16 text; JSON lines are UTF-8"),
    (b"\xfe\xff", "UTF-16 text; JSON lines are UTF-8"),
    (_SQLITE, "a packed SQLite file; unpack it first"),
)
_CSV: Final = (
    "CSV: its cells no longer say what was a number or a text, so it cannot be imported; a JSONL"
    " export can"
)


def refused(why: str) -> InvalidSpec:
    """Return the error for a file that is not taken."""
    return InvalidSpec({"file": why})


def begins_like_sqlite(path: Path) -> bool:
    """Whether the file is a SQLite database. Raises `InvalidSpec` when it cannot be read."""
    try:
        with path.open("rb") as file:
            return file.read(len(_SQLITE)) == _SQLITE
    except OSError as error:
        raise refused(f"cannot be read: {error.strerror or error}") from error


def open_lines(path: Path) -> LinesFile:
    """Open a capture or an export, packed or not. Raises `InvalidSpec` when it is neither."""
    try:
        raw = _Counted(path)
    except OSError as error:
        raise refused(f"cannot be read: {error.strerror or error}") from error
    try:
        return LinesFile(raw)
    except BaseException:
        raw.close()
        raise


class _Counted:
    """A file that knows how much of it was read, and its checksum; its front may be read twice."""

    def __init__(self, path: Path) -> None:
        self._file: BinaryIO = path.open("rb")
        self._sum = hashlib.sha256()
        self.size = path.stat().st_size
        self.done = 0
        self.front = self._read(PIECE)
        self._again = self.front

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes, not always as many as asked for."""
        wanted = PIECE if size < 0 else size
        if self._again:
            block, self._again = self._again[:wanted], self._again[wanted:]
            return block
        return self._read(wanted)

    def _read(self, size: int) -> bytes:
        block = self._file.read(size)
        self.done += len(block)
        self._sum.update(block)
        return block

    def sha256(self) -> str:
        """Return the checksum of the whole file."""
        while self._read(PIECE):
            pass
        return self._sum.hexdigest()

    @property
    def closed(self) -> bool:
        """Whether it was closed; pyarrow asks."""
        return self._file.closed

    def close(self) -> None:
        """Close it."""
        self._file.close()


def _unpacked(raw: _Counted) -> tuple[Callable[[int], bytes], str]:
    """Return what gives some of the text of a file (b"" at its end), and how it is packed, "" = it
    is not. A call that fails takes little along: where a stream is cut, what it gave before counts."""
    if raw.front.startswith(_GZIP):
        return GzipFile(fileobj=raw, mode="rb").read1, "gzip"  # type: ignore[call-overload]
    if not raw.front.startswith(_ZSTD):
        return raw.read, ""
    arrow = importlib.import_module("pyarrow")
    stream = arrow.CompressedInputStream(arrow.PythonFile(raw, "r"), "zstd")
    return lambda size: stream.read(min(size, STEP)), "zstd"


class LinesFile:
    """A `CaptureFile` of JSON lines: one session."""

    def __init__(self, raw: _Counted) -> None:
        self._raw = raw
        self._some, self._packed = _unpacked(raw)
        self._broken: InvalidSpec | None = None
        self._size = 0
        self._rest = self._next().removeprefix(_BOM)
        self._kind = ChunkKind.CAPTURED
        self.size = raw.size
        self.lines = 0
        self.format = _format(self._rest)
        if self.format is ImportFormat.EVENTS:
            self._kind = ChunkKind.EXPORTED

    @property
    def read(self) -> int:
        """Bytes of the file read so far."""
        return self._raw.done

    def captures(self) -> Iterator[Capture]:
        """Yield its only session."""
        yield Capture(pieces=self._pieces())

    def facts(self) -> Mapping[str, str]:
        """Return the checksum of the file and the number of its lines."""
        return {"sha256": self._raw.sha256(), "lines": str(self.lines)}

    def close(self) -> None:
        """Close the file."""
        self._raw.close()

    def _next(self) -> bytes:
        """Return the next bytes, b"" at the end. Raises `InvalidSpec` where it cannot be read on."""
        block = b"".join(self._blocks())
        if self._broken is not None and not block:
            raise self._broken
        self._size += len(block)
        if self._packed and self._size > MAX_BOMB + MAX_RATIO * self._raw.done:
            raise refused(f"unpacks to more than {MAX_RATIO} times its size; unpack it first")
        return block

    def _blocks(self) -> Iterator[bytes]:
        left = PIECE
        while left > 0 and self._broken is None:
            try:
                block = self._some(left)
            except (OSError, EOFError, zlib.error) as error:
                kind = (
                    f"its {self._packed} stream is damaged or cut short: " if self._packed else ""
                )
                self._broken = refused(f"cannot be read on: {kind}{_words(error)}")
                return
            if not block:
                return
            left -= len(block)
            yield block

    def _pieces(self) -> Iterator[Chunk]:
        """Yield chunks of whole lines."""
        rest, self._rest = self._rest, b""
        while True:
            cut = rest.rfind(b"\n") + 1
            if cut:
                yield self._chunk(rest[:cut])
                rest = rest[cut:]
            elif len(rest) > MAX_LINE:
                chunk, rest = self._too_long(rest)
                yield chunk
            try:
                block = self._next()
            except InvalidSpec:
                if rest:
                    yield self._cut_off(rest)
                raise
            if not block:
                break
            rest += block
        if rest:
            yield self._chunk(rest if rest.endswith(b"\n") else rest + b"\n")

    def _chunk(self, lines: bytes) -> Chunk:
        place = Place(first=self.lines + 1)
        self.lines += lines.count(b"\n")
        return Chunk(kind=self._kind, received=now_ns(), data=packed(place, lines))

    def _too_long(self, beginning: bytes) -> tuple[Chunk, bytes]:
        """Skip to the end of this line; return it as malformed, and what follows it."""
        size, rest = len(beginning), b""
        while block := self._next():
            end = block.find(b"\n")
            if end >= 0:
                size, rest = size + end, block[end + 1 :]
                break
            size += len(block)
        return self._unread(beginning, f"longer than {MAX_LINE >> 20} MiB", size), rest

    def _cut_off(self, beginning: bytes) -> Chunk:
        return self._unread(beginning, "the file cannot be read on from here", len(beginning))

    def _unread(self, beginning: bytes, reason: str, size: int) -> Chunk:
        self.lines += 1
        place = Place(first=self.lines, reason=reason, size=size)
        data = packed(place, beginning[:MAX_RAW])
        return Chunk(kind=self._kind, received=now_ns(), data=data)


def _format(front: bytes) -> ImportFormat:
    """Return what the lines are. Raises `InvalidSpec` when no line can be an event or a tick."""
    for magic, why in _OTHERS:
        if front.startswith(magic):
            raise refused(f"is {why}")
    lines = [line for line in front.split(b"\n", 200)[:200] if line.strip()]
    for line in lines:
        if line.lstrip()[:1] not in (b"{", b"["):
            continue
        try:
            read_head(line.decode())
        except msgspec.ValidationError:
            return ImportFormat.CAPTURE
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            # The end of a line longer than the piece is not here yet.
            if not _BEGINS_EXPORTED.match(line):
                continue
        return ImportFormat.EVENTS
    if not lines or lines[0].lstrip()[:1] in (b"{", b"["):
        return ImportFormat.CAPTURE
    text = lines[0][:200].decode("utf-8", "replace")
    if "," in text and "\0" not in text and "{" not in text:
        raise refused(f"is {_CSV}")
    raise refused(
        "is not JSON lines: no line is an object or an array as `ig run -o json` prints them; the"
        f" first one is {text[:60]!r}"
    )


def _words(error: BaseException) -> str:
    if isinstance(error, OSError) and not isinstance(error, BadGzipFile):
        return error.strerror or str(error)
    return str(error)
