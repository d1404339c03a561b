"""Session files of Inspektor Gadget Desktop, read as what they may be: a stranger's database.

SQLite runs what a schema says (views, triggers, expressions), so nothing but plain tables is
touched, no function may be called, values have a greatest length and every step a time limit. The
file is opened read-only and immutable: no journal appears beside it and a program that still has it
open is not disturbed. Rows are read by rowid, a few hundred at a time: the events of one run are
those between others, and no sort is needed whatever indexes the file has.
"""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from igdash.domain.chunks import Chunk
from igdash.domain.errors import InvalidSpec
from igdash.domain.imports import Capture, ImportFormat
from igdash.domain.ports import Catalogue
from igdash.store.desktop_rows import Row, Rows, RunFacts

BLOCK: Final = 200
MAX_VALUE: Final = 64 * 1024 * 1024
"""Longest value that is read; SQLite refuses longer ones."""
STEP_SECONDS: Final = 20.0
MAX_RUNS: Final = 200
_TABLES: Final = {"session", "gadget_runs", "events"}
_ALLOWED: Final = frozenset({sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ})
_RUNS: Final = (
    "SELECT id, gadget_image, params, gadget_info, started_at, stopped_at FROM gadget_runs"
    " ORDER BY rowid LIMIT ?"
)
_EVENTS: Final = (
    "SELECT rowid, run_id, timestamp, type, datasource_id, data FROM events"
    " WHERE rowid > ? ORDER BY rowid LIMIT ?"
)


def open_desktop(path: Path, catalogue: Catalogue) -> DesktopFile:
    """Open a session file. Raises `InvalidSpec` (field `file`) when it is none."""
    return DesktopFile(path, catalogue)


class DesktopFile:
    """A `CaptureFile`: one session per run of a gadget."""

    format = ImportFormat.DESKTOP

    def __init__(self, path: Path, catalogue: Catalogue) -> None:
        self._path = path
        self._catalogue = catalogue
        self._until = 0.0
        self._sum = ""
        self.size = path.stat().st_size
        self.lines = 0
        self._part = 0.0
        with self._guarded():
            self._conn = self._connect()
        try:
            with self._guarded():
                self._name = self._check(self._conn)
                self._runs = self._read_runs(self._conn)
        except BaseException:
            self.close()
            raise

    @property
    def read(self) -> int:
        """About how many bytes of the file were read."""
        return int(self.size * self._part)

    def captures(self) -> Iterator[Capture]:
        """Yield a session per run."""
        for number, run in enumerate(self._runs):
            base, share = number / len(self._runs), 1 / len(self._runs)
            rows = Rows(run.flat_parents)
            yield Capture(
                pieces=self._pieces(run, rows, base, share),
                gadget=run.gadget,
                name=self._name,
                target=run.target,
                params=run.params,
                sources=run.sources,
                started=run.started,
                stopped=run.stopped,
                info=run.info,
            )
        self._part = 1.0

    def facts(self) -> Mapping[str, str]:
        """Return the checksum and the number of rows."""
        if not self._sum:
            with self._path.open("rb") as file:
                self._sum = hashlib.file_digest(file, "sha256").hexdigest()
        return {"sha256": self._sum, "lines": str(self.lines)}

    def close(self) -> None:
        """Close the file."""
        self._conn.close()

    # ------------------------------------------------------------ SQLite, kept short

    def _connect(self) -> sqlite3.Connection:
        place = f"file:{quote(str(self._path.absolute()))}?mode=ro&immutable=1"
        conn = sqlite3.connect(place, uri=True, check_same_thread=False, isolation_level=None)
        conn.text_factory = bytes
        conn.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE)
        conn.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
        for pragma in ("trusted_schema=OFF", "cell_size_check=ON", "mmap_size=0", "query_only=ON"):
            conn.execute(f"PRAGMA {pragma}")
        conn.execute("PRAGMA cache_size=-4096")
        conn.set_progress_handler(self._late, 10_000)
        return conn

    def _late(self) -> int:
        return int(time.monotonic() > self._until)

    @contextmanager
    def _guarded(self) -> Iterator[None]:
        """Turn what SQLite raises into our words, and give a step its time."""
        self._until = time.monotonic() + STEP_SECONDS
        try:
            yield
        except sqlite3.Error as error:
            late = time.monotonic() > self._until
            why = f"a read took longer than {STEP_SECONDS:.0f} s" if late else str(error)
            raise InvalidSpec({"file": f"is a SQLite file that cannot be read: {why}"}) from error
        except OSError as error:
            why = error.strerror or str(error)
            raise InvalidSpec({"file": f"cannot be read: {why}"}) from error

    def _check(self, conn: sqlite3.Connection) -> str:
        """Return the session's name once all tables are plain ones; from then on only SELECT."""
        found = conn.execute(
            "SELECT name, sql FROM sqlite_schema WHERE type = 'table' LIMIT 100"
        ).fetchall()
        plain = {
            _text(name)
            for name, sql in found
            if _text(sql).lstrip().upper().startswith("CREATE TABLE")
        }
        if not plain >= _TABLES:
            missing = ", ".join(sorted(_TABLES - plain))
            why = f"is a SQLite file, but no session of Inspektor Gadget Desktop (no {missing})"
            raise InvalidSpec({"file": why})
        for table in sorted(_TABLES):
            # Expressions of a column would be worked out with every row that is read.
            if any(column[6] for column in conn.execute(f"PRAGMA table_xinfo({table})")):
                raise InvalidSpec(
                    {"file": f"is a SQLite file whose table {table} computes columns"}
                )
        conn.set_authorizer(_authorize)
        row = conn.execute("SELECT name FROM session LIMIT 1").fetchone()
        return _text(row[0])[:200] if row else ""

    def _read_runs(self, conn: sqlite3.Connection) -> list[RunFacts]:
        rows = conn.execute(_RUNS, (MAX_RUNS + 1,)).fetchall()
        if len(rows) > MAX_RUNS:
            raise InvalidSpec({"file": f"holds more than {MAX_RUNS} runs"})
        if not rows:
            raise InvalidSpec({"file": "holds no run of a gadget"})
        return [RunFacts.of(row, self._catalogue) for row in rows]

    def _pieces(self, run: RunFacts, rows: Rows, base: float, share: float) -> Iterator[Chunk]:
        with self._guarded():
            edges = self._conn.execute(
                "SELECT (SELECT rowid FROM events ORDER BY rowid LIMIT 1),"
                " (SELECT rowid FROM events ORDER BY rowid DESC LIMIT 1)"
            ).fetchone()
        first, last = (int(edge or 0) for edge in edges)
        at = first - 1
        while True:
            with self._guarded():
                block = self._conn.execute(_EVENTS, (at, BLOCK)).fetchall()
            if not block:
                break
            at = block[-1][0]
            self._part = base + share * (at - first + 1) / max(last - first + 1, 1)
            mine = [Row(*row) for row in block if _text(row[1]) == run.id]
            self.lines += len(mine)
            yield from rows.chunks(mine)


def _authorize(action: int, table: str | None, *_more: Any) -> int:
    allowed = action in _ALLOWED and (action == sqlite3.SQLITE_SELECT or table in _TABLES)
    return sqlite3.SQLITE_OK if allowed else sqlite3.SQLITE_DENY


def _text(value: object) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value or "")
