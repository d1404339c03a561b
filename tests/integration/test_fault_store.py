"""The database locked, the disk full, the server killed: nothing is lost uncounted."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from igdash.domain.losses import LossCause
from igdash.domain.sessions import SessionState
from tests.support.collecting import wait_until as wait
from tests.support.collector_process import Account, CollectorProcess, database_says, nap
from tests.support.disks import small_disk
from tests.support.generator import sent


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    with small_disk(tmp_path / "disk", 40) as folder:
        yield folder


@pytest.mark.timeout(120)
def test_a_database_locked_for_30_s_by_another_program(tmp_path: Path) -> None:
    collector = CollectorProcess(tmp_path, {"busy": "1000"})
    collector.start()
    try:
        session = collector.session("busy", "busy")
        wait(lambda: len(sent(tmp_path, "busy")) > 500)
        with sqlite3.connect(tmp_path / "igdash.db", isolation_level=None) as other:
            other.execute("BEGIN IMMEDIATE")
            until = time.monotonic() + 30
            stats = wait(lambda: (s := collector.stats()) and s.trouble and s, 15, "trouble told")
            assert "locked" in stats.trouble
            lag = 0.0
            while time.monotonic() < until:
                nap(1.0)
                stats = collector.stats()
                assert stats is not None, "it answers all the time"
                lag = max(lag, stats.lag_ms)
            other.execute("ROLLBACK")
        other.close()
        assert lag > 20_000
        assert stats.backlog_bytes > 1_000_000
        wait(lambda: (s := collector.stats()) and not s.trouble and s.lag_ms < 1_000, 20)
        collector.stop_all()
        account = Account(collector.url, session, sent(tmp_path, "busy"))
        account.check()
        assert account.missing == set()
        assert account.losses == ()
        assert len(account.numbers) > 30_000
    finally:
        collector.close()


@pytest.mark.timeout(120)
def test_a_full_disk_counts_exactly_what_it_swallows(disk: Path, tmp_path: Path) -> None:
    ballast = disk / "ballast"
    ballast.write_bytes(b"\0" * 20_000_000)
    collector = CollectorProcess(
        tmp_path,
        {"busy": "6000:60000"},
        url=f"sqlite:///{disk}/igdash.db",
        state_dir=disk / "state",
    )
    collector.start()
    try:
        session = collector.session("busy", "busy")
        wait(lambda: (s := collector.stats()) and "disk" in s.trouble, 40, "the disk is full")
        wait(lambda: len(sent(tmp_path, "busy")) >= 30_000, 40)
        nap(2.0)
        assert collector.stats() is not None
        ballast.unlink()
        wait(lambda: (s := collector.stats()) and not s.trouble, 30, collector.tail())
        wait(lambda: len(sent(tmp_path, "busy")) >= 60_000, 40)
        collector.stop_all()
        assert collector.terminate() == 0
        assert database_says(collector.url) == []
        account = Account(collector.url, session, sent(tmp_path, "busy"))
        account.check()
        assert len(account.numbers) + account.lost_writer == len(account.sent) == 60_000
        assert account.lost_writer == len(account.missing) > 0
        assert {loss.cause for loss in account.losses} == {LossCause.WRITER}
        assert account.session.state is SessionState.STOPPED
    finally:
        collector.close()


@pytest.mark.timeout(120)
def test_a_disk_that_stays_full_keeps_the_account_through_a_restart(
    disk: Path, tmp_path: Path
) -> None:
    collector = CollectorProcess(
        tmp_path,
        {"busy": "6000:40000"},
        url=f"sqlite:///{disk}/igdash.db",
        state_dir=disk / "state",
    )
    collector.start()
    ballast = disk / "ballast"
    try:
        session = collector.session("busy", "busy")
        wait(lambda: len(sent(tmp_path, "busy")) >= 5_000, 40)
        fill(ballast)
        wait(lambda: (s := collector.stats()) and "disk" in s.trouble, 40, "the disk is full")
        fill(ballast)
        wait(lambda: len(sent(tmp_path, "busy")) >= 40_000, 40)
        assert collector.terminate() == 0
        ballast.unlink()
        collector.start()
        collector.stop_all()
        account = Account(collector.url, session, sent(tmp_path, "busy"))
        account.check()
        assert len(account.numbers) + account.lost_writer == len(account.sent) == 40_000
    finally:
        collector.close()


def fill(path: Path) -> None:
    """Take all of the room that is left."""
    with path.open("ab", buffering=0) as file:
        for size in (65_536, 4_096):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue


def test_an_error_of_the_database_ends_the_process_which_leaves_everything_spooled(
    tmp_path: Path,
) -> None:
    collector = CollectorProcess(tmp_path, {"busy": "500"})
    collector.start()
    try:
        session = collector.session("busy", "busy")
        wait(lambda: len(sent(tmp_path, "busy")) > 200)
        with sqlite3.connect(tmp_path / "igdash.db") as other:
            other.execute("ALTER TABLE events RENAME TO hidden")
        other.close()
        assert collector.process is not None
        assert collector.process.wait(15) == 70
        assert "the writer cannot go on" in collector.tail()
        with sqlite3.connect(tmp_path / "igdash.db") as other:
            other.execute("ALTER TABLE hidden RENAME TO events")
        other.close()
        collector.start()
        collector.stop_all()
        account = Account(collector.url, session, sent(tmp_path, "busy"))
        account.check()
        assert {loss.cause for loss in account.losses} == {LossCause.STREAM}
    finally:
        collector.close()
