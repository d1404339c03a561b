"""Workers that answer, die, hang and are told to stop; bounds that hold."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from igdash.domain.errors import QueryBusy, QueryCancelled, StoreBusy
from igdash.services.query_pool import Pool, PoolLimits, WorkerProgram
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[3]


def never() -> bool:
    return False


def program(hello: bytes = b"hello") -> WorkerProgram:
    return WorkerProgram(
        argv=[sys.executable, "-m", "tests.support.query_child", "worker"],
        environ={**os.environ, "PYTHONPATH": str(ROOT)},
        hello=hello,
    )


@pytest.fixture
def pool() -> Iterator[Pool]:
    limits = PoolLimits(workers=2, waiting=1, wait=0.3, grace=0.5, mercy=0.5)
    made = Pool(program(), limits)
    yield made
    made.close()


def ask(pool: Pool, word: str, *, seconds: float = 5.0, gone: Callable[[], bool] = never) -> str:
    *_, last = pool.ask(word.encode(), seconds=seconds, gone=gone)
    assert last.final
    return last.text.decode()


def test_nothing_runs_before_the_first_question_and_one_worker_serves_many(pool: Pool) -> None:
    assert pool.pids() == ()
    answers = {ask(pool, "a") for _ in range(5)}
    assert len(answers) == 1
    assert answers == {f"a {pool.pids()[0]}"}


def test_a_large_answer_arrives_whole(pool: Pool) -> None:
    assert len(ask(pool, "big")) == 20_000_000


def test_a_worker_that_dies_is_an_error_once(pool: Pool) -> None:
    with pytest.raises(StoreBusy, match="ended"):
        ask(pool, "die")
    assert ask(pool, "a").startswith("a ")


def test_an_idle_worker_that_was_killed_is_replaced(pool: Pool) -> None:
    ask(pool, "a")
    (pid,) = pool.pids()
    os.kill(pid, 9)
    # Its first thread is a zombie before the others are gone: dead is what can be waited for.
    dead = os.WEXITED | os.WNOHANG | os.WNOWAIT
    wait_until(lambda: os.waitid(os.P_PID, pid, dead))
    assert ask(pool, "a").startswith("a ")


@pytest.mark.parametrize("how", ["stop", "deaf"])
def test_a_worker_that_hangs_is_killed_at_its_time(pool: Pool, how: str) -> None:
    ask(pool, "a")
    (pid,) = pool.pids()
    begun = time.monotonic()
    with pytest.raises(StoreBusy, match="in time"):
        ask(pool, how, seconds=0.1)
    assert time.monotonic() - begun < 3
    assert not _runs(pid)
    assert ask(pool, "a").startswith("a ")


def test_a_question_taken_back_ends_and_the_worker_stays(pool: Pool) -> None:
    ask(pool, "a")
    pids = pool.pids()
    left = threading.Event()
    threading.Timer(0.1, left.set).start()
    with pytest.raises(QueryCancelled):
        ask(pool, "obey", gone=left.is_set)
    assert pool.pids() == pids
    assert ask(pool, "a") == f"a {pids[0]}"


def test_a_worker_that_does_not_obey_is_killed(pool: Pool) -> None:
    ask(pool, "a")
    (pid,) = pool.pids()
    with pytest.raises(QueryCancelled):
        ask(pool, "deaf", gone=lambda: True)
    assert not _runs(pid)


def test_a_worker_that_grew_too_big_answers_and_ends(pool: Pool) -> None:
    answer = ask(pool, "grow")
    assert answer.startswith("grow ")
    assert pool.pids() == ()
    assert ask(pool, "a").split()[1] != answer.split()[1]


def test_a_worker_that_cannot_begin_is_an_error() -> None:
    pool = Pool(program(b"refuse"))
    try:
        with pytest.raises(StoreBusy, match="ended"):
            ask(pool, "a")
    finally:
        pool.close()


def test_how_many_run_and_wait_is_bounded(pool: Pool) -> None:
    left = threading.Event()

    def hold() -> str:
        return ask(pool, "obey", gone=left.is_set)

    with ThreadPoolExecutor(3) as threads:
        held = [threads.submit(hold) for _ in range(2)]
        wait_until(lambda: len(pool.pids()) == 2)
        waiting = threads.submit(ask, pool, "a")
        wait_until(lambda: pool._waiting == 1)
        begun = time.monotonic()
        with pytest.raises(QueryBusy, match="2 questions are being answered and 1 wait"):
            ask(pool, "a")
        assert time.monotonic() - begun < 0.2
        with pytest.raises(QueryBusy, match=r"nobody was free"):
            waiting.result(5)
        assert len(pool.pids()) == 2
        left.set()
        assert {type(one.exception(5)) for one in held} == {QueryCancelled}
    assert ask(pool, "a").startswith("a ")


def test_who_waits_and_leaves_is_let_go(pool: Pool) -> None:
    left = threading.Event()
    with ThreadPoolExecutor(2) as threads:
        held = [threads.submit(ask, pool, "obey", gone=left.is_set) for _ in range(2)]
        wait_until(lambda: len(pool.pids()) == 2)
        with pytest.raises(QueryCancelled):
            ask(pool, "a", gone=lambda: True)
        left.set()
        assert all(isinstance(one.exception(5), QueryCancelled) for one in held)


def test_news_come_before_the_answer_and_closing_takes_the_question_back(pool: Pool) -> None:
    said = pool.ask(b"count", seconds=5, gone=never)
    assert [next(said) for _ in range(3)] == [(str(n).encode(), False) for n in range(3)]
    (pid,) = pool.pids()
    said.close()
    assert pool.pids() == (pid,)
    assert ask(pool, "a") == f"a {pid}"


def test_who_is_slow_to_take_an_answer_holds_no_worker() -> None:
    pool = Pool(program(), PoolLimits(workers=1, wait=0.0))
    slow = [pool.ask(word, seconds=5.0, gone=never) for word in (b"a", b"b")]
    assert [next(one).final for one in slow] == [True, True]
    assert ask(pool, "c").startswith("c ")
    assert [list(one) for one in slow] == [[], []]
    pool.close()


def test_long_questions_leave_a_worker_to_short_ones(pool: Pool) -> None:
    left = threading.Event()
    with ThreadPoolExecutor(1) as threads:
        held = threads.submit(ask, pool, "obey", seconds=30, gone=left.is_set)
        wait_until(lambda: len(pool.pids()) == 1)
        assert ask(pool, "a").startswith("a ")
        with ThreadPoolExecutor(1) as others:
            waits = others.submit(ask, pool, "a", seconds=30)
            wait_until(lambda: pool._waiting == 1)
            assert ask(pool, "a").startswith("a ")
            assert not waits.done()
            left.set()
            assert waits.result(10).startswith("a ")
        assert isinstance(held.exception(5), QueryCancelled)


def test_a_worker_is_there_before_it_is_asked(pool: Pool) -> None:
    pool.warm()
    (pid,) = pool.pids()
    pool.warm()
    assert pool.pids() == (pid,)
    assert ask(pool, "a") == f"a {pid}"
    pool.close()
    pool.warm()
    assert pool.pids() == ()


def test_a_worker_begins_before_it_is_asked(tmp_path: Path) -> None:
    """However late the first question comes, its time to begin was not spent waiting for that."""
    begun = tmp_path / "begun"
    pool = Pool(program(str(begun).encode()))
    pool.warm()
    wait_until(begun.exists)
    assert ask(pool, "a") == f"a {pool.pids()[0]}"
    pool.close()


def test_closing_ends_everything(pool: Pool) -> None:
    with ThreadPoolExecutor(1) as threads:
        held = threads.submit(ask, pool, "obey")
        wait_until(lambda: len(pool.pids()) == 1)
        (pid,) = pool.pids()
        pool.close()
        assert isinstance(held.exception(5), StoreBusy)
    assert not _runs(pid)
    assert pool.pids() == ()
    with pytest.raises(QueryBusy, match="shutting down"):
        ask(pool, "a")


def test_workers_end_with_their_owner() -> None:
    """Even when it is killed and can tell nobody."""
    code = (
        "import sys\n"
        "from tests.unit.services.test_query_pool import *\n"
        "print(ask(Pool(program()), 'a'), flush=True)\n"
        "os.kill(os.getpid(), 9)\n"
    )
    import subprocess

    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == -9, done.stderr
    pid = int(done.stdout.split()[1])
    wait_until(lambda: not _runs(pid))


def _runs(pid: int) -> bool:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"
