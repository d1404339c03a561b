"""Limits are enforced before the store is asked."""

from __future__ import annotations

from typing import Any

import pytest

from igdash.domain.errors import EventNotFound, InvalidQuery
from igdash.domain.queries import EventRange
from igdash.domain.sessions import SessionId
from igdash.services.history import MAX_MERGED, History
from tests.support.fake_readers import FakeReaders

ID = SessionId("a" * 12)


@pytest.fixture
def history() -> History:
    store: Any = FakeReaders()
    store.new(ID)
    store.add(ID, [1, 2, 3])
    return History(sessions=store, events=store, records=store)


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (EventRange(limit=0), "limit"),
        (EventRange(limit=1_001), "limit"),
        (EventRange(after=1, before=3), "before"),
        (EventRange(start=5, end=5), "to"),
    ],
)
def test_pages(history: History, wanted: EventRange, field: str) -> None:
    with pytest.raises(InvalidQuery) as wrong:
        history.page(ID, wanted)
    assert wrong.value.field == field
    assert not history.events.reads  # type: ignore[attr-defined]


@pytest.mark.parametrize("seq", [0, -1, 4, 2**63, 10**30])
def test_impossible_numbers_are_not_found(history: History, seq: int) -> None:
    with pytest.raises(EventNotFound):
        history.event(ID, seq)
    with pytest.raises(EventNotFound):
        history.tick(ID, seq)


@pytest.mark.parametrize("buckets", [0, 1_001])
def test_histogram(history: History, buckets: int) -> None:
    with pytest.raises(InvalidQuery):
        history.histogram(ID, start=None, end=None, buckets=buckets)


def test_merged(history: History) -> None:
    many = [SessionId(f"{n:012x}") for n in range(MAX_MERGED + 1)]
    for ids in ([], many):
        with pytest.raises(InvalidQuery):
            history.merged(ids, start=None, end=None, limit=1, cursor="")
    page = history.merged([ID, ID], start=None, end=None, limit=10, cursor="")
    assert [event.seq for _, event in page.events] == [1, 2, 3]
