"""What the event store's write path costs over the bare driver, in one run.

`python -m benchmarks.store_insert [--events 40000] [--repeats 7] [--url postgresql+psycopg://…]`

Rows and repeats are interleaved and the best CPU time of each counts, so that other work on the
machine moves the figures little. Lines:
- raw: `sqlite3.executemany` of ready rows, or bare psycopg binary COPY
- insert: the store's insert step of the same ready rows
- append: everything `Writer.append` does (origins, rows, rollups, counters, commit)
"""

from __future__ import annotations

import argparse
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import psycopg

from igdash.domain.events import Decoded, NewEvent, Origin
from igdash.domain.ports import SessionBatch
from igdash.domain.sessions import NewSession, SessionId, SessionSpec
from igdash.domain.times import NS, now_ns
from igdash.store import Writer, open_writer, upgrade
from igdash.store.bulk import PostgresBulk
from igdash.store.rollups import EventRow

BATCH = 2_000
PAYLOAD = (
    '{"dst":{"addr":"10.0.0.%d","port":443},"k8s":"@k8s","proc":{"comm":"curl","creds":{"gid":0,'
    '"uid":1000},"parent":{"comm":"bash","pid":1},"pid":%d,"tid":%d},"runtime":"@runtime","src":'
    '{"addr":"10.0.1.7","port":%d},"timestamp":"2026-11-25T10:00:00.000000000Z","timestamp_raw":%d,'
    '"type":"connect","netns_id":4026531840,"error":"","error_raw":0,"fd":3,"filler":"'
    + "x" * 120
    + '"}'
)
ORIGINS = [
    Origin(node="n1", source="tcp", namespace=f"ns{i % 4}", pod=f"p{i}", k8s=f'{{"k":{i}}}')
    for i in range(40)
]


def make_events(count: int, start: int, rate: int = 5_000) -> list[NewEvent]:
    """Return events that look like trace_tcp's, `rate` per second."""
    found = []
    for i in range(start, start + count):
        data = PAYLOAD % (i % 250, i, i, 1024 + i % 60_000, i)
        origin = ORIGINS[i // 7 % len(ORIGINS)]
        found.append(NewEvent(T0 + i * NS // rate, origin, data, len(data)))
    return found


T0 = now_ns() - 3600 * NS


def batches(events: list[NewEvent]) -> list[list[NewEvent]]:
    return [events[i : i + BATCH] for i in range(0, len(events), BATCH)]


def rows_of(events: list[NewEvent], session: int, after: int) -> list[EventRow]:
    return [(session, seq, e.ts, 1, e.data) for seq, e in enumerate(events, after + 1)]


def cpu(work: Callable[[], None]) -> float:
    begin = time.process_time()
    work()
    return time.process_time() - begin


class Sqlite:
    """The three ways on SQLite files of the same settings."""

    def __init__(self, folder: Path) -> None:
        self.urls = {name: f"sqlite:///{folder}/{name}.db" for name in ("insert", "append")}
        for url in (*self.urls.values(), f"sqlite:///{folder}/raw.db"):
            upgrade(url)
        self.raw = sqlite3.connect(folder / "raw.db", isolation_level=None)
        self.raw.execute("PRAGMA synchronous=FULL")
        self.raw.execute("PRAGMA wal_autocheckpoint=1024")
        self.raw.execute("PRAGMA cache_size=-32000")

    def insert_raw(self, rows: list[EventRow]) -> None:
        self.raw.execute("BEGIN IMMEDIATE")
        self.raw.executemany(
            "INSERT INTO events (session_id, seq, ts, origin_id, payload) VALUES (?, ?, ?, ?, ?)",
            rows,
        )
        self.raw.execute("COMMIT")


class Postgres:
    """The three ways on one PostgreSQL; CPU of this process only, the server's is its own."""

    def __init__(self, url: str) -> None:
        self.urls = {"insert": url, "append": url}
        upgrade(url)
        self.raw = psycopg.connect(url.replace("+psycopg", ""))

    def insert_raw(self, rows: list[EventRow]) -> None:
        pack = PostgresBulk._ROW.pack
        parts = [PostgresBulk._HEADER]
        for session, seq, ts, origin, payload in rows:
            raw = payload.encode()
            parts.append(pack(5, 4, session, 8, seq, 8, ts, 4, origin, len(raw)))
            parts.append(raw)
        parts.append(PostgresBulk._TRAILER)
        with self.raw.cursor() as cursor, cursor.copy(PostgresBulk._COPY) as copy:
            copy.write(b"".join(parts))
        self.raw.commit()


def insert_ours(writer: Writer, rows: list[EventRow]) -> None:
    with writer._transaction("benchmark") as conn:
        writer._bulk.events(conn, rows)


def append(writer: Writer, session: SessionId, some: list[NewEvent]) -> None:
    decoded = Decoded(events=tuple(some))
    writer.append(
        [SessionBatch(session=session, decoded=decoded, received=len(some), spool_offset=0)]
    )


def measure(store: Sqlite | Postgres, count: int, repeats: int) -> dict[str, float]:
    writers = {url: open_writer(url) for url in set(store.urls.values())}
    inserter, writer = (writers[store.urls[name]] for name in ("insert", "append"))
    session = SessionId(f"{now_ns() % 2**48:012x}")
    spec = SessionSpec(gadget="trace_tcp", environment="bench")
    writer.create(NewSession(id=session, spec=spec, created=T0))
    best = dict.fromkeys(("raw", "insert", "append"), float("inf"))
    for repeat in range(repeats):
        events = make_events(count, repeat * count)
        base = repeat * count
        ready = {
            name: [
                rows_of(some, number, base + i * BATCH) for i, some in enumerate(batches(events))
            ]
            for name, number in (("raw", 1_000_001), ("insert", 1_000_002))
        }
        runs: dict[str, Callable[[], None]] = {
            "raw": lambda ready=ready: [store.insert_raw(r) for r in ready["raw"]],
            "insert": lambda ready=ready: [insert_ours(inserter, r) for r in ready["insert"]],
            "append": lambda events=events: [append(writer, session, b) for b in batches(events)],
        }
        order = list(runs) if repeat % 2 else list(runs)[::-1]
        for name in order:
            best[name] = min(best[name], cpu(runs[name]))
    for opened in writers.values():
        opened.close()
    return {name: seconds / count * 1e6 for name, seconds in best.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=40_000)
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--url", default="", help="an empty PostgreSQL database, else SQLite")
    wanted = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = Postgres(wanted.url) if wanted.url else Sqlite(Path(folder))
        found = measure(store, wanted.events, wanted.repeats)
    print(f"CPU µs per event, best of {wanted.repeats}, batches of {BATCH}:")
    for name, cost in found.items():
        print(f"  {name:7} {cost:6.2f}   {found['raw'] / cost:5.2f} of raw")


if __name__ == "__main__":
    main()
