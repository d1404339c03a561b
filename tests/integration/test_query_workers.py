"""Questions through real worker processes over both databases, behind a real server."""

from __future__ import annotations

import json
import os
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest

from igdash import settings
from igdash.bootstrap import query_pool
from igdash.domain.errors import InvalidQuery, SessionNotFound
from igdash.domain.filters import FilterError
from igdash.domain.sessions import SessionId
from igdash.domain.times import NS, now_ns
from igdash.services.queries import Workers
from igdash.services.query_asks import AskCount, AskPage
from igdash.services.query_pool import Pool
from tests.support.stores import Store
from tests.support.waiting import patience, wait_until
from tests.support.web import Web, served, web

ROWS = 60_000


@dataclass(frozen=True, kw_only=True)
class Asked:
    """A web side whose questions go to workers."""

    side: Web
    pool: Pool
    address: str
    session: SessionId

    def url(self, call: str) -> str:
        return f"http://{self.address}/api/sessions/{self.session}/{call}"

    def get(self, call: str) -> Any:
        with urlopen(self.url(call), timeout=60) as answer:
            return json.loads(answer.read())


@contextmanager
def asked(url: str, rows: int) -> Iterator[Asked]:
    loaded = settings.load(None, overrides={"store.url": url})
    pool = query_pool(loaded)
    with web(url, backend=Workers(pool=pool)) as side, served(side.app) as address:
        id_ = side.session()
        start = now_ns() - rows * NS
        for first in range(0, rows, 10_000):
            some = range(first, min(first + 10_000, rows))
            data = [f'{{"proc":{{"comm":"c{n % 7}","pid":{n}}}}}' for n in some]
            side.control.add(id_, data, ts=[start + n * NS for n in some])
        yield Asked(side=side, pool=pool, address=address, session=id_)
        side.services.close()


@pytest.fixture
def few(store: Store) -> Iterator[Asked]:
    with asked(store.url, 700) as made:
        yield made


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    with asked(f"sqlite:///{tmp_path_factory.mktemp('workers')}/x.db", ROWS) as made:
        yield made


SLOW = "fields/pid/stats?filter=not%20zzz&budget_ms=60000"


def test_workers_answer_what_this_process_would(few: Asked) -> None:
    """Every kind of question, through the wire and back."""
    answer = few.side.services.queries
    here = replace(answer, backend=_here(few))
    calls = [
        "events?filter=comm%20=%20c3&limit=5",
        "events?sort=-pid&limit=5",
        "events/350/neighbours?filter=comm%20=%20c3&limit=2",
        "count?filter=pid%20%3E%20100",
        "histogram?split=comm&buckets=3&from=2020-01-01T00:00:00Z&to=2030-01-01T00:00:00Z",
        "fields/comm/top?n=3",
        "fields/pid/stats",
        "complete?text=comm%20%3D%20",
    ]
    through = [few.get(call) for call in calls]
    assert len(few.pool.pids()) == 1
    object.__setattr__(few.side.services, "queries", here)
    assert [few.get(call) for call in calls] == through
    object.__setattr__(few.side.services, "queries", answer)
    assert through[3]["count"] == 599
    assert os.getpid() not in few.pool.pids()


def _here(few: Asked) -> Any:
    from igdash.services.queries import Here
    from igdash.services.query_asks import Answerer

    services = few.side.services
    return Here(
        answerer=Answerer(sessions=services.queries.sessions, queries=services.queries.reader)
    )


def test_errors_come_back_as_what_they_were(few: Asked) -> None:
    backend = few.side.services.queries.backend

    def ask(question: Any) -> Any:
        *_, last = backend.ask(question, lambda: False)
        return last

    with pytest.raises(FilterError) as wrong:
        ask(AskCount(session=few.session, filter="commm = x"))
    assert (wrong.value.position, wrong.value.end) == (0, 5)
    assert "comm" in wrong.value.suggestions
    with pytest.raises(InvalidQuery) as cursor:
        ask(AskPage(session=few.session, sort="proc.pid", cursor="!!"))
    assert cursor.value.field == "cursor"
    with pytest.raises(SessionNotFound):
        ask(AskCount(session=SessionId("ffffffffffff")))
    assert ask(AskCount(session=few.session)).count == 700


def test_a_slow_question_holds_nobody_up(many: Asked) -> None:
    many.get("count?filter=zzz")
    with ThreadPoolExecutor(1) as threads:
        slow = threads.submit(many.get, SLOW)
        times = []
        for n in range(20):
            begun = time.monotonic()
            assert len(many.get(f"events?after={n * 100}&limit=100")["events"]) == 100
            times.append(time.monotonic() - begun)
        quick = many.get("events?filter=comm%20=%20c1&newest=true&limit=10")
        assert len(quick["events"]) == 10
        assert slow.result(60)["numbers"] == ROWS
    assert sorted(times)[10] < patience(0.1), times


def test_progress_is_told_while_it_works(many: Asked) -> None:
    with urlopen(many.url("count?filter=not%20zzz&budget_ms=60000&progress=true")) as answer:
        *news, last = [json.loads(line) for line in answer.read().splitlines()]
    assert last["answer"]["count"] == ROWS
    covered = [one["scope"]["examined"] for one in news]
    assert covered == sorted(covered)


def test_time_that_is_up_gives_a_part_and_says_so(many: Asked) -> None:
    found = many.get("count?filter=not%20zzz&budget_ms=1")
    scope = found["scope"]
    assert scope["complete"] is False
    assert found["count"] == scope["examined"] < scope["total"] == ROWS
    assert scope["to_seq"] == ROWS
    rest = many.get(f"count?filter=not%20zzz&before={scope['from_seq']}&budget_ms=60000")
    assert found["count"] + rest["count"] == ROWS


def test_a_client_that_leaves_ends_its_question(many: Asked) -> None:
    many.get("count?filter=zzz")
    pids = many.pool.pids()
    host, port = many.address.split(":")
    for _ in range(3):
        with socket.create_connection((host, int(port))) as client:
            path = f"/api/sessions/{many.session}/{SLOW}"
            client.sendall(f"GET {path} HTTP/1.1\r\nHost: {many.address}\r\n\r\n".encode())
            wait_until(lambda: many.pool._busy)
        begun = time.monotonic()
        wait_until(lambda: not many.pool._busy)
        assert time.monotonic() - begun < patience(1.0)
    assert set(many.pool.pids()) <= set(pids)
    assert many.get("count?filter=zzz")["count"] == 0


def test_a_worker_that_is_killed_is_one_503(many: Asked) -> None:
    many.get("count?filter=zzz")
    failed: list[tuple[int, str]] = []

    def ask() -> None:
        try:
            many.get(SLOW)
        except HTTPError as error:
            failed.append((error.code, error.headers["Retry-After"]))

    thread = threading.Thread(target=ask)
    thread.start()
    worker = next(iter(wait_until(lambda: set(many.pool._busy))))
    os.kill(worker.pid, 9)
    thread.join(30)
    assert failed == [(503, "2")]
    assert many.get("count?filter=zzz")["count"] == 0


def test_the_worker_keeps_out_of_everybodys_way(many: Asked) -> None:
    many.get("count?filter=zzz")
    (pid, *_) = many.pool.pids()
    nice = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[16])
    assert nice >= 5
    assert b"query-worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    assert b"x.db" not in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_an_export_with_a_filter_is_whole_though_others_ask(many: Asked) -> None:
    with ThreadPoolExecutor(4) as threads:
        others = [threads.submit(many.get, "count?filter=not%20zzz") for _ in range(4)]
        with urlopen(many.url("export?filter=comm%20=%20c3"), timeout=60) as answer:
            seqs = [json.loads(line)["seq"] for line in answer]
        assert seqs == [n + 1 for n in range(ROWS) if n % 7 == 3]
        assert all(other.result(60)["scope"]["total"] == ROWS for other in others)


def test_the_worker_command_is_not_for_people() -> None:
    import subprocess
    import sys

    done = subprocess.run(
        [sys.executable, "-m", "igdash", "query-worker"],
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
