"""What pages hear: full picture first, then changes, not too often, never nothing for long."""

from __future__ import annotations

import json
from typing import Any

import pytest

from igdash.domain.control import CollectorStats
from igdash.domain.errors import CollectorUnavailable, IgdashError
from igdash.domain.sessions import SessionState
from igdash.services import health as healths
from igdash.services import live as lives
from igdash.services.health import Health
from igdash.services.live import Live
from tests.support.fake_readers import FakeReaders
from tests.support.waiting import no_thread, wait_until


class Clock:
    """Stands in for the `time` module."""

    def __init__(self) -> None:
        self.now = 1_000.0

    def monotonic(self) -> float:
        return self.now


class FakeHub:
    version = 0


class Collector:
    """A Control of which only `stats` is used."""

    def __init__(self) -> None:
        self.down = False
        self.asked = 0
        self.rate = 1.0

    def stats(self) -> CollectorStats:
        self.asked += 1
        if self.down:
            raise CollectorUnavailable("the collector does not answer")
        return CollectorStats(
            pid=1,
            started=0,
            version="",
            sessions=1,
            rate=self.rate,
            lag_ms=2.0,
            backlog_bytes=3,
            commits=4,
            events=5,
        )


class Setup:
    def __init__(self) -> None:
        self.clock = Clock()
        self.store: Any = FakeReaders()
        self.collector: Any = Collector()
        self.hub: Any = FakeHub()
        self.health = Health(self.collector, self.store)
        self.live = Live(sessions=self.store, health=self.health, hub=self.hub)

    def take(self, cursor: int) -> tuple[int, Any]:
        cursor, payload = self.live.take(cursor)
        return cursor, None if payload is None else json.loads(payload)

    def later(self, seconds: float) -> None:
        self.clock.now += seconds
        self.hub.version += 1


@pytest.fixture
def setup(monkeypatch: pytest.MonkeyPatch) -> Setup:
    made = Setup()
    monkeypatch.setattr(lives, "time", made.clock)
    monkeypatch.setattr(healths, "time", made.clock)
    return made


def test_first_all_then_what_changed(setup: Setup) -> None:
    first, second = setup.store.new("a" * 12), setup.store.new("b" * 12)
    cursor, message = setup.take(0)
    assert set(message["sessions"]) == {first, second}
    assert message["stats"]["collector"] == "up"
    setup.store.add(first, [1, 2])
    setup.later(0.3)
    cursor, message = setup.take(cursor)
    assert message["sessions"] == {
        first: {
            "state": "running",
            "events": 2,
            "lost": 0,
            "rate": 0.0,
            "last_seq": 2,
            "logs": 0,
            "malformed": 0,
            "nodes": {"expected": 0, "connected": 0},
        }
    }
    assert setup.take(cursor) == (cursor, None)


def test_not_more_often_than_the_period(setup: Setup) -> None:
    id_ = setup.store.new("a" * 12)
    cursor, _ = setup.take(0)
    setup.store.add(id_, [1])
    setup.later(0.1)
    assert setup.take(cursor)[1] is None
    setup.later(0.2)
    assert setup.take(cursor)[1] is not None


def test_a_page_that_missed_one_gets_all(setup: Setup) -> None:
    first, second = setup.store.new("a" * 12), setup.store.new("b" * 12)
    cursor, _ = setup.take(0)
    for _ in range(2):
        setup.store.add(first, [1])
        setup.later(0.3)
        setup.take(0)
    assert set(setup.take(cursor)[1]["sessions"]) == {first, second}


def test_a_page_that_missed_an_end_learns_that_it_knows_all_now(setup: Setup) -> None:
    first, second = setup.store.new("a" * 12), setup.store.new("b" * 12)
    late, message = setup.take(0)
    assert message["full"] is True
    setup.store.change(first, state=SessionState.STOPPED)
    setup.later(0.3)
    _, message = setup.take(late)
    assert "full" not in message
    setup.store.add(second, [1])
    setup.later(0.3)
    _, message = setup.take(late)
    assert message["full"] is True
    assert set(message["sessions"]) == {second}


def test_who_ends_or_goes_is_told_once(setup: Setup) -> None:
    first, second = setup.store.new("a" * 12), setup.store.new("b" * 12)
    cursor, _ = setup.take(0)
    setup.store.change(first, state=SessionState.STOPPED)
    setup.store.drop(second)
    setup.later(0.3)
    cursor, message = setup.take(cursor)
    assert message["sessions"][first]["state"] == "stopped"
    assert message["sessions"][second] == {"state": "deleted"}
    setup.later(5.1)
    cursor, message = setup.take(cursor)
    assert message["sessions"] == {}


def test_a_beat_comes_though_nothing_happens(setup: Setup) -> None:
    setup.store.new("a" * 12)
    cursor, _ = setup.take(0)
    beats = 0
    for _ in range(20):
        setup.clock.now += 1.0
        cursor, message = setup.take(cursor)
        beats += message is not None
    assert beats == 4


def test_hundreds_of_sessions_are_all_there(setup: Setup) -> None:
    for n in range(1_100):
        setup.store.new(f"{n:012x}")
    assert len(setup.take(0)[1]["sessions"]) == 1_100


def test_pages_never_wait_for_the_collector(setup: Setup) -> None:
    setup.take(0)
    assert setup.collector.asked == 1
    setup.collector.down = True
    setup.clock.now += 1.1
    with setup.health._asking:  # somebody is asking already, and waits
        assert setup.health.peek().up
    wait_until(lambda: not setup.health.peek().up)  # the answer is fetched behind
    assert setup.collector.asked == 2
    pulse = setup.health.pulse()
    assert pulse.why == "the collector does not answer"
    assert setup.collector.asked == 2


def test_without_a_thread_the_collector_is_asked_at_once(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    setup.take(0)
    monkeypatch.setattr(healths, "spawn", no_thread)
    setup.collector.down = True
    setup.clock.now += 1.1
    assert not setup.health.peek().up
    assert not setup.health._asking.locked()


def test_a_collector_that_answers_with_an_error_is_not_well(
    setup: Setup, monkeypatch: pytest.MonkeyPatch
) -> None:
    cursor, _ = setup.take(0)

    def fail() -> None:
        raise IgdashError("the collector met an error; its log has details")

    monkeypatch.setattr(setup.collector, "stats", fail)
    setup.later(1.1)
    wait_until(lambda: not setup.health.peek().up)
    setup.later(0.3)
    assert "met an error" in setup.take(cursor)[1]["stats"]["trouble"]
    assert "met an error" in setup.health.troubles()["collector"]


def test_troubles_name_the_part(setup: Setup) -> None:
    assert setup.health.troubles() == {}
    setup.store.broken = True
    setup.collector.down = True
    setup.clock.now += 1.1
    assert set(setup.health.troubles()) == {"store", "collector"}
