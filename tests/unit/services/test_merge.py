"""Merged listings: every event once, in time order, whatever the density."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from igdash.domain.errors import InvalidQuery, QueryBusy
from igdash.domain.filter_text import parse
from igdash.domain.queries import Budget
from igdash.domain.sessions import SessionId
from igdash.domain.times import NS
from igdash.services import merge
from igdash.services.merge import MergeWanted, merged_matches, merged_page
from tests.support.fake_readers import FakeReaders
from tests.support.plain_queries import PlainQueries

T0 = 1_790_000_000 * NS
IDS = [SessionId(c * 12) for c in "abc"]


def _all(
    store: FakeReaders, limit: int, start: int | None = None, end: int | None = None
) -> list[tuple[int, str, int]]:
    parts: Any = store
    ids = sorted(store.known)
    seen: list[tuple[int, str, int]] = []
    cursor = ""
    while True:
        page = merged_page(parts, parts, ids, start=start, end=end, limit=limit, cursor=cursor)
        assert len(page.events) <= limit
        seen += [(event.ts, session, event.seq) for session, event in page.events]
        cursor = page.next
        if not cursor:
            return seen


def _wanted(store: FakeReaders, start: int | None, end: int | None) -> list[tuple[int, str, int]]:
    return sorted(
        (row.ts, session, row.seq)
        for session, rows in store.rows.items()
        for row in rows
        if (start is None or row.ts >= start) and (end is None or row.ts < end)
    )


SPREAD = st.one_of(
    st.integers(0, 3), st.integers(0, 10 * NS), st.integers(0, 10**6 * NS), st.just(5 * NS)
)


@settings(max_examples=60, deadline=None)
@given(
    times=st.lists(st.lists(SPREAD, max_size=40), min_size=1, max_size=3),
    limit=st.integers(1, 20),
    window=st.tuples(st.none() | st.integers(0, 20 * NS), st.none() | st.integers(1, 20 * NS)),
)
def test_every_event_once_in_order(
    times: list[list[int]], limit: int, window: tuple[int | None, int | None]
) -> None:
    store = FakeReaders()
    for id_, offsets in zip(IDS, times, strict=False):
        store.new(id_)
        store.add(id_, [T0 + offset for offset in offsets])
    start = None if window[0] is None else T0 + window[0]
    end = None if window[1] is None else T0 + window[1]
    assert _all(store, limit, start, end) == _wanted(store, start, end)


def test_a_burst_in_one_nanosecond_is_paged_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(merge, "_MOST", 20)
    monkeypatch.setattr(merge, "MAX_LIMIT", 10)
    store = FakeReaders()
    for id_ in IDS:
        store.new(id_)
        store.add(id_, [T0] * 5 + [T0 + NS] * 130 + [T0 + 9 * NS] * 5)
    assert _all(store, 7) == _wanted(store, None, None)


def test_events_older_than_the_first_received_come_first() -> None:
    store = FakeReaders()
    store.new(IDS[0])
    store.add(IDS[0], [T0 + NS, T0 - 400 * NS, T0 + 2 * NS])
    assert [ts for ts, _, _ in _all(store, 2)] == [T0 - 400 * NS, T0 + NS, T0 + 2 * NS]


def test_nothing_gives_an_empty_page() -> None:
    store = FakeReaders()
    store.new(IDS[0])
    assert _all(store, 5) == []


@pytest.mark.parametrize("cursor", ["x", "1.2", f"1.{'d' * 12}.3", "9" * 40, "1.aaaaaaaaaaaa.-1"])
def test_a_foreign_cursor_is_refused(cursor: str) -> None:
    store: Any = FakeReaders()
    store.new(IDS[0])
    with pytest.raises(InvalidQuery):
        merged_page(store, store, [IDS[0]], start=None, end=None, limit=5, cursor=cursor)


class _Timed(PlainQueries):
    """Takes a tenth of a second per page, by a clock of its own."""

    def __init__(self, store: Any, clock: Clock) -> None:
        super().__init__(store)
        self.clock = clock

    def page(self, session: SessionId, query: Any, budget: Any) -> Any:
        self.clock.now += 0.1
        return super().page(session, query, budget)


class Clock:
    now = 0.0

    def monotonic(self) -> float:
        return self.now


@pytest.mark.parametrize("seconds", [None, 0.65, 1.0])
def test_matches_are_all_found_however_often_time_is_up(
    seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    store: Any = FakeReaders()
    for id_ in IDS[:2]:
        store.add(
            store.new(id_), [T0 + n * 40 * NS + ord(id_[0]) for n in range(50)], data='{"a":1}'
        )
        store.add(id_, [T0 + 5_000 * NS], data='{"a":2}')
    clock = Clock()
    monkeypatch.setattr(merge, "time", clock)
    found, cursor, pages, partial = [], "", 0, 0
    while True:
        wanted = MergeWanted(sessions=tuple(IDS[:2]), start=None, end=None, limit=9, cursor=cursor)
        page = merged_matches(
            store, _Timed(store, clock), wanted, parse("a = 2 or seq = 7"), Budget(seconds=seconds)
        )
        found += [(session, event.seq) for session, event in page.events]
        pages += 1
        partial += not page.complete
        cursor = page.next
        if not cursor:
            break
        assert pages < 200
    assert found == [(IDS[0], 7), (IDS[1], 7), (IDS[0], 51), (IDS[1], 51)]
    assert bool(partial) == (seconds is not None)


def test_a_moment_with_too_much_in_it_is_refused() -> None:
    store: Any = FakeReaders()
    store.add(store.new(IDS[0]), [T0] * 50)
    wanted = MergeWanted(sessions=(IDS[0],), start=None, end=None, limit=9, cursor="")
    with pytest.raises(QueryBusy):
        merged_matches(
            store, PlainQueries(store, most=5), wanted, parse("zzz"), Budget(seconds=1.0)
        )
