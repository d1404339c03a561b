"""The files of a run: written, synced to the disk, and read back before anybody may rely on them."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, TypeVar, cast

from igdash.domain.errors import ExportFailed
from igdash.domain.events import Event
from igdash.domain.gadgets import DataSource
from igdash.domain.ports import EventText
from igdash.domain.schedules import ExportFormat
from igdash.domain.sql import SqlAnswer
from igdash.services import parquet_rows, sql_files
from igdash.services.csv_rows import Table
from igdash.services.render import event_lines, text_lines

T = TypeVar("T")
_BLOCK: Final = 1024 * 1024
_LEVEL: Final = 6
_CELL: Final = 2**31 - 1
"""Longest cell of a CSV file that is read back."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What is in a file."""

    rows: int
    bytes: int
    sha256: str


def write_events(
    path: Path,
    format: ExportFormat,
    sources: Sequence[DataSource],
    blocks: Iterable[Sequence[Event]],
) -> Written:
    """Write the events of a session. Raises `OSError`."""
    with _new(path) as out:
        if format is ExportFormat.PARQUET:
            rows = parquet_rows.write(cast("BinaryIO", out), sources, blocks)
        elif format is ExportFormat.CSV:
            rows = _copy_csv(out, Table(sources), blocks)
        else:
            with _PACKED[format](out) as packed:
                rows = _copy(packed, blocks, event_lines)
    return out.written(rows)


def write_texts(path: Path, format: ExportFormat, blocks: Iterable[Sequence[EventText]]) -> Written:
    """Write the same, for a format of `LINES`, of events that are plain tuples."""
    with _new(path) as out, _PACKED[format](out) as packed:
        rows = _copy(packed, blocks, text_lines)
    return out.written(rows)


def write_answer(path: Path, format: ExportFormat, answer: SqlAnswer) -> Written:
    """Write the answer to a statement. Raises `OSError`."""
    if format is ExportFormat.PARQUET:
        sql_files.write_parquet(answer, path)
        with path.open("rb") as file:
            os.fsync(file.fileno())
        return Written(rows=answer.rows, bytes=path.stat().st_size, sha256=checksum(path))
    lines = sql_files.csv_lines if format is ExportFormat.CSV else sql_files.json_lines
    with _new(path) as out, _PACKED.get(format, nullcontext)(out) as packed:
        for line in lines(answer):
            packed.write(line.encode("utf-8", "replace"))
    return out.written(answer.rows)


def verify(path: Path, format: ExportFormat, expected: Written) -> None:
    """Read a file back. Raises `ExportFailed` when it is not what was written."""
    if checksum(path) != expected.sha256:
        raise ExportFailed(f"{path.name}: what was read back is not what was written")
    rows = _ROWS[format](path)
    if rows != expected.rows:
        raise ExportFailed(f"{path.name}: {rows} rows read back, {expected.rows} written")


def write_whole(path: Path, data: bytes) -> None:
    """Write a small file and sync it. Raises `OSError`."""
    with _new(path) as out:
        out.write(data)


def checksum(path: Path) -> str:
    """Return the SHA-256 of a file in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# ---------------------------------------------------------------- writing


class _Hashed(io.RawIOBase):
    """A file that knows its checksum: of what was meant, whatever the disk makes of it."""

    def __init__(self, file: BinaryIO) -> None:
        super().__init__()
        self._file = file
        self._sha = hashlib.sha256()
        self._bytes = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._sha.update(data)
        self._bytes += len(data)
        self._file.write(data)
        return len(data)

    def written(self, rows: int) -> Written:
        return Written(rows=rows, bytes=self._bytes, sha256=self._sha.hexdigest())


@contextmanager
def _new(path: Path) -> Iterator[_Hashed]:
    with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
        yield _Hashed(file)
        file.flush()
        os.fsync(file.fileno())


def _gzip(out: _Hashed) -> AbstractContextManager[Any]:
    return gzip.GzipFile(filename="", fileobj=out, mode="wb", compresslevel=_LEVEL, mtime=0)


def _zstd(out: _Hashed) -> AbstractContextManager[Any]:
    """Python has no zstd of its own before 3.14; pyarrow, which Parquet needs, brings one."""
    arrow = parquet_rows.pyarrow()
    packed: AbstractContextManager[Any] = arrow.CompressedOutputStream(
        arrow.PythonFile(out, "w"), "zstd"
    )
    return packed


_PACKED: Final[dict[ExportFormat, Callable[[_Hashed], AbstractContextManager[Any]]]] = {
    ExportFormat.JSONL: nullcontext,
    ExportFormat.JSONL_GZ: _gzip,
    ExportFormat.JSONL_ZST: _zstd,
}
LINES: Final = frozenset(_PACKED)
"""The formats that are lines of JSON."""


def _copy(out: Any, blocks: Iterable[Sequence[T]], lines: Callable[[Sequence[T]], bytes]) -> int:
    rows = 0
    for block in blocks:
        out.write(lines(block))
        rows += len(block)
    return rows


def _copy_csv(out: _Hashed, table: Table, blocks: Iterable[Sequence[Event]]) -> int:
    rows = 0
    out.write(table.header())
    for block in blocks:
        out.write(table.rows(block))
        rows += len(block)
    return rows


# ---------------------------------------------------------------- reading back


def _lines(file: Any) -> int:
    return sum(block.count(b"\n") for block in iter(lambda: file.read(_BLOCK), b""))


def _jsonl_rows(path: Path) -> int:
    with path.open("rb") as file:
        return _lines(file)


def _gzip_rows(path: Path) -> int:
    with gzip.open(path, "rb") as file:
        return _lines(file)


def _zstd_rows(path: Path) -> int:
    arrow = parquet_rows.pyarrow()
    with arrow.CompressedInputStream(str(path), "zstd") as file:
        return _lines(file)


def _csv_rows(path: Path) -> int:
    csv.field_size_limit(_CELL)  # of this process; 128 KiB otherwise, and a cell may hold an event
    with path.open(encoding="utf-8", newline="") as file:
        return sum(1 for _ in csv.reader(file)) - 1


def _parquet_rows(path: Path) -> int:
    with path.open("rb") as file:
        return int(parquet_rows.pyarrow().parquet.ParquetFile(file).metadata.num_rows)


_ROWS: Final = {
    ExportFormat.JSONL: _jsonl_rows,
    ExportFormat.JSONL_GZ: _gzip_rows,
    ExportFormat.JSONL_ZST: _zstd_rows,
    ExportFormat.CSV: _csv_rows,
    ExportFormat.PARQUET: _parquet_rows,
}
