"""How long questions with a filter take, beside a plain scan and a raw SQL statement.

`python -m benchmarks.queries [--events 2000000] [--rate 2000] [--url postgresql+psycopg://…]`

One session of recorded TCP events, looped. Every question is asked alone, then while another
process appends `--rate` events/s to the same session. p50 and p95 in ms, and the CPU time of this
process (a question runs in one thread). The last two lines are what anybody could do without an
index: `json.loads` on every event, and one SQL statement with the database's own JSON functions.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from itertools import cycle, islice

from sqlalchemy import create_engine, text

from igdash.domain.events import Decoded, NewEvent
from igdash.domain.filter_text import parse
from igdash.domain.filters import Filter
from igdash.domain.ports import SessionBatch
from igdash.domain.queries import UNLIMITED, EventQuery, EventRange, Where
from igdash.domain.sessions import SessionId
from igdash.domain.times import NS, now_ns
from igdash.sources.catalogue import load_catalogue
from igdash.store import Reader, open_reader, open_writer, stats
from tests.support.seed import lines_of, seed

HEAVY = 3
LIGHT = 60
QUICK_MS = 200
COMMITS_PER_S = 10
SCHEMA = tuple(f for source in load_catalogue().get("trace_tcp").sources for f in source.fields)


def where(filter_text: str = "", **more: int) -> Where:
    node: Filter | None = parse(filter_text, SCHEMA) if filter_text else None
    return Where(filter=node, **more)


def page(reader: Reader, session: SessionId, **query: object) -> Callable[[], object]:
    wanted = EventQuery(**query)  # type: ignore[arg-type]
    return lambda: reader.queries.page(session, wanted, UNLIMITED)


def questions(reader: Reader, session: SessionId, now: int) -> dict[str, Callable[[], object]]:
    ask, last = reader.queries, reader.sessions.get(session).last_seq

    def top(path: str, filter_text: str = "") -> Callable[[], object]:
        return lambda: ask.top(session, path, where(filter_text), limit=10, budget=UNLIMITED)

    def bars(filter_text: str, split: str) -> Callable[[], object]:
        return lambda: ask.histogram(
            session, where(filter_text), buckets=120, split=split, budget=UNLIMITED
        )

    def count(filter_text: str, **more: int) -> Callable[[], object]:
        return lambda: ask.count(session, where(filter_text, **more), UNLIMITED)

    read = reader.events
    return {
        "page: newest 100": lambda: read.page(session, EventRange(before=2**62)),
        "page: 500 since seq": lambda: read.page(session, EventRange(after=last // 2, limit=500)),
        "jump to a time": lambda: ask.at_time(session, now - 300 * NS),
        "neighbours of an event": lambda: ask.neighbours(session, last // 2, where(), 50),
        "whole histogram": lambda: read.histogram(session, start=None, end=None, buckets=120),
        "page: namespace": page(reader, session, where=where('namespace = "staging"'), newest=True),
        "page: namespace and port": page(
            reader, session, where=where('namespace = "demo" and dst.port = 9999'), newest=True
        ),
        "page: error and network": page(
            reader, session, where=where("exists error and dst.addr in 10.43.0.0/16"), newest=True
        ),
        "count: namespace": count('namespace = "demo"'),
        "count: namespace, 5 minutes": count(
            'namespace = "demo"', start=now - 400 * NS, end=now - 100 * NS
        ),
        "top 10: namespace": top("k8s.namespace"),
        "top 10: pod, of a namespace": top("k8s.podName", 'namespace = "demo"'),
        "histogram by namespace": bars("", "k8s.namespace"),
        "count: dst.port = 9999": count("dst.port = 9999"),
        "count: comm = curl": count("comm = curl"),
        "page: text nobody wrote": page(reader, session, where=where("nobodywrotethis")),
        "page: regular expression, no hit": page(reader, session, where=where('comm =~ "^zz+$"')),
        "top 10: dst.addr": top("dst.addr"),
        "top 10: comm, of a namespace": top("proc.comm", 'namespace = "demo"'),
        "quantiles: dst.port": lambda: ask.stats(session, "dst.port", where(), UNLIMITED),
        "histogram: dst.port = 9999 by comm": bars("dst.port = 9999", "proc.comm"),
        "sort by src.port, first 100": page(reader, session, sort="src.port", descending=True),
        "sort by time, first 100": page(reader, session, sort="@time", descending=True),
    }


def plain(reader: Reader, session: SessionId) -> dict[str, Callable[[], object]]:
    def scan() -> int:
        blocks = reader.events.stream(session, EventRange(limit=5_000))
        rows = (json.loads(event.data) for block in blocks for event in block)
        return sum(row["dst"]["port"] == 9999 for row in rows)

    engine = create_engine(str(reader.engine.url)) if not _sqlite(reader) else reader.engine
    port = (
        "json_extract(payload, '$.dst.port')"
        if _sqlite(reader)
        else "(payload::json #>> '{dst,port}')::bigint"
    )
    statement = text(
        f"SELECT count(*) FROM events e JOIN sessions s ON s.id = e.session_id"
        f" WHERE s.uid = :uid AND {port} = 9999"
    )

    def sql() -> object:
        with engine.connect() as conn:
            return conn.execute(statement, {"uid": session}).scalar()

    return {"plain: json.loads, dst.port": scan, "plain: SQL, dst.port": sql}


def _sqlite(reader: Reader) -> bool:
    return reader.engine.dialect.name == "sqlite"


def feed(url: str, session: SessionId, rate: int) -> None:
    """Append until killed; runs in its own process."""
    writer = open_writer(url)
    recorded = cycle(lines_of("trace_tcp"))
    pause, due = threading.Event(), time.monotonic()
    while True:
        now = now_ns()
        found = [
            NewEvent(now, event.origin, event.data, event.size)
            for event in islice(recorded, rate // COMMITS_PER_S)
        ]
        writer.append(
            [
                SessionBatch(
                    session=session,
                    decoded=Decoded(events=tuple(found)),
                    received=len(found),
                    spool_offset=0,
                )
            ]
        )
        due += 1 / COMMITS_PER_S
        pause.wait(max(0.0, due - time.monotonic()))


def measure(asked: dict[str, Callable[[], object]]) -> None:
    for name, ask in asked.items():
        taken: list[tuple[float, float]] = []
        repeats = LIGHT
        while len(taken) < repeats:
            begin, cpu = time.perf_counter(), time.thread_time()
            ask()
            taken.append((time.perf_counter() - begin, time.thread_time() - cpu))
            if taken[-1][0] * 1000 > QUICK_MS:
                repeats = min(repeats, HEAVY)
        wall, work = (sorted(column) for column in zip(*taken, strict=True))
        middle, late = len(wall) // 2, int(len(wall) * 0.95)
        print(
            f"  {name:36} p50 {wall[middle] * 1e3:9.1f}   p95 {wall[late] * 1e3:9.1f}"
            f"   CPU {work[middle] * 1e3:8.1f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--rate", type=int, default=2_000)
    parser.add_argument("--url", default="", help="an empty PostgreSQL database, else SQLite")
    parser.add_argument("--feed", default="", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.feed:
        feed(wanted.url, SessionId(wanted.feed), wanted.rate)
    with tempfile.TemporaryDirectory() as folder:
        url = wanted.url or f"sqlite:///{folder}/bench.db"
        begin = time.perf_counter()
        (session,) = seed(url, sessions=1, events=wanted.events, seconds=1_800)
        size = stats(url)["bytes"] / wanted.events
        print(f"{wanted.events} events in {time.perf_counter() - begin:.0f} s, {size:.0f} B each")
        with_load(url, session.id, wanted.rate)


def with_load(url: str, session: SessionId, rate: int) -> None:
    reader, now = open_reader(url), now_ns()
    print(f"alone (load {os.getloadavg()[0]:.1f}), ms:")
    measure(questions(reader, session, now) | plain(reader, session))
    command = [sys.executable, "-m", "benchmarks.queries", "--feed", session, "--url", url]
    feeder = subprocess.Popen([*command, "--rate", str(rate)])
    try:
        before = _events(url)
        while _events(url) == before:
            threading.Event().wait(0.1)
        before, begin = _events(url), time.perf_counter()
        print(f"while events arrive (load {os.getloadavg()[0]:.1f}), ms:", flush=True)
        measure(questions(reader, session, now))
        arrived, took = _events(url) - before, time.perf_counter() - begin
    finally:
        feeder.kill()
        feeder.wait()
        reader.close()
    print(f"{arrived / took:,.0f} events/s arrived")


def _events(url: str) -> int:
    return int(stats(url)["events"])


if __name__ == "__main__":
    main()
