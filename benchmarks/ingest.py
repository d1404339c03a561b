"""From bytes to durable rows: the whole write path against the same rows inserted without reading.

Ceiling: the lines straight into one `executemany` of (seq, text) per 5,000, WAL and
synchronous=FULL, as the store has it. Ours: spool append, read, decode, intern, rollups, counters,
commit. Both in this process, interleaved, best of `--rounds`; process CPU and wall time per event.

    python -m benchmarks.ingest [--events 100000] [--rounds 5]
"""

from __future__ import annotations

import argparse
import os
import re
import sqlite3
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from igdash import store
from igdash.domain.chunks import Chunk, ChunkKind
from igdash.domain.ports import EventWriter
from igdash.domain.sessions import NewSession, SessionId, SessionSpec
from igdash.domain.times import now_ns
from igdash.services.disk import DiskGuard
from igdash.services.lane import Lane
from igdash.services.limits import CollectorLimits
from igdash.services.memory import collect_seldom
from igdash.services.scheduler import Scheduler
from igdash.services.spool import Spool
from igdash.sources.decode import decode_chunk

RECORDINGS = Path(__file__).resolve().parents[1] / "examples" / "recordings"
_TIME = re.compile(rb'"timestamp_raw":\d+')
PER_CHUNK = 45
"""Lines per chunk: 64 KiB, as a busy gadget's pipe gives them."""
BATCH = 5_000


def lines(count: int) -> list[bytes]:
    """Return events of the bundled recordings, in turn, with times that go on: 5,000 a second."""
    recorded = [
        line
        for name in ("trace_tcp", "trace_dns", "trace_exec", "trace_open")
        for line in (RECORDINGS / name / "events.jsonl").read_bytes().splitlines(keepends=True)
    ]
    now = now_ns()
    return [
        _TIME.sub(b'"timestamp_raw":%d' % (now + n * 200_000), recorded[n % len(recorded)], count=1)
        for n in range(count)
    ]


def ceiling(folder: Path, events: list[bytes]) -> None:
    """Insert the lines unread."""
    db = sqlite3.connect(folder / "ceiling.db", isolation_level=None)
    db.execute("PRAGMA page_size=8192")
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.execute("CREATE TABLE lines(seq INTEGER PRIMARY KEY, text TEXT)")
    seq = 0
    for first in range(0, len(events), BATCH):
        block = events[first : first + BATCH]
        rows = [(seq + n, line.decode()) for n, line in enumerate(block, 1)]
        seq += len(rows)
        db.execute("BEGIN IMMEDIATE")
        db.executemany("INSERT INTO lines VALUES (?, ?)", rows)
        db.execute("COMMIT")
    db.close()


class Ours:
    """The path of one event, without its threads."""

    def __init__(self, folder: Path) -> None:
        url = f"sqlite:///{folder}/igdash.db"
        store.upgrade(url)
        self.writer: EventWriter = store.open_writer(url)
        limits = CollectorLimits()
        session = SessionId("0123456789ab")
        spec = SessionSpec(gadget="trace_tcp", environment="bench")
        self.writer.create(NewSession(id=session, spec=spec, created=now_ns()))
        spool = Spool(
            folder, session, max_bytes=limits.max_spool_bytes, segment_bytes=limits.segment_bytes
        )
        self.lane = Lane(session, spool, decode_chunk, DiskGuard(folder, 0), lambda: None)
        self.scheduler = Scheduler(limits)
        self.seq = 0

    def put(self, events: list[bytes]) -> None:
        """Spool everything, as sources do."""
        for first in range(0, len(events), PER_CHUNK):
            data = b"".join(events[first : first + PER_CHUNK])
            self.lane.put(Chunk(kind=ChunkKind.JSON_LINES, received=now_ns(), data=data))

    def store(self) -> None:
        """Store what is spooled, as the writer does."""
        while taken := self.scheduler.take([self.lane]):
            advances = self.writer.append([item.batch for _, item in taken])
            for lane, item in taken:
                lane.committed(item)
            self.seq = advances[0].last_seq

    def close(self) -> None:
        self.lane.spool.close()
        self.writer.close()


def measure(work: Callable[[], None]) -> tuple[float, float]:
    """Return CPU and wall seconds."""
    cpu, wall = time.process_time(), time.perf_counter()
    work()
    return time.process_time() - cpu, time.perf_counter() - wall


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    events = lines(options.events)
    collect_seldom()  # as the collecting process does
    best: dict[str, tuple[float, float]] = {}
    for _ in range(options.rounds):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            ours = Ours(folder)
            found = {
                "ceiling": measure(lambda folder=folder: ceiling(folder, events)),
                "spool": measure(lambda ours=ours: ours.put(events)),
                "decode+append": measure(ours.store),
            }
            assert ours.seq == len(events), "not everything is stored"
            ours.close()
            for key, value in found.items():
                best[key] = min(best.get(key, value), value)
    per = 1e6 / len(events)
    size = sum(map(len, events)) / len(events)
    print(f"{len(events)} events of {size:.0f} bytes, load {os.getloadavg()[0]:.1f}")
    for key, (cpu, wall) in best.items():
        print(f"  {key:14} {cpu * per:6.2f} us CPU/event  {wall * per:6.2f} us wall/event")
    whole = best["spool"][0] + best["decode+append"][0]
    print(f"  bytes to durable row: {len(events) / whole:,.0f} events/s of CPU")
    print(f"  ratio to the no-parse ceiling: {best['ceiling'][0] / whole:.2f} (goal >= 0.5)")


if __name__ == "__main__":
    main()
