"""Exports: ticks become arrays again, whatever lies between them."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from igdash.domain.errors import InvalidQuery, SessionNotFound
from igdash.domain.events import Tick
from igdash.domain.sessions import SessionId
from igdash.services import exports
from igdash.services.exports import Export, Exports, Format
from tests.support.fake_readers import FakeReaders
from tests.support.plain_queries import queries_over


def _made(parts: list[int | None]) -> tuple[FakeReaders, SessionId, list[str]]:
    """Store parts in order (None = a loose event, n = a tick of n rows); return what was printed."""
    store = FakeReaders()
    id_ = store.new("a" * 12)
    printed = []
    for number, part in enumerate(parts):
        count = 1 if part is None else part
        first = len(store.rows[id_]) + 1
        store.add(id_, [number] * count, data=f'{{"p":{number}}}')
        if part is None:
            printed.append(f'{{"p":{number}}}')
            continue
        printed.append("[" + ",".join([f'{{"p":{number}}}'] * count) + "]")
        ticks = store.tick_rows[id_]
        tick = Tick(
            tick=len(ticks) + 1, ts=number, node="", source="", first_seq=first, events=count
        )
        ticks.append(tick)
        store.change(id_, ticks=len(ticks))
    return store, id_, printed


def _plain(store: Any, id_: SessionId, **window: int) -> list[str]:
    made = Exports(sessions=store, events=store, queries=queries_over(store))
    data = b"".join(made.open(id_, Export(plain=True, **window)))
    return data.decode().splitlines()


PARTS = st.lists(st.none() | st.integers(0, 4), max_size=30)


@given(PARTS)
def test_plain_is_what_was_printed(parts: list[int | None]) -> None:
    store, id_, printed = _made(parts)
    assert _plain(store, id_) == printed


@given(PARTS, st.integers(0, 30), st.integers(1, 30))
def test_a_window_takes_whole_ticks(parts: list[int | None], start: int, size: int) -> None:
    store, id_, printed = _made(parts)
    assert _plain(store, id_, start=start, end=start + size) == printed[start : start + size]


def test_many_pages_of_ticks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exports, "BLOCK", 7)
    store, id_, printed = _made([n % 3 for n in range(100)])
    assert _plain(store, id_) == printed


def test_what_is_wrong_is_said_before_the_first_byte() -> None:
    store: Any = FakeReaders()
    made = Exports(sessions=store, events=store, queries=queries_over(store))
    with pytest.raises(SessionNotFound):
        made.open(SessionId("a" * 12), Export())
    id_ = store.new("a" * 12)
    with pytest.raises(InvalidQuery, match="plain"):
        made.open(id_, Export(format=Format.CSV, plain=True))
    with pytest.raises(InvalidQuery, match="to"):
        made.open(id_, Export(start=2, end=2))


def test_an_empty_session_is_an_empty_file() -> None:
    store, id_, _ = _made([])
    made: Any = Exports(sessions=store, events=store, queries=queries_over(store))  # type: ignore[arg-type]
    assert b"".join(made.open(id_, Export())) == b""
    assert b"".join(made.open(id_, Export(format=Format.CSV))) == b"seq,ts,node,source,other\r\n"
