"""PostgreSQL killed and its connections cut while events arrive: each is stored exactly once."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.collecting import wait_until as wait
from tests.support.collector_process import Account, CollectorProcess, nap
from tests.support.generator import sent
from tests.support.postgres import Server, running_server

pytestmark = [pytest.mark.postgres, pytest.mark.timeout(180)]

DURABLE = "&options=-c%20synchronous_commit%3Don"
"""The suite's server is tuned for speed; here an acknowledged commit must survive a crash."""


@pytest.fixture
def server() -> Iterator[Server]:
    with running_server() as server:
        yield server


@pytest.fixture
def collector(server: Server, tmp_path: Path) -> Iterator[CollectorProcess]:
    url = server.url(server.create()) + DURABLE
    collector = CollectorProcess(tmp_path, {"busy": "1000"}, url=url)
    yield collector
    collector.close()


def test_a_killed_server_and_cut_connections(server: Server, collector: CollectorProcess) -> None:
    folder = collector.folder
    collector.start()
    session = collector.session("busy", "busy")
    wait(lambda: len(sent(folder, "busy")) > 500)
    for _ in range(2):
        server.stop(signal.SIGQUIT)
        wait(lambda: (s := collector.stats()) and s.trouble, 15, "trouble is told")
        nap(1.0)
        server.start()
        wait(lambda: (s := collector.stats()) and not s.trouble, 20, "it is over")
        before = len(sent(folder, "busy"))
        wait(lambda before=before: len(sent(folder, "busy")) > before + 300)
    for _ in range(20):
        server.cut("test_1")
        nap(0.15)
    wait(lambda: (s := collector.stats()) and not s.trouble, 20, "it is over")
    collector.stop_all()
    account = Account(collector.url, session, sent(folder, "busy"))
    account.check()
    assert account.missing == set()
    assert account.losses == ()
    assert len(account.numbers) > 2_000
