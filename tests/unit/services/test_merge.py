"""Merged listings: every event once, in time order, whatever the density."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from igdash.domain.errors import InvalidQuery
from igdash.domain.sessions import SessionId
from igdash.domain.times import NS
from igdash.services import merge
from igdash.services.merge import merged_page
from tests.support.fake_readers import FakeReaders

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
