"""How long the store's reads take on a big history while events keep arriving.

`python -m benchmarks.store_queries [--events 2000000] [--rate 5000] [--url postgresql+psycopg://…]`

One session has half of the events, nineteen share the rest. Another process appends `--rate`
events/s to ten of them, ten commits a second; this one reads. Prints p50 and p95 in ms; the CPU
columns tell how much of it was this process at work, whatever else the machine did.
"""

from __future__ import annotations

import argparse
import random
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable

from benchmarks.store_insert import make_events
from igdash.domain.events import Decoded
from igdash.domain.ports import SessionBatch
from igdash.domain.queries import EventRange, SessionQuery
from igdash.domain.sessions import NewSession, SessionId, SessionSpec, SessionState, StateChange
from igdash.domain.times import NS, now_ns
from igdash.store import Reader, open_reader, open_writer, stats, upgrade

SESSIONS = [SessionId(f"{i:012x}") for i in range(20)]
BLOCK = 5_000
COMMITS_PER_S = 10


def add(session: SessionId, count: int, start: int) -> SessionBatch:
    events = tuple(make_events(count, start, rate=500))
    return SessionBatch(
        session=session, decoded=Decoded(events=events), received=count, spool_offset=0
    )


def build(url: str, total: int) -> None:
    upgrade(url)
    writer = open_writer(url)
    for session in SESSIONS:
        spec = SessionSpec(gadget="trace_tcp", environment="bench", name=f"s{session}")
        writer.create(NewSession(id=session, spec=spec, created=now_ns() - 7200 * NS))
        writer.change(session, StateChange(state=SessionState.RUNNING, at=now_ns() - 7000 * NS))
    done = dict.fromkeys(SESSIONS, 0)
    small = total // 2 // (len(SESSIONS) - 1)
    for session in SESSIONS:
        wanted = total // 2 if session == SESSIONS[0] else small
        while done[session] < wanted:
            writer.append([add(session, BLOCK, done[session])])
            done[session] += BLOCK
    writer.close()


def feed(url: str, rate: int) -> None:
    """Append until killed; runs in its own process."""
    writer = open_writer(url)
    starts = {p.session.id: p.session.last_seq for p in writer.unfinished()}
    share = rate // COMMITS_PER_S // 10
    pause, due = threading.Event(), time.monotonic()
    while True:
        some = SESSIONS[:10]
        writer.append([add(session, share, starts[session]) for session in some])
        for session in some:
            starts[session] += share
        due += 1 / COMMITS_PER_S
        pause.wait(max(0.0, due - time.monotonic()))


def questions(reader: Reader, rng: random.Random) -> dict[str, Callable[[], object]]:
    big = SESSIONS[0]
    last = reader.sessions.get(big).last_seq

    def one() -> SessionId:
        return rng.choice(SESSIONS) if rng.random() < 0.5 else big

    def minute() -> EventRange:
        start = now_ns() - 3600 * NS + rng.randrange(1000) * NS
        return EventRange(start=start, end=start + 60 * NS, limit=100)

    read = reader.events
    now = now_ns()
    return {
        "newest 100": lambda: read.page(one(), EventRange(before=2**62, limit=100)),
        "100 anywhere": lambda: read.page(
            big, EventRange(after=rng.randrange(last - 200), limit=100)
        ),
        "100 of a minute": lambda: read.page(big, minute()),
        "500 since seq": lambda: read.page(
            big, EventRange(after=rng.randrange(last - 600), limit=500)
        ),
        "one event": lambda: read.get(big, rng.randrange(1, last)),
        "session list (20)": lambda: reader.sessions.list(SessionQuery()),
        "sparks (20 x 40)": lambda: reader.sessions.sparks(SESSIONS, now - 600 * NS, now, 40),
        "histogram, life, 120": lambda: read.histogram(one(), start=None, end=None, buckets=120),
        "histogram, minutes, 60": lambda: read.histogram(
            big, start=now - 3500 * NS, end=now - 3400 * NS, buckets=60
        ),
        "totals": reader.sessions.totals,
    }


def measure(url: str, repeats: int) -> None:
    reader = open_reader(url)
    rng = random.Random(1)
    asked = questions(reader, rng)
    taken: dict[str, list[tuple[float, float]]] = {name: [] for name in asked}
    for _ in range(repeats):
        for name, ask in asked.items():
            begin, cpu = time.perf_counter(), time.thread_time()
            ask()
            took = time.perf_counter() - begin, time.thread_time() - cpu
            taken[name].append((took[0] * 1000, took[1] * 1000))
    for name, times in taken.items():
        wall, work = (sorted(column) for column in zip(*times, strict=True))
        middle, late = len(wall) // 2, int(len(wall) * 0.95)
        print(
            f"  {name:24} p50 {wall[middle]:7.2f}   p95 {wall[late]:7.2f}"
            f"   CPU p50 {work[middle]:6.2f}   p95 {work[late]:6.2f}"
        )
    reader.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--rate", type=int, default=5_000)
    parser.add_argument("--repeats", type=int, default=200)
    parser.add_argument("--url", default="", help="an empty PostgreSQL database, else SQLite")
    parser.add_argument("--feed", action="store_true", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.feed:
        feed(wanted.url, wanted.rate)
    with tempfile.TemporaryDirectory() as folder:
        url = wanted.url or f"sqlite:///{folder}/bench.db"
        begin = time.perf_counter()
        build(url, wanted.events)
        took = time.perf_counter() - begin
        print(f"{wanted.events} events stored in {took:.0f} s: {wanted.events / took:,.0f}/s")
        print(f"{stats(url)['bytes'] / wanted.events:.0f} bytes per event in the database")
        command = [sys.executable, "-m", "benchmarks.store_queries", "--feed", "--url", url]
        feeder = subprocess.Popen([*command, "--rate", str(wanted.rate)])
        try:
            before = _events(url)
            while _events(url) == before:
                threading.Event().wait(0.1)
            before, begin = _events(url), time.perf_counter()
            measure(url, wanted.repeats)
            arrived, took = _events(url) - before, time.perf_counter() - begin
        finally:
            feeder.kill()
            feeder.wait()
        print(f"ms, while {arrived / took:,.0f} events/s arrived")


def _events(url: str) -> int:
    return int(stats(url)["events"])


if __name__ == "__main__":
    main()
