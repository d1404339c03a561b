"""A flood beside quiet sessions; many sessions at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from igdash.domain.sessions import StopAfter
from tests.support.collecting import wait_until as wait
from tests.support.collector_process import Account, CollectorProcess, nap
from tests.support.generator import sent


@pytest.mark.timeout(120)
def test_a_flood_takes_nothing_from_nine_quiet_sessions(tmp_path: Path) -> None:
    collector = CollectorProcess(
        tmp_path, {"flood": "0", "quiet": "50"}, extra="[collect]\nmax_spool_mb = 16\n"
    )
    collector.start()
    try:
        quiet = {f"quiet-{n}": collector.session("quiet", f"quiet-{n}") for n in range(9)}
        wait(lambda: all(sent(tmp_path, key) for key in quiet))
        flood = collector.session("flood", "flood")
        wait(lambda: len(sent(tmp_path, "flood")) > 10_000, 20)
        from igdash import store

        reader = store.open_reader(collector.url)
        worst = 0
        for _ in range(40):
            nap(0.1)
            for key, session in quiet.items():
                # Both moving on: how far behind is what can be read, at 50 events/s?
                behind = len(sent(tmp_path, key)) - reader.sessions.get(session).events
                worst = max(worst, behind)
        reader.close()
        collector.control.stop(flood)
        collector.stop_all(60)
        assert worst <= 100, f"a quiet session was {worst / 50:.1f} s behind"
        for key, session in quiet.items():
            account = Account(collector.url, session, sent(tmp_path, key))
            account.check()
            assert account.missing == set()
            assert account.losses == ()
        account = Account(collector.url, flood, sent(tmp_path, "flood"))
        account.check()
        assert len(account.numbers) + account.lost_writer == len(account.sent)
    finally:
        collector.close()


def test_stop_conditions_end_a_real_gadget_with_nothing_missing(tmp_path: Path) -> None:
    collector = CollectorProcess(tmp_path, {"busy": "1000"})
    collector.start()
    try:
        by_events = collector.session("busy", "events", StopAfter(events=500))
        by_time = collector.session("busy", "time", StopAfter(seconds=1.0))
        wait(lambda: (s := collector.stats()) and s.sessions == 0, 15)
        for key, session in (("events", by_events), ("time", by_time)):
            account = Account(collector.url, session, sent(tmp_path, key))
            account.check()
            assert account.missing == set()
            assert account.session.events >= 500
            assert "asked for" in account.session.reason
    finally:
        collector.close()
