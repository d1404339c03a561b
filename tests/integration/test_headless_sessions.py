"""Headless sessions through the collector: igdash goes and comes back, and the history has each event
once; the instance is there as long as it should be."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from igdash import store
from igdash.domain.errors import InvalidSpec
from igdash.domain.instances import own_id
from igdash.domain.losses import Loss, LossCause
from igdash.domain.queries import EventRange
from igdash.domain.sessions import Session, SessionId, SessionSpec, SessionState
from igdash.domain.times import NS
from igdash.services import headless
from igdash.services.collector import Collector
from igdash.sources.catalogue import load_catalogue
from igdash.sources.decode import decode_chunk
from igdash.sources.native import instances, runs
from igdash.sources.native.daemon import DaemonSource, shared_loop
from tests.support.collecting import SMALL, FakeSource, sqlite_url
from tests.support.daemon import Daemon, Numbers
from tests.support.native import environment
from tests.support.waiting import wait_until

SPEC = SessionSpec(gadget="trace_tcp", environment="host", headless=True)


class Rig:
    """Collectors, one after the other, over one store and one daemon that goes on."""

    def __init__(self, folder: Path, rate: float) -> None:
        self.folder = folder
        self.url = sqlite_url(folder)
        store.upgrade(self.url)
        self.events = Numbers()
        self.daemon = Daemon({"trace_tcp": self.events.script(rate=rate)})
        self.reader = store.open_reader(self.url)
        self.begin()

    def begin(self) -> None:
        self.collector = Collector(
            writer=lambda: store.open_writer(self.url),
            sources={
                "host": DaemonSource(environment(self.daemon.address)),
                "fake": FakeSource(),
            },
            catalogue=load_catalogue(),
            decode=decode_chunk,
            state_dir=self.folder / "state",
            limits=SMALL,
            fatal=lambda error: None,
        )
        self.collector.start()

    def session(self, session: SessionId) -> Session:
        return self.reader.sessions.get(session)

    def numbers(self, session: SessionId) -> list[int]:
        blocks = self.reader.events.stream(session, EventRange(after=0, limit=1_000))
        return [json.loads(event.data)["n"] for block in blocks for event in block]

    def more(self, session: SessionId, count: int = 50) -> None:
        wanted = self.session(session).events + count
        wait_until(lambda: self.session(session).events >= wanted, 20)

    def once_or_counted(self, session: SessionId) -> None:
        """No number twice; those that are missing are what the full queue of the daemon dropped."""
        seen = self.numbers(session)
        assert seen == sorted(set(seen))
        found, _ = self.reader.records.losses(session)
        dropped = sum(one.count for one in found if one.cause is LossCause.IG_QUEUE)
        assert seen[-1] - len(seen) == dropped

    def losses(self, session: SessionId) -> list[Loss]:
        found, _ = self.reader.records.losses(session)
        return [one for one in found if one.cause is LossCause.STREAM]

    def reach(self, session: SessionId, state: SessionState) -> None:
        wait_until(lambda: self.session(session).state is state, 20)

    def close(self) -> None:
        self.collector.stop(5)
        self.reader.close()
        self.daemon.kill()


@pytest.fixture
def rig(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rig]:
    shared_loop()
    monkeypatch.setattr(instances, "QUIET", 0.3)
    monkeypatch.setattr(instances, "HOLD", 1.0)
    backoff = runs.Backoff
    monkeypatch.setattr(runs, "Backoff", lambda: backoff(first=0.05, most=0.2))
    rig = Rig(tmp_path, 200)
    yield rig
    rig.close()


def test_igdash_comes_and_goes(rig: Rig) -> None:
    session = rig.collector.start_session(SPEC).id
    for _ in range(3):
        rig.more(session)
        before = len(rig.events.at)
        rig.collector.stop(5)
        wait_until(lambda n=before: len(rig.events.at) > n + 100)  # type: ignore[misc]
        rig.begin()
    rig.more(session, 300)
    rig.once_or_counted(session)
    assert rig.losses(session) == []
    assert [one.id for one in rig.daemon.created] == [own_id(session)]
    assert rig.session(session).state is SessionState.RUNNING
    rig.collector.stop_session(session)
    rig.reach(session, SessionState.STOPPED)
    assert rig.daemon.removed == [own_id(session)]


def test_what_was_only_spooled_is_known_too(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after a kill between receiving and storing."""
    session = rig.collector.start_session(SPEC).id
    rig.more(session)
    run = next(run for run in rig.collector.runs() if run.id == session)
    take = run.lane.take
    monkeypatch.setattr(run.lane, "take", lambda _limit: None)
    waiting = run.lane.spool.unread
    wait_until(lambda: run.lane.spool.unread > waiting + 5_000)
    rig.collector.stop(2)
    assert take is not None
    rig.begin()
    rig.more(session, 300)
    rig.once_or_counted(session)
    assert rig.losses(session) == []


def test_away_for_too_long(rig: Rig) -> None:
    session = rig.collector.start_session(SPEC).id
    rig.more(session)
    rig.collector.stop(5)
    instance = rig.daemon.instances.running[own_id(session)]
    for _ in range(1_500):
        instance.emit(rig.events.next())
    rig.begin()
    rig.more(session, 1_000)
    seen = rig.numbers(session)
    assert len(seen) == len(set(seen))
    missing = sorted(set(range(1, seen[-1] + 1)) - set(seen))
    [gap] = rig.losses(session)
    assert missing
    slack = NS // 20  # two threads number the events of this test
    assert gap.start - slack <= rig.events.at[missing[0]]
    assert rig.events.at[missing[-1]] <= gap.end + slack
    assert "1024" in gap.detail


def test_kept_and_then_deleted(rig: Rig) -> None:
    session = rig.collector.start_session(SPEC).id
    rig.more(session)
    rig.collector.stop_session(session, keep=True)
    rig.reach(session, SessionState.STOPPED)
    assert rig.session(session).info[headless.KEPT] == "true"
    [left] = rig.collector.instances("host")
    assert left.id == own_id(session)
    other = rig.collector.start_session(replace(SPEC, headless=False, instance=own_id(session))).id
    rig.more(other, 200)
    rig.once_or_counted(other)
    rig.collector.stop_session(other)
    rig.reach(other, SessionState.STOPPED)
    assert rig.daemon.removed == []
    rig.collector.delete_session(session)
    wait_until(lambda: rig.daemon.removed == [own_id(session)])


def test_kept_while_its_daemon_is_away(rig: Rig) -> None:
    """It goes on there, but not for this session: nobody tells it what happened meanwhile."""
    session = rig.collector.start_session(SPEC).id
    rig.more(session)
    rig.daemon.kill()
    wait_until(lambda: rig.session(session).nodes.connected == 0)
    rig.collector.stop_session(session, keep=True)
    rig.reach(session, SessionState.STOPPED)
    [gap] = rig.losses(session)
    assert "no connection" in gap.detail


def test_deleted_while_it_runs(rig: Rig) -> None:
    session = rig.collector.start_session(SPEC).id
    rig.more(session)
    rig.collector.delete_session(session)
    wait_until(lambda: rig.daemon.removed == [own_id(session)])


def test_its_time_was_over_while_igdash_was_away(rig: Rig) -> None:
    spec = replace(SPEC, stop_after=replace(SPEC.stop_after, seconds=1.0))
    session = rig.collector.start_session(spec).id
    wait_until(lambda: rig.session(session).started)
    rig.collector.stop(5)
    assert rig.daemon.removed == []
    wait_until(lambda: len(rig.events.at) > 400, 20)
    rig.begin()
    rig.reach(session, SessionState.STOPPED)
    assert [gap.end for gap in rig.losses(session)] == [rig.session(session).stopped]
    wait_until(lambda: rig.daemon.removed == [own_id(session)])


def test_one_that_fails(rig: Rig) -> None:
    rig.daemon.scripts["trace_tcp"].error = "no kprobes here"
    session = rig.collector.start_session(SPEC).id
    rig.reach(session, SessionState.FAILED)
    assert "no kprobes here" in rig.session(session).reason
    wait_until(lambda: rig.daemon.removed == [own_id(session)])


def test_two_igdash_on_one_instance(rig: Rig, tmp_path: Path) -> None:
    session = rig.collector.start_session(SPEC).id
    rig.more(session)
    folder = tmp_path / "second"
    folder.mkdir()
    second = Rig(folder, 0)
    second.daemon.kill()
    second.collector.stop(5)
    second.daemon = rig.daemon
    second.begin()
    spec = replace(SPEC, headless=False, instance=own_id(session))
    other = second.collector.start_session(spec).id
    second.more(other, 200)
    rig.more(session, 100)
    second.collector.stop(5)
    second.begin()
    second.more(other, 200)
    for one, of in ((rig, session), (second, other)):
        one.once_or_counted(of)
        assert one.losses(of) == []
    second.collector.stop(5)
    second.reader.close()


def test_the_daemon_restarts_while_igdash_is_away(rig: Rig) -> None:
    session = rig.collector.start_session(SPEC).id
    rig.more(session)
    rig.collector.stop(5)
    kept, port = rig.daemon.instances.kept, rig.daemon.port
    rig.daemon.kill()
    rig.daemon = Daemon(rig.daemon.scripts, f"127.0.0.1:{port}", kept=kept)
    rig.begin()
    rig.more(session)
    seen = rig.numbers(session)
    assert len(seen) == len(set(seen))
    [gap] = rig.losses(session)
    assert "started anew" in gap.detail
    assert rig.daemon.created == []


def test_where_there_is_no_such_thing(rig: Rig) -> None:
    with pytest.raises(InvalidSpec, match="no headless instances"):
        rig.collector.start_session(replace(SPEC, environment="fake"))
    with pytest.raises(InvalidSpec, match="no headless instances"):
        rig.collector.instances("fake")
    with pytest.raises(InvalidSpec, match="no instance id"):
        rig.collector.start_session(replace(SPEC, headless=False, instance="x"))
    with pytest.raises(InvalidSpec, match="leave it out"):
        rig.collector.start_session(replace(SPEC, instance="f" * 32))


def test_somebody_elses_that_is_gone(rig: Rig) -> None:
    spec = replace(SPEC, headless=False, instance="f" * 32)
    session = rig.collector.start_session(spec).id
    rig.reach(session, SessionState.FAILED)
    assert "there is no instance" in rig.session(session).reason
