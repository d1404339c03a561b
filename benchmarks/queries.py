"""How long questions to the history take, beside a plain scan and a raw SQL statement.

`python -m benchmarks.queries [--events 2000000] [--rate 2000] [--url postgresql+psycopg://…]`
`python -m benchmarks.queries --events 10000000 --seconds 7200 --slow-once`

One session of recorded TCP events of some hundred pods. Every question is asked alone, then while
another process appends `--rate` events/s to the same session. Prints a table: p50 and p95 in ms,
and the CPU time of the thread that answers (of the client only, on PostgreSQL; a worker's is its
own). Quick questions are asked 60 times, slow ones three times, those of 5 s and more once. The last
two lines are what anybody could do without rollups: `json.loads` on every event, and one SQL
statement with the database's own JSON functions. `--db` keeps the SQLite file and uses it again.
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
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from sqlalchemy import create_engine, text

from benchmarks.history import GADGET, feed, fill
from igdash.bootstrap import query_pool
from igdash.domain.filter_text import parse
from igdash.domain.filters import Filter
from igdash.domain.queries import UNLIMITED, EventQuery, EventRange, SessionQuery, Where
from igdash.domain.sessions import SessionId
from igdash.domain.times import NS, now_ns
from igdash.services.queries import Queries, Workers
from igdash.services.query_asks import AskCount, AskHistogram, AskPage
from igdash.settings import load
from igdash.sources.catalogue import load_catalogue
from igdash.store import Reader, open_reader, stats

LIGHT, HEAVY = 60, 3
QUICK_S, SLOW_S = 0.2, 5.0
SECONDS = 1_800
SCHEMA = tuple(f for source in load_catalogue().get(GADGET).sources for f in source.fields)
PORT = 'namespace = "demo" and dst.port = 9999'
GOALS = {
    "page: newest 100": 5,
    "page: 500 since seq": 5,
    "jump to a time": 5,
    "whole histogram": 20,
    "page: namespace": 50,
    "page: namespace and port": 50,
    "top 10: namespace": 20,
    "top 10: pod, of a namespace": 20,
}
"""ms, the p50 at 2 M"""
Questions = dict[str, Callable[[], object]]


class Taken(NamedTuple):
    """How long one question took, in ms."""

    p50: float
    p95: float
    cpu: float


def where(filter_text: str = "", **more: int) -> Where:
    node: Filter | None = parse(filter_text, SCHEMA) if filter_text else None
    return Where(filter=node, **more)


def page(reader: Reader, session: SessionId, **query: object) -> Callable[[], object]:
    wanted = EventQuery(**query)  # type: ignore[arg-type]
    return lambda: reader.queries.page(session, wanted, UNLIMITED)


def questions(reader: Reader, session: SessionId, now: int) -> Questions:
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
        "page: namespace and port": page(reader, session, where=where(PORT), newest=True),
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


def plain(reader: Reader, session: SessionId) -> Questions:
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


def by_worker(queries: Queries, session: SessionId) -> Questions:
    """Questions as the web process asks them: as text, answered by a worker process."""
    page = AskPage(session=session, filter=PORT, newest=True, seconds=60)
    count = AskCount(session=session, filter="namespace = demo")
    bars = AskHistogram(session=session, split="k8s.namespace", buckets=120, seconds=60)
    return {
        "page: namespace and port, by a worker": lambda: queries.answer(page),
        "count: namespace, by a worker": lambda: queries.answer(count),
        "histogram by namespace, by a worker": lambda: queries.answer(bars),
    }


def measure(asked: Questions) -> dict[str, Taken]:
    """Ask each question some times, one after the other."""
    found = {}
    for name, ask in asked.items():
        taken: list[tuple[float, float]] = []
        repeats = LIGHT
        while len(taken) < repeats:
            begin, cpu = time.perf_counter(), time.thread_time()
            ask()
            took = time.perf_counter() - begin
            taken.append((took * 1e3, (time.thread_time() - cpu) * 1e3))
            repeats = min(repeats, LIGHT if took < QUICK_S else HEAVY if took < SLOW_S else 1)
        wall, work = (sorted(column) for column in zip(*taken, strict=True))
        middle, late = len(wall) // 2, int(len(wall) * 0.95)
        found[name] = Taken(wall[middle], wall[late], work[middle])
        print(f"  {name:40} p50 {wall[middle]:9.1f}  CPU {work[middle]:9.1f}", file=sys.stderr)
    return found


@contextmanager
def arriving(url: str, session: SessionId, rate: int, pods: int) -> Iterator[Callable[[], float]]:
    """Let events arrive; yields what tells how many a second came."""
    command = [sys.executable, "-m", "benchmarks.queries", "--feed", session, "--url", url]
    feeder = subprocess.Popen([*command, "--rate", str(rate), "--pods", str(pods)])
    try:
        before = _events(url)
        while _events(url) == before:
            if feeder.poll() is not None:
                raise SystemExit("the process that appends events ended")
            threading.Event().wait(0.1)
        before, begin = _events(url), time.perf_counter()
        yield lambda: (_events(url) - before) / (time.perf_counter() - begin)
    finally:
        feeder.kill()
        feeder.wait()


def table(alone: dict[str, Taken], loaded: dict[str, Taken], rate: float) -> Iterator[str]:
    """Return the lines of the table for benchmarks/README.md."""
    yield f"| question | alone: p50 / p95 (ms) | CPU | {rate:,.0f}/s arrive: p50 / p95 | CPU | goal |"
    yield "|---|---|---|---|---|---|"
    for name, one in alone.items():
        pair = (one, loaded.get(name))
        cells = [f"{_ms(t.p50)} / {_ms(t.p95)} | {_ms(t.cpu)}" if t else " | " for t in pair]
        goal = GOALS.get(name)
        said = "" if goal is None else f"{goal}{'' if one.p50 <= goal else ', *missed*'}"
        title = f"*{name}*" if name.startswith("plain") else name
        yield f"| {title} | {' | '.join(cells)} | {said} |"


def _ms(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def run(url: str, session: SessionId, wanted: argparse.Namespace) -> None:
    """Measure alone and while events arrive, and print the table."""
    only = tuple(filter(None, wanted.only.split(",")))
    reader = open_reader(url)
    now = reader.sessions.get(session).last_event or now_ns()
    workers = Workers(pool=query_pool(load(overrides={"store.url": url})))
    queries = Queries(sessions=reader.sessions, reader=reader.queries, backend=workers)

    def asked() -> Questions:
        found = questions(reader, session, now) | by_worker(queries, session)
        return {name: ask for name, ask in found.items() if not only or name.startswith(only)}

    queries.answer(AskCount(session=session))  # the worker has begun
    try:
        print(f"alone, load {_load()}", file=sys.stderr)
        begun = _load()
        alone = measure(asked() | ({} if only else plain(reader, session)))
        with arriving(url, session, wanted.rate, wanted.pods) as rate_now:
            print(f"while events arrive, load {_load()}", file=sys.stderr)
            again = asked()
            if wanted.slow_once:
                again = {name: ask for name, ask in again.items() if alone[name].p50 < SLOW_S * 1e3}
            loaded, came = measure(again), rate_now()
    finally:
        workers.close()
        reader.close()
    print("\n".join(table(alone, loaded, came)))
    print(f"\nload {begun} at the start, {_load()} at the end")


def _load() -> str:
    return f"{os.getloadavg()[0]:.1f}"


def _events(url: str) -> int:
    return int(stats(url)["events"])


def _stored(url: str, wanted: argparse.Namespace) -> SessionId:
    """Return the session of a database that is there already, else fill it."""
    if wanted.db and wanted.db.exists():
        with_reader = open_reader(url)
        [session, *_] = with_reader.sessions.list(SessionQuery()).sessions
        with_reader.close()
        return session.id
    begin = time.perf_counter()
    session_id = fill(url, wanted.events, seconds=wanted.seconds, pods=wanted.pods)
    size = stats(url)["bytes"] / wanted.events
    took = time.perf_counter() - begin
    print(f"{wanted.events:,} events of {size:.0f} B in {took:.0f} s", file=sys.stderr)
    return session_id


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--events", type=int, default=2_000_000)
    parser.add_argument("--rate", type=int, default=2_000)
    parser.add_argument("--pods", type=int, default=20, help="times the 15 recorded origins")
    parser.add_argument("--url", default="", help="an empty PostgreSQL database, else SQLite")
    parser.add_argument("--db", type=Path, help="keep (and reuse) the SQLite file")
    parser.add_argument(
        "--only", default="", help="questions whose names begin with one of these, a comma between"
    )
    parser.add_argument(
        "--slow-once", action="store_true", help="ask what took 5 s alone not again under load"
    )
    parser.add_argument("--seconds", type=int, default=SECONDS, help="how long the history is")
    parser.add_argument("--feed", default="", help=argparse.SUPPRESS)
    wanted = parser.parse_args()
    if wanted.feed:
        feed(wanted.url, SessionId(wanted.feed), wanted.rate, wanted.pods)
    with tempfile.TemporaryDirectory() as folder:
        path = (wanted.db or Path(folder) / "bench.db").absolute()
        url = wanted.url or f"sqlite:///{path}"
        run(url, _stored(url, wanted), wanted)


if __name__ == "__main__":
    main()
