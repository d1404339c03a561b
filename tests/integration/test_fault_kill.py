"""`kill -9` of the collector at random moments; stop and start; gadgets that outlive it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from igdash.domain.losses import LossCause
from igdash.domain.sessions import SessionState
from tests.support.collecting import wait_until as wait
from tests.support.collector_process import (
    Account,
    CollectorProcess,
    alive,
    database_says,
    generators,
    nap,
)
from tests.support.generator import sent


@pytest.fixture
def collector(tmp_path: Path) -> Iterator[CollectorProcess]:
    collector = CollectorProcess(tmp_path, {"busy": "1500", "calm": "200"})
    yield collector
    collector.close()


def kill_rounds(collector: CollectorProcess, rounds: int, seed: int) -> None:
    chance = random.Random(seed)
    folder = collector.folder
    collector.start()
    sessions = {key: collector.session(key, key) for key in ("busy", "calm")}
    for number in range(rounds):
        # From before it is ready to well into its work.
        nap(chance.uniform(0.0, 0.5))
        collector.kill()
        if number % 7 == 3:
            # Killed while it starts: it may or may not have taken up the sessions.
            collector.spawn()
            nap(chance.uniform(0.2, 1.2))
            collector.kill()
        collector.start()
        before = len(sent(folder, "busy"))
        wait(lambda before=before: len(sent(folder, "busy")) > before, 15, "events flow again")
    collector.stop_all()
    assert collector.terminate() == 0
    assert database_says(collector.url) == []
    for key, session in sessions.items():
        account = Account(collector.url, session, sent(folder, key))
        account.check()
        assert account.session.state is SessionState.STOPPED
        assert account.numbers, f"nothing of {key} is stored"
        gaps = [loss for loss in account.losses if loss.cause is LossCause.STREAM]
        assert 1 <= len(gaps) <= 2 * rounds
    assert generators(folder) == []


@pytest.mark.timeout(240)
def test_kill_at_random_moments(collector: CollectorProcess) -> None:
    kill_rounds(collector, 20, random.randrange(2**32))


@pytest.mark.nightly
@pytest.mark.timeout(1_200)
def test_kill_at_random_moments_for_long(collector: CollectorProcess) -> None:
    kill_rounds(collector, 100, random.randrange(2**32))


def test_terminate_loses_nothing_and_restart_goes_on(collector: CollectorProcess) -> None:
    folder = collector.folder
    collector.start()
    session = collector.session("busy", "busy")
    wait(lambda: len(sent(folder, "busy")) > 1_000)
    assert collector.terminate() == 0
    account = Account(collector.url, session, sent(folder, "busy"))
    account.check()
    assert account.missing == set()
    assert account.losses == ()
    assert account.session.state is SessionState.RUNNING
    assert list((collector.state_dir / "spool").iterdir()) == []
    before = len(account.sent)
    collector.start()
    wait(lambda: len(sent(folder, "busy")) > before + 1_000)
    collector.stop_all()
    account = Account(collector.url, session, sent(folder, "busy"))
    account.check()
    assert account.missing == set()
    assert account.session.state is SessionState.STOPPED
    (gap,) = account.losses
    assert (gap.cause, gap.count, gap.exact) == (LossCause.STREAM, 0, False)
    assert "not collecting" in gap.detail


def test_a_gadget_that_outlived_the_collector_is_ended(collector: CollectorProcess) -> None:
    folder = collector.folder
    collector.start()
    session = collector.session("calm", "calm")
    wait(lambda: sent(folder, "calm"))
    # Silent, it does not notice that nobody listens any more.
    (folder / "quiet").touch()
    (orphan,) = generators(folder)
    nap(0.1)
    collector.kill()
    assert alive(orphan)
    collector.start()
    wait(lambda: not alive(orphan), 10, "the orphan ends")
    (folder / "quiet").unlink()
    before = len(sent(folder, "calm"))
    wait(lambda: len(sent(folder, "calm")) > before)
    assert len(generators(folder)) == 1
    collector.stop_all()
    Account(collector.url, session, sent(folder, "calm")).check()
    assert generators(folder) == []
