"""A collector that imports into a store of its own, and the exports that come out of it again."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from igdash import store
from igdash.bootstrap import catalogue, open_capture
from igdash.domain.imports import ImportRequest, ImportStatus
from igdash.domain.sessions import Session, SessionId
from igdash.services.collector import Collector
from igdash.services.exports import Export, Exports
from igdash.services.queries import Here, Queries
from igdash.services.query_asks import Answerer
from igdash.sources.decode import decode_chunk
from tests.support.collecting import SMALL, sqlite_url, wait_until


class ImportRig:
    """Imports into a SQLite store in `folder`."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.url = sqlite_url(folder)
        store.upgrade(self.url)
        self.collector = self.make()
        self.collector.start()
        self.reader = store.open_reader(self.url)
        here = Here(answerer=Answerer(sessions=self.reader.sessions, queries=self.reader.queries))
        queries = Queries(sessions=self.reader.sessions, reader=self.reader.queries, backend=here)
        self.exports = Exports(
            sessions=self.reader.sessions, events=self.reader.events, queries=queries
        )

    def make(self) -> Collector:
        """Return a collector that is not started."""
        return Collector(
            writer=lambda: store.open_writer(self.url),
            sources={},
            catalogue=catalogue(),
            decode=decode_chunk,
            state_dir=self.folder / "state",
            limits=replace(SMALL, call_timeout=20.0),
            open_capture=open_capture,
        )

    def close(self) -> None:
        """End the collector."""
        self.collector.stop(5)
        self.reader.close()

    def file(self, data: bytes, name: str = "capture.jsonl") -> Path:
        """Write a file to import."""
        path = self.folder / name
        path.write_bytes(data)
        return path

    def begin(self, data: bytes | Path, **more: Any) -> ImportStatus:
        """Begin an import."""
        path = self.file(data) if isinstance(data, bytes) else data
        return self.collector.import_file(ImportRequest(path=str(path), file=path.name, **more))

    def status(self, import_id: str) -> ImportStatus:
        """Return how far an import is."""
        return next(one for one in self.collector.imports() if one.id == import_id)

    def done(self, import_id: str, timeout: float = 30.0) -> ImportStatus:
        """Wait until an import is over and its sessions are stored as ended."""
        wait_until(lambda: self.status(import_id).finished, timeout, "import over")
        status = self.status(import_id)
        for session in status.sessions:
            wait_until(lambda session=session: self.session(session).state.ended, timeout)
        return status

    def import_all(self, data: bytes | Path, **more: Any) -> list[Session]:
        """Import to the end; return the sessions."""
        status = self.done(self.begin(data, **more).id)
        assert status.state == "done", status
        return [self.session(one) for one in status.sessions]

    def import_one(self, data: bytes | Path, **more: Any) -> Session:
        """Import a file of one session to the end."""
        (session,) = self.import_all(data, **more)
        return session

    def session(self, session: SessionId) -> Session:
        """Return it as stored."""
        return self.reader.sessions.get(session)

    def export(self, session: SessionId, *, plain: bool = False) -> bytes:
        """Return a whole export."""
        return b"".join(self.exports.open(session, Export(plain=plain)))


def desktop_file(
    path: Path,
    runs: Sequence[Mapping[str, Any]],
    events: Sequence[tuple[str, int, int, str, Any]],
    name: str = "my recording",
) -> Path:
    """Write a session file as Inspektor Gadget Desktop does; events are run, ms, type, source, data."""
    conn = sqlite3.connect(path)
    conn.executescript(
        """
        CREATE TABLE session (id TEXT, name TEXT, environment_id TEXT, created_at INTEGER,
          updated_at INTEGER);
        CREATE TABLE gadget_runs (id TEXT PRIMARY KEY, session_id TEXT, gadget_image TEXT,
          params TEXT, gadget_info BLOB, started_at INTEGER, stopped_at INTEGER,
          event_count INTEGER);
        CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, run_id TEXT, timestamp INTEGER,
          type INTEGER, datasource_id TEXT, data BLOB);
        CREATE INDEX events_run ON events(run_id, id);
        """
    )
    conn.execute("INSERT INTO session VALUES ('s', ?, 'e', 1, 2)", (name,))
    for run in runs:
        conn.execute(
            "INSERT INTO gadget_runs VALUES (?, 's', ?, ?, ?, ?, ?, 0)",
            (
                run["id"],
                run.get("image", "trace_open"),
                json.dumps(run.get("params", {})),
                json.dumps(run["info"]).encode() if "info" in run else None,
                run.get("started", 1_700_000_000_000),
                run.get("stopped", 0),
            ),
        )
    conn.executemany(
        "INSERT INTO events (run_id, timestamp, type, datasource_id, data) VALUES (?,?,?,?,?)",
        [
            (run, ms, kind, source, data if isinstance(data, bytes) else json.dumps(data).encode())
            for run, ms, kind, source, data in events
        ],
    )
    conn.commit()
    conn.close()
    return path
