"""The histogram: always as many as there are, each in its bar."""

from __future__ import annotations

import random
from itertools import pairwise, product

import pytest

from igdash.domain.losses import Loss, LossCause
from igdash.domain.sessions import SessionId, SessionState, StateChange
from igdash.domain.times import NS
from igdash.store import histogram
from tests.support.stores import T0, Store, event


def at(store: Store, times: list[int], *, life: int = 100) -> SessionId:
    """Store events at these ns after T0, in a session that lived `life` seconds."""
    session = store.create().id
    for start in range(0, len(times), 7):
        store.add(session, *[event(ts=T0 + t) for t in times[start : start + 7]])
    store.writer.change(session, StateChange(state=SessionState.RUNNING, at=T0))
    store.writer.change(session, StateChange(state=SessionState.STOPPED, at=T0 + life * NS))
    return session


def test_few_events_are_each_in_the_right_bar(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(histogram, "_EXACT_ROWS", 1_000_000)
    rng = random.Random(1)
    times = [rng.randrange(-10 * NS, 120 * NS) for _ in range(200)]
    times += [NS * rng.randrange(100) for _ in range(50)]
    session = at(store, times)
    for buckets, bounds, shift in product(
        (1, 3, 60, 120, 997), ((0, 100), (3, 71), (-50, 500), (8, 9)), (0, 1, 123_456_789)
    ):
        start, end = T0 + bounds[0] * NS + shift, T0 + bounds[1] * NS - shift
        bars = store.reader.events.histogram(session, start=start, end=end, buckets=buckets)
        assert len(bars) == buckets
        assert (bars[0].start, bars[-1].end) == (start, end)
        assert all(a.end == b.start for a, b in pairwise(bars))
        expected = [sum(bar.start <= T0 + t < bar.end for t in times) for bar in bars]
        assert [bar.events for bar in bars] == expected


def test_without_bounds_every_event_is_in_a_bar(store: Store) -> None:
    times = [-500 * NS, -1, 0, 50 * NS, 100 * NS - 1, 100 * NS, 900 * NS]
    session = at(store, times)
    bars = store.reader.events.histogram(session, start=None, end=None, buckets=10)
    assert (bars[0].start, bars[-1].end) == (T0, T0 + 100 * NS)
    assert [bar.events for bar in bars] == [3, 0, 0, 0, 0, 1, 0, 0, 0, 3]


def test_one_bound_leaves_the_other_open(store: Store) -> None:
    session = at(store, [-NS, 10 * NS, 60 * NS, 300 * NS])
    read = store.reader.events.histogram
    late = read(session, start=T0 + 50 * NS, end=None, buckets=5)
    early = read(session, start=None, end=T0 + 50 * NS, buckets=5)
    assert [bar.events for bar in late] == [0, 1, 0, 0, 1]
    assert [bar.events for bar in early] == [1, 1, 0, 0, 0]


def test_a_range_that_ends_before_the_session_began_has_what_is_in_it(store: Store) -> None:
    """Clocks of nodes and imported events may be long before it."""
    session = at(store, [-500 * NS, -300 * NS, -NS, 10 * NS])
    for end, n in ((-600 * NS, 0), (-400 * NS, 1), (-200 * NS, 2), (-NS // 2, 3), (3, 3)):
        bars = store.reader.events.histogram(session, start=None, end=T0 + end, buckets=4)
        assert bars[-1].end == T0 + end
        assert sum(bar.events for bar in bars) == n


@pytest.mark.parametrize("buckets", [7, 60, 200])
def test_many_events_per_second_still_sum_up(sqlite_store: Store, buckets: int) -> None:
    """More than may be looked at one by one: seconds are then shared out, but none is lost."""
    session = sqlite_store.create().id
    for second in range(20):
        times = [T0 + second * NS + i * (NS // 2_000) for i in range(2_000)]
        sqlite_store.add(session, *[event(ts=t) for t in times])
    sqlite_store.writer.change(session, StateChange(state=SessionState.STOPPED, at=T0 + 20 * NS))
    bars = sqlite_store.reader.events.histogram(session, start=None, end=None, buckets=buckets)
    assert sum(bar.events for bar in bars) == 40_000
    assert max(bar.events for bar in bars) - min(bar.events for bar in bars) <= 2
    start, end = T0 + NS // 3, T0 + 15 * NS + NS // 7
    bars = sqlite_store.reader.events.histogram(session, start=start, end=end, buckets=buckets)
    inside = sum(
        start <= T0 + s * NS + i * (NS // 2_000) < end for s in range(20) for i in range(2_000)
    )
    assert sum(bar.events for bar in bars) == inside


def test_losses_are_in_the_bar_of_their_start(store: Store) -> None:
    session = at(store, [0])

    def loss(second: int, count: int) -> Loss:
        start = T0 + second * NS
        return Loss(node="n", start=start, end=start + 50 * NS, count=count, cause=LossCause.KERNEL)

    store.add(session, losses=(loss(-5, 1), loss(0, 2), loss(9, 4), loss(10, 8), loss(400, 16)))
    bars = store.reader.events.histogram(session, start=None, end=None, buckets=10)
    assert [bar.lost for bar in bars] == [7, 8, 0, 0, 0, 0, 0, 0, 0, 16]
    bars = store.reader.events.histogram(session, start=T0, end=T0 + 10 * NS, buckets=2)
    assert [bar.lost for bar in bars] == [2, 4]


def test_a_session_that_just_began_has_bars(store: Store) -> None:
    session = store.create().id
    bars = store.reader.events.histogram(session, start=None, end=None, buckets=30)
    assert len(bars) == 30
    assert all(bar.start < bar.end and not bar.events for bar in bars)
